"""Reasons why a model or one of its layers cannot be folded."""

import keras
import numpy as np

from kerasbn._graph import kinds
from kerasbn._graph.graph import Graph, plain
from kerasbn.inference import _linear
from kerasbn.layers import BatchNormalization

# Beyond this many deviations from zero a mean folded into the next layer costs
# float32 more than 1e-5 of the output: x * scale and the new bias cancel.
_LARGEST_OFFSET = 30.0

# Compared by exact type: a subclass may compute anything.
_KNOWN = {*kinds.BATCH_NORMALIZATIONS, BatchNormalization}


def graph_of(model: keras.Model) -> Graph:
    """The graph of a model; an error that says why where it has none."""
    model_with_graph = plain(model)
    if model_with_graph is None:
        raise ValueError(
            "`model` must be a built functional or sequential model. "
            f"Received: model={model!r}. Give a sequential model a "
            "`keras.Input`; a subclassed model shows no graph to change."
        )
    return Graph(model_with_graph)


def of_layer(layer, calls):
    call = calls[0]
    if type(layer) not in _KNOWN:
        return "its class is not known"
    if len(calls) > 1:
        return "called more than once"
    if call.is_training or not call.args:
        return "called with more than its input"
    if layer.axis not in (-1, len(call.args[0].shape) - 1):
        return "its features are not on the last axis"
    if getattr(layer, "bound", None) is not None:
        return "its output is bounded"
    if layer.compute_dtype not in ("float32", "float64"):
        return "it computes in half precision"
    if call.args[0].dtype != layer.compute_dtype:
        return f"its input is {call.args[0].dtype}"
    if not np.isfinite(_linear.affine(layer)[:2]).all():
        return "its statistics are not finite"
    return ""


def of_next(target, offset, distance):
    if target is None:
        return "no linear layer is next to it"
    if distance > _LARGEST_OFFSET:
        return f"its mean is {distance:.3g} deviations from zero"
    if offset.any() and _linear.pads(target):
        return f"{target.name} pads with zeros"
    return ""


def of_weights(target, weights):
    largest = np.finfo("float32").max
    if all(np.abs(each).max() < largest for each in weights):
        return ""
    return f"the kernel of {target.name} would overflow"
