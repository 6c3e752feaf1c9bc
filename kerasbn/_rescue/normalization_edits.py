"""Edits that normalize inputs and hidden layers, and renew statistics."""

from typing import Any

import keras
import numpy as np

from kerasbn import layers
from kerasbn._graph.kinds import has_kernel
from kerasbn._graph.rebuild import Edit, is_about_masks
from kerasbn._monitor.model_description import SCALES_INPUTS
from kerasbn._rescue.anatomy import (
    KERNEL_LAYERS,
    RECURRENT,
    Anatomy,
    core_of,
)

# Operations that may do the work of a `Rescaling`.
_ARITHMETIC = {"Divide", "TrueDivide", "Multiply", "Subtract"}

# Deviations by which a bias shifts normalized values beyond all of them.
_DEAD = 3.0


def normalize_inputs(anatomy: Anatomy) -> dict[Any, Edit]:
    """An `InputBatchNormalization` at each input of numbers."""
    edits = {}
    for tensor in anatomy.model.inputs:
        axis = _axis(anatomy.below(tensor))
        takers = [call.operation for call in anatomy.consumers(tensor)]
        if not takers or not _may_be_scaled(anatomy, tensor, takers, axis):
            continue
        name = anatomy.unique("input_normalization")
        normalization = layers.InputBatchNormalization(axis=axis, name=name)
        edit = Edit(after=((normalization, {}),))
        if not all(map(is_about_masks, takers)):
            edits[tensor] = edit
        for each in takers:
            if isinstance(each, keras.layers.Masking):  # it takes raw values
                edits[each] = edit
    return edits


def _axis(operations):
    formats = [getattr(each, "data_format", "") for each in operations]
    return 1 if "channels_first" in formats else -1


def _may_be_scaled(anatomy, tensor, takers, axis):
    """Whether nothing scales an input of numbers, or was trained on it."""
    return (
        not tensor.sparse
        and keras.backend.is_float_dtype(tensor.dtype)
        and len(tensor.shape) > 1
        and tensor.shape[axis] is not None
        and not any(
            (isinstance(each, SCALES_INPUTS) and not _is_unadapted(each))
            or (has_kernel(each) and not each.trainable)
            for each in anatomy.below(tensor)
        )
        and not any(
            isinstance(each, keras.layers.Lambda)
            or type(each).__name__ in _ARITHMETIC
            for each in takers
        )
    )


def _is_unadapted(layer):
    """Whether it is a `Normalization` that was never given the data."""
    if not isinstance(layer, keras.layers.Normalization) or not layer.weights:
        return False
    mean, variance, *_ = (each.numpy() for each in layer.weights)
    return not mean.any() and bool((variance == 1.0).all())


def normalize_hidden(anatomy: Anatomy) -> dict[Any, Edit]:
    edits = {}
    for each in anatomy.hidden():
        is_layer = isinstance(each, keras.layers.Layer)
        if not is_layer or anatomy.is_normalized(each):
            continue
        if isinstance(each, RECURRENT):
            normalization = keras.layers.LayerNormalization(
                **_options(anatomy, each, "normalization")
            )
            edits[each] = Edit(after=((normalization, {}),))
        elif type(core_of(each)) in KERNEL_LAYERS and not anatomy.is_gate(each):
            edits[each] = _split(anatomy, each)
    return edits


def _options(anatomy, layer, what):
    name = anatomy.unique(f"{layer.name}_{what}")
    return {"name": name, "dtype": layer.dtype_policy}


def _split(anatomy, layer):
    """The linear part, batch normalization, and the activation."""
    core = core_of(layer)
    config, values = {}, {}
    bias = getattr(core, "bias", None)
    if bias is not None and len(bias.shape) == 1:
        config = {"use_bias": False, "bias_axes": None}
        start = bias.numpy()
        # Where a bias of -12 was, all normalized values would be cut off.
        values = {"beta": np.where(np.abs(start) < _DEAD, start, 0.0)}
    normalization = layers.BatchNormalization(
        axis=_axis([core]), **_options(anatomy, layer, "normalization")
    )
    after = [(normalization, values)]
    if anatomy.activation_name(layer):
        config |= {"activation": None, "activity_regularizer": None}
        after.append(_activation_layer(anatomy, layer, core))
    return Edit(config, after=tuple(after))


def _activation_layer(anatomy, layer, core):
    activation = anatomy.activations.get(layer)
    options = _options(anatomy, layer, "activation")
    if isinstance(activation, keras.layers.Layer):
        config = {**activation.get_config(), **options}
        values = {each.name: each.numpy() for each in activation.weights}
        return type(activation).from_config(config), values
    regularizer = core.activity_regularizer
    return keras.layers.Activation(
        activation, activity_regularizer=regularizer, **options
    ), {}


def trust_statistics(anatomy: Anatomy) -> dict[Any, Edit]:
    """Our batch normalization for the stock one.

    It warms up anew: the first batches replace statistics that may have been
    moved too slowly. A frozen layer does not move them and stays.
    """
    edits = {}
    for each in anatomy.operations:
        stock = type(each) is keras.layers.BatchNormalization
        if stock and each.trainable and not each.renorm:
            config = each.get_config()
            del config["momentum"]
            ours = layers.BatchNormalization.from_config(config)
            edits[each] = Edit(instead=ours)
    return edits
