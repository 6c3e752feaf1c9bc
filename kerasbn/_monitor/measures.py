"""Numbers that sum up a tensor, in few operations."""

from collections import defaultdict
from typing import Any

import numpy as np
import tensorflow as tf

from kerasbn._run.readings import EDGES

# The order of the columns of `details`.
DETAILS = ("gradient_max", "zeros", "non_finite", "weight", "update")
# Vectors of one shape are measured together: an operation costs a microsecond
# or two, whatever its size. Stacking kernels would cost more than it saves.
_SMALL = 1000


def value_of(variable: Any) -> Any:
    """Return what a variable holds now, in float32."""
    # `tf.cast` would return a float32 variable itself, to be read later.
    return tf.cast(tf.convert_to_tensor(variable.value), "float32")


def details(gradients: list, before: list, after: list) -> Any:
    """Return `DETAILS` of each variable, shape `(variables, 5)`.

    Of weights and update, half the squared norm. This costs some 15 % of a
    small step, so only recorded steps do it.
    """

    def total(x):
        return tf.reduce_sum(x, list(range(1, x.shape.rank)))

    def half_squares(x):
        if x.shape[0] == 1:
            return tf.reshape(tf.nn.l2_loss(x), [1])
        return total(tf.square(x)) / 2.0

    def together(tensors):
        if len(tensors) > 1:
            return tf.stack(tensors)
        return tf.expand_dims(tensors[0], 0)  # a stack of one would be a copy

    order, columns = [], []
    for places in _by_shape(gradients):
        g, old, new = (
            together([tensors[place] for place in places])
            for tensors in (gradients, before, after)
        )
        axes = list(range(1, g.shape.rank))
        found = (
            tf.reduce_max(tf.abs(g), axes),
            total(tf.cast(tf.equal(g, 0.0), "float32")),
            total(tf.cast(~tf.math.is_finite(g), "float32")),
            half_squares(old),
            half_squares(new - old),
        )
        columns.append(tf.stack(found, axis=1))
        order += places
    return tf.gather(tf.concat(columns, axis=0), np.argsort(order))


def histograms(gradients: list) -> Any:
    """Count entries but zeros by log10 of their size, a row per variable."""
    rows = []
    for gradient in gradients:
        size = tf.abs(tf.reshape(gradient, [-1]))
        place = tf.math.log(size) / np.log(10.0)
        place = (place - EDGES[0]) / (EDGES[1] - EDGES[0]) + 1.0
        place = tf.cast(tf.clip_by_value(place, 0.0, len(EDGES)), "int32")
        counted = tf.cast(size > 0.0, "float32")
        rows.append(
            tf.math.unsorted_segment_sum(counted, place, len(EDGES) + 1)
        )
    return tf.stack(rows)


def _by_shape(tensors):
    groups = defaultdict(list)
    for place, tensor in enumerate(tensors):
        shape = tuple(tensor.shape)
        small = None not in shape and np.prod(shape) <= _SMALL
        groups[shape if small else place].append(place)
    return groups.values()
