"""The outputs of a model, each with the layer and the loss behind it."""

import re
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasbn._graph import activations, keras_internals, sublayers

# They move values, or average them, and leave them in the range where they are.
_KEEP_RANGE = (
    keras.layers.Reshape,
    keras.layers.Flatten,
    keras.layers.Permute,
    keras.layers.RepeatVector,
    keras.layers.Identity,
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.UpSampling1D,
    keras.layers.UpSampling2D,
    keras.layers.Cropping1D,
    keras.layers.Cropping2D,
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.AveragePooling1D,
    keras.layers.AveragePooling2D,
    keras.layers.MaxPooling1D,
    keras.layers.MaxPooling2D,
    keras.layers.GlobalMaxPooling1D,
    keras.layers.GlobalMaxPooling2D,
)
# Activations that a rule knows; any other, as a lambda, is unknown.
_KNOWN = {*activations.INTERVALS, "linear", "softmax", "exponential"}


class Head(NamedTuple):
    """One output of a model.

    Attributes:
        name: The output's name, which dicts of targets and losses use.
        layer: Path of the layer that computes it; the model's name if unknown.
        kind: Class of that layer.
        activation: Name of its activation; `None` if it cannot be known.
        units: Size of its last axis; `None` if it is not known.
        loss: Keras's name of its loss; `None` if there is none.
        from_logits: Whether the loss takes logits.
    """

    name: str
    layer: str
    kind: str
    activation: str | None
    units: int | None
    loss: str | None
    from_logits: bool


def heads_of(model: keras.Model) -> list[Head]:
    """Return the outputs of a model in the order of its flat structure."""
    names = names_of(model)
    layers = _layers(model, len(names))
    losses = parts_of(getattr(model, "loss", None), names)
    return [
        Head(name, *layer, *loss_name(loss))
        for name, layer, loss in zip(names, layers, losses, strict=True)
    ]


def parts_of(structure: Any, names: list[str]) -> list[Any]:
    """Return the part of each output of a loss, targets or weights.

    A dict is keyed by output; a list is in their order; anything else belongs
    to every output.
    """
    if isinstance(structure, dict):
        return [structure.get(name) for name in names]
    if isinstance(structure, list | tuple):
        parts = list(structure)
        return (parts + [None] * len(names))[: len(names)]
    return [structure] * len(names)


def loss_name(loss: Any) -> tuple[str | None, bool]:
    """Return Keras's name of a loss, and whether it takes logits."""
    try:
        loss = None if loss is None else keras.losses.get(loss)
    except ValueError:
        return None, False
    if isinstance(loss, keras.losses.Loss):
        name = re.sub("([A-Z])", r"_\1", type(loss).__name__).lower()
        from_logits = bool(loss.get_config().get("from_logits"))
        return name.lstrip("_"), from_logits
    return getattr(loss, "__name__", None), False


def names_of(model: keras.Model) -> list[str]:
    """Return the names of the outputs, in the same order."""
    outputs = getattr(model, "output", None) if model.built else None
    if isinstance(outputs, dict):
        return sorted(outputs)
    if isinstance(outputs, list | tuple):
        return list(model.output_names)
    loss = getattr(model, "loss", None)
    if outputs is None and isinstance(loss, dict):
        return sorted(loss)  # of a subclassed model
    return [(getattr(model, "output_names", None) or ["output"])[0]]


def _layers(model, count):
    """Path, class, activation and units of the layer behind each output."""
    unknown = model.name, "", None, None
    outputs = getattr(model, "outputs", None)
    functional = isinstance(model, keras.Sequential | keras.Function)
    if not (functional and outputs and len(outputs) == count):
        return [unknown] * count
    leaves = dict(sublayers.leaves(model))
    return [
        (*_described(_source(each), leaves), each.shape[-1]) for each in outputs
    ]


def _source(tensor):
    """The operation that computes a tensor, behind those that pass it on."""
    node = keras_internals.made_by(tensor)
    operation = node.operation
    inner = getattr(operation, "outputs", None)
    if isinstance(operation, keras.Sequential | keras.Function) and inner:
        return _source(inner[0])
    passes = isinstance(operation, _KEEP_RANGE) or (
        isinstance(operation, keras.layers.Activation)
        and activations.name(operation.activation) == "linear"
    )
    return _source(node.input_tensors[0]) if passes else operation


def _described(operation, leaves):
    path = getattr(operation, "path", None) or operation.name
    kind = type(operation).__name__
    # What a user's class does with its activation is not known.
    stock = type(operation).__module__.startswith("keras.")
    activation = activations.name(leaves.get(operation))
    if isinstance(operation, keras.layers.Softmax):
        activation = "softmax"
    elif not isinstance(operation, keras.layers.Layer):
        activation = kind.lower()  # as `keras.ops.sigmoid`
    return path, kind, activation if stock and activation in _KNOWN else None


def units_of(predictions: Any) -> int:
    """Return the size of the last axis of an array of outputs."""
    return int(np.shape(predictions)[-1]) if np.ndim(predictions) > 1 else 1
