"""Rules that take their limit from the norms of earlier steps."""

import keras
from keras import ops

from kerasbn.clipping import _rule


@keras.saving.register_keras_serializable("kerasbn")
class AutoClip(_rule.Rule):
    """Bound the norm of the whole gradient by a percentile of its history.

    Each step adds its norm to the history and is scaled to the percentile,
    interpolated linearly. With 10 most steps are clipped, to a typical good
    length at any scale of the loss. The first step passes unchanged: put
    `ByGlobalNorm` in front where it may explode. Gradients of zero are not
    added, because a percentile of zero would end the training.

    Args:
        percentile: Percentile of the history, from 0 to 100; 10 in the paper.
        window: Steps in the history; 1000 bounds the memory.

    Raises:
        ValueError: If an argument is out of range.

    Example:
    >>> import kerasbn
    >>> kerasbn.clipping.AutoClip().percentile
    10

    Reference:
        [Seetharaman et al., 2020](https://arxiv.org/abs/2007.14469).
    """

    _arguments = ("percentile", "window")

    def __init__(self, percentile: float = 10, window: int = 1000):
        if not _rule.is_number(percentile) or not 0 <= percentile <= 100:
            raise ValueError(
                "`percentile` must be within 0 and 100. "
                f"Received: percentile={percentile!r}."
            )
        if type(window) is not int or window < 1:
            raise ValueError(
                f"`window` must be a positive integer. Received: {window=}."
            )
        self.percentile = percentile
        self.window = window

    def build(self, add_variable):
        # Empty places are infinite, so that they sort last.
        history = keras.initializers.Constant(float("inf"))
        self._history = add_variable("history", (self.window,), history)
        self._count = add_variable("count", (), "zeros")
        self.threshold = add_variable("threshold", (), "zeros")

    def clip(self, gradients, variables, norm, applied):
        history, count = self._history.value, self._count.value
        place = ops.cast(ops.mod(count, self.window), "int32")
        here = ops.equal(ops.arange(self.window, dtype="int32"), place)
        history, count = ops.where(here, norm, history), count + 1.0
        rank = (ops.minimum(count, self.window) - 1.0) * self.percentile / 100
        below = ops.floor(rank)
        ends = ops.cast(ops.stack([below, ops.ceil(rank)]), "int32")
        low, high = ops.unstack(ops.take(ops.sort(history), ends))
        threshold = low + (high - low) * (rank - below)
        applied = ops.logical_and(applied, norm > 0)
        _rule.remember(self._history, history, applied)
        _rule.remember(self._count, count, applied)
        _rule.remember(self.threshold, threshold, applied)
        return _rule.scaled(gradients, norm, threshold)


@keras.saving.register_keras_serializable("kerasbn")
class ZClip(_rule.Rule):
    """Clip spikes, which are norms far above their running mean.

        z = (norm - mean) / deviation
        if z > z_threshold: norm = mean + z_threshold**2 / z * deviation
        mean = momentum * mean + (1 - momentum) * norm
        variance = momentum * variance + (1 - momentum) * (norm - mean)**2

    The further out the spike, the less is left of it; other steps pass
    unchanged. Mean and variance start from those of the first steps, which also
    pass unchanged: put `ByGlobalNorm` in front where these may spike. Gradients
    of zero do not count.

    Args:
        z_threshold: Deviations above the mean, for a spike; 2.5 in the paper.
        momentum: Share of the old mean and variance that a step keeps, in
            [0, 1); 0.97 in the paper.
        warmup_steps: Steps from which both start, at least 2; 25 in the paper.

    Raises:
        ValueError: If an argument is out of range.

    Example:
    >>> import kerasbn
    >>> kerasbn.clipping.ZClip(z_threshold=3.0).warmup_steps
    25

    Reference:
        [Kumar et al., 2025](https://arxiv.org/abs/2504.02507).
    """

    _arguments = ("z_threshold", "momentum", "warmup_steps")

    def __init__(
        self,
        z_threshold: float = 2.5,
        momentum: float = 0.97,
        warmup_steps: int = 25,
    ):
        _rule.check_positive(z_threshold=z_threshold)
        if not _rule.is_number(momentum) or not 0 <= momentum < 1:
            raise ValueError(
                "`momentum` must be at least 0 and below 1. "
                f"Received: momentum={momentum!r}."
            )
        if not isinstance(warmup_steps, int) or warmup_steps < 2:
            raise ValueError(
                "`warmup_steps` must be an integer of at least 2, for a "
                f"deviation. Received: warmup_steps={warmup_steps!r}."
            )
        self.z_threshold = z_threshold
        self.momentum = momentum
        self.warmup_steps = warmup_steps

    def build(self, add_variable):
        self._mean = add_variable("mean", (), "zeros")
        self._variance = add_variable("variance", (), "zeros")
        self._count = add_variable("count", (), "zeros")
        self.threshold = add_variable("threshold", (), "zeros")

    def clip(self, gradients, variables, norm, applied):
        mean, variance = self._mean.value, self._variance.value
        count = self._count.value
        is_warm = count >= self.warmup_steps
        excess = ops.maximum(norm - mean, _rule.TINY)
        is_spike = excess > self.z_threshold * ops.sqrt(variance)
        is_spike = is_spike & (variance > 0)  # 0: nothing is known yet
        # `z_threshold**2 / z * deviation`, as deviation / z = variance / excess
        limit = mean + self.z_threshold**2 * variance / excess
        threshold = ops.where(is_warm & is_spike, limit, norm)
        # The first steps count equally.
        share = ops.where(is_warm, 1.0 - self.momentum, 1.0 / (count + 1.0))
        new_mean = mean + share * (threshold - mean)
        center = ops.where(is_warm, new_mean, mean)
        square = (threshold - new_mean) * (threshold - center)
        new_variance = variance + share * (square - variance)
        applied = ops.logical_and(applied, norm > 0)
        _rule.remember(self._mean, new_mean, applied)
        _rule.remember(self._variance, new_variance, applied)
        _rule.remember(self._count, count + 1.0, applied)
        _rule.remember(self.threshold, threshold, applied)
        return _rule.scaled(gradients, norm, threshold)
