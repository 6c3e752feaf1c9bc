"""What the hidden layers of a model make of one batch.

The batch passes as in training, inside a `keras.StatelessScope`, which discards
every update: statistics, seeds, recurrent states.
"""

import contextlib
import functools
from typing import Any, NamedTuple

import keras
import numpy as np
from keras import ops

from kerasbn._graph import activations, kinds, shadowing, sublayers
from kerasbn.layers._input_batch_normalization import CONSTANT

# Rows of a batch that are read: a unit silent on all of them is of no use.
_ROWS = 256
_NOT_HIDDEN = {"", "linear", "softmax", "logsoftmax", "sparsemax"}


class LayerReading(NamedTuple):
    """What a hidden layer puts out.

    Attributes:
        dead_units: Share of units (channels of a convolution) that are active
            at no row and position; of an unknown activation: that are constant.
        saturation: Share of outputs on the flat part of the activation; NaN
            where there is none.
        mean: Of all outputs.
        deviation: Of all outputs.
    """

    dead_units: Any
    saturation: Any
    mean: Any
    deviation: Any


class ActivationProbe:
    """Reads the hidden layers of a model on a batch, and changes nothing.

    Read are layers with a non-linear `activation` and activation layers, but
    neither softmax nor the output layers of a functional or sequential model.
    Functions called without a layer, such as `ops.relu`, are not seen. The
    calls of a shared layer are pooled; what is masked at its output is left
    out. A recurrent or `TimeDistributed` layer is read as a whole.

    Args:
        model: A model that is built when it is first read. Make a new probe
            when layers are frozen or unfrozen.
    """

    def __init__(self, model: keras.Model):
        self.model = model
        self._compiled: dict[tuple, Any] = {}

    @property
    def names(self) -> list[str]:
        """Paths of the hidden layers, in the model's order."""
        return list(self._layers[0])

    @property
    def normalizations(self) -> list[str]:
        """Paths of the batch normalization layers, in the model's order."""
        return list(self._layers[1])

    def read(self, x: Any) -> dict[str, dict[str, float]]:
        """Return what the first 256 rows of a batch of inputs bring about.

        Returns:
            By measure, then by path: "dead_units", "saturation",
            "activation_mean" and "activation_deviation" of `LayerReading`, and
            the "statistics_distance" of batch normalizations, the median over
            the features that vary of

                hypot((moving_mean - mean) / deviation,
                      log(moving_deviation / deviation))

            NaN where there is nothing to read.

        Raises:
            RuntimeError: If the model is not built.
            Exception: Whatever the model raises.
        """
        hidden, normalizations = self._layers
        x = keras.tree.map_structure(lambda array: array[:_ROWS], x)
        run = self._pass if self.model.run_eagerly else self._traced(x)
        table = run(x).numpy().astype(float)
        readings, moments = np.split(table, [len(hidden)], axis=1)
        distances = {}
        for path, layer in normalizations.items():
            width = layer.moving_variance.shape[0]
            epsilon = getattr(layer, "epsilon", 0.0)
            distances[path] = _distance(epsilon, *moments[:, :width])
            moments = moments[:, width:]
        dead_units, saturation, mean, deviation = (
            dict(zip(hidden, row, strict=True)) for row in readings.tolist()
        )
        return {
            "dead_units": dead_units,
            "saturation": saturation,
            "activation_mean": mean,
            "activation_deviation": deviation,
            "statistics_distance": distances,
        }

    @functools.cached_property
    def _layers(self):
        """Hidden layers with their activations, and normalizations, by path."""
        if not self.model.built:
            raise RuntimeError(
                "`model` must be built before its activations are read. "
                f"Received: model={self.model.name!r}. Call it on a batch."
            )
        outputs = set(sublayers.output_layers(self.model))
        hidden, normalizations = {}, {}
        for layer, activation in dict(sublayers.leaves(self.model)).items():
            path = layer.path or layer.name  # without weights there is no path
            while path in hidden or path in normalizations:
                path += "_"
            if isinstance(layer, kinds.BATCH_NORMALIZATIONS):
                normalizations[path] = layer
            elif (
                activations.name(activation) not in _NOT_HIDDEN
                and layer not in outputs
            ):
                hidden[path] = layer, activation
        return hidden, normalizations

    def _traced(self, x):
        """The pass compiled, once for any number of rows.

        20 x 100 units take 0.7 s once, then 4 ms; not compiled, 80 ms each.
        """
        import tensorflow as tf

        key = tuple(tuple(each.shape[1:]) for each in keras.tree.flatten(x))
        if key not in self._compiled:
            specs = keras.tree.map_structure(
                lambda each: tf.TensorSpec([None, *each.shape[1:]], each.dtype),
                x,
            )
            function = tf.function(self._pass, autograph=False)
            self._compiled[key] = function.get_concrete_function(specs)
        return self._compiled[key]

    def _pass(self, x):
        """A column by hidden layer, then one by normalized feature."""
        import tensorflow as tf

        hidden, normalizations = (kind.values() for kind in self._layers)
        with contextlib.ExitStack() as stack:
            calls: dict = {layer: [] for layer, _ in hidden}
            calls |= {layer: [] for layer in normalizations}
            for layer, seen in calls.items():
                noting = _noting(layer, seen)
                stack.enter_context(shadowing.replaced(layer, "call", noting))
            stack.enter_context(keras.StatelessScope())
            self.model(x, training=True)
        # Outside the scope the moving statistics are those before the pass.
        columns = [tf.zeros((4, 0))]
        for layer, activation in hidden:
            columns.append(_reading(layer, activation, calls[layer]))
        for layer in normalizations:
            columns.append(_moments(layer, calls[layer]))
        return tf.concat(columns, axis=1)


