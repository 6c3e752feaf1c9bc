"""The part that each operation plays in a model."""

from collections.abc import Iterator
from typing import Any

import keras

from kerasbn._graph import activations, keras_internals, kinds, sublayers
from kerasbn._graph.graph import Graph
from kerasbn._graph.kinds import has_kernel

KERNEL_LAYERS = {*kinds.LINEAR, keras.layers.EinsumDense}
RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)
_LINEAR = {"", "linear"}
SOFTMAX = {"softmax", "logsoftmax", "sparsemax"}
# Names under which `keras.ops` has activations.
_FUNCTIONS = (activations.INTERVALS.keys() | SOFTMAX) - _LINEAR


class Anatomy(Graph):
    """A graph that tells hidden operations, outputs, activations and gates.

    Attributes:
        outputs: Operations from the last layers with kernels to the outputs.
        activations: The function or layer that ends each layer, or `None`.
    """

    def __init__(self, model: Any):
        super().__init__(model)
        self.outputs = self.above_outputs()
        self.activations = dict(sublayers.leaves(model))
        inside = keras_internals.all_layers(model)
        self._names = {each.name for each in (*inside, *self.operations)}

    def hidden(self) -> Iterator[Any]:
        """Operations that are no part of the output and may be changed."""
        for each in self.operations:
            if each not in self.outputs and getattr(each, "trainable", True):
                yield each

    def activation_name(self, operation: Any) -> str:
        """Its activation without underscores; "" for none."""
        if isinstance(operation, keras.layers.Softmax):
            return "softmax"
        if isinstance(operation, keras.layers.Layer):
            name = activations.name(self.activations.get(operation))
        else:  # keras.ops.relu and the like
            name = type(operation).__name__.lower()
            name = name if name in _FUNCTIONS else ""
        return "" if name in _LINEAR else name

    def following_activation(self, layer: Any) -> str:
        """Its activation, or the one that its output reaches."""
        below = [e for e in self.below_layer(layer) if not has_kernel(e)]
        names = map(self.activation_name, [layer, *below])
        return next(filter(None, names), "linear")

    def is_normalized(self, layer: Any) -> bool:
        """Whether a normalization takes the outputs of a layer."""
        below = self.below_layer(layer)
        return any(isinstance(each, kinds.SCALING) for each in below)

    def is_gate(self, operation: Any) -> bool:
        """Whether it ends in (0, 1) to multiply another tensor."""
        name = self.following_activation(operation)
        return (name in SOFTMAX or name.endswith("sigmoid")) and any(
            type(each).__name__ == "Multiply"
            for each in self.below_layer(operation)
        )

    def unique(self, name: str) -> str:
        """A name that no layer has yet."""
        free, count = name, 0
        while free in self._names:
            count += 1
            free = f"{name}_{count}"
        self._names.add(free)
        return free


def core_of(layer: Any) -> Any:
    """The layer that a `TimeDistributed` wraps, or the layer itself."""
    wrapped = isinstance(layer, keras.layers.TimeDistributed)
    return layer.layer if wrapped else layer
