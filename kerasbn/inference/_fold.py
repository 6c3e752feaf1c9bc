"""Batch normalization folded into the linear layers next to it."""

from typing import NamedTuple

import keras
import numpy as np

from kerasbn._graph import kinds, rebuild, sublayers
from kerasbn.inference import (
    _fold_reasons,
    _linear,
    _linear_neighbors,
    _to_keras,
)


class Fold(NamedTuple):
    """The outcome for one batch normalization layer.

    Attributes:
        layer: Its name.
        into: Name of the layer that does its work now, or `None` if it stays.
        reason: Why it stays; empty if it was folded.
    """

    layer: str
    into: str | None
    reason: str = ""

    def __str__(self) -> str:
        """Return a line such as "hidden_0_normalization: in hidden_0"."""
        state = f"in {self.into}" if self.into else f"kept, {self.reason}"
        return f"{self.layer}: {state}"


def fold(model: keras.Model) -> keras.Model:
    """Return a model for inference with batch normalization folded away.

    A batch normalization layer at inference is a scale and an offset per
    feature. They are multiplied into the kernel and the bias of the Dense or
    convolution before it, or, where an activation stands between, into the one
    after it, wherever that is exact. The others stay. `result.fold_report` has
    a `Fold` for each, that says what happened and why.

    Args:
        model: A built functional or sequential model. It is not changed.

    Returns:
        A functional `keras.Model` of stock layers (and those of the user),
        not compiled, whose output equals that of `model` at inference up to
        rounding. Do not train it. Layers that compute in half precision
        are not folded: their kernels have no digits to spare.

    Raises:
        ValueError: If the model is not built, or is subclassed.

    Example:
    >>> import kerasbn
    >>> model = kerasbn.models.mlp((4,), [8], 2)
    >>> folded = kerasbn.fold(model)
    >>> for each in folded.fold_report:
    ...     print(each)
    input_normalization: kept, its output is bounded
    hidden_0_normalization: in hidden_0

    Reference:
        [Jacob et al., 2018](https://arxiv.org/abs/1712.05877), section 3.2.
    """
    graph = _fold_reasons.graph_of(model)
    edits = _to_keras.stock_edits(graph)
    report = [f for part in graph.graphs for f in _planned(part, graph, edits)]
    result = rebuild.rebuild(graph, edits)
    result.fold_report = tuple(report)
    return result


def _planned(part, graph, edits):
    """Plan the folds within one model as edits, and report them."""
    layers = dict.fromkeys(call.operation for call in part.calls)
    report = {
        layer: Fold(layer.name, None)
        for layer in layers
        if isinstance(layer, kinds.BATCH_NORMALIZATIONS)
    }
    before = None
    while before != report:  # what is folded may open the way for its neighbor
        before = dict(report)
        for layer, (name, into, _) in before.items():
            if into is None:
                report[layer] = Fold(name, *_fold(layer, graph, edits))
    inside = [
        Fold(inner.name, None, f"inside {layer.name}")
        for layer in layers
        if layer not in report and layer not in part.nested
        for inner in sublayers.batch_normalizations(layer)
    ]
    return [*report.values(), *inside]


def _fold(layer, graph, edits):
    """Plan one fold; return the name of its target, or why there is none."""
    calls = graph.operations[layer]
    reason = _fold_reasons.of_layer(layer, calls)
    if reason:
        return None, reason
    scale, offset, distance = _linear.affine(layer)
    target = _linear_neighbors.before(graph, edits, calls[0])
    change = _linear.with_output
    if target is None:
        target, repeats = _linear_neighbors.after(graph, edits, calls[0])
        change = _linear.with_input
        scale, offset = np.tile(scale, repeats), np.tile(offset, repeats)
        reason = _fold_reasons.of_next(target, offset, distance)
        if reason:
            return None, reason
    planned = edits.get(target)
    before = planned.weights if planned else _linear.weights_of(target)
    weights = change(target, before, scale, offset)
    reason = _fold_reasons.of_weights(target, weights)
    if reason:
        return None, reason
    edits[target] = rebuild.Edit({"use_bias": True}, weights=weights)
    edits[layer] = rebuild.NOTHING
    return target.name, ""
