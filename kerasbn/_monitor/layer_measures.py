"""Measures of the calls of one layer.

Each call is a pair of the layer's inputs and outputs.
"""

from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from kerasbn._graph import activations
from kerasbn.layers._input_batch_normalization import CONSTANT

MEASURES = "dead_units saturation activation_mean activation_deviation".split()


def _rows(values, axis, outputs):
    """Values as rows of features, without those masked at the outputs."""
    values = ops.moveaxis(tf.cast(values, "float32"), axis, -1)
    mask = getattr(outputs, "_keras_mask", None)
    if mask is not None:
        values = tf.boolean_mask(values, tf.cast(mask, "bool"))
    return tf.reshape(values, (-1, tf.shape(values)[-1]))


def activity(layer: Any, activation: Any, calls: list) -> Any:
    """Return `MEASURES` of the outputs of a hidden layer, as a column."""
    if not calls:
        return tf.fill((4, 1), np.nan)
    axis = 1 if getattr(layer, "data_format", "") == "channels_first" else -1
    y = tf.concat([_rows(y, axis, y) for _, y in calls], axis=0)
    live, steep = activations.intervals(activation)
    dead = tf.reduce_max(y, axis=0) == tf.reduce_min(y, axis=0)
    if live is not None:
        dead = tf.reduce_all(_outside(y, live), axis=0)
    saturated = np.nan if steep is None else _outside(y, steep)
    mean, variance = tf.nn.moments(y, axes=[0, 1])
    shares = (
        tf.reduce_mean(tf.cast(each, "float32")) for each in (dead, saturated)
    )
    return tf.stack([*shares, mean, tf.sqrt(variance)])[:, None]


def _outside(y, interval):
    return (y <= interval[0]) | (y >= interval[1])


def moments(layer: Any, calls: list) -> Any:
    """Return mean and variance of the inputs, then those of inference."""
    rows = [_rows(x, layer.axis, y) for x, y in calls]
    rows = rows or [tf.fill((1, layer.moving_variance.shape[0]), np.nan)]
    batch = tf.nn.moments(tf.concat(rows, axis=0), axes=[0])
    moving = (layer.moving_mean, layer.moving_variance)
    return tf.stack([tf.cast(each, "float32") for each in (*batch, *moving)])


def distance(layer: Any, found: np.ndarray) -> float:
    """Return the "statistics_distance" from the `moments` of a layer."""
    mean, variance, moving_mean, moving_variance = found
    epsilon = getattr(layer, "epsilon", 0.0)
    varies = variance > np.square(CONSTANT * mean)
    if not varies.any():
        return np.nan
    variance, moving_variance = variance + epsilon, moving_variance + epsilon
    with np.errstate(divide="ignore", invalid="ignore"):
        shift = (moving_mean - mean) / np.sqrt(variance)
        stretch = 0.5 * np.log(moving_variance / variance)
    return float(np.median(np.hypot(shift, stretch)[varies]))
