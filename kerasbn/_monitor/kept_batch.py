"""One batch kept from training, to read the layers with."""

from concurrent import futures
from typing import Any

import keras
import numpy as np
import tensorflow as tf

_ROWS, _ENTRIES = 256, 2**22
_PARTS = ("x", "y", "sample_weight")


class KeptBatch:
    """Inputs, targets and weights of the last full step, in variables."""

    def __init__(self, compiled: bool):
        self._compiled = compiled  # by XLA, which wants fixed shapes
        # By the structure of the data, which another `fit` may change.
        self._variables: dict[str, dict[str, Any]] = {}
        self._last: Any = None  # the place of the structure kept last

    def value(self) -> tuple[Any, Any, Any] | None:
        """Return inputs, targets and sample weights.

        Each is `None` where it is none or could not be kept, and so is the
        tuple without inputs. Class weights come as sample weights.
        """
        if self._last is None:
            return None
        variables = list(self._variables.values())[int(self._last.value())]
        if "x" not in variables:
            return None
        values = keras.tree.map_structure(lambda v: v.value(), variables)
        return values["x"], values.get("y"), values.get("sample_weight")

    def keep(self, data: Any) -> None:
        """Keep the first rows of a batch; called inside the train step."""
        unpacked = keras.utils.unpack_x_y_sample_weight(data)
        parts = {
            name: each
            for name, each in zip(_PARTS, unpacked, strict=True)
            if all(map(self._may_keep, keras.tree.flatten(each)))
        }
        specs = keras.tree.map_structure(
            lambda t: (t.shape[1:], t.dtype), parts
        )
        structure = str(specs)
        if structure not in self._variables:
            self._create(structure, parts)
        self._last.assign(list(self._variables).index(structure))
        variables = self._variables[structure]
        keras.tree.map_structure(self._assign, variables, parts)

    def _may_keep(self, tensor):
        return (
            isinstance(tensor, tf.Tensor)
            and tensor.shape.rank
            and not (self._compiled and None in tensor.shape[1:])
        )

    def _create(self, structure, parts):
        """Create the variables; all parts have as many rows."""
        rows = min(map(_rows_of, keras.tree.flatten(parts)), default=0)

        def variables():
            return keras.tree.map_structure(
                lambda tensor: self._variable(tensor, rows), parts
            )

        if self._last is None:
            with tf.init_scope():
                self._last = tf.Variable(tf.zeros((), "int64"), trainable=False)
                self._variables[structure] = variables()
        else:
            # A function that is traced again may create none, but a thread
            # that is not tracing may.
            with futures.ThreadPoolExecutor(1) as outside:
                made = outside.submit(variables).result()
            self._variables[structure] = made

    def _assign(self, kept, tensor):
        if self._compiled:  # repeated, where there are fewer
            rows = tf.range(kept.shape[0]) % tf.shape(tensor)[0]
            kept.assign(tf.gather(tensor, rows))
        else:
            kept.assign(tensor[:_ROWS])

    def _variable(self, tensor, rows):
        rest = tensor.shape[1:]
        known = [rows if self._compiled else 0, *(size or 0 for size in rest)]
        return tf.Variable(
            tf.zeros(known, tensor.dtype),
            trainable=False,
            shape=known if self._compiled else [None, *rest],
        )


def _rows_of(tensor):
    size = int(np.prod([size or 1 for size in tensor.shape[1:]]))
    return min(_ROWS, max(1, _ENTRIES // size))
