"""Parts that the builders put together."""

from typing import Any, NamedTuple

import keras

from kerasbn.layers import BatchNormalization
from kerasbn.models import _checks, _initializers


class HiddenBlock(NamedTuple):
    """Options of a hidden layer."""

    activation: Any
    kernel_initializer: Any
    normalization: str | None
    placement: str
    shared_axes: list[int] | None = None  # PReLU: pixels share their slope

    def check(self):
        """Return the block, if its options are known."""
        _checks.check_normalization(self.normalization)
        _checks.check_choice("placement", self.placement, ("before", "after"))
        kind = self.activation
        if not isinstance(kind, keras.layers.Layer) and kind != "prelu":
            _checks.check_activation_name("activation", kind, ", or a layer")
        return self

    def kernel(self, layer, label, ends_residual=False):
        if ends_residual and self.normalization is None:
            chosen = "zeros"
        else:
            chosen = _initializers.fitting(
                self.kernel_initializer, self.activation
            )
        # Batch normalization right after it would subtract any bias again;
        # layer normalization without the bias would lose its input's length.
        use_bias = self.normalization != "batch" or self.placement == "after"
        return layer(use_bias=use_bias, kernel_initializer=chosen, name=label)

    def layers(self, layer, label, ends_residual=False):
        kernel = self.kernel(layer, label, ends_residual)
        return [kernel, *self.layers_after(label, ends_residual)]

    def layers_after(self, label, ends_residual=False):
        """Return the normalization and the activation, in order."""
        layers = normalization_layers(
            self.normalization, f"{label}_normalization", ends_residual
        )
        if ends_residual and (not layers or self.placement == "before"):
            # A ReLU here would start at 0, where its gradient is 0 as well.
            return layers
        activation = self._activation_layer(f"{label}_activation")
        if self.placement == "before":
            return [*layers, activation]
        return [activation, *layers]

    def _activation_layer(self, name):
        if isinstance(self.activation, keras.layers.Layer):
            config = {**self.activation.get_config(), "name": name}
            return self.activation.from_config(config)
        if self.activation == "prelu":
            return keras.layers.PReLU(shared_axes=self.shared_axes, name=name)
        return keras.layers.Activation(self.activation, name=name)


def normalization_layers(kind, name, starts_at_zero=False):
    """Return batch or layer normalization over the last axis, or no layer."""
    if kind is None:
        return []
    batch, layer = BatchNormalization, keras.layers.LayerNormalization
    gamma = "zeros" if starts_at_zero else "ones"
    normalization = batch if kind == "batch" else layer
    return [normalization(gamma_initializer=gamma, name=name)]


def output_layer(units, activation):
    return keras.layers.Dense(
        units,
        activation=activation,
        kernel_initializer=_initializers.initializer(activation or "linear"),
        dtype="float32",  # half precision is too coarse for softmax and loss
        name="output",
    )


def chained(x, layers):
    for layer in layers:
        x = layer(x)
    return x
