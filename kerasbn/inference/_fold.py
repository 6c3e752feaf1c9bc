"""Batch normalization folded into the linear layers next to it."""

from typing import NamedTuple

import keras
import numpy as np

from kerasbn._graph import kinds, rebuild, sublayers
from kerasbn.inference import _fold_reasons, _linear, _stock
from kerasbn.inference._linear_neighbors import LinearNeighbors


class Fold(NamedTuple):
    """What became of one batch normalization layer.

    Attributes:
        layer: Name of the batch normalization layer.
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
    after it, wherever that is exact. What cannot be folded stays, as a stock
    layer. `result.fold_report` is a tuple of `Fold`, one per batch
    normalization layer, that says what happened and why.

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
    folding = _Folding(graph.operations)
    report = [fold for each in graph.graphs for fold in folding.plan(each)]
    result = rebuild.rebuild(graph, _stock.edits(graph) | folding.edits())
    result.fold_report = tuple(report)
    return result


class _Folding:
    """The folds planned in a model: layers to drop, weights to change."""

    def __init__(self, calls):
        self._calls = calls
        self._dropped = set()
        self._weights = {}  # in float64: (kernels, bias) by layer

    def edits(self):
        edits = {
            layer: rebuild.Edit({"use_bias": True}, weights=[*kernels, bias])
            for layer, (kernels, bias) in self._weights.items()
        }
        nothing = rebuild.Edit(instead=rebuild.first_tensor)
        return edits | dict.fromkeys(self._dropped, nothing)

    def plan(self, graph):
        """Plan all folds between layers of one model, and report them."""
        layers = dict.fromkeys(call.operation for call in graph.calls)
        neighbors = LinearNeighbors(graph, self._calls, self._dropped)
        report = {
            layer: Fold(layer.name, None)
            for layer in layers
            if isinstance(layer, kinds.BATCH_NORMALIZATIONS)
        }
        folds = True
        while folds:  # what is folded may open the way for its neighbor
            folds = False
            for layer, (name, into, _) in report.items():
                if into is None:
                    report[layer] = Fold(name, *self._fold(layer, neighbors))
                    folds |= report[layer].into is not None
        inside = [
            Fold(inner.name, None, f"inside {layer.name}")
            for layer in layers
            if layer not in report and layer not in graph.nested
            for inner in sublayers.batch_normalizations(layer)
        ]
        return [*report.values(), *inside]

    def _fold(self, layer, neighbors):
        """Fold a layer; return the name of the one it is in, and why none."""
        calls = self._calls[layer]
        scale, offset, distance = _linear.affine(layer)
        reason = _fold_reasons.of_layer(layer, calls, scale, offset)
        if reason:
            return None, reason
        target = neighbors.before(calls[0])
        change = _linear.with_output
        if target is None:
            target, repeats = neighbors.after(calls[0])
            change = _linear.with_input
            scale, offset = np.tile(scale, repeats), np.tile(offset, repeats)
            reason = _fold_reasons.of_next(target, offset, distance)
            if reason:
                return None, reason
        before = self._weights.get(target) or _linear.weights_of(target)
        weights = change(target, before, scale, offset)
        reason = _fold_reasons.of_weights(target, weights)
        if reason:
            return None, reason
        self._weights[target] = weights
        self._dropped.add(layer)
        return target.name, ""
