"""What a change of a model means for each of its layers."""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from kerasbn import layers
from kerasbn._graph import kinds
from kerasbn._graph.graph import Graph
from kerasbn._graph.rebuild import (
    Edit,
    changed,
    first_tensor,
    is_about_masks,
    rebuild,
)
from kerasbn._monitor import inspection
from kerasbn._rescue.anatomy import SOFTMAX, Anatomy
from kerasbn.models import _initializers

_KERNEL_LAYERS = {*kinds.LINEAR, keras.layers.EinsumDense}
_RECURRENT = (keras.layers.RNN, keras.layers.Bidirectional)
_ACTIVATION_LAYERS = (
    keras.layers.Activation,
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ELU,
)
# These saturate too, or end a network: initialized as sigmoid and softmax are.
_LIKE_SIGMOID = {
    *SOFTMAX,
    "hardsigmoid",
    "hardtanh",
    "logsigmoid",
    "softsign",
    "tanhshrink",
}
# Operations that may do the work of a `Rescaling`.
_ARITHMETIC = {"Divide", "TrueDivide", "Multiply", "Subtract"}

_KERNEL_INITIALIZERS = (
    "kernel_initializer",
    "depthwise_initializer",
    "pointwise_initializer",
)
_KERNELS = ("kernel", "depthwise_kernel", "pointwise_kernel")
_DRAWN = (*_KERNELS, "recurrent_kernel", "bias", "recurrent_bias")


def draw_not_finite(model: Any) -> Any:
    """A copy with new values for weights that are not finite."""
    graph = Graph(model)
    edits = {each: Edit(keeps=_finite(each)) for each in graph.operations}
    return rebuild(graph, edits)


def _finite(operation):
    scale = ("gamma", "beta")
    if isinstance(operation, kinds.BATCH_NORMALIZATIONS):
        statistics = [w for w in operation.weights if w.name not in scale]
        if not all(map(_is_finite, statistics)):
            # The count belongs to what was counted.
            return lambda weight: weight.name in scale and _is_finite(weight)
    return _is_finite


def _is_finite(weight):
    return bool(np.isfinite(weight.numpy()).all())


def normalize_inputs(model: Any) -> Any:
    """A copy with an `InputBatchNormalization` at each input of numbers."""
    anatomy = Anatomy(model)
    edits = {}
    for tensor in model.inputs:
        normalization = _input_normalization(anatomy, tensor)
        if normalization is None:
            continue
        edit = Edit(after=((normalization, {}),))
        taking = [call.operation for call in anatomy.consumers(tensor)]
        if not all(map(is_about_masks, taking)):
            edits[tensor] = edit
        for each in taking:
            if isinstance(each, keras.layers.Masking):  # it takes raw values
                edits[each] = edit
    return rebuild(anatomy, edits)


def _input_normalization(anatomy, tensor):
    below = anatomy.below(tensor)
    first = [call.operation for call in anatomy.consumers(tensor)]
    scaled = any(
        isinstance(each, inspection.SCALES_INPUTS) for each in below
    ) or any(
        isinstance(each, keras.layers.Lambda)
        or type(each).__name__ in _ARITHMETIC
        for each in first
    )
    # Frozen layers were trained on inputs as they are.
    scaled |= any(
        kinds.has_kernel(each) and not each.trainable for each in below
    )
    channels_first = any(
        getattr(each, "data_format", "") == "channels_first" for each in below
    )
    axis = 1 if channels_first else -1
    if (
        scaled
        or not first
        or tensor.sparse
        or not keras.backend.is_float_dtype(tensor.dtype)
        or len(tensor.shape) < 2
        or tensor.shape[axis] is None
    ):
        return None
    return layers.InputBatchNormalization(
        axis=axis, name=anatomy.unique("input_normalization")
    )


def normalize_hidden(model: Any) -> Any:
    """A copy with a normalization before each hidden activation."""
    anatomy = Anatomy(model)
    edits = {}
    for each in anatomy.hidden():
        if isinstance(each, keras.layers.Layer) and not anatomy.is_normalized(
            each
        ):
            if isinstance(each, _RECURRENT):
                edits[each] = _normalized_sequence(anatomy, each)
            elif type(_core(each)) in _KERNEL_LAYERS:
                if not anatomy.is_gate(each):
                    edits[each] = _split(anatomy, each)
    return rebuild(anatomy, edits)


def _normalized_sequence(anatomy, layer):
    normalization = keras.layers.LayerNormalization(
        name=anatomy.unique(f"{layer.name}_normalization"),
        dtype=layer.dtype_policy,
    )
    return Edit(after=((normalization, {}),))


def _split(anatomy, layer):
    """The linear part, batch normalization, and the activation."""
    core = _core(layer)
    channels_first = getattr(core, "data_format", "") == "channels_first"
    normalization = layers.BatchNormalization(
        axis=1 if channels_first else -1,
        name=anatomy.unique(f"{layer.name}_normalization"),
        dtype=layer.dtype_policy,
    )
    config: dict[str, Any] = {}
    beta = {}
    bias = getattr(core, "bias", None)
    if bias is not None and len(bias.shape) == 1:
        config = {"use_bias": False, "bias_axes": None}
        if np.isfinite(bias.numpy()).all():
            beta = {"beta": bias.numpy()}
    after = [(normalization, beta)]
    activation = anatomy.activation(layer)
    if anatomy.activation_name(layer):
        config |= {"activation": None, "activity_regularizer": None}
        options = {
            "name": anatomy.unique(f"{layer.name}_activation"),
            "dtype": layer.dtype_policy,
        }
        if isinstance(activation, keras.layers.Layer):
            values = {each.name: each.numpy() for each in activation.weights}
            split = type(activation).from_config(
                {**activation.get_config(), **options}
            )
        else:
            values = {}
            split = keras.layers.Activation(
                activation,
                activity_regularizer=core.activity_regularizer,
                **options,
            )
        after.append((split, values))
    return Edit(config, after=tuple(after))


