"""The score of a model on some rows, and how it compares with a guess."""

import math
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasbn._monitor import heads
from kerasbn.diagnosis._thresholds import LIMITS

# What rows that were trained on may add, or take: half of it.
_MEMORY = 0.1
_BATCH = 256


class Score(NamedTuple):
    """The score of a model.

    Attributes:
        name: "accuracy", "balanced accuracy" (the mean over the classes), "R²",
            or "loss" where nothing else is known to compare.
        value: The score; NaN if the predictions are not finite.
        skill: For comparisons: 0 for a constant guess, 1 for perfect, the
            logarithm of the error below 0, minus infinity for NaN.
    """

    name: str
    value: float
    skill: float


class Scorer:
    """Scores models on the same rows, those kept for validation first.

    A model with another loss, or more output units, is scored the same way.
    """

    def __init__(self, model: keras.Model, validation: Any, training: Any):
        self._parts = [validation, training]
        known = heads.heads_of(model)
        names = [each.name for each in known]
        parts = [heads.parts_of(e.y, names) for e in self._parts]
        if len(names) == 1:
            parts = [keras.tree.flatten(each.y) for each in self._parts]
        ignored = getattr(model.loss, "ignore_class", None)
        self._targets = [
            [np.where(np.asarray(y) == ignored, -1, y) for y in each]
            for each in parts
        ]
        self._classes = [
            _are_classes(*each)
            for each in zip(known, self._targets[0], strict=False)
        ]
        self._reference: float | None = None  # the first loss

    def __call__(self, model: keras.Model) -> Score:
        scores: list[list[Any]] = [
            [
                _score(*each, rows.weight)
                for each in zip(
                    _predicted(model, rows.x),
                    targets,
                    zip(heads.heads_of(model), self._classes, strict=True),
                    strict=False,
                )
            ]
            for rows, targets in zip(self._parts, self._targets, strict=True)
        ]
        if not all(each and None not in each for each in scores):
            return self._by_loss(model)
        names = " and ".join(dict.fromkeys(each.name for each in scores[0]))
        value = float(np.mean([each.value for each in scores[0]]))
        own, other = (float(np.mean([e.skill for e in s])) for s in scores)
        if not math.isfinite(own + other):
            return Score(names, math.nan, -math.inf)
        own += 0.5 * min(_MEMORY, max(-_MEMORY, other - own))
        return Score(names, value, own)

    def _by_loss(self, model):
        x, y, weight = self._parts[0]
        loss = model.evaluate(
            x, y, sample_weight=weight, verbose=0, return_dict=True
        )["loss"]
        if self._reference is None or not math.isfinite(self._reference):
            self._reference = float(loss)
        gone = (self._reference - loss) / max(abs(self._reference), 1e-12)
        return Score("loss", float(loss), _skill(float(gone)))


def _predicted(model, x):
    """The outputs, flat. A compiled function would be traced for each model."""
    rows = model.inputs[0].shape[0] or _BATCH
    count = len(keras.tree.flatten(x)[0])
    found = [
        keras.tree.flatten(
            model(
                keras.tree.map_structure(
                    lambda e, i=i: keras.ops.convert_to_tensor(e[i : i + rows]),
                    x,
                ),
                training=False,
            )
        )
        for i in range(0, count, rows)
    ]
    return [
        np.concatenate([keras.ops.convert_to_numpy(e) for e in each]).astype(
            "float64"
        )
        for each in zip(*found, strict=True)
    ]


def _are_classes(head, y):
    named = any(each in str(head.loss) for each in ("entropy", "hinge"))
    whole = y.dtype.kind in "iub" or bool((y == np.round(y)).all())
    return whole and (named or bool(np.isin(y, (0, 1)).all()))


def _skill(share):
    """A share of what a guess leaves, with relative differences below 0."""
    if math.isnan(share):
        return -math.inf
    return share if share >= 0.0 else -math.log1p(-share)


