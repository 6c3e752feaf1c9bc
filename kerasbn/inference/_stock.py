"""The layers of kerasbn, said in stock layers of Keras."""

import keras
import numpy as np

from kerasbn.layers._input_batch_normalization import CONSTANT


def batch_normalization(layer):
    """The stock layer for a `kerasbn.layers.BatchNormalization`, and weights.

    Ours come after those of the stock layer and are left away.
    """
    known = keras.layers.BatchNormalization().get_config()
    config = {
        key: value for key, value in layer.get_config().items() if key in known
    }
    # The stock layer refuses it elsewhere; a single device has nothing to pool.
    config["synchronized"] &= keras.backend.backend() == "tensorflow"
    stock = keras.layers.BatchNormalization.from_config(config)
    count = 2 + bool(layer.scale) + bool(layer.center)
    return stock, layer.get_weights()[:count]


def input_statistics(layer):
    """Mean and deviation in float64, and which features count as constant."""
    origin = layer.origin.numpy()
    offset = layer.moving_offset.numpy()
    variance = layer.moving_variance.numpy()
    # In float32 and in this order, to decide as the layer does.
    share = np.float32(CONSTANT)
    constant = variance <= np.square(share * (origin + offset))
    mean = origin.astype("float64") + offset
    deviation = np.sqrt(np.where(constant, 1.0, variance.astype("float64")))
    return mean, deviation, constant


def input_function(layer):
    """A function that does, in stock layers, what the layer does.

    `Rescaling` subtracts the origin, in units of a power of two near the
    deviation: exact at any scale, where `Normalization` alone has an epsilon
    of 1e-7 and subtracts a rounded mean.
    """
    made = []
    bound = getattr(layer, "bound", None)
    clip = None if bound is None else _clip(bound, layer.name)

    def function(x):
        if not made:
            made.extend(_input_layers(layer, len(x.shape)))
        for stock in made:
            x = stock(x)
        return x if clip is None else clip(x)

    return function


def _input_layers(layer, rank):
    _, deviation, constant = input_statistics(layer)
    unit = np.where(constant, 0.0, 2.0 ** -np.floor(np.log2(deviation)))
    shape = [1] * rank
    shape[layer.axis] = -1
    del shape[: layer.axis % rank]
    origin = layer.origin.numpy() * unit
    offset = layer.moving_offset.numpy() * unit
    return [
        keras.layers.Rescaling(
            unit.reshape(shape).tolist(),
            (-origin).reshape(shape).tolist(),
            dtype="float32",
            name=f"{layer.name}_rescaling",
        ),
        keras.layers.Normalization(
            axis=layer.axis,
            mean=offset.tolist(),
            variance=np.where(constant, 1.0, (deviation * unit) ** 2).tolist(),
            dtype="float32",
            name=layer.name,
        ),
    ]


def _clip(bound, name):
    """An exact clip to +-bound: relu(x) - relu(-x), both limited."""

    def named(kind, *args, label):
        return kind(*args, dtype="float32", name=f"{name}_{label}")

    positive = named(keras.layers.ReLU, bound, label="positive")
    mirrored = named(keras.layers.Rescaling, -1.0, label="mirrored")
    negative = named(keras.layers.ReLU, bound, label="negative")
    clipped = named(keras.layers.Subtract, label="clipped")
    return lambda x: clipped([positive(x), negative(mirrored(x))])
