"""A rule that takes its limits from the weights."""

import collections
import math
import re
from collections.abc import Collection

import keras
from keras import ops

from kerasbn.clipping import _rule

# Variables of one shape up to this size are clipped together, because each
# operation costs a microsecond or two; larger ones cost more to stack.
_SMALL = 1000


@keras.saving.register_keras_serializable("kerasbn")
class Adaptive(_rule.Rule):
    """Bound the gradient of each unit by the norm of the unit's weights.

    A step changes the weights of a unit by at most a share of their norm, times
    the learning rate:

        limit = clipping * max(norm(weights), epsilon)
        gradient = gradient * min(1, limit / norm(gradient))

    A unit is all weights with one index on the last axis of a kernel, or on the
    axis before if the last has size 1, as in a depthwise convolution. A bias is
    one unit. The rule was made for networks without batch normalization.

    Args:
        clipping: Largest norm of a gradient relative to that of the weights.
            The paper takes 0.01 for batches of 4096 and more for smaller ones.
        epsilon: Least norm that weights count for, so that those that start at
            zero can move; 1e-3 in the paper.
        exclude: Regular expressions for the paths of variables not to clip.
            `None` excludes the layer of the last variable, usually the output
            layer, as the paper does.

    Raises:
        ValueError: If `clipping` or `epsilon` is not positive.
        TypeError: If `exclude` is a string.

    Example:
    >>> import kerasbn
    >>> kerasbn.clipping.Adaptive(exclude=["^head/"]).clipping
    0.01

    Reference:
        [Brock et al., 2021](https://arxiv.org/abs/2102.06171).
    """

    _arguments = ("clipping", "epsilon", "exclude")

    def __init__(
        self,
        clipping: float = 0.01,
        epsilon: float = 1e-3,
        exclude: Collection[str] | None = None,
    ):
        _rule.check_positive(clipping=clipping, epsilon=epsilon)
        if isinstance(exclude, str):
            raise TypeError(
                "`exclude` must be a list of regular expressions. "
                f"Received: exclude={exclude!r}. Pass [{exclude!r}]."
            )
        self.clipping = clipping
        self.epsilon = epsilon
        self.exclude = None if exclude is None else list(exclude)

    def clip(self, gradients, variables, norm, applied):
        clipped = list(gradients)
        groups = collections.defaultdict(list)
        for place, variable in enumerate(variables):
            if not self._is_excluded(variable, variables):
                shape = tuple(variable.shape)
                small = math.prod(shape) <= _SMALL
                groups[shape if small else place].append(place)
        for places in groups.values():
            together = ops.stack([gradients[place] for place in places])
            weights = [ops.cast(variables[i], together.dtype) for i in places]
            new = self._clip_units(together, ops.stack(weights))
            for place, gradient in zip(places, ops.unstack(new), strict=True):
                clipped[place] = gradient
        return clipped

    def _is_excluded(self, variable, variables):
        if self.exclude is None:
            return _layer(variable) == _layer(variables[-1]) != ""
        return any(re.search(each, _path(variable)) for each in self.exclude)

    def _clip_units(self, gradients, weights):
        """Clip the stacked gradients of variables of one shape."""
        shape = tuple(gradients.shape)
        axes = list(range(1, len(shape)))
        if sum(size > 1 for size in shape[1:]) > 1:  # a kernel
            axes.remove(len(shape) - (2 if shape[-1] == 1 else 1))

        def square(x):
            # The squared limit of a weight of zero underflows in float16.
            x = ops.square(ops.cast(x, "float32"))
            return ops.sum(x, axes, keepdims=True)

        # Comparing squares takes one root per unit instead of two.
        limit = self.clipping**2 * ops.maximum(square(weights), self.epsilon**2)
        ratio = limit / ops.maximum(square(gradients), _rule.TINY)
        scale = ops.sqrt(ops.minimum(1.0, ratio))
        return gradients * ops.cast(scale, gradients.dtype)


def _path(variable):
    return getattr(variable, "path", variable.name)  # a `tf.Variable` has none


def _layer(variable):
    return _path(variable).rpartition("/")[0]
