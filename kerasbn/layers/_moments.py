"""Means and variances of the features of a batch, and normalization by them.

Here `axis` is that of the features; `mask` has the shape of `x` without it.
"""

from typing import Any

import keras
import numpy as np
from keras import ops


def _all_but(x, axis):
    return [i for i in range(len(x.shape)) if i != axis % len(x.shape)]


def _weights(x, axis, mask):
    expected = [x.shape[i] for i in _all_but(x, axis)]
    fits = len(mask.shape) == len(expected) and all(
        None in (size, wanted) or size == wanted
        for size, wanted in zip(mask.shape, expected, strict=True)
    )
    if not fits:
        raise ValueError(
            "`mask` must have the shape of the inputs without their features. "
            f"Received: mask.shape={tuple(mask.shape)}, "
            f"inputs.shape={tuple(x.shape)}. Pass one value per position: "
            f"shape {tuple(expected)}."
        )
    weights = ops.expand_dims(ops.cast(mask, x.dtype), axis)
    return ops.broadcast_to(weights, ops.shape(x))


def rows(x, axis, mask):
    """Count the values behind each feature's statistics."""
    if mask is None:
        return ops.cast(ops.size(x) // x.shape[axis], "float32")
    return ops.sum(_weights(x, axis, mask)) / x.shape[axis]


def smallest(x, axis, mask):
    """Return the smallest unmasked entry of each feature."""
    if mask is not None:
        x = ops.where(_weights(x, axis, mask) > 0, x, np.inf)
    return ops.min(x, _all_but(x, axis))


def normalize_batch(x, gamma, beta, axis, epsilon) -> tuple[Any, Any, Any]:
    """Return the outputs, and the mean and variance of each feature."""
    width = x.shape[axis]
    # `cast` turns a variable into a tensor, which `custom_gradient` needs.
    gamma = ops.ones(width) if gamma is None else ops.cast(gamma, x.dtype)
    beta = ops.zeros(width) if beta is None else ops.cast(beta, x.dtype)
    # On two axes the fused operation takes twice the time of the stock layer.
    is_last = axis in (-1, len(x.shape) - 1)
    if keras.backend.backend() == "tensorflow" and is_last and x.ndim == 4:
        return _normalize_images(x, gamma, beta, epsilon)
    return _normalize_table(x, gamma, beta, axis, epsilon)


def _normalize_images(x, gamma, beta, epsilon):
    """Normalize by a fused operation, which takes 0.8 of a CNN's step."""
    import tensorflow as tf

    outputs, mean, variance, *_ = tf.raw_ops.FusedBatchNormV3(
        x=x, scale=gamma, offset=beta, mean=[], variance=[], epsilon=epsilon
    )
    count = tf.cast(tf.size(x) // x.shape[-1], x.dtype)
    return outputs, mean, variance * (count - 1.0) / count  # undo n / (n - 1)


def _normalize_table(x, gamma, beta, axis, epsilon) -> Any:
    """Normalize with a gradient in closed form: 0.93 of an MLP's step."""
    axes = _all_but(x, axis)

    @ops.custom_gradient
    def normalize(x, gamma, beta):
        count = ops.cast(ops.size(x) // x.shape[axis], x.dtype)
        mean = ops.mean(x, axes)
        centered = x - broadcast(mean, x, axis)
        variance = ops.mean(ops.square(centered), axes)
        inverse = ops.rsqrt(variance + epsilon)
        scale = broadcast(inverse * gamma, x, axis)
        outputs = centered * scale + broadcast(beta, x, axis)

        def gradient(*upstreams, upstream=None):
            # The gradients of mean and variance, which only update the moving
            # statistics, are 0. Backends pass the three in different ways.
            upstream = keras.tree.flatten((upstreams, upstream))[0]
            of_beta = ops.sum(upstream, axes)
            of_gamma = ops.sum(upstream * centered, axes) * inverse
            pull = broadcast(of_gamma * inverse / count, x, axis) * centered
            push = broadcast(of_beta / count, x, axis)
            return (upstream - push - pull) * scale, of_gamma, of_beta

        return (outputs, mean, variance), gradient

    return normalize(x, gamma, beta)


def moments(x, axis, mask, synchronized=False):
    """Return mean and variance of each feature over its unmasked entries.

    They take two passes, also over replicas: the stock layer's E[x**2] -
    E[x]**2 has no correct digit left 1,000 deviations away from zero.
    """
    axes = _all_but(x, axis)
    synchronized = synchronized and keras.backend.backend() == "tensorflow"

    def average(values):
        if synchronized:
            return ops.moments(values, axes=axes, synchronized=True)[0]
        return ops.mean(values, axes)

    if mask is None:
        mean = average(x)
        return mean, average(ops.square(x - broadcast(mean, x, axis)))
    weights = _weights(x, axis, mask)
    share = average(weights)
    # A masked entry may be NaN, and NaN * 0 is NaN: select, do not multiply.
    mean = average(ops.where(weights > 0, x, 0.0)) / share
    centered = ops.where(weights > 0, x - broadcast(mean, x, axis), 0.0)
    return mean, average(ops.square(centered)) / share


def broadcast(statistic, x, axis):
    """Reshape a statistic to broadcast along the features of `x`."""
    if axis in (-1, len(x.shape) - 1):
        return statistic
    shape = [1] * len(x.shape)
    shape[axis] = x.shape[axis]
    return ops.reshape(statistic, shape)
