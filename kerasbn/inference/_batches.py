"""Data for a model, as batches of inputs that can be run over again."""

import itertools
import operator
from collections.abc import Iterable, Iterator, Mapping

import keras
import numpy as np


class Batches:
    """The batches of inputs in `data`, for any number of passes.

    `keras.Model.predict` would take the same data, but keeps all outputs.
    """

    def __init__(self, data, steps, batch_size):
        if steps is None and _is_endless(data):
            raise ValueError(
                "`steps` must say how many batches to take from a generator or "
                "endless data. Received: steps=None."
            )
        if isinstance(data, Iterator):
            data = list(itertools.islice(data, steps))  # cannot run twice
        elif (
            isinstance(data, Mapping | tuple | list)
            or hasattr(data, "__array__")
            or not isinstance(data, Iterable)
        ):
            data = _slices(data, batch_size)
        self._data, self._steps = data, steps
        self.first = next(iter(self), None)
        if self.first is None:
            raise ValueError(
                "`data` must hold at least one batch. Received: none. "
                "Pass inputs as for `model.predict`."
            )

    def __len__(self):
        """How many batches a pass has; 0 if that is not known."""
        count = getattr(self._data, "num_batches", None)
        count = count or operator.length_hint(self._data) or self._steps or 0
        return min(count, self._steps or count)

    def __iter__(self):
        for element in itertools.islice(self._data, self._steps):
            # The x of an element `x`, `(x,)`, `(x, y)` or `(x, y, weight)`.
            yield element[0] if isinstance(element, tuple) else element


def _is_endless(data):
    if isinstance(data, keras.utils.PyDataset):
        return data.num_batches is None
    if hasattr(data, "cardinality"):
        return int(data.cardinality()) == -1  # of TensorFlow
    return isinstance(data, Iterator)


def _slices(data, size):
    """Batches of rows of arrays, as elements `(x,)`."""
    if isinstance(data, list) and not any(
        hasattr(each, "__array__") for each in data
    ):
        data = np.asarray(data)  # rows, or numbers, written out
    if isinstance(data, list | tuple) and len(data) == 1:
        data = data[0]  # Keras warns at the list of a lone input
    arrays = keras.tree.map_structure(_array, data)
    lengths = {len(array) for array in keras.tree.flatten(arrays)}
    if len(lengths) > 1:
        raise ValueError(
            "`data` must hold arrays of one length, one array for each "
            f"input of the model. Received: lengths={sorted(lengths)}. "
            "Pass batches as a generator or a dataset."
        )
    starts = range(0, max(lengths, default=0), size)
    rows = [operator.itemgetter(slice(i, i + size)) for i in starts]
    return [(keras.tree.map_structure(each, arrays),) for each in rows]


def _array(value):
    return value.numpy() if hasattr(value, "numpy") else np.asarray(value)
