"""A model's predictions and losses on some rows, with its state untouched."""

import contextlib
import math
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from kerasbn._graph import graph, kinds, shadowing, sublayers
from kerasbn._monitor.inspection import Rows

LOSSES = ("training", "inference", "penalty", "copied", "reshaped")
"""The mean loss of the rows in training and in inference; what of it the model
adds, as penalties of weights; the loss in inference without what Keras notes
about an output's activation, and with targets in the shape of the outputs."""


class Seen(NamedTuple):
    """What a model makes of some rows.

    Attributes:
        predictions: In inference, flat, an array per output.
        losses: By a name of `LOSSES`, NaN where it cannot be computed.
        arrivals: By path of each first layer with a kernel: mean and deviation
            of each feature that it is given.
    """

    predictions: list[np.ndarray]
    losses: dict[str, float]
    arrivals: dict[str, tuple[np.ndarray, np.ndarray]]


class OutputProbe:
    """Passes rows through a model.

    `compiled` is for several reads: the function is compiled once.

    Raises:
        RuntimeError: If the model is not built.
    """

    def __init__(self, model: keras.Model, compiled: bool = True):
        if not model.built:
            raise RuntimeError(
                "`model` must be built before its outputs are read. Received: "
                f"model={model.name!r}. Call it on a batch."
            )
        self._model = model
        plain = graph.plain(model)
        # Without a graph, only the first that is called is known to be first.
        self._graph = plain is not None
        self._first = _first_layers(model, plain)
        self._compiled = getattr(model, "loss", None) is not None
        self._is_compiled = compiled and not model.run_eagerly
        self._functions: dict[str, Any] = {}
        self._structure: Any = None  # of the predictions, once it was called

    def read(self, rows: Rows) -> Seen:
        """Return what the model makes of the rows."""
        given = keras.tree.map_structure(_tensor, tuple(rows))
        if not self._is_compiled:
            found = self._pass(*given)
        else:
            specs = keras.tree.map_structure(_spec, given)
            function = self._functions.get(key := str(specs))
            if function is None:
                function = tf.function(self._pass, autograph=False)
                function = function.get_concrete_function(*specs)
                self._functions[key] = function
            found = function(*given)
        predictions, losses, moments = found
        return Seen(
            [each.numpy() for each in predictions],
            dict(zip(LOSSES, losses.numpy().tolist(), strict=True)),
            {
                path: (mean.numpy(), np.sqrt(variance.numpy()))
                for path, (mean, variance) in moments.items()
            },
        )

    def loss_of(self, predictions: list[np.ndarray], rows: Rows) -> float:
        """Return the loss of given predictions, without what is added."""
        given = keras.tree.map_structure(_tensor, tuple(rows))
        with self._scope():
            added = float(sum(map(ops.sum, self._model.losses), 0.0))
            packed = keras.tree.pack_sequence_as(self._structure, predictions)
            return float(self._loss(None, given[1], packed, given[2])) - added

    def _pass(self, x, y, weight):
        moments = {}
        with contextlib.ExitStack() as stack:
            for layer in self._first:
                noting = _noting(layer, moments)
                stack.enter_context(shadowing.replaced(layer, "call", noting))
            stack.enter_context(self._scope())
            training = self._loss(x, y, self._model(x, training=True), weight)
        moments = dict(list(moments.items())[: None if self._graph else 1])
        with self._scope():
            predictions = self._model(x, training=False)
            flat = keras.tree.flatten(predictions)
            losses = [training, self._loss(x, y, predictions, weight)]
            losses.append(sum(map(ops.sum, self._model.losses), 0.0))
            copied = keras.tree.map_structure(tf.identity, predictions)
            losses.append(self._loss(x, y, copied, weight))
            losses.append(self._loss(x, _alike(y, flat), copied, weight))
        self._structure = keras.tree.map_structure(lambda _: 0, predictions)
        losses = [tf.cast(each, "float32") for each in losses]
        flat = [tf.cast(each, "float32") for each in flat]
        return flat, tf.stack(losses), moments

    def _scope(self):
        # A penalty reads its variable in the scope, and only there.
        values = [
            (each, each.value) for each in self._model.trainable_variables
        ]
        return keras.StatelessScope(values, collect_losses=True)

    def _loss(self, x, y, predictions, weight):
        added = self._model.losses
        if (y is None and not added) or not (self._compiled or added):
            return np.nan
        return self._model.compute_loss(x, y, predictions, weight)


def _alike(y, predictions):
    """Targets in the shape of the predictions, where they have its size."""
    if y is None or len(flat := keras.tree.flatten(y)) != len(predictions):
        return y

    def shaped(target, prediction):
        sizes = target.shape[1:].num_elements(), math.prod(prediction.shape[1:])
        if sizes[0] != sizes[1]:
            return target
        return tf.reshape(target, tf.shape(prediction))

    pairs = zip(flat, predictions, strict=True)
    return keras.tree.pack_sequence_as(y, [shaped(*each) for each in pairs])


def _noting(layer, moments):
    """`call` of a layer that also notes the moments of its inputs."""
    call, path = layer.call, layer.path or layer.name

    def noting_call(*args, **kwargs):
        (inputs, *_) = keras.tree.flatten((*args, *kwargs.values()))
        if path not in moments and inputs.dtype.is_floating:
            values = tf.cast(inputs, "float32")
            axes = list(range(values.shape.rank - 1))
            moments[path] = tf.nn.moments(values, axes)
        return call(*args, **kwargs)

    return noting_call


def _first_layers(model, plain):
    """Layers with a kernel that inputs reach before any other."""
    if plain is not None:
        found = graph.Graph(plain).below(*plain.inputs)
    else:
        found = [layer for layer, _ in sublayers.leaves(model)]
    return [
        each
        for each in found
        if isinstance(each, keras.layers.Layer)
        and kinds.has_kernel(each)
        and not isinstance(each, keras.layers.Embedding)
    ]


def _tensor(value):
    return None if value is None else tf.convert_to_tensor(value)


def _spec(tensor):
    if tensor is None:
        return None
    return tf.TensorSpec([None, *tensor.shape[1:]], tensor.dtype)