def _noting(layer, calls):
    """`call` of a layer that also notes its inputs and outputs."""
    call = layer.call

    def noting_call(*args, **kwargs):
        outputs = call(*args, **kwargs)
        inputs = (*args, *kwargs.values())[0]
        calls.append((inputs, keras.tree.flatten(outputs)[0]))
        return outputs

    return noting_call


def _rows(values, axis, outputs):
    """Values as rows of features, without what is masked at the outputs."""
    import tensorflow as tf

    values = ops.moveaxis(tf.cast(values, "float32"), axis, -1)
    mask = getattr(outputs, "_keras_mask", None)
    if mask is not None:
        values = tf.boolean_mask(values, tf.cast(mask, "bool"))
    return tf.reshape(values, (-1, tf.shape(values)[-1]))


def _reading(layer, activation, calls):
    import tensorflow as tf

    if not calls:
        return tf.fill((4, 1), activations.NAN)
    axis = 1 if getattr(layer, "data_format", "") == "channels_first" else -1
    y = tf.concat([_rows(y, axis, y) for _, y in calls], axis=0)
    live, steep = activations.intervals(activation)
    dead = tf.reduce_max(y, axis=0) == tf.reduce_min(y, axis=0)
    if live is not None:
        dead = tf.reduce_all(_outside(y, live), axis=0)
    saturated = activations.NAN if steep is None else _outside(y, steep)
    mean, variance = tf.nn.moments(y, axes=[0, 1])
    reading = LayerReading(
        tf.reduce_mean(tf.cast(dead, "float32")),
        tf.reduce_mean(tf.cast(saturated, "float32")),
        mean,
        tf.sqrt(variance),
    )
    return tf.stack(reading)[:, None]


def _outside(y, interval):
    return (y <= interval[0]) | (y >= interval[1])


def _moments(layer, calls):
    """Mean and variance of the inputs, then those that inference uses."""
    import tensorflow as tf

    rows = [_rows(x, layer.axis, y) for x, y in calls]
    # NaN for a layer that was not called.
    rows = rows or [
        tf.fill((1, layer.moving_variance.shape[0]), activations.NAN)
    ]
    batch = tf.nn.moments(tf.concat(rows, axis=0), axes=[0])
    moving = (layer.moving_mean, layer.moving_variance)
    return tf.stack([tf.cast(each, "float32") for each in (*batch, *moving)])


def _distance(epsilon, mean, variance, moving_mean, moving_variance):
    varies = variance > np.square(CONSTANT * mean)
    if not varies.any():
        return activations.NAN
    variance, moving_variance = variance + epsilon, moving_variance + epsilon
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = (moving_mean - mean) / np.sqrt(variance)
        stretch = 0.5 * np.log(moving_variance / variance)
    return float(np.median(np.hypot(shift, stretch)[varies]))
