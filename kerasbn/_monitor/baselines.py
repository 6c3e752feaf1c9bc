"""What can be had without the network: constant guesses and cheap models."""

from typing import Any

import numpy as np

from kerasbn._monitor.heads import Head

_MEAN = {"mean_squared_error", "poisson", "mean_squared_logarithmic_error"}
_MEDIAN = {"mean_absolute_error", "huber", "log_cosh"}
_BINARY = {"binary_crossentropy", "binary_focal_crossentropy"}
_CLASSES = {
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "kl_divergence",
}
_SPARSE = {"sparse_categorical_crossentropy"}
_HINGE = {"hinge", "squared_hinge"}
_ROWS, _BUCKETS = 768, 512


def constant_guess(
    y: np.ndarray, weight: np.ndarray | None, head: Head, shape: tuple[int, ...]
) -> np.ndarray | None:
    """Return the best prediction that ignores the inputs, for each row.

    It is `None` for a loss whose best constant is not known. `shape` is that of
    a row of predictions.
    """
    rows, loss = len(y), head.loss
    if loss in _SPARSE:
        shares = _label_shares(y, weight, shape[-1])
    elif y[0].size != np.prod(shape, dtype=int):
        return None
    else:
        y = y.reshape(rows, *shape).astype("float64")
        weight = _aligned(weight, y)
        if loss in _MEAN:
            shares = np.average(y, axis=0, weights=weight)
        elif loss in _MEDIAN:
            shares = np.median(y, axis=0)
        elif loss in _BINARY | _CLASSES | _HINGE:
            axes = tuple(range(max(1, y.ndim - 1)))
            shares = np.average(y, axis=axes, weights=weight)
        else:
            return None
    constant = np.asarray(_as_output(shares, y, head))
    return np.broadcast_to(constant, (rows, *shape)).astype("float32")


def perfect(y: np.ndarray, head: Head, shape: tuple[int, ...]) -> np.ndarray:
    """Return predictions that equal the targets, of a loss known as above."""
    if head.loss in _SPARSE:
        labels = y.reshape(len(y), *shape[:-1]).astype(int)
        found = np.eye(shape[-1])[np.clip(labels, 0, shape[-1] - 1)]
    else:
        found = y.reshape(len(y), *shape).astype("float64")
    return _as_output(found, y, head).astype("float32")


def _as_output(shares: Any, y: np.ndarray, head: Head) -> Any:
    """Shares of classes, or numbers, in the form that the loss takes."""
    if head.loss in _BINARY | _CLASSES | _SPARSE:
        most = 1.0 - 1e-7 * (head.loss in _BINARY)
        shares = np.clip(shares, 1e-7, most)
        if head.from_logits:
            odds = 1.0 - shares if head.loss in _BINARY else 1.0
            return np.log(shares / odds)
    elif head.loss in _HINGE:
        # Keras takes labels of 0 and 1 as -1 and 1.
        return np.where(shares > (0.5 if y.min() >= 0.0 else 0.0), 1.0, -1.0)
    return shares


def _label_shares(y, weight, classes):
    labels = y.reshape(-1).astype(int)
    aligned = _aligned(weight, y)
    counted = np.ones(y.size) if aligned is None else aligned.reshape(-1)
    known = (labels >= 0) & (labels < classes)  # not an ignored class
    counts = np.bincount(labels[known], counted[known], classes)
    return counts / max(counts.sum(), 1e-12)


def _aligned(weight, y):
    """Weights with an axis for each one of the targets; `None` for none."""
    if weight is None or not np.any(weight):
        return None
    weight = weight.astype("float64").reshape(
        weight.shape[: y.ndim] + (1,) * (y.ndim - weight.ndim)
    )
    return np.broadcast_to(weight, y.shape)


def learnable(x: list[np.ndarray], targets: np.ndarray) -> float | None:
    """Return the share of the targets' variance that cheap models explain.

    It is the larger one of ridge regression and of nearest neighbors, each
    measured on rows left out, less two standard errors. `None` if there are too
    few rows to tell.
    """
    rows = min(len(targets), _ROWS)
    if rows < 48:
        return None
    features = [_features(each[:rows]) for each in x]
    values = np.concatenate(features, axis=1)
    values = (values - values.mean(axis=0)) / np.maximum(values.std(0), 1e-9)
    targets = targets[:rows].reshape(rows, -1).astype("float64")
    targets = targets - targets.mean(axis=0)
    deviation = np.sqrt(np.square(targets).mean(axis=0))
    targets = (targets / np.maximum(deviation, 1e-12))[:, deviation > 0]
    if not targets.size or not np.isfinite(values).all():
        return None
    inner = values @ values.T / values.shape[1]
    return max(_ridge(inner, targets), _neighbors(inner, targets))


def _features(x):
    """A row of numbers for each row: counts of tokens, else all entries."""
    if np.issubdtype(x.dtype, np.integer) and x.ndim == 2 and x.max() > 1:
        counts = np.zeros((len(x), _BUCKETS))
        places = np.arange(len(x))[:, None], x % _BUCKETS
        np.add.at(counts, places, 1.0)
        return counts
    return x.reshape(len(x), -1).astype("float64")


def _ridge(inner, targets):
    """The best of some penalties, each row predicted without itself."""
    values, vectors = np.linalg.eigh(inner)
    values, found = np.maximum(values, 0.0), []
    for penalty in np.mean(values) * 10.0 ** np.arange(-2, 3):
        shrunk = values / (values + penalty)
        fitted = (vectors * shrunk) @ (vectors.T @ targets)
        own = np.square(vectors) @ shrunk
        left = (targets - fitted) / (1.0 - own + 1e-9)[:, None]
        found.append(_explained(left, targets))
    return max(found)


def _explained(left, targets):
    """Share of the variance that is gone, less two standard errors."""
    whole = np.square(targets).mean(axis=1)
    share = 1.0 - np.square(left).mean() / whole.mean()
    error = (np.square(left).mean(axis=1) - (1.0 - share) * whole).std()
    return float(share - 2.0 * error / np.sqrt(len(whole)))


def _neighbors(inner, targets):
    square = np.diag(inner)
    distance = square[:, None] + square - 2.0 * inner
    np.fill_diagonal(distance, np.inf)
    count = min(10, len(inner) // 10)
    nearest = np.argpartition(distance, count, axis=1)[:, :count]
    guess = targets[nearest].mean(axis=1)
    return _explained(targets - guess, targets)


def as_numbers(y: np.ndarray, loss: str | None) -> Any:
    """Return targets for a cheap model: classes as columns of 0 and 1."""
    if loss in _SPARSE and y[0].size == 1:
        return np.eye(int(y.max()) + 1)[y.reshape(-1).astype(int)]
    return y