def _score(predicted, y, kind, weight):
    """The score of an output; `None` if its shape tells nothing."""
    head, classes = kind
    if not np.isfinite(predicted).all():
        name = "accuracy" if classes else "R²"
        return Score(name, math.nan, -math.inf)
    units = predicted.shape[-1] if predicted.ndim > 1 else 1
    if not classes or y.size not in (predicted.size, predicted.size // units):
        return _of_numbers(predicted, y, weight, str(head.loss))
    shares = predicted.reshape(-1, units)
    y = y.reshape(len(shares), -1)
    weights = np.ones(len(shares))
    if weight is not None and len(shares) % weight.size == 0:
        weights = np.repeat(weight.ravel(), len(shares) // weight.size)
    if y.shape[1] == units > 1 and (y.sum(axis=1) == 1).all():
        labels = y.argmax(axis=1)
    elif y.shape[1] < units:
        labels = y[:, 0].astype(int)
    elif np.isin(y, (-1, 0, 1)).all() and y.min() + y.max() < 2:
        # Each unit answers a question of its own.
        labels, weights = (y.ravel() > 0).astype(int), np.repeat(weights, units)
        shares = shares.reshape(-1, 1)
        if "hinge" in str(head.loss):
            shares = (shares + 1.0) / 2.0
        elif head.from_logits:
            shares = 1.0 / (1.0 + np.exp(-np.clip(shares, -30, 30)))
        shares, units = np.concatenate([1.0 - shares, shares], axis=1), 0
    else:  # one number for many classes
        labels = y[:, 0].astype(int)
        found = np.clip(np.round(shares[:, 0]), 0, labels.max()).astype(int)
        shares = np.eye(labels.max() + 1)[found]
    if head.from_logits and units > 1:
        shares = np.exp(shares - shares.max(axis=1, keepdims=True))
        shares = shares / shares.sum(axis=1, keepdims=True)
    weights = weights * (labels >= 0)
    return _of_classes(shares, np.maximum(labels, 0), weights)


def _of_classes(shares, labels, weights):
    """Accuracy, and how sure the outputs are of what is right.

    The second tells more than the first where there are few rows.
    """
    count = max(shares.shape[1], labels.max() + 1)
    shares = np.pad(shares, [(0, 0), (0, count - shares.shape[1])])
    name, parts = "accuracy", np.bincount(labels, weights, count)
    if parts.max() > LIMITS.majority * parts.sum():
        name = f"balanced {name}"
        weights = weights / np.maximum(parts, 1e-12)[labels]
    weights = weights / max(weights.sum(), 1e-12)
    accuracy = float(weights @ (shares.argmax(axis=1) == labels))
    guess = np.bincount(labels, weights, count)
    gain = (accuracy - guess.max()) / max(1.0 - guess.max(), 1e-12)
    error = np.square(np.clip(shares, 0, 1) - np.eye(count)[labels]).sum(axis=1)
    sure = 1.0 - weights @ error / max(1.0 - guess @ guess, 1e-12)
    return Score(name, accuracy, float(gain + _skill(sure)) / 2)


def _of_numbers(predicted, y, weight, loss):
    predicted, y = (each.reshape(len(each), -1) for each in (predicted, y))
    if predicted.shape != y.shape and (
        # The user's own may take other outputs, as mean and deviation.
        not hasattr(keras.losses, loss)
        or 1 not in (predicted.shape[1], y.shape[1])
    ):
        return None
    weights = np.ones(len(y))
    if weight is not None and weight.size == len(y):
        weights = weight.ravel().astype("float64")
    error = np.average(np.square(predicted - y).mean(1), weights=weights)
    mean = np.average(y, axis=0, weights=weights)
    spread = np.average(np.square(y - mean).mean(1), weights=weights)
    share = 1.0 - error / max(spread, 1e-12)
    return Score("R²", float(share), _skill(float(share)))
