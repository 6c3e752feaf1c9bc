"""A compiled model, described in JSON for the rules that judge a run.

A monitor writes it next to its readings, so that a run can be judged on a
machine without Keras. Unknown values, as of a model with several outputs, are
`None`.
"""

from typing import Any

import keras
import numpy as np

from kerasbn._graph import activations, code, flat_operations, kinds, sublayers
from kerasbn._monitor import heads
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
_OURS = ("keras", "kerasbn")
_ATTENTION = (
    keras.layers.MultiHeadAttention,
    keras.layers.GroupQueryAttention,
    keras.layers.Attention,
    keras.layers.AdditiveAttention,
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
    written = _as_written(model)
    return {
        "name": model.name,
        "layers": [
            _described(*each, written.get(id(each[0]))) for each in layers
        ],
        "normalizes_inputs": _normalizes_inputs(model),
        # A GAN has none.
        "compiled_loss": getattr(model, "loss", None) is not None,
        "own_train_step": has_own_step(model),
        "outputs": [head._asdict() for head in heads.heads_of(model)],
        "style": code.style(model),
        "compile": code.compile(model),
        "flat_operations": flat_operations.written(model),
    }


def has_own_step(model: keras.Model) -> bool:
    return type(model).train_step is not keras.Model.train_step


def has_call(model: keras.Model) -> bool:
    """Whether a model can be called, unlike most GANs."""
    return type(model).call is not keras.Model.call


def _as_written(model):
    """The code of layers inside a `Bidirectional`, which a script has once."""
    found = {}
    for each in sublayers.bidirectional(model):
        found[id(each.forward_layer)] = code.layer(each)
        found[id(each.backward_layer)] = ""
    return found


def _described(layer, activation, written=None):
    core = getattr(layer, "cell", layer)
    kernel = getattr(core, "kernel", None)
    batch = isinstance(layer, kinds.BATCH_NORMALIZATIONS)
    normalizes = batch or isinstance(layer, kinds.NORMALIZATIONS)
    before = sublayers.producer(layer) if normalizes else None
    found: dict[str, Any] = {
        "path": layer.path or layer.name,
        "type": type(layer).__name__,
        # "" if the script has no line for it.
        "code": code.layer(layer) if written is None else written,
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
        "attention": isinstance(layer, _ATTENTION),
        # A normalization over a single number always gives the same.
        "normalizes_one": normalizes and not batch and _normalizes_one(layer),
    }
    recurrent = getattr(core, "recurrent_kernel", None)
    if isinstance(core, keras.layers.SimpleRNNCell) and recurrent is not None:
        # The factor by which the state grows from step to step.
        values = np.asarray(recurrent)
        found["recurrent_gain"] = float(values.std() * np.sqrt(len(values)))
    if kernel is None and type(layer).__module__.split(".")[0] not in _OURS:
        drawn = [e for e in layer.trainable_weights if len(e.shape) == 2]
        if drawn:
            found["identical_units"] = _identical(drawn[0].numpy())
    if kernel is None or len(kernel.shape) < 2:
        return found
    values = kernel.numpy()
    fan_in = int(np.prod(values.shape[:-1]))
    columns = values.reshape(-1, values.shape[-1])
    found |= {
        "kernel": kernel.path,
        "units": values.shape[-1],
        "fan_in": fan_in,
        # The factor by which the layer changes the deviation of its inputs.
        "gain": float(columns.std() * np.sqrt(fan_in)),
        "identical_units": _identical(columns),
        "has_bias": getattr(core, "bias", None) is not None,
    }
    return found


def _identical(columns):
    """Whether all units of a kernel have the same weights."""
    return columns.shape[1] > 1 and bool(
        (columns == columns[:, :1]).all() and np.isfinite(columns).all()
    )


def _normalizes_one(layer):
    """Whether a normalization of each row takes its moments of one number."""
    axis = getattr(layer, "axis", -1)
    shape = getattr(getattr(layer, "gamma", None), "shape", None)
    last = axis in (-1, [-1], (-1,))
    return bool(shape is not None and last and np.prod(shape) == 1)


def _normalizes_inputs(model):
    """Whether the first layers scale the inputs; `None` if unknown."""
    for layer, _ in sublayers.leaves(model):
        if isinstance(layer, SCALES_INPUTS):
            return True
        if not isinstance(layer, _RESHAPING):
            return False
    return None
