"""The graph of a model: copied, its batch normalization folded, rebuilt."""

import math
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasbn._graph import cloning, kinds
from kerasbn.inference import _linear, _stock
from kerasbn.layers import BatchNormalization, InputBatchNormalization

# Beyond this many deviations from zero a mean folded into the next layer costs
# float32 more than 1e-5 of the output: x * scale and the new bias cancel.
_LARGEST_OFFSET = 30.0

# Compared by exact type here and below: a subclass may compute anything.
_KNOWN = {*kinds.BATCH_NORMALIZATIONS, BatchNormalization}

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


def folded(model):
    """A folded copy of a plain model, and (layer, into, reason) of each."""
    report = []

    def fold_nested(nested):
        result, outcomes = folded(nested)
        report.extend(outcomes)
        return result

    graph = _Graph(model, fold_nested)
    outcomes = graph.fold()
    return graph.rebuilt(), outcomes + report


def converted(model):
    """A copy of a plain model without layers of kerasbn."""
    return _Graph(model, converted).rebuilt()


class _Call(NamedTuple):
    layer: Any
    args: tuple
    kwargs: dict
    outputs: list

    @property
    def tensors(self):
        """All tensors taken, masks among them."""
        values = keras.tree.flatten((self.args, self.kwargs))
        return [v for v in values if isinstance(v, keras.KerasTensor)]

    @property
    def is_training(self):
        """Whether the graph itself says `training=True`."""
        return bool(self.kwargs.get("training")) or len(self.args) > 1


