"""A copy of a model with edits at some of its layers."""

import contextlib
import tempfile
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasbn._graph import cloning, kinds


class Edit(NamedTuple):
    """What a copy does differently at one layer.

    Attributes:
        config: Arguments of the layer that change, where it has them.
        redrawn: Names of the weights that are not taken over.
        instead: A layer that takes the place of this one.
        after: Layers that follow it, each with the values of some weights.
    """

    config: dict[str, Any] = {}  # noqa: RUF012, never written to
    redrawn: tuple[str, ...] = ()
    instead: Any = None
    after: tuple[tuple[Any, dict[str, Any]], ...] = ()


def is_about_masks(operation: Any) -> bool:
    """Whether it compares values with the one that masks."""
    return (
        isinstance(operation, keras.layers.Masking)
        or type(operation).__name__ == "NotEqual"
    )


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
    instead: set[Any] = set()

    def copy(layer):
        if layer not in made and layer not in nested:
            inner = cloning.plain(layer)
            if inner is not None:
                nested[layer] = graph(inner, {})
            else:
                edit = edits.get(layer, Edit())
                if edit.instead is None:
                    made[layer] = _copied(layer, edit.config)
                else:
                    made[layer] = edit.instead
                    instead.add(edit.instead)
                after[made[layer]] = edit.after
        return (nested if layer in nested else made)[layer]

    def graph(model, first):
        seen = {}

        def entered(value):
            if not isinstance(value, keras.KerasTensor):
                return value
            name = value._keras_history.operation.name
            if name not in first or all(value is not x for x in inputs):
                return value
            if name not in seen:
                seen[name] = first[name](value)
            return seen[name]

        def call(layer, *args, **kwargs):
            if not is_about_masks(layer):
                args, kwargs = keras.tree.map_structure(entered, (args, kwargs))
            if layer in instead:  # it has the arguments of another layer
                args, kwargs = keras.tree.flatten((args, kwargs))[:1], {}
            outputs = layer(*args, **kwargs)
            for each, _ in after.get(layer, ()):
                if isinstance(outputs, list | tuple):  # and states
                    outputs = [each(outputs[0]), *outputs[1:]]
                else:
                    outputs = each(outputs)
            return outputs

        structure = keras.tree.map_structure(_input_like, model.input)
        inputs = keras.tree.flatten(structure)
        with contextlib.ExitStack() as stack:
            if _is_scope(model):
                stack.enter_context(keras.name_scope(model.name))
            return keras.models.clone_model(
                model,
                input_tensors=structure,
                clone_function=copy,
                call_function=call,
            )

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


def _input_like(tensor):
    return keras.Input(
        batch_shape=tensor.shape,
        dtype=tensor.dtype,
        sparse=tensor.sparse,
        name=tensor._keras_history.operation.name,
    )


def _is_scope(model):
    """Whether the paths of its weights go through it, as in Sequential."""
    return any(f"/{model.name}/" in f"/{each.path}" for each in model.weights)


def _copied(layer, changes):
    is_layer = isinstance(layer, keras.layers.Layer)
    if not is_layer or type(layer) is keras.layers.Lambda:
        return cloning.copied(layer)
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
    if isinstance(new, kinds.BATCH_NORMALIZATIONS):
        scale = [pair for pair in pairs if pair[0].name in ("gamma", "beta")]
        statistics = [p for p in pairs if p[0].name not in ("gamma", "beta")]
        if not all(map(_is_finite, statistics)):
            pairs = scale  # the count belongs to what was counted
    for weight, values in filter(_is_finite, pairs):
        weight.assign(values)


def _is_finite(pair):
    return bool(np.isfinite(pair[1]).all())
