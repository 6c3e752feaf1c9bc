"""The data of a run, described for the rules that judge it."""

import json
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np

from kerasbn._monitor import arrays, baselines, heads
from kerasbn._monitor.classes import (
    classes_of,
    is_multi_label,
    is_rare,
    predicted_classes,
)
from kerasbn._monitor.heads import Head

if TYPE_CHECKING:
    from kerasbn._monitor.output_probe import OutputProbe

SEEN = ("outputs", "losses", "arrivals", "rare_found")
"""Parts of a description that need the model to be called."""


class Rows(NamedTuple):
    """Inputs, targets and sample weights, the last two `None` if unknown."""

    x: Any
    y: Any = None
    weight: Any = None


def describe_data(
    model: keras.Model,
    rows: Rows,
    probe: "OutputProbe | None" = None,
    batch: Rows | None = None,
    rare: Rows | None = None,
) -> dict[str, Any]:
    """Describe inputs, targets, outputs and losses.

    Args:
        model: The compiled model.
        rows: All rows that are known, arrays of numpy.
        probe: Reads the model; `None` if it cannot be called.
        batch: The rows that the model is read on.
        rare: Rows of rare classes; `None` if there are none.
    """
    known = heads.heads_of(model)
    x = [np.asarray(each) for each in keras.tree.flatten(rows.x)]
    y = _parts(rows.y, known)
    weights = _parts(rows.weight, known)
    found: dict[str, Any] = {
        "rows": len(x[0]),
        "inputs": [arrays.inputs(each) for each in x],
        "targets": [
            None if each is None else arrays.targets(_counted(each, w), head)
            for each, w, head in zip(y, weights, known, strict=True)
        ],
        "signed": any(w is not None and np.any(w < 0) for w in weights),
        "target_names": _target_names(rows.y, known),
        "outputs": [None] * len(known),
        "losses": {},
        "arrivals": {},
        "rare_found": None,
    }
    if probe is None or batch is None:
        return found
    try:
        seen = probe.read(batch)
    except Exception as error:
        # A loss may not compute, as of labels that no unit stands for. The
        # outputs still tell something, and the diagnosis quotes the error.
        found["error"] = readable(error)
        seen = probe.read(Rows(batch.x))
    found["losses"] = seen.losses
    found["arrivals"] = {
        path: arrays.scale(*moments) for path, moments in seen.arrivals.items()
    }
    if len(seen.predictions) == len(known):
        targets = _parts(batch.y, known)
        found["outputs"] = [
            _outputs(*each)
            for each in zip(seen.predictions, targets, known, strict=True)
        ]
        if "error" not in found:
            found["losses"] |= _levels(probe, rows, seen, known)
        if rare is not None:
            found["rare_found"] = _rare_found(probe, rows, rare, known)
    return found


def learnable(model: keras.Model, rows: Rows) -> float | None:
    """Return what cheap models explain of the targets, of the best output."""
    known = heads.heads_of(model)
    x = [np.asarray(each) for each in keras.tree.flatten(rows.x)]
    if not all(np.issubdtype(each.dtype, np.number) for each in x):
        return None
    shares = [
        baselines.learnable(x, baselines.as_numbers(each, head.loss))
        for each, head in zip(_parts(rows.y, known), known, strict=True)
        if each is not None and np.issubdtype(each.dtype, np.number)
    ]
    return max((each for each in shares if each is not None), default=None)


def take(structure: Any, rows: Any) -> Any:
    """Return some rows of each array of a structure."""
    return keras.tree.map_structure(
        lambda each: None if each is None else np.asarray(each)[rows], structure
    )


def rare_rows(model: keras.Model, rows: Rows) -> np.ndarray:
    """Return where a class stands that few elements have, at most 64 rows."""
    known = heads.heads_of(model)
    for y, head in zip(_parts(rows.y, known), known, strict=True):
        if y is not None and (rare := is_rare(y, head)) is not None:
            found = np.flatnonzero(rare.reshape(len(y), -1).any(axis=1))
            if len(found):
                return found[:64]
    return np.empty(0, int)


