"""What the options of the builders mean, and which values they refuse."""

import numbers
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from kerasbn.layers import BatchNormalization
from kerasbn.models import _initializers


class Hidden(NamedTuple):
    """The options that shape the hidden layers of a feedforward network."""

    activation: Any
    kernel_initializer: Any
    normalization: str | None
    placement: str
    shared_axes: list[int] | None = None  # PReLU: pixels share their slope

    def check(self):
        """Refuse what is not known, and return the options."""
        check_choice(
            "normalization", self.normalization, ("batch", "layer", None)
        )
        check_choice("placement", self.placement, ("before", "after"))
        check_activation("activation", self.activation)
        return self

    def arguments(self, ends_block):
        """Arguments of the layer that holds the kernel."""
        if ends_block and self.normalization is None:
            chosen = "zeros"
        elif self.kernel_initializer is None:
            chosen = _initializers.initializer(self.activation)
        else:
            chosen = _initializers.redrawn(self.kernel_initializer)
        # Batch normalization next to it subtracts any bias again; without the
        # bias layer normalization would forget the length of its input.
        use_bias = self.normalization != "batch" or self.placement == "after"
        return {"use_bias": use_bias, "kernel_initializer": chosen}

    def followers(self, label, ends_block):
        """The layers after the kernel, in their order."""
        layers = []
        if self.normalization is not None:
            layers.append(
                normalization_layer(
                    self.normalization, f"{label}_normalization", ends_block
                )
            )
        if ends_block and (not layers or self.placement == "before"):
            # It would start at 0, where ReLU has no gradient to leave it by.
            return layers
        activation = activation_layer(
            self.activation, f"{label}_activation", self.shared_axes
        )
        if self.placement == "before":
            return [*layers, activation]
        return [activation, *layers]


def activation_layer(activation, name, shared_axes=None):
    """A layer of its own for each use of the activation."""
    if isinstance(activation, keras.layers.Layer):
        return activation.from_config({**activation.get_config(), "name": name})
    if activation == "prelu":
        return keras.layers.PReLU(shared_axes=shared_axes, name=name)
    return keras.layers.Activation(activation, name=name)


def normalization_layer(kind, name, starts_at_zero=False):
    """Batch or layer normalization over the last axis."""
    layer = {
        "batch": BatchNormalization,
        "layer": keras.layers.LayerNormalization,
    }[kind]
    gamma = "zeros" if starts_at_zero else "ones"
    return layer(gamma_initializer=gamma, name=name)


def output_layer(units, activation):
    """The Dense layer at the end."""
    return keras.layers.Dense(
        units,
        activation=activation,
        kernel_initializer=_initializers.initializer(activation or "linear"),
        dtype="float32",  # softmax and loss lose too much in half precision
        name="output",
    )


def check_integers(argument, values):
    """Refuse anything but positive integers."""
    held = values if isinstance(values, Sequence) else []
    if not held or not all(_is_positive_integer(each) for each in held):
        raise ValueError(
            f"`{argument}` must hold at least one positive integer, of "
            f"Python's `int`. Received: {argument}={values}."
        )


def check_integer(argument, value):
    """Refuse anything but a positive integer."""
    if not _is_positive_integer(value):
        raise ValueError(
            f"`{argument}` must be a positive integer. "
            f"Received: {argument}={value!r}."
        )


def _is_positive_integer(value):
    return isinstance(value, int) and value is not True and value > 0


def is_shape(value: object, rank: int | None = None, may_vary: bool = False):
    """Whether it is the shape of one sample, of `rank` axes.

    `None` is any number but 0. Where axes `may_vary`, all but the last may be
    `None`.
    """
    if not isinstance(value, Sequence) or not value:
        return False
    *others, last = value
    sizes = [each for each in others if not (may_vary and each is None)]
    return rank in (None, len(value)) and all(
        isinstance(each, numbers.Integral) and int(each) > 0
        for each in (*sizes, last)
    )


def check_choice(argument, value, choices):
    """Refuse what is not among the choices."""
    if value not in choices:
        raise ValueError(
            f"`{argument}` must be one of {', '.join(map(repr, choices))}. "
            f"Received: {argument}={value!r}."
        )


def check_activation(argument, value):
    """Refuse what is neither the name of an activation nor a layer."""
    if isinstance(value, keras.layers.Layer) or value == "prelu":
        return
    if not _is_activation(value):
        raise ValueError(
            f"`{argument}` must be the name of a Keras activation, or a layer. "
            f'Received: {argument}={value!r}. Use "elu", "relu", "gelu" or '
            "another name from `keras.activations`."
        )


def check_activation_name(argument, value):
    """Refuse what cannot be the activation inside another layer."""
    if isinstance(value, keras.layers.Layer) or not _is_activation(value):
        raise ValueError(
            f"`{argument}` must be the name of a Keras activation. "
            f'Received: {argument}={value!r}. Use "tanh", "sigmoid" or another '
            "name from `keras.activations`."
        )


def _is_activation(value):
    # A class, such as `keras.layers.ReLU` without its brackets, is callable.
    if isinstance(value, type):
        return False
    try:
        keras.activations.get(value)
    except (TypeError, ValueError):
        return False
    return True
