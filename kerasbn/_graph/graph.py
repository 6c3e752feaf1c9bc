"""The graph of a model: its calls, who feeds whom, and the models inside."""

import collections
import functools
from collections.abc import Iterator
from typing import Any

import keras

from kerasbn._graph import keras_internals, kinds


def plain(model: Any) -> Any:
    """The model under Keras's own class, or `None` if it shows no graph."""
    functional = isinstance(model, keras.Sequential | keras.Function)
    if not functional or not getattr(model, "inputs", None):
        return None
    if isinstance(model, keras.Sequential):
        outputs = model.outputs
        inputs = model.inputs[0]
        outputs = outputs[0] if len(outputs) == 1 else outputs
    else:
        inputs, outputs = model.input, model.output
    # A new model, because a compiled one is cloned with its optimizer.
    result = keras.Model(inputs, outputs, name=model.name)
    known = (keras.Sequential.call, type(result).call)
    return result if type(model).call in known else None


class Call:
    def __init__(self, node: Any):
        self.operation: Any = node.operation
        self.args: tuple = node.arguments.args
        self.kwargs: dict[str, Any] = node.arguments.kwargs
        self.inputs: list = node.input_tensors  # masks among them
        self.outputs: list = node.outputs

    @property
    def is_training(self) -> bool:
        """Whether the graph itself says `training=True`."""
        return bool(self.kwargs.get("training")) or len(self.args) > 1


class Graph:
    """The calls of a model as `plain` returns it, in the order of its layers.

    Attributes:
        nested: The graph of each nested model, by model.
    """

    def __init__(self, model: Any, known: dict[Any, Any] | None = None):
        known = {} if known is None else known
        self.model = model
        self.calls = _calls(model)
        self.nested: dict[Any, Graph] = {}
        for layer in dict.fromkeys(call.operation for call in self.calls):
            if layer not in known:
                inner = plain(layer)
                known[layer] = inner and Graph(inner, known)
            if known[layer]:
                self.nested[layer] = known[layer]

    @functools.cached_property
    def graphs(self) -> list["Graph"]:
        """This graph and those nested in it at any depth, each once."""
        inner = [each for one in self.nested.values() for each in one.graphs]
        return list(dict.fromkeys([self, *inner]))

    @functools.cached_property
    def operations(self) -> dict[Any, list[Call]]:
        """The calls of each operation, those in nested models included."""
        found = {}
        for graph in self.graphs:
            for call in graph.calls:
                if call.operation not in graph.nested:
                    found.setdefault(call.operation, []).append(call)
        return found

    @functools.cached_property
    def links(self) -> tuple[dict[Any, list], dict[Any, list]]:
        """Calls that take a tensor, and calls that make it.

        At the border of a nested model: the tensor on the other side.
        """
        takers, makers = (collections.defaultdict(list) for _ in range(2))
        for graph in self.graphs:
            for call in graph.calls:
                inner = graph.nested.get(call.operation)
                if inner is None:
                    for tensor in call.inputs:
                        takers[tensor].append(call)
                    for tensor in call.outputs:
                        makers[tensor].append(call)
                    continue
                for before, after in [
                    *zip(call.inputs, inner.model.inputs, strict=False),
                    *zip(inner.model.outputs, call.outputs, strict=False),
                ]:
                    takers[before].append(after)
                    makers[after].append(before)
        return takers, makers

    def consumers(self, tensor: Any) -> Iterator[Call]:
        """The calls that take a tensor, in nested models too."""
        return _ends(self.links[0], tensor)

    def below(self, *tensors: Any) -> list[Any]:
        """The operations that tensors reach, nearest first.

        Each path ends with the first layer that has weights of its own and is
        no normalization or activation.
        """
        return _reached(self.links[0], tensors, lambda call: call.outputs)

    def below_layer(self, layer: Any) -> list[Any]:
        calls = self.operations[layer]
        return self.below(*(out for call in calls for out in call.outputs))

    def above_outputs(self) -> list[Any]:
        """Back from the outputs to the layers that compute them."""
        outputs = self.model.outputs
        return _reached(self.links[1], outputs, lambda call: call.inputs)


def _calls(model):
    nodes, waiting = {}, list(model.outputs)
    while waiting:
        node = keras_internals.made_by(waiting.pop())
        if id(node) not in nodes:
            nodes[id(node)] = node
            waiting.extend(node.input_tensors)
    place = {each: number for number, each in enumerate(model.operations)}
    calls = map(Call, nodes.values())
    return sorted(calls, key=lambda call: place[call.operation])


def _ends(links, tensor):
    for each in links[tensor]:
        if isinstance(each, Call):
            yield each
        else:
            yield from _ends(links, each)


def _reached(links, tensors, following):
    found, seen = {}, set()
    waiting = list(tensors)
    for tensor in waiting:  # grows while it is read
        for call in _ends(links, tensor):
            if call in seen:
                continue
            seen.add(call)
            found[call.operation] = None
            if not kinds.has_kernel(call.operation):
                waiting.extend(following(call))
    return list(found)