def draw_kernels(model: Any) -> Any:
    """A copy with kernels drawn by initializers that fit the activations."""
    anatomy = Anatomy(model)
    edits = {}
    for each in anatomy.operations:
        if not kinds.has_kernel(each) or not each.trainable:
            continue
        name = anatomy.following_activation(each)
        if isinstance(each, _RECURRENT) or name in _LIKE_SIGMOID:
            name = "linear"
        kernel = _initializers.initializer(name)
        config = {
            **dict.fromkeys(_KERNEL_INITIALIZERS, kernel),
            "recurrent_initializer": "orthogonal",
            "bias_initializer": "zeros",
            "unit_forget_bias": True,
        }
        before = each.get_config()
        if changed(before, dict.fromkeys(_KERNEL_INITIALIZERS)) != before:
            edits[each] = Edit(config, keeps=_all_but(_DRAWN))
    return rebuild(anatomy, edits)


def _all_but(names):
    return lambda weight: weight.name not in names


def replace_activations(model: Any, activation: Any) -> Any:
    """A copy with another hidden activation."""
    anatomy = Anatomy(model)
    edits = {}
    for each in anatomy.hidden():
        name = anatomy.activation_name(each)
        if not name or name in SOFTMAX or anatomy.is_gate(each):
            continue
        is_layer = isinstance(each, keras.layers.Layer)
        if type(_core(each)) in _KERNEL_LAYERS:
            edits[each] = Edit({"activation": activation})
        elif isinstance(each, _ACTIVATION_LAYERS) or not is_layer:
            # "re_lu" would be a false name for another activation.
            neutral = type(each) is keras.layers.Activation
            label = each.name if neutral else anatomy.unique("activation")
            edits[each] = _activation_instead(each, activation, label)
    return rebuild(anatomy, edits)


def _activation_instead(operation, activation, name):
    policy = getattr(operation, "dtype_policy", None)
    layer = keras.layers.Activation(activation, name=name, dtype=policy)
    # It has not the other arguments of the operation.
    return Edit(instead=lambda *a, **k: layer(first_tensor(*a, **k)))


def trust_statistics(model: Any) -> Any:
    """A copy with our batch normalization for the stock one.

    It warms up anew: the first batches replace statistics that may have been
    moved too slowly. A frozen layer does not move them and stays.
    """
    graph, edits = Graph(model), {}
    for each in graph.operations:
        stock = type(each) is keras.layers.BatchNormalization
        if not stock or each.renorm or not each.trainable:
            continue
        config = each.get_config()
        del config["momentum"]
        edits[each] = Edit(
            instead=layers.BatchNormalization.from_config(config)
        )
    return rebuild(graph, edits)


def replace_output(
    model: Any, activation: Any = False, units: int | None = None
) -> Any:
    """A copy whose single output has another activation or width.

    `activation=False` keeps it; `None` is linear, as in Keras.
    """
    anatomy = Anatomy(model)
    parts = anatomy.outputs
    cores = [each for each in parts if kinds.has_kernel(each)]
    if len(anatomy.model.outputs) != 1 or len(cores) != 1:
        raise ValueError(
            "`model` must have a single output, computed by a single layer, "
            f"for its output to change. Received: model={model.name!r} with "
            f"{len(anatomy.model.outputs)} outputs, computed by "
            f"{[each.name for each in cores]}. Change it by hand."
        )
    (core,) = cores
    config, redrawn, edits = {}, (), {}
    if units is not None:
        config, redrawn = _width(core, units)
    if activation is not False:
        last = [
            each
            for each in parts
            if each is not core
            and (
                anatomy.activation_name(each)
                or isinstance(each, keras.layers.Activation)
            )
        ]
        if last:
            # The output may be called by its name.
            name = last[0].name
            edits[last[0]] = _activation_instead(last[0], activation, name)
        else:
            config["activation"] = activation
    edit = Edit(config, keeps=_all_but(redrawn))
    return rebuild(anatomy, {**edits, core: edit})


def _width(core, units):
    """Arguments and weights of an output layer that change with its units."""
    config = _core(core).get_config()
    for key in ("units", "filters"):
        if key in config:
            if config[key] == units:
                return {}, ()
            initializers = dict.fromkeys(_KERNEL_INITIALIZERS, "glorot_uniform")
            return {key: units, **initializers}, (*_KERNELS, "bias")
    raise ValueError(
        "The output layer must have `units` or `filters` for their number to "
        f"change. Received: units={units}, for the layer {core.name!r} of "
        f"class {type(core).__name__}. End the model with a Dense layer."
    )


def _core(layer):
    wrapped = isinstance(layer, keras.layers.TimeDistributed)
    return layer.layer if wrapped else layer


CHANGES: dict[str, Callable[..., Any]] = {
    # In this order: what is drawn last is drawn for the final activations.
    "output": replace_output,
    "activation": replace_activations,
    "statistics": trust_statistics,
    "normalize_hidden": normalize_hidden,
    "normalize_inputs": normalize_inputs,
    "initializer": draw_kernels,
}
