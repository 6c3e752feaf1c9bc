"""A compiled model, described in JSON for the rules that judge a run.

A monitor writes it next to its readings, so that a run can be judged on a
machine without Keras. Unknown values, as of a model with several outputs, are
`None`.
"""

import re
from typing import Any

import keras
import numpy as np

from kerasbn._graph import activations, code, kinds, sublayers
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


def describe_model(model: keras.Model) -> dict[str, Any]:
    layers = dict(sublayers.leaves(model)).items()
    name, from_logits = loss_of(model)
    return {
        "name": model.name,
        "layers": [_described(*each) for each in layers],
        "normalizes_inputs": _normalizes_inputs(model),
        "loss": name,
        # A GAN has none.
        "compiled_loss": getattr(model, "loss", None) is not None,
        "from_logits": from_logits,
        "output": _output(model),
        "style": code.style(model),
        "compile": code.compile(model),
    }


def _described(layer, activation):
    core = getattr(layer, "cell", layer)
    kernel = getattr(core, "kernel", None)
    batch = isinstance(layer, kinds.BATCH_NORMALIZATIONS)
    normalizes = batch or isinstance(layer, kinds.NORMALIZATIONS)
    before = sublayers.producer(layer) if normalizes else None
    found: dict[str, Any] = {
        "path": layer.path or layer.name,
        "type": type(layer).__name__,
        "code": code.layer(layer),
        "activation": activations.name(activation) or None,
        "kernel": None,
        "trainable": bool(layer.trainable),
        "normalizes": ("batch" if batch else "layer") if normalizes else None,
        "momentum": getattr(layer, "momentum", None) if batch else None,
        "starts_warm": isinstance(
            layer, BatchNormalization | InputBatchNormalization
        ),
        "after": getattr(before, "path", None) or getattr(before, "name", None),
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
        # The factor by which the layer changes the deviation of its inputs.
        "gain": float(columns.std() * np.sqrt(fan_in)),
        "identical_units": identical,
        "has_bias": getattr(core, "bias", None) is not None,
    }
    return found


def _normalizes_inputs(model):
    """Whether the first layers scale the inputs; `None` if unknown."""
    for layer, _ in sublayers.leaves(model):
        if isinstance(layer, SCALES_INPUTS):
            return True
        if not isinstance(layer, _RESHAPING):
            return False
    return None


def loss_of(model: keras.Model) -> tuple[str | None, bool]:
    """Return Keras's name of the loss, and whether it takes logits."""
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
        name = re.sub("([A-Z])", r"_\1", type(loss).__name__).lower()
        from_logits = bool(loss.get_config().get("from_logits"))
        return name.lstrip("_"), from_logits
    return getattr(loss, "__name__", None), False


def _output(model):
    leaves = dict(sublayers.leaves(model))
    last = leaves.keys() & set(sublayers.output_layers(model))
    if len(last) != 1:
        return None
    (layer,) = last
    shape = model.output_shape
    if isinstance(shape, list) or not shape or shape[-1] is None:
        return None
    activation = activations.name(leaves[layer]) or "linear"
    if isinstance(layer, keras.layers.Softmax):
        activation = "softmax"
    return {
        "layer": layer.path or layer.name,
        "activation": activation,
        "units": int(shape[-1]),
    }
