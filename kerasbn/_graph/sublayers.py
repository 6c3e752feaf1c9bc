"""The layers inside a model or another layer."""

from collections.abc import Iterator
from typing import Any

import keras
from keras import layers

from kerasbn._graph import keras_internals, kinds


def leaves(layer: Any) -> Iterator[tuple[Any, Any]]:
    """The layers that act as one, each with its activation or `None`.

    Batch normalizations inside a recurrent or `TimeDistributed` one follow it.
    """
    for inner in keras_internals.sublayers(layer):
        core = inner
        if isinstance(inner, layers.RNN):  # calls its cell in a loop, unseen
            core = inner.cell
        elif isinstance(inner, layers.TimeDistributed):
            core = inner.layer
        activation = getattr(core, "activation", None)
        if isinstance(core, kinds.ACTIVATIONS):
            activation = core
        parts = set(keras_internals.sublayers(inner))
        if core is inner and parts - {activation}:
            yield from leaves(inner)
        else:
            yield inner, activation
            if core is not inner:
                yield from ((e, None) for e in batch_normalizations(core))


def output_layers(model: Any) -> Iterator[Any]:
    """The layers that compute the outputs, each nested model before its own."""
    last = []
    if isinstance(model, keras.Sequential):
        last = model.layers[-1:]
    elif isinstance(model, keras.Function):
        last = [keras_internals.made_by(y).operation for y in model.outputs]
    for layer in last:
        yield layer
        yield from output_layers(layer)


def producer(layer: Any) -> Any:
    """The operation that feeds a layer; `None` unless there is exactly one."""
    try:
        return keras_internals.made_by(layer.input).operation
    except (AttributeError, ValueError):  # called nowhere, or more than once
        return None


def batch_normalizations(layer: Any) -> list[Any]:
    """The batch normalization layers inside a layer or model, at any depth."""
    inner = keras_internals.all_layers(layer)
    return [e for e in inner if isinstance(e, kinds.BATCH_NORMALIZATIONS)]


def bidirectional(model: Any) -> list[Any]:
    """The `Bidirectional` layers of a model, at any depth."""
    inner = keras_internals.all_layers(model)
    return [e for e in inner if isinstance(e, layers.Bidirectional)]


def normalized_loops(model: Any) -> list[Any]:
    """The recurrent layers whose cell holds a batch normalization."""
    return [
        layer
        for layer in keras_internals.all_layers(model)
        if isinstance(layer, layers.RNN) and batch_normalizations(layer.cell)
    ]
