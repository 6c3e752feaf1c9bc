"""The algebra of layers that are linear: a scale or kernels, and a bias."""

import keras
import numpy as np

from kerasbn._graph import kinds
from kerasbn.layers import InputBatchNormalization
from kerasbn.layers._input_batch_normalization import CONSTANT


def affine(layer):
    """Scale, offset, and largest distance of a mean from 0 in deviations."""
    if isinstance(layer, InputBatchNormalization):
        mean, deviation, constant = input_statistics(layer)
        scale = np.where(constant, 0.0, 1.0 / deviation)
        offset = -mean * scale
    else:
        gamma = _values(layer.gamma, 1.0)
        mean = _values(layer.moving_mean, 0.0)
        deviation = np.sqrt(_values(layer.moving_variance, 1.0) + layer.epsilon)
        scale = gamma / deviation * np.ones_like(mean)
        offset = _values(layer.beta, 0.0) - mean * scale
    distance = np.where(scale == 0, 0.0, np.abs(mean) / deviation)
    return scale, offset, distance.max()


def input_statistics(layer):
    """Mean and deviation in float64, and which features count as constant."""
    origin = layer.origin.numpy()
    offset = layer.moving_offset.numpy()
    variance = layer.moving_variance.numpy()
    # In float32 and in this order, to decide as the layer does.
    share = np.float32(CONSTANT)
    constant = variance <= np.square(share * (origin + offset))
    mean = origin.astype("float64") + offset
    deviation = np.sqrt(np.where(constant, 1.0, variance.astype("float64")))
    return mean, deviation, constant


def is_foldable(layer):
    """Whether the weights are kernels and bias, channels last."""
    return (
        type(layer) in kinds.LINEAR
        and is_channels_last(layer)
        and not kinds.is_adapted(layer)
    )


def is_channels_last(layer):
    return getattr(layer, "data_format", "channels_last") == "channels_last"


def has_no_activation(layer):
    return layer.activation in (None, keras.activations.linear)


def pads(layer):
    """Whether zeros, which no offset reaches, may join the inputs."""
    if type(layer) is keras.layers.Dense:
        return False
    wide = any(size > 1 for size in layer.kernel_size)
    return type(layer) in kinds.TRANSPOSED or (
        wide and layer.padding != "valid"
    )


def weights_of(layer):
    """Kernels and bias in float64; a bias of zeros if there is none."""
    weights = [np.asarray(w, "float64") for w in layer.get_weights()]
    if layer.use_bias:
        return weights
    *_, features, units = weights[-1].shape
    if type(layer) in kinds.TRANSPOSED:
        units = features
    elif type(layer) in kinds.DEPTHWISE:
        units *= features
    return [*weights, np.zeros(units)]


def with_output(layer, weights, scale, offset):
    """Weights of a layer that gives `scale * output + offset`."""
    *others, kernel, bias = weights
    if type(layer) in kinds.TRANSPOSED:
        factor = scale[:, None]
    elif type(layer) in kinds.DEPTHWISE:
        factor = scale.reshape(kernel.shape[-2:])
    else:
        factor = scale
    return [*others, kernel * factor, bias * scale + offset]


def with_input(layer, weights, scale, offset):
    """Weights of a layer that takes x for what was `scale * x + offset`."""
    kernel, *others, bias = weights
    if type(layer) in kinds.TRANSPOSED:  # here the offset is 0
        return [kernel * scale, *others, bias]
    taps = kernel.sum(axis=tuple(range(kernel.ndim - 2)))
    if type(layer) in kinds.DEPTHWISE | kinds.SEPARABLE:
        constant = (offset[:, None] * taps).reshape(-1)
    else:
        constant = offset @ taps
    if type(layer) in kinds.SEPARABLE:
        constant = constant @ others[0].reshape(len(constant), -1)
    return [kernel * scale[:, None], *others, bias + constant]


def _values(variable, default):
    return default if variable is None else variable.numpy().astype("float64")
