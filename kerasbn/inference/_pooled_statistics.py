"""Statistics of the inputs of a layer, pooled over batches."""

import math

import numpy as np
from keras import ops

from kerasbn.layers import BatchNormalization, InputBatchNormalization


class PooledStatistics:
    """Mean and variance of all inputs of a layer, in float64."""

    def __init__(self, layer):
        self._layer = layer
        self._rows = self._batches = 0
        self._mean = self._variance = 0.0

    def add(self, inputs, mask):
        """Pool the rows that are not masked (Chan et al., 1983)."""
        x = np.moveaxis(ops.convert_to_numpy(inputs), self._layer.axis, -1)
        x = x.reshape(-1, x.shape[-1]).astype("float64")
        if mask is not None:
            x = x[ops.convert_to_numpy(mask).reshape(-1).astype(bool)]
        if not len(x):
            return
        if not np.isfinite(x).all():
            raise ValueError(
                "`data` must give finite values at each batch normalization. "
                f"Received: NaN or infinity at layer={self._layer.name!r}."
            )
        self._rows += len(x)
        self._batches += 1
        share = len(x) / self._rows
        difference = x.mean(axis=0) - self._mean
        self._variance = (
            (1.0 - share) * self._variance
            + share * x.var(axis=0)
            + share * (1.0 - share) * difference**2
        )
        self._mean = self._mean + share * difference

    def assign(self):
        """Give the layer these statistics, unless it was never called."""
        layer = self._layer
        if not self._rows:
            return
        if isinstance(layer, InputBatchNormalization):
            origin = np.float32(self._mean)
            layer.origin.assign(origin)
            layer.moving_offset.assign(np.float32(self._mean - origin))
            layer.seen_rows.assign(self._rows)
            seen = self._batches
        else:
            layer.moving_mean.assign(np.float32(self._mean))
            seen = _warm(layer)
        layer.moving_variance.assign(np.float32(self._variance))
        if isinstance(layer, BatchNormalization | InputBatchNormalization):
            layer.batches.assign([seen, layer.skipped_batches])


def _warm(layer):
    """Batches after which a layer keeps `momentum` of its statistics."""
    most = 2.0**24  # a float32 counts no further
    momentum = layer.momentum
    if momentum == 1.0:
        return most
    warm_up = getattr(layer, "warm_up_batches", 0)
    return min(most, math.ceil(warm_up * momentum / (1.0 - momentum)))
