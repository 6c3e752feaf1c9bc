"""The graph of a model: who feeds whom, and a copy with edits in it."""

import tempfile
from collections.abc import Iterator
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasbn import _cloning
from kerasbn.layers import InputBatchNormalization

NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    InputBatchNormalization,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.RMSNormalization,
    keras.layers.UnitNormalization,
    keras.layers.Normalization,
)
_BATCH_NORMALIZATIONS = NORMALIZATIONS[:2]


class Edit(NamedTuple):
    """What a copy does differently at one layer.

    Attributes:
        config: Arguments of the layer that change, where it has them.
        redrawn: Names of the weights that are not taken over.
        instead: A layer that takes the place of this one.
        after: Layers that follow it, each with the values of some weights.
    """

    config: dict[str, Any] = {}
    redrawn: tuple[str, ...] = ()
    instead: Any = None
    after: tuple[tuple[Any, dict[str, Any]], ...] = ()


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
            nested = _cloning.plain(node.operation)
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
            lambda node: [n for out in node.outputs for n in self.consumers(out)],
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
        found = {}
        waiting = list(nodes)
        for node in waiting:  # grows while it is read
            if node.operation in found:
                continue
            found[node.operation] = None
            if not has_kernel(node.operation):
                waiting.extend(following(node))
        return list(found)


def _node(tensor):
    operation, index, _ = tensor._keras_history
    return operation._inbound_nodes[index]


def has_kernel(operation: Any) -> bool:
    """Whether it has weights, and is no normalization or activation."""
    passing = (*NORMALIZATIONS, keras.layers.PReLU)
    return bool(
        getattr(operation, "weights", ())
    ) and not isinstance(operation, passing)


def rebuilt(
    model: Any,
    edits: dict[Any, Edit] | None = None,
    first: dict[str, Any] | None = None,
) -> keras.Model:
    """A copy of a plain model with the edits made, not compiled.

    Weights are taken over where name and shape allow and where they are
    finite. The others are drawn by the initializers of the copy.

    Args:
        model: A plain model.
        edits: By operation of the model or of one nested in it.
        first: Layers that take an input before all others do, by its name.
    """
    edits = edits or {}
    made: dict[Any, Any] = {}
    nested: dict[Any, Any] = {}
    after: dict[Any, tuple] = {}

    def copy(layer):
        if layer not in made and layer not in nested:
            inner = _cloning.plain(layer)
            if inner is not None:
                nested[layer] = graph(inner, {})
            else:
                edit = edits.get(layer, Edit())
                made[layer] = (
                    _copied(layer, edit.config)
                    if edit.instead is None
                    else edit.instead
                )
                after[made[layer]] = edit.after
        return (nested if layer in nested else made)[layer], []

    def graph(model, first):
        seen = {}

        def entered(value):
            if not isinstance(value, keras.KerasTensor):
                return value
            source = value._keras_history.operation
            if not isinstance(source, keras.layers.InputLayer):
                return value
            if source.name not in seen and source.name in first:
                seen[source.name] = first[source.name](value)
            return seen.get(source.name, value)

        def call(layer, *args, **kwargs):
            args, kwargs = keras.tree.map_structure(entered, (args, kwargs))
            outputs = layer(*args, **kwargs)
            for each, _ in after.get(layer, ()):
                if isinstance(outputs, list | tuple):  # and states
                    outputs = [each(outputs[0]), *outputs[1:]]
                else:
                    outputs = each(outputs)
            return outputs

        return _cloning.cloned(model, copy, call)

    result = graph(model, first or {})
    for old, new in made.items():
        edit = edits.get(old, Edit())
        _take_over(old, new, edit.redrawn)
        # Computes with a copy of its weights.
        for each in getattr(new, "_flatten_layers", list)():
            if isinstance(each, keras.layers.Normalization):
                each.finalize_state()
        for each, values in edit.after:
            for weight in each.weights:
                if weight.name in values:
                    weight.assign(values[weight.name])
    return result


def _copied(layer, changes):
    is_layer = isinstance(layer, keras.layers.Layer)
    if not is_layer or type(layer) is keras.layers.Lambda:
        return _cloning.copied(layer)
    config = _changed(layer.get_config(), changes)
    activation = getattr(layer, "activation", None)
    if (
        "activation" in config
        and "activation" not in changes
        and callable(activation)
        and not isinstance(activation, keras.layers.Layer)
    ):
        config["activation"] = activation  # a function of the user has no name
    result = type(layer).from_config(config)
    if hasattr(layer, "save_assets"):  # what a lookup layer was adapted to
        store: dict[str, Any] = {}
        with tempfile.TemporaryDirectory() as folder:
            layer.save_assets(folder)
            result.load_assets(folder)
        layer.save_own_variables(store)
        result.load_own_variables(store)
    return result


def _changed(config, changes):
    """A configuration, and those of the layers that it wraps, changed."""
    known = {key: value for key, value in changes.items() if key in config}
    config = {**config, **known}
    for key in ("layer", "backward_layer", "cell"):
        if isinstance(config.get(key), dict):
            config[key] = _changed_inside(config[key], changes)
    if isinstance(config.get("cells"), list):
        config["cells"] = [
            _changed_inside(each, changes) for each in config["cells"]
        ]
    return config


def _changed_inside(serialized, changes):
    return {**serialized, "config": _changed(serialized["config"], changes)}


def _take_over(old, new, redrawn):
    """Give `new` the weights of `old` that fit and are finite."""
    olds, news = getattr(old, "weights", []), getattr(new, "weights", [])
    if len(olds) != len(news):  # names repeat only in layers of one kind
        by_name = {weight.name: weight for weight in olds}
        news = [weight for weight in news if weight.name in by_name]
        olds = [by_name[weight.name] for weight in news]
    pairs = [
        (weight, other.numpy())
        for weight, other in zip(news, olds, strict=True)
        if weight.name not in redrawn and weight.shape == other.shape
    ]
    if isinstance(new, _BATCH_NORMALIZATIONS):
        scale = [pair for pair in pairs if pair[0].name in ("gamma", "beta")]
        statistics = [p for p in pairs if p[0].name not in ("gamma", "beta")]
        if not all(map(_is_finite, statistics)):
            pairs = scale  # the count belongs to what was counted
    for weight, values in filter(_is_finite, pairs):
        weight.assign(values)


def _is_finite(pair):
    return bool(np.isfinite(pair[1]).all())
