"""Data for a model, as batches of inputs that can be run over again."""

import itertools
import math
from collections.abc import Iterable, Iterator, Mapping

import keras
import numpy as np


class Batches:
    """The batches of inputs in `data`, for any number of passes."""

    def __init__(self, data, steps, batch_size):
        if isinstance(data, Iterator):
            if steps is None:
                raise ValueError(
                    "`steps` must say how many batches to take from a "
                    "generator. Received: steps=None."
                )
            data = list(itertools.islice(data, steps))  # cannot run twice
            self._get = lambda: map(_inputs, data)
            count = len(data)
        elif isinstance(data, keras.utils.PyDataset):
            count = data.num_batches
            count = math.inf if count is None else count
            self._get = lambda: (
                _inputs(data[index])
                for index in itertools.takewhile(
                    lambda index: index < count, itertools.count()
                )
            )
        elif _is_structure(data) or not isinstance(data, Iterable):
            arrays, count = _sliced(data, batch_size)
            self._get = arrays
        else:
            self._get = lambda: map(_inputs, data)
            count = _length(data)
        if steps is None and count == math.inf:
            raise ValueError(
                "`steps` must say how many batches to take from endless data. "
                "Received: steps=None."
            )
        self._steps = steps
        limits = [limit for limit in (count, steps) if limit is not None]
        self._count = int(min(limits)) if count is not None else 0
        if next(iter(self), None) is None:
            raise ValueError(
                "`data` must hold at least one batch. Received: none. "
                "Pass inputs as for `model.predict`."
            )

    def __len__(self):
        """How many batches a pass has; 0 if that is not known."""
        return self._count

    def __iter__(self):
        return itertools.islice(self._get(), self._steps)

    def first(self):
        return next(iter(self))


def _is_structure(data):
    kinds = (Mapping, tuple, list)
    return isinstance(data, kinds) or hasattr(data, "__array__")


def _inputs(element):
    """The x of an element `x`, `(x,)`, `(x, y)` or `(x, y, weight)`."""
    return element[0] if isinstance(element, tuple) else element


def _length(data):
    """Batches of a dataset: a number, infinity, or `None` if not known."""
    if hasattr(data, "cardinality"):
        count = int(data.cardinality())  # of TensorFlow: -1 is infinite
        return {-1: math.inf, -2: None}.get(count, count)
    return len(data) if hasattr(data, "__len__") else None


def _sliced(data, batch_size):
    """A function that runs over batches of arrays, and their number."""
    if isinstance(data, list) and not any(map(_is_structure, data)):
        data = np.asarray(data)
    elif isinstance(data, list) and all(isinstance(e, list) for e in data):
        data = np.asarray(data)  # rows written out as numbers
    if isinstance(data, list | tuple) and len(data) == 1:
        data = data[0]  # Keras takes a lone input bare, and warns at [input]
    arrays = keras.tree.map_structure(_array, data)
    rows = sorted({len(array) for array in keras.tree.flatten(arrays)})
    if len(rows) > 1:
        raise ValueError(
            "`data` must hold arrays of one length, one array for each input "
            f"of the model. Received: lengths={rows}. Pass batches as a "
            "generator or a dataset."
        )
    starts = range(0, rows[0] if rows else 0, batch_size)

    def batches():
        for start in starts:
            rows = slice(start, start + batch_size)
            yield keras.tree.map_structure(lambda a, r=rows: a[r], arrays)

    return batches, len(starts)


def _array(value):
    return value.numpy() if hasattr(value, "numpy") else np.asarray(value)
