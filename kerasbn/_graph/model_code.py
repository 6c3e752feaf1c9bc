"""The code that builds a whole model."""

import inspect
import keyword
import re
from typing import Any

import keras

from kerasbn._graph import code, keras_internals
from kerasbn._graph.graph import Graph, plain


def build(model: Any) -> str:
    """Return the lines that build a model in its own style, as `model`.

    Each call of a functional model is a line. Models inside come first, each
    under its own name.
    """
    return "\n".join(_built(model, "model"))


def _built(model, variable):
    graph = Graph(plain(model))
    lines, names = [], {}
    for layer in graph.nested:
        names[layer] = _identifier(layer.name)
        lines += _built(layer, names[layer])
    if isinstance(model, keras.Sequential):
        first = keras_internals.made_by(model.inputs[0]).operation
        inside = [first, *model.layers]
        lines += [
            f"{variable} = keras.Sequential([",
            *(f"    {names.get(e) or code.layer(e)}," for e in inside),
            f"]{_name(model, 'sequential')})",
        ]
        return lines
    return lines + _Functional(graph, names).lines(variable)


class _Functional:
    """The calls of a graph in code; `x` is whatever was computed last."""

    def __init__(self, graph, names):
        self._graph, self._names = graph, names
        self._calls = list(_in_order(graph))
        self._variables: dict[Any, str] = {}
        self._last_use: dict[Any, int] = {}
        for place, call in enumerate(self._calls):
            for tensor in _tensors(call):
                self._last_use[tensor] = place
        for tensor in graph.model.outputs:
            self._last_use[tensor] = len(self._calls)

    def lines(self, variable):
        found = []
        for place, call in enumerate(self._calls):
            found += self._declared(call)
            text = self._called(call)
            names = [self._named(e, call, place) for e in call.outputs]
            found.append(f"{', '.join(names)} = {text}")
        model = self._graph.model
        ends = f"{self._text(model.input)}, {self._text(model.output)}"
        name = _name(model, "functional")
        return [*found, f"{variable} = keras.Model({ends}{name})"]

    def _declared(self, call):
        """A line for a layer that is called again later."""
        layer = call.operation
        calls = [e for e in self._calls if e.operation is layer]
        if len(calls) < 2 or layer in self._names or not _is_layer(layer):
            return []
        self._names[layer] = self._free(f"{_identifier(layer.name)}_layer")
        return [f"{self._names[layer]} = {code.layer(layer)}"]

    def _called(self, call):
        operation = call.operation
        if isinstance(operation, keras.layers.InputLayer):
            return code.layer(operation)
        arguments = [self._text(each) for each in call.args]
        if type(operation).__name__ == "GetItem":
            return f"{arguments[0]}[{_index(call.args[1])}]"
        given = _given(call)
        if not _is_layer(operation):
            given = {**operation.get_config(), **given}
            del given["name"]
        arguments += [
            f"{name}={self._text(each)}"
            for name, each in given.items()
            if each is not None
        ]
        return f"{self._function(operation)}({', '.join(arguments)})"

    def _function(self, operation):
        if not _is_layer(operation):
            return f"keras.ops.{code.snake_case(type(operation).__name__)}"
        return self._names.get(operation) or code.layer(operation)

    def _named(self, tensor, call, place):
        live = {
            name
            for other, name in self._variables.items()
            if self._last_use.get(other, -1) > place
        }
        name = "x"
        if isinstance(call.operation, keras.layers.InputLayer):
            alone = len(self._graph.model.inputs) == 1
            name = "inputs" if alone else call.operation.name
        elif "x" in live:
            name = call.operation.name
        self._variables[tensor] = self._free(_identifier(name), live)
        return self._variables[tensor]

    def _free(self, name, live=()):
        taken, free, count = {*live, *self._names.values()}, name, 0
        while free in taken:
            count += 1
            free = f"{name}_{count}"
        return free

    def _text(self, given):
        if isinstance(given, keras.KerasTensor):
            return self._variables[given]
        if isinstance(given, dict):
            inside = (
                f"{code.value(k)}: {self._text(v)}" for k, v in given.items()
            )
            return "{" + ", ".join(inside) + "}"
        if isinstance(given, list | tuple):
            return "[" + ", ".join(map(self._text, given)) + "]"
        return code.value(given)


def _in_order(graph):
    """Each call after those that make what it takes, a shared layer's too."""
    makers = {out: call for call in graph.calls for out in call.outputs}
    found: dict[Any, None] = {}
    ends = [*graph.model.inputs, *graph.model.outputs]
    waiting = [makers[each] for each in reversed(ends)]
    while waiting:
        before = (makers[each] for each in _tensors(waiting[-1]))
        missing = [each for each in before if each not in found]
        waiting.extend(missing)
        if not missing:
            found[waiting.pop()] = None
    return found


def _tensors(call):
    leaves = keras.tree.flatten((call.args, _given(call)))
    return [each for each in leaves if isinstance(each, keras.KerasTensor)]


def _given(call):
    """What a script passes by name: no mask, which follows its tensor."""
    usual = {"mask": call.kwargs.get("mask")}
    if _is_layer(call.operation):
        known = inspect.signature(call.operation.call).parameters
        if "training" in known:
            usual["training"] = known["training"].default
    return {
        name: each
        for name, each in call.kwargs.items()
        if name not in usual or each is not usual[name]
    }


def _is_layer(operation):
    return isinstance(operation, keras.layers.Layer)


def _index(key):
    if isinstance(key, tuple):
        return ", ".join(map(_index, key))
    if not isinstance(key, slice):
        return "..." if key is ... else str(key)
    parts = [key.start, key.stop] + [key.step] * (key.step is not None)
    return ":".join("" if each is None else str(each) for each in parts)


def _name(model, auto):
    given = re.fullmatch(rf"{auto}(_\d+)?", model.name) is None
    return f", name={code.value(model.name)}" if given else ""


def _identifier(name):
    name = re.sub(r"^(?=\d)|\W", "_", name)
    taken = keyword.iskeyword(name) or name in ("keras", "kerasbn", "model")
    return f"{name}_" if taken else name
