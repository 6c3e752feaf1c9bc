"""The hidden layers of a model, read on one batch.

The batch passes as in training, inside a `keras.StatelessScope`, which discards
every update: statistics, seeds, recurrent states.
"""

import contextlib
import functools
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kerasbn._graph import activations, kinds, shadowing, sublayers
from kerasbn.layers._input_batch_normalization import CONSTANT

_ROWS = 256  # a unit that is silent on all of them is of no use
_MEASURES = "dead_units saturation activation_mean activation_deviation".split()
_NOT_HIDDEN = {"", "linear", "softmax", "logsoftmax", "sparsemax"}


class ActivationProbe:
    """Reads the hidden layers of a model on a batch and changes nothing.

    Layers with a non-linear `activation` and activation layers are read, except
    softmax and the output layers of a functional or sequential model. Functions
    called without a layer, such as `ops.relu`, are not seen. The calls of a
    shared layer are pooled; entries masked at its output are left out. A
    recurrent or `TimeDistributed` layer is read as a whole, but for the batch
    normalizations inside. Make a new probe after freezing or unfreezing layers.
    """

    def __init__(self, model: keras.Model, compiled: bool = True):
        self.model = model
        # To compile 100 layers takes seconds, and pays from the second read on.
        self._is_compiled = compiled and not model.run_eagerly
        self._compiled: dict[tuple, Any] = {}

    @property
    def names(self) -> list[str]:
        """Paths of the hidden layers, in the model's order."""
        return list(self._layers[0])

    def read(self, x: Any) -> dict[str, dict[str, float]]:
        """Return measures of the first 256 rows of a batch of inputs.

        Returns:
            By measure, then by path of a layer; NaN without anything to read:

            - "dead_units": share of units (channels of a convolution) that are
              active at no row and position, or constant if the activation is
              not known.
            - "saturation": share of outputs on the flat part of the activation.
            - "activation_mean" and "activation_deviation" of all outputs.
            - "statistics_distance" of batch normalizations, the median over the
              features that vary of

                hypot((moving_mean - mean) / deviation,
                      log(moving_deviation / deviation))
        """
        hidden, normalizations = self._layers
        x = keras.tree.map_structure(self._rows, x)
        run = self._traced(x) if self._is_compiled else self._pass
        table = run(x).numpy().astype(float)
        activity, moments = np.split(table, [len(hidden)], axis=1)
        distances = {}
        for path, layer in normalizations.items():
            width = [layer.moving_variance.shape[0]]
            found, moments = np.split(moments, width, axis=1)
            distances[path] = _distance(layer, found)
        rows = (dict(zip(hidden, r, strict=True)) for r in activity.tolist())
        found = dict(zip(_MEASURES, rows, strict=True))
        return found | {"statistics_distance": distances}

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

    def _rows(self, array):
        """The first rows, or as many as the model is fixed to, repeated."""
        if self._batch_size is None:
            return array[:_ROWS]
        rows = tf.range(self._batch_size) % len(array)
        return tf.gather(array, rows)

    @functools.cached_property
    def _batch_size(self):
        """The one that a model is fixed to, as stateful ones are."""
        if not isinstance(self.model, keras.Sequential | keras.Function):
            return None
        return keras.tree.flatten(self.model.inputs)[0].shape[0]

    def _traced(self, x):
        """The pass, compiled once for any number of rows.

        20 x 100 units take 0.7 s once and then 4 ms, or 80 ms each uncompiled.
        """
        key = tuple(tuple(each.shape[1:]) for each in keras.tree.flatten(x))
        if key not in self._compiled:
            specs = keras.tree.map_structure(
                lambda e: tf.TensorSpec(
                    [self._batch_size, *e.shape[1:]], e.dtype
                ),
                x,
            )
            function = tf.function(self._pass, autograph=False)
            self._compiled[key] = function.get_concrete_function(specs)
        return self._compiled[key]

    def _pass(self, x):
        """Return a column per hidden layer, then one per normalized feature."""
        hidden, normalizations = (kind.values() for kind in self._layers)
        with contextlib.ExitStack() as stack:
            calls: dict = {layer: [] for layer, _ in hidden}
            calls |= {layer: [] for layer in normalizations}
            for layer, seen in calls.items():
                noting = _noting(layer, seen)
                stack.enter_context(shadowing.replaced(layer, "call", noting))
            for layer in sublayers.normalized_loops(self.model):
                # What a loop of the graph computes cannot be seen outside.
                looped = shadowing.replaced(layer, "unroll", True)
                stack.enter_context(looped)
            stack.enter_context(keras.StatelessScope())
            self.model(x, training=True)
        # Outside the scope the moving statistics are those before the pass.
        columns = [tf.zeros((4, 0))]
        columns += [
            _activity(calls[layer], layer, kind) for layer, kind in hidden
        ]
        columns += [_moments(each, calls[each]) for each in normalizations]
        return tf.concat(columns, axis=1)


