"""Edits of hidden activations, of the output layer and of kernels."""

from typing import Any

import keras
import numpy as np

from kerasbn._graph import keras_internals, kinds
from kerasbn._graph.kinds import has_kernel
from kerasbn._graph.rebuild import NOTHING, Edit, changed, first_tensor
from kerasbn._monitor import heads
from kerasbn._rescue.anatomy import (
    KERNEL_LAYERS,
    RECURRENT,
    SOFTMAX,
    Anatomy,
    core_of,
)
from kerasbn.models import _initializers

_ACTIVATIONS = (keras.layers.Activation, *kinds.ACTIVATIONS)
_INITIALIZERS = (
    "kernel_initializer",
    "depthwise_initializer",
    "pointwise_initializer",
)
_DRAWN = {
    "kernel",
    "depthwise_kernel",
    "pointwise_kernel",
    "recurrent_kernel",
    "bias",
    "recurrent_bias",
}
# These saturate too, or end a network: initialized as sigmoid and softmax are.
_LIKE_SIGMOID = {
    *SOFTMAX,
    "hardsigmoid",
    "hardtanh",
    "logsigmoid",
    "softsign",
    "tanhshrink",
}


def replace_activations(anatomy: Anatomy, activation: Any) -> dict[Any, Edit]:
    edits = {}
    for each in anatomy.hidden():
        name = anatomy.activation_name(each)
        if not name or name in SOFTMAX or anatomy.is_gate(each):
            continue
        neutral = type(each) is keras.layers.Activation
        is_layer = isinstance(each, keras.layers.Layer)
        if type(core_of(each)) in KERNEL_LAYERS:
            edits[each] = Edit({"activation": activation})
        elif not is_layer or isinstance(each, _ACTIVATIONS):
            # "re_lu" would be a false name for another activation.
            label = each.name if neutral else anatomy.unique("activation")
            edits[each] = _instead(each, activation, label)
    return edits


def _instead(operation, activation, name):
    policy = getattr(operation, "dtype_policy", None)
    layer = keras.layers.Activation(activation, name=name, dtype=policy)
    # It takes one argument; the operation may have been called with more.
    return Edit(instead=lambda *a, **k: layer(first_tensor(*a, **k)))


def replace_output(
    anatomy: Anatomy, activation: Any = False, units: int | None = None
) -> dict[Any, Edit]:
    """Another activation or width of the single output.

    `activation=False` keeps it; `None` is linear, as in Keras.
    """
    model, parts = anatomy.model, anatomy.outputs
    cores = [each for each in parts if has_kernel(each)]
    if len(model.outputs) != 1 or len(cores) != 1:
        raise ValueError(
            "`model` must have a single output, computed by a single layer, "
            f"for its output to change. Received: model={model.name!r} with "
            f"{len(model.outputs)} outputs, computed by "
            f"{[each.name for each in cores]}. Change it by hand."
        )
    (core,) = cores
    config = {} if units is None else _width(core, units)
    edits = {core: Edit(config)}
    if activation is False:
        return edits
    ends = [
        each
        for each in parts
        if each is not core
        and (
            isinstance(each, keras.layers.Activation)
            or anatomy.activation_name(each)
        )
    ]
    for each in ends[1:]:  # an output has one activation
        edits[each] = NOTHING
    if ends:
        if anatomy.activation_name(core):
            edits[core] = Edit({**config, "activation": None})
        # The output may be called by its name.
        return edits | {ends[0]: _instead(ends[0], activation, ends[0].name)}
    return {core: Edit({**config, "activation": activation})}


def scale_output(
    anatomy: Anatomy,
    mean: float | list[float],
    deviation: float | list[float],
    output: str = "",
) -> dict[Any, Edit]:
    """A layer behind the output that turns its units into the targets'.

    The loss stays in the units of the targets, so plain SGD needs clipping
    with it. R2 of targets of 3e5 with deviation 1e5 after 15 epochs, MLP with
    two layers of 32: Adam -17 without and .93 with the layer; SGD diverges
    with and without it, and has .92 with `clipnorm=1`.
    """
    names = heads.names_of(anatomy.model)
    place = names.index(output) if output else 0
    last = keras_internals.made_by(anatomy.model.outputs[place]).operation
    name, config = anatomy.unique("target_scale"), {}
    if len(names) > 1:  # targets and losses may be given by name
        name, config = last.name, {"name": name}
    layer = keras.layers.Rescaling(deviation, offset=mean, name=name)
    return {last: Edit(config, after=((layer, {}),))}


def _width(layer, units):
    """Arguments of an output layer that change with its units."""
    config = core_of(layer).get_config()
    for key in ("units", "filters"):
        if key in config:
            drawn = dict.fromkeys(_INITIALIZERS, "glorot_uniform")
            return {} if config[key] == units else {key: units, **drawn}
    raise ValueError(
        "The output layer must have `units` or `filters` for their number to "
        f"change. Received: units={units}, for the layer {layer.name!r} of "
        f"class {type(layer).__name__}. End the model with a Dense layer."
    )


def draw_kernels(anatomy: Anatomy) -> dict[Any, Edit]:
    """Kernels drawn by initializers that fit the activations."""
    edits = {}
    for each in anatomy.operations:
        if not has_kernel(each) or not each.trainable:
            continue
        before = each.get_config()
        if changed(before, dict.fromkeys(_INITIALIZERS)) == before:
            continue
        name = anatomy.following_activation(each)
        if isinstance(each, RECURRENT) or name in _LIKE_SIGMOID:
            name = "linear"
        config = {
            **dict.fromkeys(_INITIALIZERS, _initializers.initializer(name)),
            "recurrent_initializer": "orthogonal",
            "bias_initializer": "zeros",
            "unit_forget_bias": True,
        }
        edits[each] = Edit(config, keeps=lambda w: w.name not in _DRAWN)
        if getattr(core_of(each), "bias", None) is not None:
            continue
        for below in anatomy.below_layer(each):  # its beta is the bias
            stock = isinstance(below, keras.layers.BatchNormalization)
            if stock and below.trainable:
                edits[below] = Edit(keeps=lambda w: w.name != "beta")
    return edits


def draw_not_finite(anatomy: Anatomy) -> dict[Any, Edit]:
    return {each: Edit(keeps=_finite(each)) for each in anatomy.operations}


def _finite(operation):
    """Return a function that tells whether a weight of an operation stays."""
    scale = ("gamma", "beta")
    if isinstance(operation, kinds.BATCH_NORMALIZATIONS):
        statistics = [w for w in operation.weights if w.name not in scale]
        if not all(map(_is_finite, statistics)):
            # The count belongs to what was counted.
            return lambda weight: weight.name in scale and _is_finite(weight)
    return _is_finite


def _is_finite(weight):
    return bool(np.isfinite(weight.numpy()).all())