def readable(error: Exception) -> str:
    """Return the kind and the first line of an error.

    Keras writes which layer was called in front of it, and colors it.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = re.sub("^Exception encountered .*", "", plain).split("\n")
    line = next(filter(None, map(str.strip, lines)), "no reason is given")
    return f"{type(error).__name__}: {line.removesuffix('.')}"


def _parts(structure, known: list[Head]) -> list[Any]:
    """The arrays of each output, `None` where there is none."""
    parts = heads.parts_of(structure, [head.name for head in known])
    single = len(known) == 1 and len(keras.tree.flatten(structure)) == 1
    if single:
        parts = keras.tree.flatten(structure)
    return [
        None if each is None or keras.tree.is_nested(each) else np.asarray(each)
        for each in parts
    ]


def _counted(y, weight):
    """The targets of rows with a weight: others may be placeholders."""
    if weight is None or weight.shape != y.shape[:1] or not np.any(weight):
        return y
    return y[weight != 0.0]


def _target_names(structure, known):
    """How a script names the targets of each output."""
    if isinstance(structure, dict):
        return [f"y[{json.dumps(head.name)}]" for head in known]
    if len(known) > 1 and isinstance(structure, list | tuple):
        return [f"y[{i}]" for i in range(len(known))]
    return ["y"] * len(known)


def _levels(probe, rows, seen, known):
    """The losses of the best constant prediction and of a perfect one.

    They are NaN where they are not known. Few rows make the first too small;
    the correction is known on average, for an entropy too (Miller, 1955).
    """
    targets = _parts(rows.y, known)
    parts = [
        (y, weight, head, each.shape[1:])
        for y, weight, head, each in zip(
            targets,
            _parts(rows.weight, known),
            known,
            seen.predictions,
            strict=True,
        )
    ]
    found = {"guess": np.nan, "floor": np.nan}
    if any(y is None for y in targets):
        return found
    constants = [baselines.constant_guess(*each) for each in parts]
    if any(each is None for each in constants):
        return found
    perfect = [baselines.perfect(y, head, shape) for y, _, head, shape in parts]
    found = {
        "guess": probe.loss_of(constants, rows),
        "floor": probe.loss_of(perfect, rows),
    }
    if len(known) > 1 or rows.weight is not None or len(targets[0]) < 2:
        return found
    (y,), (head,) = targets, known
    if head.loss == "mean_squared_error":
        found["guess"] *= len(y) / (len(y) - 1)
    if "crossentropy" in str(head.loss):
        free, places = 1, len(y)  # of each label, if there are several
        if not is_multi_label(y, head):
            labels = classes_of(y, head)
            free, places = max(1, len(np.unique(labels)) - 1), np.size(labels)
        found["guess"] += free / (2 * places)
    return found


def _outputs(predictions, y, head):
    """What comes out, whatever computes it."""
    if not predictions.size or not np.isfinite(predictions).all():
        return None
    found = {
        "shape": list(predictions.shape[1:]),
        "units": heads.units_of(predictions),
        "low": float(predictions.min()),
        "high": float(predictions.max()),
        # Deviation from row to row, where the rows differ most.
        "varies": float(predictions.std(axis=0).max()),
        "sums_to_one": _sums_to_one(predictions, -1),
        # Another axis on which they add up to 1.
        "other_axis": next(
            (
                axis
                for axis in range(1, predictions.ndim - 1)
                if _sums_to_one(predictions, axis)
            ),
            None,
        ),
        "classes": None,
        # Share of the targets' variance that a line through them explains; of
        # labels, the accuracy beyond that of a constant guess.
        "explained": _explained(predictions, y),
    }
    if y is not None and classes_of(y, head) is not None:
        classes = np.unique(predicted_classes(predictions, y, head))
        found["classes"] = len(classes)
    return found


def _explained(predictions, y):
    if y is None or y.dtype.kind not in "fiub":
        return None
    if y.size * predictions.shape[-1] == predictions.size != y.size:
        labels = y.reshape(predictions.shape[:-1])
        accuracy = (predictions.argmax(axis=-1) == labels).mean()
        guess = np.unique(labels, return_counts=True)[1].max() / labels.size
        return float((accuracy - guess) / max(1.0 - guess, 1e-12))
    if y.size != predictions.size:
        return None
    pairs = np.stack([predictions.ravel(), y.ravel().astype("float64")])
    if not np.isfinite(pairs).all() or not pairs.std(axis=1).all():
        return 0.0
    return float(np.corrcoef(pairs)[0, 1] ** 2)


def _sums_to_one(predictions, axis):
    if predictions.ndim < 2 or predictions.shape[axis] < 2:
        return False
    sums = predictions.sum(axis=axis)
    return bool(np.abs(sums - 1.0).max() < 1e-2 and predictions.min() >= 0.0)


def _rare_found(probe, rows, rare, known):
    """Share of the elements of rare classes that are predicted as such."""
    seen, shares = probe.read(rare), []
    parts = _parts(rows.y, known), _parts(rare.y, known), known
    for prediction, every, y, head in zip(
        seen.predictions, *parts, strict=True
    ):
        if y is None or (where := is_rare(every, head)) is None:
            continue
        labels = np.unique(classes_of(every, head)[where])
        true = classes_of(y, head)
        places = np.isin(true, labels)
        right = predicted_classes(prediction, y, head) == true
        if places.any():
            shares.append(float(right[places].mean()))
    return min(shares, default=None)
