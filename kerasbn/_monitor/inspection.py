"""The model and the data of a run, described for the rules that judge it."""

from typing import Any

import keras
import numpy as np

from kerasbn._monitor import model_description

_INPUT_ENTRIES = 2**18
# With a few dozen targets the loss of a constant guess is off by some 20 %.
_TARGET_ROWS = 4096


class Inspection:
    """Descriptions that a monitor collects of its model and data."""

    def __init__(self):
        self.model: dict[str, Any] = {}
        self.data: dict[str, Any] = {}
        self._targets: list[np.ndarray] = []

    def see_model(self, model: keras.Model) -> None:
        """Describe the model, once: its kernels are best seen untrained."""
        if not self.model and model.built:
            self.model = model_description.describe_model(model)

    def see_batch(self, kept: tuple[Any, Any, Any] | None) -> None:
        y = kept and kept[1]
        if y is None or keras.tree.is_nested(y):
            return
        if sum(map(len, self._targets)) < _TARGET_ROWS:
            self._targets.append(y.numpy())

    def see_data(self, model: keras.Model, kept: tuple[Any, Any, Any]) -> None:
        """Describe the inputs, and the targets of all batches seen so far."""
        y = np.concatenate(self._targets) if self._targets else None
        self.data = describe_data(model, kept[0], y)


def describe_data(model: keras.Model, x: Any, y: Any) -> dict[str, Any]:
    """Describe each array of inputs, and the targets of the model's loss."""
    arrays = [np.asarray(each) for each in keras.tree.flatten(x)]
    loss, _ = model_description.loss_of(model)
    one = y is not None and not keras.tree.is_nested(y) and loss is not None
    return {
        "inputs": [_inputs(each) for each in arrays],
        "targets": _targets(np.asarray(y), loss) if one else None,
    }


def _inputs(x):
    if not np.issubdtype(x.dtype, np.number) or not x.size:
        return None
    values = x[: max(1, _INPUT_ENTRIES // (x[0].size or 1))].astype("float64")
    finite = np.isfinite(values)
    values = np.where(finite, values, 0.0)
    features = values.reshape(-1, values.shape[-1] if values.ndim > 1 else 1)
    deviation = features.std(axis=0)
    varying = deviation[deviation > 0]
    return {
        "integers": bool(np.issubdtype(x.dtype, np.integer)),
        "shape": list(x.shape[1:]),
        "rms": float(np.sqrt(np.square(values).mean())),
        "largest": float(np.abs(values).max()),
        # Ratio of the largest deviation of a feature to the smallest.
        "spread": float(varying.max() / varying.min()) if len(varying) else 1.0,
        "deviation": float(np.median(varying)) if len(varying) else 0.0,
        "offset": float(np.abs(features.mean(axis=0)).max()),
        "not_finite": int((~finite).sum()),
    }


def _targets(y, loss):
    if not np.issubdtype(y.dtype, np.number) and y.dtype != bool:
        return None
    values = y.astype("float64").reshape(len(y), -1)
    finite = np.isfinite(values).all()
    integers = bool(finite and (values == np.round(values)).all())
    binary = bool(integers and set(np.unique(values)) <= {0.0, 1.0})
    return {
        "columns": values.shape[1],
        "low": float(np.nanmin(values)),
        "high": float(np.nanmax(values)),
        "distinct": len(np.unique(values)),
        "deviation": float(np.nanstd(values)),
        "integers": integers,
        "one_hot": bool(
            binary and values.shape[1] > 1 and (values.sum(axis=1) == 1).all()
        ),
        "binary": binary,
        "not_finite": int((~np.isfinite(values)).sum()),
        "trivial_loss": _trivial_loss(values, loss) if finite else None,
    }


def _trivial_loss(y, loss):
    """The loss of the best prediction that ignores the inputs.

    Few rows make it too small; the correction is known on average, for an
    entropy too (Miller, 1955).
    """
    mean, rows = y.mean(axis=0), len(y)
    if loss in ("mean_squared_error", "mse"):
        return float(y.var(axis=0).mean() * rows / max(1, rows - 1))
    if loss in ("mean_absolute_error", "mae"):
        return float(np.abs(y - np.median(y, axis=0)).mean())
    if loss in ("huber", "log_cosh"):
        shift = np.abs(y - np.median(y, axis=0))
        huber = np.where(shift <= 1, 0.5 * shift**2, shift - 0.5)
        logcosh = shift + np.log1p(np.exp(-2 * shift)) - np.log(2)
        return float((huber if loss == "huber" else logcosh).mean())
    if loss == "binary_crossentropy" and 0 <= y.min() and y.max() <= 1:
        p = np.clip(mean, 1e-7, 1 - 1e-7)
        entropy = -(p * np.log(p) + (1 - p) * np.log(1 - p)).mean()
        return float(entropy + 0.5 / rows)
    if loss == "categorical_crossentropy" and y.shape[1] > 1:
        p = mean[mean > 0]
        return float(-(p * np.log(p)).sum() + (len(p) - 1) / (2 * rows))
    if loss == "sparse_categorical_crossentropy":
        counts = np.unique(y, return_counts=True)[1] / y.size
        entropy = -(counts * np.log(counts)).sum()
        return float(entropy + (len(counts) - 1) / (2 * rows))
    return None
