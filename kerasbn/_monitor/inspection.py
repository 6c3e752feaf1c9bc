"""A model and a batch of its data, in numbers that rules can judge.

Everything here goes into JSON: a monitor writes it beside its readings, so that
a run can be judged on a machine without Keras. What cannot be told, as of a
model with several outputs, is `None`.
"""

from typing import Any

import keras
import numpy as np

from kerasbn._graph import activations, kinds, sublayers
from kerasbn.layers import BatchNormalization, InputBatchNormalization

_RESHAPING = (
    keras.layers.InputLayer,
    keras.layers.Reshape,
    keras.layers.Flatten,
    keras.layers.Permute,
    keras.layers.RepeatVector,
    keras.layers.Masking,
    keras.layers.Dropout,
    keras.layers.GaussianNoise,
    keras.layers.ZeroPadding1D,
    keras.layers.ZeroPadding2D,
)
SCALES_INPUTS = (
    *kinds.NORMALIZATIONS,
    keras.layers.Normalization,
    keras.layers.Rescaling,
    keras.layers.Embedding,
    keras.layers.Discretization,
    keras.layers.CategoryEncoding,
    keras.layers.Hashing,
)


# A few dozen targets tell the loss of a constant guess only to some 20 %.
_TARGET_ROWS, _INPUT_ENTRIES = 4096, 2**18


def describe_model(model: keras.Model) -> dict[str, Any]:
    """Return what a compiled, built model is made of.

    Returns:
        "layers", a list in the order of the model; "normalizes_inputs";
        "loss" (its Keras name), "compiled_loss" (whether there is any: a pair
        of networks that play a game has none), "from_logits"; "output" with
        "layer", "activation" and "units".
    """
    layers = [
        _described(layer, activation)
        for layer, activation in dict(sublayers.leaves(model)).items()
    ]
    name, from_logits = loss_of(model)
    return {
        "name": model.name,
        "layers": layers,
        "normalizes_inputs": _normalizes_inputs(model),
        "loss": name,
        "compiled_loss": getattr(model, "loss", None) is not None,
        "from_logits": from_logits,
        "output": _output(model),
    }


def describe_data(model: keras.Model, x: Any, y: Any) -> dict[str, Any]:
    """Return what is special about a batch of inputs and targets.

    Args:
        model: Tells the loss that the targets are for.
        x: Inputs, an array or a structure of arrays.
        y: Targets likewise, or `None`.

    Returns:
        "inputs", a list by input array, and "targets".
    """
    arrays = [np.asarray(each) for each in keras.tree.flatten(x)]
    loss, _ = loss_of(model)
    one = y is not None and not keras.tree.is_nested(y) and loss is not None
    return {
        "inputs": [_inputs(each) for each in arrays],
        "targets": _targets(np.asarray(y), loss) if one else None,
    }


def _described(layer, activation):
    """One layer; statistics of its kernel as it is now."""
    core = getattr(layer, "cell", layer)
    kernel = getattr(core, "kernel", None)
    kind = type(layer).__name__
    found: dict[str, Any] = {
        "path": layer.path or layer.name,
        "type": kind,
        "activation": activations.name(activation) or None,
        "kernel": None,
        "trainable": bool(layer.trainable),
        "normalizes": _normalizes(layer),
        "momentum": getattr(layer, "momentum", None)
        if isinstance(layer, kinds.BATCH_NORMALIZATIONS)
        else None,
        "starts_warm": isinstance(
            layer, BatchNormalization | InputBatchNormalization
        ),
        "after": _producer(layer) if _normalizes(layer) else None,
        "recurrent": isinstance(layer, keras.layers.RNN),
    }
    if kernel is None or len(kernel.shape) < 2:
        return found
    values = kernel.numpy()
    fan_in = int(np.prod(values.shape[:-1]))
    columns = values.reshape(-1, values.shape[-1])
    identical = columns.shape[1] > 1 and bool(
        (columns == columns[:, :1]).all() and np.isfinite(columns).all()
    )
    found |= {
        "kernel": kernel.path,
        "units": values.shape[-1],
        "fan_in": fan_in,
        # What a layer multiplies the deviation of its inputs by.
        "gain": float(columns.std() * np.sqrt(fan_in)),
        "identical_units": identical,
        "has_bias": getattr(core, "bias", None) is not None,
    }
    return found


def _producer(layer):
    """Path of the layer whose output this one normalizes, if that is one."""
    producer = sublayers.producer(layer)
    return getattr(producer, "path", None) or getattr(producer, "name", None)


def _normalizes(layer):
    if isinstance(layer, kinds.BATCH_NORMALIZATIONS):
        return "batch"
    return "layer" if isinstance(layer, kinds.NORMALIZATIONS) else None


def _normalizes_inputs(model):
    """Whether what comes first scales the inputs; `None` if unknown."""
    for layer, _ in sublayers.leaves(model):
        if isinstance(layer, SCALES_INPUTS):
            return True
        if not isinstance(layer, _RESHAPING):
            return False
    return None


def loss_of(model: keras.Model) -> tuple[str | None, bool]:
    """Keras's name of the compiled loss, and whether it wants logits."""
    loss = getattr(model, "loss", None)
    if isinstance(loss, list | tuple) and len(loss) == 1:
        loss = loss[0]
    if loss is None or keras.tree.is_nested(loss):
        return None, False
    try:
        loss = keras.losses.get(loss)
    except ValueError:
        return None, False
    if isinstance(loss, keras.losses.Loss):
        name = _snake_case(type(loss).__name__)
        return name, bool(loss.get_config().get("from_logits", False))
    return getattr(loss, "__name__", None), False


def _snake_case(name):
    parts = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    return parts.lstrip("_")


def _output(model):
    outputs = dict.fromkeys(sublayers.output_layers(model))
    leaves = dict(sublayers.leaves(model))
    last = [layer for layer in outputs if layer in leaves]
    if len(last) != 1:
        return None
    (layer,) = last
    shape = model.output_shape
    if isinstance(shape, list) or not shape or shape[-1] is None:
        return None
    if isinstance(layer, keras.layers.Softmax):
        activation = "softmax"
    else:
        activation = activations.name(leaves[layer]) or "linear"
    return {
        "layer": layer.path or layer.name,
        "activation": activation,
        "units": int(shape[-1]),
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
        # How many times the largest feature exceeds the smallest.
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

    From few rows it comes out too small; what that is on average is known, also
    for an entropy (Miller, 1955).
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


class Inspection:
    """What a monitor finds out about its model and data while it trains."""

    def __init__(self):
        self.model: dict[str, Any] = {}
        self.data: dict[str, Any] = {}
        self._targets: list[np.ndarray] = []

    def see_model(self, model: keras.Model) -> None:
        """Describe the model once, best before the first step."""
        if not self.model and model.built:
            self.model = describe_model(model)

    def see_batch(self, kept: tuple[Any, Any] | None) -> None:
        """Collect the targets of a batch."""
        y = kept and kept[1]
        if y is None or keras.tree.is_nested(y):
            return
        if sum(map(len, self._targets)) < _TARGET_ROWS:
            self._targets.append(y.numpy())

    def see_data(self, model: keras.Model, kept: tuple[Any, Any]) -> None:
        """Describe the inputs, and the targets of all batches seen so far."""
        y = np.concatenate(self._targets) if self._targets else None
        self.data = describe_data(model, kept[0], y)
