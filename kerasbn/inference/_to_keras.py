"""A model in the stock layers that do the work of those of kerasbn."""

import keras
import numpy as np

from kerasbn._graph import rebuild, sublayers
from kerasbn._graph.rebuild import Edit, first_tensor
from kerasbn.inference import _fold_reasons, _linear
from kerasbn.layers import BatchNormalization, InputBatchNormalization


def to_keras(model: keras.Model) -> keras.Model:
    """Return the same model in stock layers, loadable without kerasbn.

    `kerasbn.layers.BatchNormalization` becomes the stock layer with the same
    weights. `InputBatchNormalization` becomes a `Rescaling` by powers of two
    and a `Normalization`, which hold its statistics fixed from there on.

    Args:
        model: A built functional or sequential model. It is not changed.

    Returns:
        A functional `keras.Model`, not compiled, that gives the same output
        and can be trained on.

    Raises:
        ValueError: If the model is not built, or is subclassed.

    Example:
    >>> import kerasbn
    >>> stock = kerasbn.to_keras(kerasbn.models.mlp((4,), [8], 2))
    >>> {type(layer).__module__.split(".")[0] for layer in stock.layers}
    {'keras'}
    """
    graph = _fold_reasons.graph_of(model)
    stock = rebuild.rebuild(graph, stock_edits(graph))
    for layer in sublayers.batch_normalizations(stock):
        if isinstance(layer, BatchNormalization | InputBatchNormalization):
            raise ValueError(
                "`model` must hold the layers of kerasbn in its graph, as they "
                f"are. Received: layer={layer.name!r}, inside another layer or "
                "subclassed. Replace it there by "
                "`keras.layers.BatchNormalization`."
            )
    return stock


def stock_edits(graph):
    """Edits of a model that leave it without layers of kerasbn."""
    found = {}
    for layer, calls in graph.operations.items():
        if type(layer) is BatchNormalization:
            found[layer] = Edit(instead=_batch_normalization(layer))
        elif type(layer) is InputBatchNormalization:
            if any(call.is_training for call in calls):
                raise ValueError(
                    "`InputBatchNormalization` must be called without "
                    "`training` in the model's graph. Received: "
                    "training=True. No stock layer does the same."
                )
            rank = len(calls[0].inputs[0].shape)
            found[layer] = Edit(instead=_input_function(layer, rank))
    return found


def _batch_normalization(layer):
    known = keras.layers.BatchNormalization().get_config()
    config = {
        key: value for key, value in layer.get_config().items() if key in known
    }
    # The stock layer refuses it elsewhere; a single device has nothing to pool.
    config["synchronized"] &= keras.backend.backend() == "tensorflow"
    return keras.layers.BatchNormalization.from_config(config)


def _input_function(layer, rank):
    """A function that does, in stock layers, what the layer does.

    `Rescaling` subtracts the origin, in units of a power of two near the
    deviation: exact at any scale, where `Normalization` alone has an epsilon
    of 1e-7 and subtracts a rounded mean.
    """
    _, deviation, constant = _linear.input_statistics(layer)
    unit = np.where(constant, 0.0, 2.0 ** -np.floor(np.log2(deviation)))
    shape = [1] * rank
    shape[layer.axis] = -1
    del shape[: layer.axis % rank]
    origin = layer.origin.numpy() * unit
    offset = layer.moving_offset.numpy() * unit
    rescaling = keras.layers.Rescaling(
        unit.reshape(shape).tolist(),
        (-origin).reshape(shape).tolist(),
        dtype="float32",
        name=f"{layer.name}_rescaling",
    )
    normalization = keras.layers.Normalization(
        axis=layer.axis,
        mean=offset.tolist(),
        variance=np.where(constant, 1.0, (deviation * unit) ** 2).tolist(),
        dtype="float32",
        name=layer.name,
    )
    bound = getattr(layer, "bound", None)
    clip = (lambda x: x) if bound is None else _clip(bound, layer.name)
    return lambda *args, **kwargs: clip(
        normalization(rescaling(first_tensor(*args, **kwargs)))
    )


def _clip(bound, name):
    """An exact clip to +-bound: relu(x) - relu(-x), both limited."""

    def named(kind, *args, label):
        return kind(*args, dtype="float32", name=f"{name}_{label}")

    positive = named(keras.layers.ReLU, bound, label="positive")
    mirrored = named(keras.layers.Rescaling, -1.0, label="mirrored")
    negative = named(keras.layers.ReLU, bound, label="negative")
    clipped = named(keras.layers.Subtract, label="clipped")
    return lambda x: clipped([positive(x), negative(mirrored(x))])
