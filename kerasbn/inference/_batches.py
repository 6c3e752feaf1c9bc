"""Data for a model, as batches of inputs that can be run over again."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping

import keras
import numpy as np


class Batches:
    """The batches of inputs in `data`, for any number of passes.

    `keras.Model.predict` would take the same data, but keeps all outputs.
    """

    def __init__(self, data, steps, batch_size):
        if isinstance(data, Iterator):
            _require(steps, "a generator")
            data = list(itertools.islice(data, steps))  # cannot run twice
            count = len(data)
        elif (
            isinstance(data, Mapping | tuple | list)
            or hasattr(data, "__array__")
            or not isinstance(data, Iterable)
        ):
            data = _Slices(data, batch_size)
            count = len(data)
        else:
            count = _length(data)
        if count == math.inf:
            _require(steps, "endless data")
        limits = [limit for limit in (count, steps) if limit is not None]
        self._data, self._steps = data, steps
        self._count = int(min(limits)) if count is not None else 0
        self.first = next(iter(self), None)
        if self.first is None:
            raise ValueError(
                "`data` must hold at least one batch. Received: none. "
                "Pass inputs as for `model.predict`."
            )

    def __len__(self):
        """How many batches a pass has; 0 if that is not known."""
        return self._count

    def __iter__(self):
        for element in itertools.islice(self._data, self._steps):
            # The x of an element `x`, `(x,)`, `(x, y)` or `(x, y, weight)`.
            yield element[0] if isinstance(element, tuple) else element


def _require(steps, data):
    if steps is None:
        raise ValueError(
            f"`steps` must say how many batches to take from {data}. "
            "Received: steps=None."
        )


def _length(data):
    """Batches of a dataset: a number, infinity, or `None` if not known."""
    if isinstance(data, keras.utils.PyDataset):
        return math.inf if data.num_batches is None else data.num_batches
    if hasattr(data, "cardinality"):
        count = int(data.cardinality())  # of TensorFlow: -1 is infinite
        return {-1: math.inf, -2: None}.get(count, count)
    return len(data) if hasattr(data, "__len__") else None


class _Slices:
    """Batches of rows of arrays, as elements `(x,)`."""

    def __init__(self, data, batch_size):
        if isinstance(data, list) and not any(
            hasattr(each, "__array__") for each in data
        ):
            data = np.asarray(data)  # rows, or numbers, written out
        if isinstance(data, list | tuple) and len(data) == 1:
            data = data[0]  # Keras warns at the list of a lone input
        self._arrays = keras.tree.map_structure(_array, data)
        lengths = {len(array) for array in keras.tree.flatten(self._arrays)}
        if len(lengths) > 1:
            raise ValueError(
                "`data` must hold arrays of one length, one array for each "
                f"input of the model. Received: lengths={sorted(lengths)}. "
                "Pass batches as a generator or a dataset."
            )
        self._starts = range(0, max(lengths, default=0), batch_size)

    def __len__(self):
        return len(self._starts)

    def __iter__(self):
        for start in self._starts:
            rows = slice(start, start + self._starts.step)
            yield (
                keras.tree.map_structure(lambda a, r=rows: a[r], self._arrays),
            )


def _array(value):
    return value.numpy() if hasattr(value, "numpy") else np.asarray(value)
