"""Edits of hidden activations and of the output layer."""

from typing import Any

import keras

from kerasbn._graph import kinds
from kerasbn._graph.rebuild import Edit, first_tensor
from kerasbn._rescue.anatomy import (
    KERNEL_LAYERS,
    SOFTMAX,
    Anatomy,
    core_of,
)
from kerasbn._rescue.kernel_edits import INITIALIZERS

_ACTIVATIONS = (keras.layers.Activation, *kinds.ACTIVATIONS)


def replace_activations(anatomy: Anatomy, activation: Any) -> dict[Any, Edit]:
    """Another activation in all hidden layers."""
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
    cores = [each for each in parts if kinds.has_kernel(each)]
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
    for each in parts:
        is_activation = isinstance(each, keras.layers.Activation)
        if each is not core and (
            is_activation or anatomy.activation_name(each)
        ):
            # The output may be called by its name.
            return edits | {each: _instead(each, activation, each.name)}
    return {core: Edit({**config, "activation": activation})}


def _width(layer, units):
    """Arguments of an output layer that change with its units."""
    config = core_of(layer).get_config()
    for key in ("units", "filters"):
        if key in config:
            drawn = dict.fromkeys(INITIALIZERS, "glorot_uniform")
            return {} if config[key] == units else {key: units, **drawn}
    raise ValueError(
        "The output layer must have `units` or `filters` for their number to "
        f"change. Received: units={units}, for the layer {layer.name!r} of "
        f"class {type(layer).__name__}. End the model with a Dense layer."
    )
