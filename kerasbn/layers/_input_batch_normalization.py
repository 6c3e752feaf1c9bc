"""Batch normalization as the first layer, in place of a scaler."""

import keras
from keras import ops

from kerasbn.layers import _moments, _moving_statistics

# A float32 feature that varies by less than this share of its mean is constant
# but for rounding noise (float32 resolves 1.2e-7 of the mean).
CONSTANT = 1e-6


@keras.saving.register_keras_serializable("kerasbn")
class InputBatchNormalization(
    keras.layers.Layer, _moving_statistics.CountsBatches
):
    """Batch normalization as the first layer, in place of a `StandardScaler`.

    The moving statistics pool all rows seen so far, with the variance within
    and between batches. A training batch is pooled first and then normalized.
    After one epoch the output is that of a `StandardScaler` fitted to the
    training data, in training and in inference alike.

    The stock layer does not replace a scaler, because its statistics start at
    (0, 1) and its `epsilon` is large next to small features: raw wine features
    reach a validation accuracy of 0.57 in 20 epochs with it, and 0.99 here.

    There is no `epsilon`: a feature that varies by less than 1e-6 of its mean
    counts as constant and gives 0. The next layer makes a gamma and a beta
    superfluous. The layer computes in float32 under any dtype policy, because
    raw features overflow float16. Frozen, it keeps its statistics.

    Args:
        axis: Axis of the features, each of which has its own statistics; the
            last one in tables, sequences and images with channels last.
        momentum: Largest share of the old statistics that a step keeps, in
            [0, 1]. The default of 1.0 gives all rows equal weight, for data
            that does not drift. Pass 0.99 for a stream that drifts.
        bound: Number of deviations at which the output is clipped. Otherwise
            an almost constant feature, such as a border pixel, drowns the
            others: on digits that costs 0.8 points of accuracy, and 0.3 with
            the default of 3. `None` clips nothing, and lets `kerasbn.fold` fold
            the layer away.
        **kwargs: `name` and the other arguments of `keras.layers.Layer`.

    Raises:
        ValueError: If `momentum` is outside [0, 1] or `bound` not positive.

    Example:
    >>> import numpy as np
    >>> import kerasbn
    >>> layer = kerasbn.layers.InputBatchNormalization()
    >>> _ = layer(np.array([[1000.0], [1002.0]]), training=True)
    >>> _ = layer(np.array([[1004.0], [1006.0]]), training=True)
    >>> layer.moving_mean.numpy().item(), layer.moving_variance.numpy().item()
    (1003.0, 5.0)

    Reference:
        Chan, Golub and LeVeque, "Algorithms for computing the sample variance".
    """

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 1.0,
        bound: float | None = 3.0,
        **kwargs,
    ):
        # The policy mixed_float16 would cast raw features to float16 first.
        super().__init__(**{**kwargs, "dtype": "float32"})
        self.axis = int(axis)
        self.momentum = _moving_statistics.checked_momentum(momentum)
        if bound is not None and not bound > 0:
            raise ValueError(
                "`bound` must be a positive number of deviations. "
                f"Received: bound={bound}. Pass bound=None to clip nothing."
            )
        self.bound = bound
        self.supports_masking = True

    def build(self, input_shape):
        _moving_statistics.check_axis(self.axis, input_shape)
        width = input_shape[self.axis]
        self.input_spec = keras.layers.InputSpec(
            ndim=len(input_shape), axes={self.axis: width}
        )

        def weight(name, start, shape=(width,)):
            return self.add_weight(shape, start, trainable=False, name=name)

        # Sums are relative to an origin within the data: float32 resolves only
        # 1e-3 deviations of a feature that lies 10,000 away from zero.
        self.origin = weight("origin", "zeros")
        self.moving_offset = weight("moving_offset", "zeros")
        self.moving_variance = weight("moving_variance", "ones")
        self.seen_rows = weight("seen_rows", "zeros", ())
        self._add_batch_counts()

    @property
    def moving_mean(self):
        """Mean of each feature over the rows seen, of shape `(features,)`."""
        return self.origin + self.moving_offset

    def call(self, inputs, training=None, mask=None):
        x = ops.cast(inputs, "float32")
        if training and self.trainable:
            self._pool(x, mask)
        variance = ops.convert_to_tensor(self.moving_variance)
        constant = variance <= ops.square(CONSTANT * self.moving_mean)
        scale = ops.rsqrt(ops.where(constant, 1.0, variance))
        scale = ops.where(constant, 0.0, scale)
        outputs = x
        for center in (self.origin, self.moving_offset):
            outputs = outputs - _moments.broadcast(center, x, self.axis)
        outputs = outputs * _moments.broadcast(scale, x, self.axis)
        if self.bound is None:
            return outputs
        return ops.clip(outputs, -self.bound, self.bound)

    def _pool(self, x, mask):
        origin = ops.where(
            self.seen_rows > 0,
            ops.convert_to_tensor(self.origin),
            _moments.smallest(x, self.axis, mask),
        )
        offset, variance = _moments.moments(
            x - _moments.broadcast(origin, x, self.axis), self.axis, mask
        )
        finite = ops.isfinite(ops.sum(offset) + ops.sum(variance))
        seen_rows = self.seen_rows + _moments.rows(x, self.axis, mask)
        keep = ops.minimum(self.momentum, self.seen_rows / seen_rows)
        difference = offset - self.moving_offset
        pooled_offset = self.moving_offset + (1.0 - keep) * difference
        pooled_variance = (
            keep * self.moving_variance
            + (1.0 - keep) * variance
            + keep * (1.0 - keep) * ops.square(difference)
        )
        self._update(
            finite,
            (self.origin, origin),
            (self.moving_offset, pooled_offset),
            (self.moving_variance, pooled_variance),
            (self.seen_rows, seen_rows),
        )

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        names = ("axis", "momentum", "bound")
        own = {name: getattr(self, name) for name in names}
        return super().get_config() | own
