"""Checks of the arguments that the builders have in common."""

import numbers
from collections.abc import Sequence

import keras


def check_integers(argument, values):
    held = values if isinstance(values, Sequence) else []
    if not held or not all(_is_positive_integer(each) for each in held):
        raise ValueError(
            f"`{argument}` must hold at least one positive integer, of "
            f"Python's `int`. Received: {argument}={values}."
        )


def check_integer(argument, value):
    if not _is_positive_integer(value):
        raise ValueError(
            f"`{argument}` must be a positive integer. "
            f"Received: {argument}={value!r}."
        )


def _is_positive_integer(value):
    return isinstance(value, int) and value is not True and value > 0


def is_shape(value: object, rank: int | None = None, may_vary: bool = False):
    """Return whether this is a sample's shape; axes but the last may vary."""
    if not isinstance(value, Sequence) or not value:
        return False
    *others, last = value
    sizes = [each for each in others if not (may_vary and each is None)]
    return rank in (None, len(value)) and all(
        isinstance(each, numbers.Integral) and int(each) > 0
        for each in (*sizes, last)
    )


def check_choice(argument, value, choices):
    if value not in choices:
        raise ValueError(
            f"`{argument}` must be one of {', '.join(map(repr, choices))}. "
            f"Received: {argument}={value!r}."
        )


def check_normalization(value):
    check_choice("normalization", value, ("batch", "layer", None))


def check_activation_name(argument, value, alternative=""):
    # A class, such as `keras.layers.ReLU` without its brackets, is callable.
    is_known = not isinstance(value, keras.layers.Layer | type)
    try:
        keras.activations.get(value)
    except (TypeError, ValueError):
        is_known = False
    if not is_known:
        raise ValueError(
            f"`{argument}` must be the name of a Keras activation{alternative}."
            f' Received: {argument}={value!r}. Use "elu", "relu", "tanh" or '
            "another name from `keras.activations`."
        )
