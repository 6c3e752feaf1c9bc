"""The linear layers next to a batch normalization in the graph."""

import math
from typing import Any

import keras

from kerasbn._graph.graph import Call
from kerasbn._graph.rebuild import NOTHING
from kerasbn.inference import _linear

# Compared by exact type: a subclass may compute anything.
_IDENTITIES = {
    keras.layers.Dropout,
    keras.layers.SpatialDropout1D,
    keras.layers.SpatialDropout2D,
    keras.layers.SpatialDropout3D,
    keras.layers.GaussianDropout,
    keras.layers.GaussianNoise,
    keras.layers.Identity,
}
_AVERAGES = {
    keras.layers.GlobalAveragePooling1D,
    keras.layers.GlobalAveragePooling2D,
    keras.layers.GlobalAveragePooling3D,
}


def before(graph, edits, call) -> Any:
    """The linear layer whose output goes to `call` and nowhere else."""
    while call := _across(graph, call.args[0], graph.links[1]):
        layer = call.operation
        if not _passes(layer, edits):
            fits = _linear.is_foldable(layer)
            fits = fits and _linear.has_no_activation(layer)
            return layer if fits else None
    return None


def after(graph, edits, call) -> tuple[Any, int]:
    """The only layer that takes the output of `call`, if it is linear.

    With it, how often the features of `call` repeat in its input.
    """
    repeats = 1
    while call := _across(graph, call.outputs[0], graph.links[0]):
        layer = call.operation
        last = _linear.is_channels_last(layer)
        if type(layer) is keras.layers.Flatten and last:
            positions = call.args[0].shape[1:-1]
            if None in positions:
                break
            repeats *= math.prod(positions)
        elif not _passes(layer, edits) and not (
            type(layer) in _AVERAGES and last
        ):
            grouped = getattr(layer, "groups", 1) > 1
            if _linear.is_foldable(layer) and not grouped:
                return layer, repeats
            break
    return None, 1


def _across(graph, tensor, calls):
    """The call at the other end of a tensor that nothing else takes.

    Only a layer called once counts, in this model, with one tensor of its
    dtype.
    """
    takers, _ = graph.links
    call = calls[tensor][0] if len(takers[tensor]) == 1 else None
    if tensor in graph.model.outputs or not isinstance(call, Call):
        return None
    layer = call.operation
    is_simple = (
        isinstance(layer, keras.layers.Layer)
        and len(graph.operations[layer]) == 1
        and len(call.args) == 1
        and isinstance(call.args[0], keras.KerasTensor)
        and len(call.outputs) == 1
        and not call.is_training
        and call.args[0].dtype == layer.compute_dtype
    )
    return call if is_simple else None


def _passes(layer, edits):
    """Whether the output equals the input, at inference, as planned."""
    if type(layer) is keras.layers.Activation:
        return _linear.has_no_activation(layer)
    return edits.get(layer) is NOTHING or type(layer) in _IDENTITIES
