"""Rows of the training data, collected from the batches of a run."""

from typing import Any

import keras
import numpy as np

from kerasbn._monitor import inspection, model_description
from kerasbn._monitor.inspection import Rows

# More rows tell more of rare classes; what they hold takes memory.
_ROWS, _ENTRIES = 4096, 2**22


class Sample:
    """The rows that a monitor has seen, and what they tell of its model.

    Attributes:
        model: See `model_description.describe_model`; empty until it is built.
        data: See `inspection.describe_data`; empty until it is looked at.
    """

    def __init__(self):
        self.model: dict[str, Any] = {}
        self.data: dict[str, Any] = {}
        self._batches: list[Rows] = []
        self._seen: dict[str, Any] = {}  # of the data, by calling the model
        self._judged_rows = 0

    def see_model(self, model: keras.Model) -> None:
        """Describe the model, once: its kernels are best seen untrained."""
        if not self.model and model.built:
            self.model = model_description.describe_model(model)

    def see_batch(self, kept: tuple[Any, ...] | None) -> None:
        """Add a kept batch; the oldest make room for it."""
        if kept is None:
            return
        batch = Rows(*keras.tree.map_structure(_array, tuple(kept)))
        before = self._batches and self._batches[-1]
        if before and _same(batch, before):
            return
        self._batches.append(batch)
        rows = sum(_count(each) for each in self._batches)
        entries = sum(_entries(each) for each in self._batches)
        while len(self._batches) > 1 and (rows > _ROWS or entries > _ENTRIES):
            oldest = self._batches.pop(0)
            rows, entries = rows - _count(oldest), entries - _entries(oldest)

    def look(self, model: keras.Model, probe: Any, step: int) -> None:
        """Describe the rows seen so far, and what the model makes of them.

        Without a probe the model is not called, and what it made of earlier
        rows stays.
        """
        if not self._batches:
            return
        rows = self._rows()
        if probe is None:
            found = inspection.describe_data(model, rows)
            self.data = {**found, **self._seen}
            return
        self.data = inspection.describe_data(
            model, rows, probe, self._batches[-1], _rare(model, rows)
        )
        self._seen |= {key: self.data[key] for key in inspection.SEEN}
        self._seen["looked_at"] = step
        if _count(rows) >= 2 * self._judged_rows:  # it takes some 0.1 s
            self._judged_rows = _count(rows)
            self._seen["learnable"] = inspection.learnable(model, rows)
        self.data |= self._seen

    def _rows(self):
        last = self._batches[-1]
        alike = [e for e in self._batches if _shapes(e) == _shapes(last)]
        flat = [keras.tree.flatten(tuple(each)) for each in alike]
        joined = [
            None if each[0] is None else np.concatenate(each)
            for each in zip(*flat, strict=True)
        ]
        return Rows(*keras.tree.pack_sequence_as(tuple(last), joined))


def _rare(model, rows):
    """Rows of rare classes, if the model takes any number of rows."""
    if any(each.shape[0] for each in getattr(model, "inputs", None) or ()):
        return None
    places = inspection.rare_rows(model, rows)
    if not len(places):
        return None
    return Rows(*inspection.take(tuple(rows), places))


def _array(tensor):
    return None if tensor is None else np.asarray(tensor)


def _flat(rows):
    return [e for e in keras.tree.flatten(tuple(rows)) if e is not None]


def _count(rows):
    return len(_flat(rows)[0])


def _entries(rows):
    return sum(each.size for each in _flat(rows))


def _shapes(rows):
    flat = keras.tree.flatten(tuple(rows))
    return [None if each is None else each.shape[1:] for each in flat]


def _same(one, other):
    pairs = zip(_flat(one), _flat(other), strict=False)
    return all(np.array_equal(*pair) for pair in pairs)
