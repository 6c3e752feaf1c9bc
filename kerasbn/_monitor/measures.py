"""Numbers of tensors, few operations each, and rings that keep them."""

from collections import defaultdict
from typing import Any

import numpy as np

from kerasbn._run.readings import EDGES

# What `details` measures of each variable.
DETAILS = ("gradient_max", "zeros", "non_finite", "weight", "update")
# Vectors of one shape are measured together: an operation costs a microsecond
# or two, whatever its size. To stack kernels would cost more than it saves.
_SMALL = 1000


class Ring:
    """The last `capacity` values of one shape, kept on the device.

    Written in the compiled step, on each replica; the host reads the first
    replica's.
    """

    def __init__(self, capacity: int, shape: tuple[int, ...]):
        import tensorflow as tf

        local = {
            "trainable": False,
            "synchronization": tf.VariableSynchronization.ON_READ,
            "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA,
        }
        self._capacity, self._shape = capacity, shape
        self._values = tf.Variable(tf.zeros((capacity, *shape)), **local)
        self._count = tf.Variable(tf.zeros((), "int64"), **local)
        self._read = 0

    def put(self, value: Any) -> None:
        """Write one value, over the oldest."""
        import tensorflow as tf

        place = tf.identity(self._count) % self._capacity
        if hasattr(self._values, "values"):  # one variable per replica
            held = tf.convert_to_tensor(self._values)
            new = tf.tensor_scatter_nd_update(held, [[place]], value[None])
            self._values.assign(new)
        else:
            update = tf.IndexedSlices(value[None], place[None])
            self._values.scatter_update(update)
        self._count.assign_add(1)

    def read(self) -> np.ndarray:
        """Return the values written since the last call, oldest first."""
        count = int(_first(self._count))
        start = max(self._read, count - self._capacity)
        self._read = count
        if start == count:
            return np.empty((0, *self._shape), "float32")
        places = np.arange(start, count) % self._capacity
        return _first(self._values)[places]


def _first(variable):
    return getattr(variable, "values", [variable])[0].numpy()


def half_square(x: Any) -> Any:
    """Half the squared L2 norm: the cheapest operation that tells a norm.

    One per variable is all that every step can afford: 1 to 2 % of a step.
    """
    import tensorflow as tf

    return tf.nn.l2_loss(x)


def details(gradients: list, before: list, after: list) -> Any:
    """`DETAILS` of each variable, shape `(variables, 5)`.

    Largest absolute entry, zeros and non-finite entries of the gradient, half
    the squared norm of the weights before the step and of their change. Some
    15 % of a small step: for the steps that are recorded.
    """
    import tensorflow as tf

    def total(x):
        return tf.reduce_sum(x, list(range(1, x.shape.rank)))

    def half_squares(x):
        if x.shape[0] == 1:
            return tf.reshape(tf.nn.l2_loss(x), [1])
        return total(tf.square(x)) / 2.0

    def together(tensors):
        # A stack of one would be a copy.
        return (
            tf.stack(tensors)
            if len(tensors) > 1
            else tf.expand_dims(tensors[0], 0)
        )

    order, columns = [], []
    for places in _by_shape(gradients):
        g, old, new = (
            together([tensors[place] for place in places])
            for tensors in (gradients, before, after)
        )
        axes = list(range(1, g.shape.rank))
        columns.append(
            tf.stack(
                [
                    tf.reduce_max(tf.abs(g), axes),
                    total(tf.cast(tf.equal(g, 0.0), "float32")),
                    total(tf.cast(~tf.math.is_finite(g), "float32")),
                    half_squares(old),
                    half_squares(new - old),
                ],
                axis=1,
            )
        )
        order += places
    return tf.gather(tf.concat(columns, axis=0), np.argsort(order))


def histograms(gradients: list) -> Any:
    """Entries by log10 of their size, shape `(variables, len(EDGES) + 1)`.

    Zeros are left out.
    """
    import tensorflow as tf

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
    """Places of tensors to be measured together."""
    groups = defaultdict(list)
    for place, tensor in enumerate(tensors):
        shape = tuple(tensor.shape)
        small = None not in shape and np.prod(shape) <= _SMALL
        groups[shape if small else place].append(place)
    return groups.values()
