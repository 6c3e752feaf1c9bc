"""Batch normalization for hidden layers, with statistics to be trusted."""

import keras
from keras import ops

from kerasbn.layers import _moments, _shared


@keras.saving.register_keras_serializable("kerasbn")
class BatchNormalization(
    keras.layers.BatchNormalization, _shared.CountsBatches
):
    """Batch normalization with warm-started moving statistics.

    A drop-in for `keras.layers.BatchNormalization`. The stock layer starts its
    moving statistics at (0, 1) and moves them by 1 % a step, so a network that
    trains well is judged with wrong statistics for its first hundreds of
    steps: 20 hidden ELU layers on digits reach a validation accuracy of 0.53
    after the first epoch, and 0.74 with this layer. Here
    step `t` (from 0) updates with

        keep = min(momentum, t / (t + 9))
        moving = keep * moving + (1 - keep) * batch

    so that the first batch replaces the initial values. A batch of one row, or
    with a non-finite mean or variance, leaves the moving statistics as they
    were and is counted in `skipped_batches`.

    The weights are those of the stock layer in its order, then `batches`, the
    counts of batches seen and skipped. `synchronized=True` pools all replicas,
    masks included, in two passes: the stock layer's E[x**2] - E[x]**2 is wrong
    from 1,000 deviations away from zero on. A step costs what a stock step
    does, and 0.8 of it on images (`benchmarks/layer_cost.py`).

    **Frozen layers.** As in Keras, `trainable=False` means inference: the layer
    normalizes with its moving statistics and does not move them, whatever
    `training` says. To fine-tune on little data freeze it, or its noisy batch
    statistics replace those of the large data; to fine-tune on much data of
    another kind leave it trainable. `kerasbn.calibrate` gives it exact
    statistics afterwards. Compile again after changing `trainable`.

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

    # Hidden statistics drift while the network learns: the first batches must
    # count fully, but not for long. benchmarks/cold_start.py has the table.
    warm_up_batches = 9

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        **kwargs,
    ):
        # Stock batch normalization refuses to be loaded on other backends.
        synchronized = kwargs.pop("synchronized", False)
        super().__init__(
            axis=axis,
            momentum=_shared.checked_momentum(momentum),
            epsilon=epsilon,
            **kwargs,
        )
        self.synchronized = synchronized
        if self.renorm:
            raise ValueError(
                "`renorm` must be False. Received: renorm=True. Use "
                "`keras.layers.BatchNormalization` for batch renormalization."
            )

    def build(self, input_shape):
        """Create the weights: the stock layer's, then the counters."""
        _shared.check_axis(self.axis, input_shape)
        super().build(input_shape)
        self._add_batch_counts()

    def call(self, inputs, training=None, mask=None):
        """Normalize `inputs`, with the batch's statistics when training."""
        if not (training and self.trainable):
            return super().call(inputs, training=False, mask=mask)
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        if mask is None and not self.synchronized:
            outputs, mean, variance = _moments.normalize_batch(
                x, self.gamma, self.beta, self.axis, self.epsilon
            )
        else:
            mean, variance = _moments.moments(
                x, self.axis, mask, self.synchronized
            )
            outputs = ops.batch_normalization(
                x,
                mean,
                variance,
                axis=self.axis,
                offset=self.beta,
                scale=self.gamma,
                epsilon=self.epsilon,
            )
        self._move(ops.stop_gradient(mean), ops.stop_gradient(variance))
        return ops.cast(outputs, self.compute_dtype)

    def _move(self, mean, variance):
        # Finite, and not all 0 as in a batch of one row: log(0) is -inf.
        usable = ops.isfinite(ops.log(ops.sum(variance)))
        seen = self.batches[0]
        change = ops.maximum(
            1.0 - self.momentum,
            self.warm_up_batches / (seen + self.warm_up_batches),
        )
        for moving, batch in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            new = moving + (batch - moving) * change
            moving.assign(ops.where(usable, new, ops.convert_to_tensor(moving)))
        self._count(usable)
