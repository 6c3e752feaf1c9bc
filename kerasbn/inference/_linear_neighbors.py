"""The linear layers next to a batch normalization in the graph."""

import collections
import math

import keras

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


class LinearNeighbors:
    """Finds the layers whose weights can do the work of another layer.

    Args:
        graph: Neighbors are in the same model, not in one nested in it.
        whole: The graph that it is a part of.
        edits: Planned for the copy; they may grow.
    """

    def __init__(self, graph, whole, edits):
        self._calls, self._edits = whole.operations, edits
        self._makers = {}
        self._takers = collections.defaultdict(list)
        for call in graph.calls:
            self._makers |= {each: [call] for each in call.outputs}
            for tensor in call.inputs:
                self._takers[tensor].append(call)
        for tensor in graph.model.outputs:
            self._takers[tensor].append(None)

    def before(self, call):
        """The linear layer whose output goes to `call` and nowhere else."""
        while call := self._across(call.args[0], self._makers):
            layer = call.operation
            if not self._passes(layer):
                fits = _linear.is_foldable(layer)
                fits = fits and _linear.has_no_activation(layer)
                return layer if fits else None
        return None

    def after(self, call):
        """The only layer that takes the output of `call`, if it is linear.

        With it, how often the features of `call` repeat in its input.
        """
        repeats = 1
        while call := self._across(call.outputs[0], self._takers):
            layer = call.operation
            last = _linear.is_channels_last(layer)
            if type(layer) is keras.layers.Flatten and last:
                positions = call.args[0].shape[1:-1]
                if None in positions:
                    break
                repeats *= math.prod(positions)
            elif not self._passes(layer) and not (
                type(layer) in _AVERAGES and last
            ):
                grouped = getattr(layer, "groups", 1) > 1
                if _linear.is_foldable(layer) and not grouped:
                    return layer, repeats
                break
        return None, 1

    def _across(self, tensor, calls):
        """The call at the other end of a tensor that only one call takes."""
        call = calls[tensor][0] if len(self._takers[tensor]) == 1 else None
        return call if call and self._is_simple(call) else None

    def _is_simple(self, call):
        """Whether the layer is called once, with one tensor of its dtype."""
        return (
            isinstance(call.operation, keras.layers.Layer)
            and len(self._calls.get(call.operation, ())) == 1
            and len(call.args) == 1
            and isinstance(call.args[0], keras.KerasTensor)
            and len(call.outputs) == 1
            and not call.is_training
            and call.args[0].dtype == call.operation.compute_dtype
        )

    def _passes(self, layer):
        """Whether the output equals the input, at inference, as planned."""
        if type(layer) is keras.layers.Activation:
            return _linear.has_no_activation(layer)
        return self._edits.get(layer) is NOTHING or type(layer) in _IDENTITIES
