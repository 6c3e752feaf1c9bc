"""Batches of a training, taken from whatever `fit` takes."""

import itertools
from collections.abc import Iterable, Mapping
from typing import Any

import keras
import numpy as np


def batches(
    x: Any,
    y: Any,
    sample_weight: Any,
    class_weight: dict[int, float] | None,
    batch_size: int,
    count: int,
) -> list[Any]:
    """Return so many batches as a train step takes them, shuffled if arrays.

    They are of one size, so that a step is traced once.
    """
    if class_weight is not None and sample_weight is not None:
        raise ValueError(
            "At most one of `class_weight` and `sample_weight` must be given. "
            "Received: both. Multiply the sample weights by the class weights."
        )
    if _are_arrays(x):
        found = _slices((x, y, sample_weight), batch_size, count)
    else:
        _check_lone(y, sample_weight)
        elements = itertools.islice(_elements(x), count)
        found = [keras.utils.unpack_x_y_sample_weight(e) for e in elements]
    if not found:
        raise ValueError(
            "`x` must hold at least one row. Received: none. Pass the training "
            "data."
        )
    found = [each for each in found if _rows(each) == _rows(found[0])]
    if class_weight is not None:
        found = [
            (x, y, _weights(np.asarray(y), class_weight)) for x, y, _ in found
        ]
    return [keras.utils.pack_x_y_sample_weight(*each) for each in found]


def _are_arrays(x):
    return (
        isinstance(x, Mapping | tuple | list)
        or hasattr(x, "__array__")
        or not isinstance(x, Iterable | keras.utils.PyDataset)
    )


def _check_lone(y, sample_weight):
    if y is not None or sample_weight is not None:
        raise ValueError(
            "`y` and `sample_weight` must be part of the batches if `x` yields "
            "batches. Received: them as arguments. Let `x` yield "
            "`(inputs, targets, weights)`."
        )


def _elements(x):
    if isinstance(x, keras.utils.PyDataset):
        if x.num_batches is None:
            return (x[place] for place in itertools.count())
        order = np.random.default_rng(0).permutation(x.num_batches)
        return (x[int(place)] for place in order)
    return iter(x)


def _slices(data, size, count):
    arrays = keras.tree.map_structure(
        lambda each: None if each is None else np.asarray(each), data
    )
    lengths = {len(e) for e in keras.tree.flatten(arrays) if e is not None}
    if len(lengths) > 1:
        raise ValueError(
            "`x`, `y` and `sample_weight` must hold as many rows each. "
            f"Received: rows={sorted(lengths)}."
        )
    rows = min(lengths)
    size = min(size, rows)
    if not size:
        return []
    rng = np.random.default_rng(0)
    places: list[int] = []
    while len(places) < count * size:
        places.extend(rng.permutation(rows)[: rows // size * size])
    chosen = np.reshape(places[: count * size], (count, size))
    return [
        keras.tree.map_structure(lambda a, e=each: _taken(a, e), arrays)
        for each in chosen
    ]


def _taken(array, places):
    """Rows of an array, in the precision in which `fit` passes them on."""
    if array is None:
        return None
    taken = array[places]
    floating = np.issubdtype(taken.dtype, np.floating)
    return taken.astype(keras.config.floatx()) if floating else taken


def _rows(batch):
    flat = keras.tree.flatten(batch)
    return next(each.shape[0] for each in flat if each is not None)


def _weights(y, class_weight):
    """The weight of the class of each label, as in `fit`."""
    if y.ndim > 1:
        y = y.argmax(axis=-1) if y.shape[-1] != 1 else y[..., 0]
    weights = np.ones(y.shape, keras.config.floatx())
    for label, weight in class_weight.items():
        weights[np.round(y) == label] = weight
    return weights
