"""Edits that leave layers out, widen them, or put others in their place."""

from collections.abc import Sequence
from typing import Any

import keras

from kerasbn._graph import keras_internals
from kerasbn._graph.kinds import has_kernel
from kerasbn._graph.rebuild import NOTHING, Edit
from kerasbn._rescue.anatomy import Anatomy

_DRAWN = dict.fromkeys(
    ("kernel_initializer", "depthwise_initializer", "pointwise_initializer"),
    "glorot_uniform",
)


def remove(anatomy: Anatomy, layers: Sequence[str]) -> dict[Any, Edit]:
    """Leave layers out; of one with a kernel, its activation."""
    return {
        each: Edit({"activation": None}) if has_kernel(each) else NOTHING
        for each in anatomy.operations
        if each.name in layers
    }


def last_step(anatomy: Anatomy, layers: Sequence[str]) -> dict[Any, Edit]:
    return {
        each: Edit({"return_sequences": False})
        for each in anatomy.operations
        if each.name in layers
    }


def widen(
    anatomy: Anatomy, layers: Sequence[str], units: int
) -> dict[Any, Edit]:
    return {
        each: Edit({"units": units, "filters": units, **_DRAWN})
        for each in anatomy.operations
        if each.name in layers
    }


def gate_cells(anatomy: Anatomy) -> dict[Any, Edit]:
    """A GRU for each `SimpleRNN`."""
    edits = {}
    for each in anatomy.operations:
        core = getattr(each, "forward_layer", each)
        if type(core) is not keras.layers.SimpleRNN or not each.trainable:
            continue
        known = ("units", "return_sequences", "go_backwards", "stateful")
        config = {name: getattr(core, name) for name in known}
        new = keras.layers.GRU(
            **config, name=each.name, dtype=core.dtype_policy
        )
        if core is not each:
            new = keras.layers.Bidirectional(
                new, merge_mode=each.merge_mode, name=each.name
            )
        edits[each] = Edit(instead=new)
    return edits


def reshape_output(anatomy: Anatomy, shape: Sequence[int]) -> dict[Any, Edit]:
    last = keras_internals.made_by(anatomy.model.outputs[0]).operation
    name = anatomy.unique("target_shape")
    layer = keras.layers.Reshape(tuple(shape), name=name)
    return {last: Edit(after=((layer, {}),))}


def replace_not_finite(anatomy: Anatomy) -> dict[Any, Edit]:
    """Zeros for NaN and Inf in each input of numbers."""
    return {
        tensor: Edit(after=((_finite, {}),))
        for tensor in anatomy.model.inputs
        if keras.backend.is_float_dtype(tensor.dtype)
    }


def _finite(x):
    return keras.ops.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0)