def _noting(layer, calls):
    """`call` of a layer that also notes its inputs and outputs."""
    call, graph = layer.call, tf.compat.v1.get_default_graph()

    def noting_call(*args, **kwargs):
        outputs = call(*args, **kwargs)
        inputs = (*args, *kwargs.values())[0]
        if tf.compat.v1.get_default_graph() is graph:  # not inside a loop
            output, mask = keras.tree.flatten(outputs)[0], kwargs.get("mask")
            calls.append((inputs, output, mask))
        return outputs

    return noting_call


def _rows(values, axis, outputs, mask=None):
    """Values as rows of features, without those masked at the outputs."""
    values = ops.moveaxis(tf.cast(values, "float32"), axis, -1)
    mask = getattr(outputs, "_keras_mask", mask)
    if mask is not None:
        values = tf.boolean_mask(values, tf.cast(mask, "bool"))
    return tf.reshape(values, (-1, tf.shape(values)[-1]))


def _activity(calls, layer, activation):
    """`_MEASURES` of the outputs of a hidden layer, as a column."""
    if not calls:
        return tf.fill((4, 1), np.nan)
    axis = 1 if getattr(layer, "data_format", "") == "channels_first" else -1
    y = tf.concat([_rows(y, axis, y) for _, y, _ in calls], axis=0)
    live, steep = activations.intervals(activation)
    dead = tf.reduce_max(y, axis=0) == tf.reduce_min(y, axis=0)
    if live is not None:
        dead = tf.reduce_all(_outside(y, live), axis=0)
    saturated = np.nan if steep is None else _outside(y, steep)
    mean, variance = tf.nn.moments(y, axes=[0, 1])
    dead, saturated = (tf.cast(each, "float32") for each in (dead, saturated))
    shares = tf.reduce_mean(dead), tf.reduce_mean(saturated)
    return tf.stack([*shares, mean, tf.sqrt(variance)])[:, None]


def _outside(y, interval):
    return (y <= interval[0]) | (y >= interval[1])


def _moments(layer, calls):
    """Mean and variance of the inputs, then those of inference."""
    # `TimeDistributed` masks what it calls by an argument.
    rows = [_rows(x, layer.axis, y, mask) for x, y, mask in calls]
    rows = rows or [tf.fill((1, layer.moving_variance.shape[0]), np.nan)]
    batch = tf.nn.moments(tf.concat(rows, axis=0), axes=[0])
    moving = (layer.moving_mean, layer.moving_variance)
    return tf.stack([tf.cast(each, "float32") for each in (*batch, *moving)])


def _distance(layer, found):
    """The "statistics_distance" from the `_moments` of a layer."""
    mean, variance, moving_mean, moving_variance = found
    epsilon = getattr(layer, "epsilon", 0.0)
    varies = variance > np.square(CONSTANT * mean)
    if not varies.any():
        return np.nan
    variance, moving_variance = variance + epsilon, moving_variance + epsilon
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = (moving_mean - mean) / np.sqrt(variance)
        stretch = 0.5 * np.log(moving_variance / variance)
    return float(np.median(np.hypot(shift, stretch)[varies]))
