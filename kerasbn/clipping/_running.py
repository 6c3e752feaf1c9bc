"""Rules that find their limit in the norms of the steps before."""

from typing import Any

import keras
from keras import ops

from kerasbn.clipping import _rule


@keras.saving.register_keras_serializable("kerasbn")
class AutoClip(_rule.Rule):
    """Bound the norm of the whole gradient by a percentile of its history.

    At each step the norm joins the history, and the gradient is scaled to the
    percentile of it, interpolated linearly. With 10 most steps are clipped:
    what is chosen is the length of a typical good step, whatever the scale of
    the loss. The first step passes as it is: where that may explode already,
    put `ByGlobalNorm` in front (`benchmarks/exploding.py`). A gradient of zero,
    as of a batch with all margins kept, does not join: a percentile of zero
    would end the training.

    Args:
        percentile: From 0 to 100; 10 in the paper.
        window: Steps that the history holds. The paper keeps all of them; 1000
            bounds memory and time, and forgets the first steps.

    Raises:
        ValueError: If `percentile` is not within 0 and 100, or `window` is
            below 1.

    Example:
    >>> import kerasbn
    >>> kerasbn.clipping.AutoClip().percentile
    10

    Reference:
        [Seetharaman et al., 2020](https://arxiv.org/abs/2007.14469).
    """

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
        """Create the history, a ring, and the count of steps."""
        # Infinite where nothing is known: sorted, it comes last.
        history = keras.initializers.Constant(float("inf"))
        self._history = add_variable("history", (self.window,), history)
        self._count = add_variable("count", (), "zeros")
        self.threshold = add_variable("threshold", (), "zeros")

    def clip(self, gradients, variables, norm, applied):
        """Return all gradients scaled by one number."""
        history, count = self._history.value, self._count.value
        place = ops.cast(ops.mod(count, self.window), "int32")
        here = ops.equal(ops.arange(self.window, dtype="int32"), place)
        history, count = ops.where(here, norm, history), count + 1.0
        rank = (ops.minimum(count, self.window) - 1.0) * self.percentile / 100
        below = ops.floor(rank)
        ordered = ops.sort(history)
        low, high = (
            ops.take(ordered, ops.cast(each, "int32"))
            for each in (below, ops.ceil(rank))
        )
        threshold = low + (high - low) * (rank - below)
        applied = ops.logical_and(applied, norm > 0)
        _rule.remember(self._history, history, applied)
        _rule.remember(self._count, count, applied)
        _rule.remember(self.threshold, threshold, applied)
        return _rule.scaled(gradients, norm, threshold)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `__init__`."""
        return {"percentile": self.percentile, "window": self.window}


@keras.saving.register_keras_serializable("kerasbn")
class ZClip(_rule.Rule):
    """Clip a spike: a norm far above the running mean of the norms.

        z = (norm - mean) / deviation
        if z > z_threshold: norm = mean + z_threshold**2 / z * deviation
        mean = momentum * mean + (1 - momentum) * norm
        variance = momentum * variance + (1 - momentum) * (norm - mean)**2

    The further out the spike, the less is left of it; ordinary steps pass
    unchanged. Mean and variance begin as those of the first steps, which pass
    unchanged too: put `ByGlobalNorm` in front where these can spike already.
    Gradients of zero are not counted.

    Args:
        z_threshold: Deviations above the mean where a spike begins; 2.5 in the
            paper.
        momentum: Of the running mean and variance; 0.97 in the paper.
        warmup_steps: Steps that mean and variance begin with; 25 in the paper.

    Raises:
        ValueError: If `z_threshold` is not positive, `momentum` is not within
            0 and 1, or `warmup_steps` is below 2.

    Example:
    >>> import kerasbn
    >>> kerasbn.clipping.ZClip(z_threshold=3.0).warmup_steps
    25

    Reference:
        [Kumar et al., 2025](https://arxiv.org/abs/2504.02507).
    """

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
        """Create mean, variance and the count of steps."""
        self._mean = add_variable("mean", (), "zeros")
        self._variance = add_variable("variance", (), "zeros")
        self._count = add_variable("count", (), "zeros")
        self.threshold = add_variable("threshold", (), "zeros")

    def clip(self, gradients, variables, norm, applied):
        """Return all gradients scaled by one number."""
        mean, variance = self._mean.value, self._variance.value
        count = self._count.value
        is_warm = count >= self.warmup_steps
        excess = ops.maximum(norm - mean, _rule.TINY)
        is_spike = excess > self.z_threshold * ops.sqrt(variance)
        is_spike = is_spike & (variance > 0)  # else there is no usual size
        # deviation / z is variance / excess
        limit = mean + self.z_threshold**2 * variance / excess
        threshold = ops.where(is_warm & is_spike, limit, norm)
        # Of the first steps, plain averages.
        share = ops.where(is_warm, 1.0 - self.momentum, 1.0 / (count + 1.0))
        new_mean = mean + share * (threshold - mean)
        square = (threshold - new_mean) * (
            threshold - ops.where(is_warm, new_mean, mean)
        )
        new_variance = variance + share * (square - variance)
        applied = ops.logical_and(applied, norm > 0)
        _rule.remember(self._mean, new_mean, applied)
        _rule.remember(self._variance, new_variance, applied)
        _rule.remember(self._count, count + 1.0, applied)
        _rule.remember(self.threshold, threshold, applied)
        return _rule.scaled(gradients, norm, threshold)

    def get_config(self) -> dict[str, Any]:
        """Return the arguments of `__init__`."""
        return {
            "z_threshold": self.z_threshold,
            "momentum": self.momentum,
            "warmup_steps": self.warmup_steps,
        }
