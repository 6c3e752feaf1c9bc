"""Edits that draw weights anew."""

from typing import Any

import numpy as np

from kerasbn._graph import kinds
from kerasbn._graph.kinds import has_kernel
from kerasbn._graph.rebuild import Edit, changed
from kerasbn._rescue.anatomy import RECURRENT, SOFTMAX, Anatomy
from kerasbn.models import _blocks

INITIALIZERS = (
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


def draw_kernels(anatomy: Anatomy) -> dict[Any, Edit]:
    """Kernels drawn by initializers that fit the activations."""
    edits = {}
    for each in anatomy.operations:
        if not has_kernel(each) or not each.trainable:
            continue
        before = each.get_config()
        if changed(before, dict.fromkeys(INITIALIZERS)) == before:
            continue
        name = anatomy.following_activation(each)
        if isinstance(each, RECURRENT) or name in _LIKE_SIGMOID:
            name = "linear"
        config = {
            **dict.fromkeys(INITIALIZERS, _blocks.initializer(name)),
            "recurrent_initializer": "orthogonal",
            "bias_initializer": "zeros",
            "unit_forget_bias": True,
        }
        edits[each] = Edit(config, keeps=lambda w: w.name not in _DRAWN)
    return edits


def draw_not_finite(anatomy: Anatomy) -> dict[Any, Edit]:
    """New values for weights that hold NaN or infinity."""
    return {each: Edit(keeps=_finite(each)) for each in anatomy.operations}


def _finite(operation):
    """A function that says of a weight of an operation whether it stays."""
    scale = ("gamma", "beta")
    if isinstance(operation, kinds.BATCH_NORMALIZATIONS):
        statistics = [w for w in operation.weights if w.name not in scale]
        if not all(map(_is_finite, statistics)):
            # The count belongs to what was counted.
            return lambda weight: weight.name in scale and _is_finite(weight)
    return _is_finite


def _is_finite(weight):
    return bool(np.isfinite(weight.numpy()).all())
