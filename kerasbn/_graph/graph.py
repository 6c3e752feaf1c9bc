"""The graph of a model, those nested in it included: who feeds whom."""

from collections.abc import Iterator
from typing import Any

import keras

from kerasbn._graph import activations, cloning, kinds, sublayers

_PASSING = (
    *kinds.NORMALIZATIONS,
    keras.layers.UnitNormalization,
    keras.layers.Normalization,
)
_LINEAR = {"", "linear"}
SOFTMAX = {"softmax", "logsoftmax", "sparsemax"}
# Names under which `keras.ops` has activations.
_FUNCTIONS = (activations.INTERVALS.keys() | SOFTMAX) - _LINEAR


class Graph:
    """The operations of a plain model, those of nested models among them."""

    def __init__(self, model: Any):
        self.inputs: list = list(model.inputs)
        self.outputs: list = keras.tree.flatten(model.outputs)
        self.operations: dict[Any, list] = {}  # with the nodes of their calls
        self._consumers: dict[int, list] = {}  # nodes, by tensor
        self._entered: dict[int, list] = {}  # tensors that are the same one,
        self._left: dict[int, list] = {}  # on the other side of a nested model
        self._nodes: dict[int, Any] = {}
        self._walk(self.outputs)

    def _walk(self, tensors):
        waiting = list(tensors)
        while waiting:
            node = _node(waiting.pop())
            if id(node) in self._nodes:
                continue
            self._nodes[id(node)] = node
            waiting.extend(node.input_tensors)
            nested = cloning.plain(node.operation)
            if nested is None:
                self.operations.setdefault(node.operation, []).append(node)
                for tensor in node.input_tensors:
                    self._consumers.setdefault(id(tensor), []).append(node)
                continue
            inside = keras.tree.flatten(nested.outputs)
            waiting.extend(inside)
            for outer, inner in [
                *zip(node.input_tensors, nested.inputs, strict=False),
                *zip(inside, node.outputs, strict=False),
            ]:
                self._entered.setdefault(id(outer), []).append(inner)
                self._left.setdefault(id(inner), []).append(outer)

    def consumers(self, tensor: Any) -> Iterator[Any]:
        """The nodes that take a tensor."""
        yield from self._consumers.get(id(tensor), [])
        for same in self._entered.get(id(tensor), []):
            yield from self.consumers(same)

    def below(self, *tensors: Any) -> list[Any]:
        """The operations that tensors reach, nearest first.

        Each path ends with the first layer that has weights of its own and is
        no normalization or activation.
        """
        return self._reached(
            [node for each in tensors for node in self.consumers(each)],
            lambda node: [
                n for out in node.outputs for n in self.consumers(out)
            ],
        )

    def below_layer(self, layer: Any) -> list[Any]:
        """The operations that the outputs of a layer reach."""
        nodes = self.operations[layer]
        return self.below(*(out for node in nodes for out in node.outputs))

    def above_outputs(self) -> list[Any]:
        """Back from the outputs to the layers that compute them."""
        return self._reached(
            [node for each in self.outputs for node in self._producers(each)],
            lambda node: [
                n for each in node.input_tensors for n in self._producers(each)
            ],
        )

    def _producers(self, tensor):
        others = self._left.get(id(tensor), [])
        if not others:
            yield _node(tensor)
        for same in others:
            yield from self._producers(same)

    def _reached(self, nodes, following):
        found, seen = {}, set()
        waiting = list(nodes)
        for node in waiting:  # grows while it is read
            if id(node) in seen:
                continue
            seen.add(id(node))
            found[node.operation] = None
            if not has_kernel(node.operation):
                waiting.extend(following(node))
        return list(found)


def _node(tensor):
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]


def has_kernel(operation: Any) -> bool:
    """Whether it has weights, and is no normalization or activation."""
    passing = (*_PASSING, keras.layers.PReLU)
    return bool(getattr(operation, "weights", ())) and not isinstance(
        operation, passing
    )


class Anatomy:
    """A plain model with what a planner asks about it."""

    def __init__(self, model: Any):
        self.graph = Graph(model)
        self.outputs = self.graph.above_outputs()
        self._activations = dict(sublayers.leaves(model))
        self._names = {
            each.name for each in (*model._flatten_layers(), *self.operations)
        }

    @property
    def operations(self) -> list[Any]:
        """All operations, each once."""
        return list(self.graph.operations)

    def hidden(self) -> Iterator[Any]:
        """Operations that are no part of the output and may be changed."""
        for each in self.operations:
            if each not in self.outputs and getattr(each, "trainable", True):
                yield each

    def activation(self, operation: Any) -> Any:
        """The activation of an operation, a function or a layer."""
        return self._activations.get(operation)

    def activation_name(self, operation: Any) -> str:
        """Its activation without underscores; "" for none."""
        if isinstance(operation, keras.layers.Softmax):
            return "softmax"
        if isinstance(operation, keras.layers.Layer):
            name = activations.name(self.activation(operation))
        else:  # keras.ops.relu and the like
            name = type(operation).__name__.lower()
            name = name if name in _FUNCTIONS else ""
        return "" if name in _LINEAR else name

    def following_activation(self, layer: Any) -> str:
        """Its activation, or the one that its output reaches."""
        below = self.graph.below_layer(layer)
        candidates = [layer, *(each for each in below if not has_kernel(each))]
        names = map(self.activation_name, candidates)
        return next(filter(None, names), "linear")

    def is_normalized(self, layer: Any) -> bool:
        """Whether a normalization takes the outputs of a layer."""
        below = self.graph.below_layer(layer)
        return any(isinstance(each, _PASSING) for each in below)

    def is_gate(self, operation: Any) -> bool:
        """Whether it ends in (0, 1) to multiply another tensor."""
        name = self.following_activation(operation)
        return (name in SOFTMAX or name.endswith("sigmoid")) and any(
            type(each).__name__ == "Multiply"
            for each in self.graph.below_layer(operation)
        )

    def unique(self, name: str) -> str:
        """A name that no layer has yet."""
        free, count = name, 0
        while free in self._names:
            count += 1
            free = f"{name}_{count}"
        self._names.add(free)
        return free
