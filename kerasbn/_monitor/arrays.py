"""Arrays of inputs and of targets in numbers."""

import numpy as np

from kerasbn._monitor.classes import balance

# Entries that are looked at closely.
_ENTRIES = 2**22


def inputs(x):
    if not np.issubdtype(x.dtype, np.number) or not x.size:
        return None
    not_finite = _not_finite(x)
    values = _some(x).astype("float64")
    values = np.where(np.isfinite(values), values, 0.0)
    features = values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1)
    return {
        "integers": bool(np.issubdtype(x.dtype, np.integer)),
        "shape": list(x.shape[1:]),
        **scale(features.mean(axis=0), features.std(axis=0)),
        "largest": float(np.abs(values).max()),
        "not_finite": len(not_finite),
        "not_finite_rows": not_finite[:5],
    }


def scale(mean, deviation):
    """Size of features, from the mean and the deviation of each."""
    varying = deviation[deviation > 1e-6 * np.abs(mean)]
    size = np.sqrt(np.square(mean) + np.square(deviation))
    return {
        "rms": float(np.sqrt(np.square(size).mean())),
        # RMS of the feature in which it is largest.
        "size": float(size.max()),
        # Ratio of the largest deviation of a feature to the smallest.
        "spread": float(varying.max() / varying.min()) if len(varying) else 1.0,
        "deviation": float(np.median(varying)) if len(varying) else 0.0,
        "offset": float(np.abs(mean).max()),
    }


def targets(y, head):
    if not np.issubdtype(y.dtype, np.number) and y.dtype != bool:
        return None
    not_finite = _not_finite(y)
    values = _some(y).astype("float64")
    finite = values[np.isfinite(values)]
    if not finite.size:
        return None
    distinct = np.unique(finite)
    integers = bool(not not_finite and (distinct == np.round(distinct)).all())
    binary = bool(integers and set(distinct) <= {0.0, 1.0})
    last = y.shape[-1] if y.ndim > 1 else 1
    sums = y.sum(axis=-1) if y.ndim > 1 else y
    return {
        "shape": list(y.shape[1:]),
        "columns": last,
        "low": float(distinct[0]),
        "high": float(distinct[-1]),
        "distinct": len(distinct),
        "mean": float(finite.mean()),
        "deviation": float(finite.std()),
        "rms": float(np.sqrt(np.square(finite).mean())),
        "integers": integers,
        "one_hot": bool(binary and last > 1 and (sums == 1).all()),
        "binary": binary,
        "not_finite": len(not_finite),
        "not_finite_rows": not_finite[:5],
        "balance": balance(y, head),
    }


def _not_finite(array):
    """Rows that hold NaN or Inf."""
    if not np.issubdtype(array.dtype, np.inexact):
        return []
    finite = np.isfinite(array).reshape(len(array), -1).all(axis=1)
    return np.flatnonzero(~finite).tolist()


def _some(array):
    """Rows from all over an array, as many as can be looked at closely."""
    most = max(1, _ENTRIES // max(1, array[0].size))
    if len(array) <= most:
        return array
    return array[np.linspace(0, len(array) - 1, most).astype(int)]