class _Graph:
    """A copy of a model, its calls on record, and the folds planned in it."""

    def __init__(self, model, convert_nested):
        self._calls = []
        self._nested = set()
        self._dropped = set()
        self._weights = {}  # in float64: (kernels, bias) by layer

        def copy(layer):
            nested = cloning.plain(layer)
            if nested is None:
                weights = getattr(layer, "get_weights", list)()
                return cloning.copied(layer), weights
            result = convert_nested(nested)
            self._nested.add(result)
            return result, []

        def record(layer, *args, **kwargs):
            outputs = layer(*args, **kwargs)
            flat = keras.tree.flatten(outputs)
            self._calls.append(_Call(layer, args, kwargs, flat))
            return outputs

        self._model = cloning.cloned(model, copy, record)

    def fold(self):
        """Plan all folds; return (layer, into, reason) of each layer."""
        layers = dict.fromkeys(call.layer for call in self._calls)
        outcomes = {
            layer: (None, "")
            for layer in layers
            if isinstance(layer, kinds.BATCH_NORMALIZATIONS)
        }
        folds = True
        while folds:  # what is folded may open the way for its neighbour
            folds = False
            for layer, (into, _) in outcomes.items():
                if into is None:
                    outcomes[layer] = self._fold(layer)
                    folds |= outcomes[layer][0] is not None
        report = [(layer.name, *outcome) for layer, outcome in outcomes.items()]
        for layer in layers:
            if layer not in outcomes and layer not in self._nested:
                report.extend(
                    (inner.name, None, f"inside {layer.name}")
                    for inner in _sublayers(layer)
                )
        return report

    def rebuilt(self):
        """The model, with what was planned, in layers that are not ours."""

        def copy(layer):
            if layer in self._dropped:
                return _same, []
            if layer in self._nested:
                return layer, []
            if layer in self._weights:
                kernels, bias = self._weights[layer]
                return cloning.copied(layer, use_bias=True), [*kernels, bias]
            if type(layer) is BatchNormalization:
                return _stock.batch_normalization(layer)
            if type(layer) is InputBatchNormalization:
                return _stock.input_function(layer), []
            return cloning.copied(layer), getattr(layer, "get_weights", list)()

        def call(layer, *args, **kwargs):
            if isinstance(layer, keras.Operation):
                return layer(*args, **kwargs)
            if kwargs.get("training") or len(args) > 1:
                raise ValueError(
                    "`InputBatchNormalization` must be called without "
                    "`training` in the model's graph. Received: "
                    "training=True. No stock layer does the same."
                )
            return layer(args[0] if args else kwargs["inputs"])

        return cloning.cloned(self._model, copy, call)

    def _fold(self, layer):
        call = self._only_call(layer)
        obstacle = _obstacle(layer, call)
        if obstacle:
            return None, obstacle
        scale, offset, distance = _linear.affine(layer)
        if not np.isfinite(scale).all() or not np.isfinite(offset).all():
            return None, "its statistics are not finite"
        target = self._producer(call)
        if target is not None:
            weights = _linear.with_output(
                target, self._weights_of(target), scale, offset
            )
        else:
            target, scale, offset = self._consumer(call, scale, offset)
            if target is None:
                return None, "no linear layer is next to it"
            if distance > _LARGEST_OFFSET:
                return None, f"its mean is {distance:.3g} deviations from zero"
            if offset.any() and _linear.pads(target):
                return None, f"{target.name} pads with zeros"
            weights = _linear.with_input(
                target, self._weights_of(target), scale, offset
            )
        if not _linear.fits_float32(weights):
            return None, f"the kernel of {target.name} would overflow"
        self._weights[target] = weights
        self._dropped.add(layer)
        return target.name, ""

    def _producer(self, call):
        """The linear layer whose output goes to `call` and nowhere else."""
        while True:
            tensor = call.args[0]
            call = self._first_call("outputs", tensor)
            if not call or not self._is_simple(call) or self._uses(tensor) > 1:
                return None
            if not self._passes(call):
                linear = _linear.is_foldable(
                    call.layer
                ) and _linear.has_no_activation(call.layer)
                return call.layer if linear else None

    def _consumer(self, call, scale, offset):
        """The linear layer that alone takes the output of `call`.

        Returned with `scale` and `offset` as that layer sees them.
        """
        nothing = None, scale, offset
        while True:
            tensor = call.outputs[0]
            call = self._first_call("tensors", tensor)
            if not call or not self._is_simple(call) or self._uses(tensor) > 1:
                return nothing
            layer = call.layer
            if type(layer) is keras.layers.Flatten and _linear.is_channels_last(
                layer
            ):
                positions = tensor.shape[1:-1]
                if None in positions:
                    return nothing
                scale = np.tile(scale, math.prod(positions))
                offset = np.tile(offset, math.prod(positions))
            elif not self._passes(call) and not (
                type(layer) in _AVERAGES and _linear.is_channels_last(layer)
            ):
                grouped = getattr(layer, "groups", 1) > 1
                foldable = _linear.is_foldable(layer) and not grouped
                return (layer, scale, offset) if foldable else nothing

    def _first_call(self, side, tensor):
        for call in self._calls:
            if any(each is tensor for each in getattr(call, side)):
                return call
        return None

    def _only_call(self, layer):
        calls = [call for call in self._calls if call.layer is layer]
        return calls[0] if len(calls) == 1 else None

    def _uses(self, tensor):
        taken = [t for call in self._calls for t in call.tensors]
        return sum(t is tensor for t in taken + self._model.outputs)

    def _is_simple(self, call):
        """Whether the layer is called once, with one tensor of its dtype."""
        return (
            isinstance(call.layer, keras.layers.Layer)
            and self._only_call(call.layer) is not None
            and len(call.args) == 1
            and isinstance(call.args[0], keras.KerasTensor)
            and len(call.outputs) == 1
            and not call.is_training
            and call.args[0].dtype == call.layer.compute_dtype
        )

    def _passes(self, call):
        """Whether the output equals the input, at inference, as planned."""
        layer = call.layer
        return (
            layer in self._dropped
            or type(layer) in _IDENTITIES
            or (
                type(layer) is keras.layers.Activation
                and _linear.has_no_activation(layer)
            )
        )

    def _weights_of(self, layer):
        if layer in self._weights:
            return self._weights[layer]
        return _linear.weights_of(layer)


def _same(x):
    return x


def _sublayers(layer):
    """Batch normalization that a wrapper or a layer of the user holds."""
    if not isinstance(layer, keras.layers.Layer):
        return []
    inner = layer._flatten_layers(include_self=False)
    return [
        each for each in inner if isinstance(each, kinds.BATCH_NORMALIZATIONS)
    ]


def _obstacle(layer, call):
    """Why a batch normalization cannot be folded into any layer."""
    if type(layer) not in _KNOWN:
        return "its class is not known"
    if call is None:
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
    return ""
