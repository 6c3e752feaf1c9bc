"""One batch kept from training, to read the layers with."""

from typing import Any

import keras
import numpy as np
import tensorflow as tf

_ROWS, _ENTRIES = 256, 2**22


class KeptBatch:
    """Inputs, targets and weights of the last full step, in variables."""

    def __init__(self, compiled: bool):
        self._compiled = compiled  # by XLA, which wants fixed shapes
        self._variables: dict[str, Any] = {}

    def value(self) -> tuple[Any, Any, Any] | None:
        """Return inputs, targets and sample weights.

        Each is `None` where it is none or could not be kept, and so is the
        tuple without inputs. Class weights come as sample weights.
        """
        if "x" not in self._variables:
            return None
        values = keras.tree.map_structure(lambda v: v.value(), self._variables)
        return values["x"], values.get("y"), values.get("sample_weight")

    def keep(self, data: Any) -> None:
        """Keep the first rows of a batch; called inside the train step."""
        parts = keras.utils.unpack_x_y_sample_weight(data)
        rows = min(map(_rows_of, keras.tree.flatten(parts)))
        for name, each in zip(("x", "y", "sample_weight"), parts, strict=True):
            if each is None or not all(
                isinstance(tensor, tf.Tensor)
                and tensor.shape.rank
                and not (self._compiled and None in tensor.shape[1:])
                for tensor in keras.tree.flatten(each)
            ):
                continue
            if name not in self._variables:
                with tf.init_scope():
                    self._variables[name] = keras.tree.map_structure(
                        lambda tensor: self._variable(tensor, rows), each
                    )
            keras.tree.map_structure(self._assign, self._variables[name], each)

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
    """How many rows to keep, the same of all parts."""
    if not getattr(getattr(tensor, "shape", None), "rank", None):
        return _ROWS
    size = int(np.prod([size or 1 for size in tensor.shape[1:]]))
    return min(_ROWS, max(1, _ENTRIES // size))
