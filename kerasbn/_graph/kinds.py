"""Kinds of layers, each list in this one place.

`kerasbn.layers.BatchNormalization` is a subclass of the stock layer.
"""

from typing import Any

import keras

from kerasbn.layers import InputBatchNormalization

BATCH_NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    InputBatchNormalization,
)
"""They keep moving statistics."""

NORMALIZATIONS = (
    *BATCH_NORMALIZATIONS,
    keras.layers.LayerNormalization,
    keras.layers.GroupNormalization,
    keras.layers.RMSNormalization,
)
"""They scale what passes by statistics of it."""

SCALING = (
    *NORMALIZATIONS,
    keras.layers.UnitNormalization,
    keras.layers.Normalization,
)
"""They scale what passes, by whatever."""

DEPTHWISE = {keras.layers.DepthwiseConv1D, keras.layers.DepthwiseConv2D}
SEPARABLE = {keras.layers.SeparableConv1D, keras.layers.SeparableConv2D}
TRANSPOSED = {
    keras.layers.Conv1DTranspose,
    keras.layers.Conv2DTranspose,
    keras.layers.Conv3DTranspose,
}
LINEAR = {
    keras.layers.Dense,
    keras.layers.Conv1D,
    keras.layers.Conv2D,
    keras.layers.Conv3D,
    *DEPTHWISE,
    *SEPARABLE,
    *TRANSPOSED,
}
"""Kernels and a bias; compared by exact type, as a subclass may differ."""

ACTIVATIONS = (
    keras.layers.ReLU,
    keras.layers.LeakyReLU,
    keras.layers.PReLU,
    keras.layers.ELU,
)
"""Each is one activation, named by its class."""


def is_adapted(layer: Any) -> bool:
    """Whether it computes with other weights: quantized ones, or LoRA."""
    return bool(
        getattr(layer, "lora_enabled", False)
        or getattr(layer, "quantization_mode", None)
    )


def has_kernel(operation: Any) -> bool:
    """Whether it has weights, and is no normalization or activation."""
    passing = (*SCALING, keras.layers.PReLU)
    # `TimeDistributed` is what it wraps.
    core = getattr(operation, "layer", operation)
    return bool(getattr(operation, "weights", ())) and not isinstance(
        core, passing
    )
