"""A ring buffer on the device."""

from typing import Any

import numpy as np
import tensorflow as tf


class Ring:
    """The last `capacity` values of one shape.

    The compiled step writes them on each replica; the host reads those of the
    first replica.
    """

    def __init__(self, capacity: int, shape: tuple[int, ...]):
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
