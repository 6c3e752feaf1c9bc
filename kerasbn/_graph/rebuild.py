"""A copy of a model with edits at some of its layers."""

import contextlib
import tempfile
from collections.abc import Callable
from typing import Any, NamedTuple

import keras

from kerasbn._graph import keras_internals
from kerasbn._graph.graph import Graph


class Edit(NamedTuple):
    """What a copy does differently at one layer.

    Attributes:
        config: Arguments of the layer that change, where it has them.
        instead: A layer or function called in its place, in the same way.
        after: Layers or functions that follow it, each with the values of some
            weights.
        keeps: Whether a weight of the layer is taken over.
        weights: Values of all weights, in place of those taken over.
    """

    config: dict[str, Any] = {}  # noqa: RUF012, never written to
    instead: Callable | None = None
    after: tuple[tuple[Any, dict[str, Any]], ...] = ()
    keeps: Callable[[Any], bool] = lambda weight: True
    weights: list[Any] | None = None


_NONE = Edit()


def is_about_masks(operation: Any) -> bool:
    """Whether it compares values with the one that masks."""
    return (
        isinstance(operation, keras.layers.Masking)
        or type(operation).__name__ == "NotEqual"
    )


def first_tensor(*args: Any, **kwargs: Any) -> Any:
    """Return the first argument of a call, positional or named."""
    return keras.tree.flatten((args, kwargs))[0]


NOTHING = Edit(instead=first_tensor)
"""Drops a layer."""


def rebuild(graph: Graph, edits: dict[Any, Edit]) -> keras.Model:
    """Copy a model with the edits made; the copy is not compiled.

    A layer with as many weights as before takes them over by order, another by
    name, both where the shape allows. Initializers draw the others.

    Args:
        graph: That of the model.
        edits: By operation of the model or of one nested in it. By an input
            tensor: layers `after` it, for all that take it except for masks.
    """
    made: dict[Any, Any] = {}
    result = _copied_model(graph, edits, made)
    for old in made.keys() & graph.operations:  # no nested model as a whole
        new, edit = made[old], edits.get(old, _NONE)
        if edit.weights is None:
            _take_over(old, new, edit.keeps)
        else:
            new.set_weights(edit.weights)
        for each in keras_internals.all_layers(new):
            if isinstance(each, keras.layers.Normalization):
                each.finalize_state()  # computes with a copy of its weights
        for each, values in edit.after:
            for weight in getattr(each, "weights", ()):  # none of a function
                if weight.name in values:
                    weight.assign(values[weight.name])
    return result


def _copied_model(graph, edits, made):
    """Copy one model, and record the copies of its layers in `made`."""

    def stand_in(layer):
        """Return a function that calls the copy of a layer, edited."""
        edit = edits.get(layer, _NONE)
        if layer in graph.nested and layer not in made:
            made[layer] = _copied_model(graph.nested[layer], edits, made)
        elif layer not in made:
            made[layer] = edit.instead or _copied(layer, edit.config)

        def call(*args, **kwargs):
            if not is_about_masks(layer):
                args, kwargs = keras.tree.map_structure(
                    lambda each: entered.get(id(each), each), (args, kwargs)
                )
            outputs = made[layer](*args, **kwargs)
            if isinstance(outputs, list | tuple) and edit.after:  # and states
                return [_through(edit.after, outputs[0]), *outputs[1:]]
            return _through(edit.after, outputs)

        return call

    inputs = keras.tree.map_structure(
        lambda each: keras.Input(
            batch_shape=each.shape,
            dtype=each.dtype,
            sparse=each.sparse,
            name=keras_internals.made_by(each).operation.name,
        ),
        graph.model.input,
    )
    model = graph.model
    with contextlib.ExitStack() as stack:
        # Paths of weights go through some models, as through a Sequential.
        if any(f"/{model.name}/" in f"/{each.path}" for each in model.weights):
            stack.enter_context(keras.name_scope(model.name))
        entered = {
            id(new): _through(edits[old].after, new)
            for old, new in zip(
                model.inputs, keras.tree.flatten(inputs), strict=True
            )
            if old in edits
        }
        return keras.models.clone_model(
            model, input_tensors=inputs, clone_function=stand_in
        )


def _through(layers, x):
    for layer, _ in layers:
        x = layer(x)
    return x


def _copied(layer, changes):
    if type(layer) is keras.layers.Lambda:
        # Its config knows no function but a lambda; with Keras 3.15.
        return keras.layers.Lambda(
            layer.function,
            layer._output_shape,
            layer.mask,
            layer.arguments,
            name=layer.name,
            dtype=layer.dtype_policy,
        )
    config = changed(layer.get_config(), changes)
    function = getattr(layer, "activation", None)
    if "activation" in config.keys() - changes.keys() and callable(function):
        if not isinstance(function, keras.layers.Layer):
            config["activation"] = function  # one of the user has no name
    result = type(layer).from_config(config)
    if hasattr(layer, "save_assets"):  # what a lookup layer was adapted to
        store: dict[str, Any] = {}
        with tempfile.TemporaryDirectory() as folder:
            layer.save_assets(folder)
            result.load_assets(folder)
        layer.save_own_variables(store)
        result.load_own_variables(store)
    return result


def changed(config: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """The configuration of a layer and those that it wraps, changed."""

    def inside(layer):
        return {**layer, "config": changed(layer["config"], changes)}

    config = {key: changes.get(key, value) for key, value in config.items()}
    for key in ("layer", "backward_layer", "cell", "cells"):
        if isinstance(config.get(key), list):
            config[key] = list(map(inside, config[key]))
        elif isinstance(config.get(key), dict):
            config[key] = inside(config[key])
    return config


def _take_over(old, new, keeps):
    olds, news = getattr(old, "weights", []), getattr(new, "weights", [])
    if len(olds) != len(news):  # names repeat only in layers of one kind
        by_name = {weight.name: weight for weight in olds}
        news = [weight for weight in news if weight.name in by_name]
        olds = [by_name[weight.name] for weight in news]
    for source, target in zip(olds, news, strict=True):
        if source.shape == target.shape and keeps(source):
            # A copy: on JAX two variables of one array would lose it together.
            target.assign(source.numpy())
