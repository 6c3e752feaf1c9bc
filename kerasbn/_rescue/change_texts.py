"""What each change is, in a sentence and in code."""

from collections.abc import Callable
from typing import Any

import keras

_ABSENT: Any = object()


def _listed(options):
    return ", ".join(f"{name}={value!r}" for name, value in options.items())


def _output_sentence(**options):
    parts = []
    if "units" in options:
        parts.append(f"{options['units']} units")
    if "activation" in options:
        parts.append(f"the activation {_shown(options['activation'])}")
    if "loss" in options:
        parts.append(f"the loss {_shown(options['loss'])}")
    return f"Give the output {' and '.join(parts)}."


def _output_patch(loss=_ABSENT, **options):
    lines = []
    if options:
        units = options.pop("units", "units")
        arguments = [str(units), *filter(None, [_listed(options)])]
        lines = [
            "- keras.layers.Dense(units, activation=...)  # the last layer",
            f"+ keras.layers.Dense({', '.join(arguments)})",
        ]
    if loss is not _ABSENT:
        lines += [
            "- model.compile(optimizer, loss=...)",
            f"+ model.compile(optimizer, loss={_code(loss)})",
        ]
    return "\n".join(lines)


def _shown(value):
    name = getattr(value, "name", getattr(value, "__name__", value))
    return "linear" if name is None else f"{name}"


def _code(value):
    if isinstance(value, keras.losses.Loss):
        logits = value.get_config().get("from_logits")
        arguments = "from_logits=True" if logits else ""
        return f"keras.losses.{type(value).__name__}({arguments})"
    return repr(getattr(value, "__name__", value))


def _clipping_sentence(**options):
    used = {key: each for key, each in options.items() if each is not None}
    if not used:
        return "Do not clip the gradients."
    return f"Clip the gradients, {_listed(used)}."


def _clipping_patch(**options):
    return (
        "- optimizer = keras.optimizers.Adam(learning_rate)\n"
        "+ optimizer = keras.optimizers.Adam("
        f"learning_rate, {_listed(options)})"
    )


def _rate_sentence(factor=1.0, value=None):
    if value is not None:
        return f"Set the learning rate to {value:g}."
    return f"Multiply the learning rate by {factor:g}."


def _rate_patch(factor=1.0, value=None):
    new = f"{factor:g} * learning_rate" if value is None else f"{value:g}"
    return (
        "- optimizer = keras.optimizers.Adam(learning_rate)\n"
        f"+ optimizer = keras.optimizers.Adam({new})"
    )


TEXTS: dict[str, tuple[Callable[..., str], Callable[..., str]]] = {
    "normalize_inputs": (
        lambda: (
            "Normalize the inputs with kerasbn.layers.InputBatchNormalization."
        ),
        lambda: (
            "  inputs = keras.Input(shape)\n"
            "- x = inputs\n"
            "+ x = kerasbn.layers.InputBatchNormalization()(inputs)"
        ),
    ),
    "normalize_hidden": (
        lambda: (
            "Normalize each hidden layer before its activation with "
            "kerasbn.layers.BatchNormalization."
        ),
        lambda: (
            "- keras.layers.Dense(units, activation=activation)\n"
            "+ keras.layers.Dense(units, use_bias=False)\n"
            "+ kerasbn.layers.BatchNormalization()\n"
            "+ keras.layers.Activation(activation)"
        ),
    ),
    "initializer": (
        lambda: (
            "Draw the kernels by an initializer that fits the activation: He, "
            "LeCun for selu, Glorot for tanh, sigmoid and linear."
        ),
        lambda: (
            '- keras.layers.Dense(units, activation="relu")\n'
            '+ keras.layers.Dense(units, activation="relu", '
            'kernel_initializer="he_normal")'
        ),
    ),
    "activation": (
        lambda activation: f"Use {_shown(activation)} in the hidden layers.",
        lambda activation: (
            "- keras.layers.Dense(units, activation=...)\n"
            f"+ keras.layers.Dense(units, activation={_code(activation)})"
        ),
    ),
    "clipping": (_clipping_sentence, _clipping_patch),
    "learning_rate": (_rate_sentence, _rate_patch),
    "statistics": (
        lambda: (
            "Use kerasbn.layers.BatchNormalization, whose statistics can be "
            "trusted from the first steps on."
        ),
        lambda: (
            "- keras.layers.BatchNormalization(momentum=...)\n"
            "+ kerasbn.layers.BatchNormalization()"
        ),
    ),
    "output": (_output_sentence, _output_patch),
}
