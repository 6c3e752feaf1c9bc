"""The rows that trials are run on, out of whatever `fit` takes."""

import itertools
from collections.abc import Iterable
from typing import Any, NamedTuple

import keras
import numpy as np

# Of data that comes in batches and may have no end.
_ENTRIES = 2**26


class Rows(NamedTuple):
    """Arrays for `fit`: inputs, targets, weights of rows or elements."""

    x: Any
    y: Any
    weight: Any = None

    @property
    def size(self) -> int:
        return len(keras.tree.flatten(self.x)[0])

    def take(self, rows: Any) -> "Rows":
        """Return some of the rows."""
        return Rows(
            *keras.tree.map_structure(
                lambda each: None if each is None else each[rows], tuple(self)
            )
        )

    def finite(self) -> "Rows":
        """Return the rows without NaN and Inf."""
        kept = np.ones(self.size, bool)
        for each in keras.tree.flatten((self.x, self.y)):
            if each.dtype.kind in "fc":
                kept &= np.isfinite(each.reshape(len(each), -1)).all(axis=1)
        return self if kept.all() or not kept.any() else self.take(kept)


def rows_of(x: Any, y: Any, weight: Any, batch_size: int) -> tuple[Rows, int]:
    """Return data as arrays, and the rows of a batch.

    What yields batches is read once, or up to half a gigabyte of it.
    """
    if y is None and not _is_array(x):
        read = [_arrays(each) for each in _some(x)]
        joined = keras.tree.map_structure(
            lambda *each: None if each[0] is None else np.concatenate(each),
            *map(tuple, read),
        )
        rows, batch_size = Rows(*joined), read[0].size
    else:
        rows = _arrays((x, y, weight))
    if rows.y is None:
        raise ValueError(
            "`y` must be given with arrays, or be part of the batches. "
            "Received: y=None. Pass the targets."
        )
    return rows, batch_size


def _is_array(x):
    leaves = x if isinstance(x, list | tuple) else [x]
    leaves = x.values() if isinstance(x, dict) else leaves
    return all(hasattr(e, "shape") or hasattr(e, "__array__") for e in leaves)


def _some(batches: Any) -> Iterable[Any]:
    if isinstance(batches, keras.utils.PyDataset):
        count = batches.num_batches
        places = range(count) if count else itertools.count()
        batches = map(batches.__getitem__, places)
    elif not isinstance(batches, Iterable):
        raise TypeError(
            "`x` must be arrays, or yield batches of inputs and targets. "
            f"Received: x={batches!r} without `y`."
        )
    entries = 0
    for batch in batches:
        yield batch
        entries += sum(np.size(each) for each in keras.tree.flatten(batch))
        if entries > _ENTRIES:
            return


def _arrays(batch):
    x, y, weight = keras.utils.unpack_x_y_sample_weight(
        tuple(batch) if isinstance(batch, list | tuple) else batch
    )
    return Rows(
        *keras.tree.map_structure(
            lambda e: None if e is None else _array(e), (x, y, weight)
        )
    )


def _array(given):
    is_tensor = keras.ops.is_tensor(given)
    return keras.ops.convert_to_numpy(given) if is_tensor else np.asarray(given)


def split(rows: Rows, validation: Rows | None) -> tuple[Rows, Rows]:
    """Return training and validation rows, both in a random order."""
    order = np.random.default_rng(0).permutation(rows.size)
    if validation is None:
        aside, order = np.split(order, [max(1, rows.size // 5)])
        validation = rows.take(aside)
    return rows.take(order), validation
