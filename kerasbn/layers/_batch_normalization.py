"""Batch normalization for hidden layers."""

import keras
from keras import ops

from kerasbn.layers import _moments, _moving_statistics


@keras.saving.register_keras_serializable("kerasbn")
class BatchNormalization(
    keras.layers.BatchNormalization, _moving_statistics.CountsBatches
):
    """Batch normalization with moving statistics that are right early on.

    A drop-in for `keras.layers.BatchNormalization`. The stock layer starts its
    moving statistics at (0, 1) and moves them by 1 % a step, so inference is
    off for hundreds of steps: 20 hidden ELU layers on digits reach a validation
    accuracy of 0.53 after the first epoch, and 0.74 with this layer. Here step
    `t` (from 0) updates with

        keep = min(momentum, t / (t + 9))
        moving = keep * moving + (1 - keep) * batch

    so the first batch replaces the initial values. A batch of one row, or with
    a non-finite mean or variance, leaves the moving statistics unchanged and is
    counted in `skipped_batches`.

    The weights are those of the stock layer followed by `batches`, the counts
    of batches seen and skipped. With `synchronized=True` the statistics cover
    all replicas and respect masks. A step takes no longer than a stock step.

    As in Keras, a frozen layer (`trainable=False`) uses and keeps its moving
    statistics. Freeze it to fine-tune on few rows, whose statistics are noisy.

    Args:
        axis: Axis of the features, each of which has its own statistics.
        momentum: Share of the old moving statistics that a step keeps after
            the warm-up, in [0, 1]. 0.99, Keras's default, averages over about
            100 steps.
        epsilon: Added to the variance. 1e-3 is Keras's default.
        **kwargs: The other arguments of `keras.layers.BatchNormalization`,
            except `renorm=True`.

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

    # Hidden statistics drift while the network learns: early batches should
    # count in full, but not for long. benchmarks/cold_start.py has the table.
    warm_up_batches = 9

    def __init__(
        self,
        axis: int = -1,
        momentum: float = 0.99,
        epsilon: float = 1e-3,
        **kwargs,
    ):
        # The stock layer refuses this argument on other backends.
        synchronized = kwargs.pop("synchronized", False)
        momentum = _moving_statistics.checked_momentum(momentum)
        super().__init__(axis, momentum, epsilon, **kwargs)
        self.synchronized = synchronized
        if self.renorm:
            raise ValueError(
                "`renorm` must be False. Received: renorm=True. Use "
                "`keras.layers.BatchNormalization` for batch renormalization."
            )

    def build(self, input_shape):
        _moving_statistics.check_axis(self.axis, input_shape)
        super().build(input_shape)
        self._add_batch_counts()

    def call(self, inputs, training=None, mask=None):
        """Normalize `inputs`, in training with the statistics of the batch."""
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
            parameters = self.axis, self.beta, self.gamma, self.epsilon
            outputs = ops.batch_normalization(x, mean, variance, *parameters)
        change = ops.maximum(
            1.0 - self.momentum,
            self.warm_up_batches / (self.seen_batches + self.warm_up_batches),
        )

        def moved(moving, batch):
            batch = ops.stop_gradient(batch)
            return moving, moving + (batch - moving) * change

        self._update(
            # Finite, and not all 0 as for a batch of one row: log(0) is -inf.
            ops.isfinite(ops.log(ops.sum(variance))),
            moved(self.moving_mean, mean),
            moved(self.moving_variance, variance),
        )
        return ops.cast(outputs, self.compute_dtype)
