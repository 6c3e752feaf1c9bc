"""Every remedy, in a sentence and in code."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Remedy(NamedTuple):
    """A thing to do: a sentence, and a patch of lines "-" and "+"."""

    sentence: str
    patch: str


def remedy(name: str, **options: Any) -> Remedy:
    """Return the remedy of that name.

    Those that depend on options also take `current`, the script's own code.
    """
    found = REMEDIES[name]
    return found if isinstance(found, Remedy) else found(**options)


def _arguments(options):
    return ", ".join(f"{name}={_code(each)}" for name, each in options.items())


def _code(value):
    """A number, a string, a function or a loss as a script writes it."""
    if hasattr(value, "get_config"):
        logits = value.get_config().get("from_logits")
        arguments = "from_logits=True" if logits else ""
        return f"keras.losses.{type(value).__name__}({arguments})"
    value = getattr(value, "__name__", value)
    return f'"{value}"' if isinstance(value, str) else repr(value)


def _output(current="units, activation=...", **options):
    sentence = f"Change the output to {_arguments(options)}."
    loss = {key: options.pop(key) for key in ("loss",) if key in options}
    lines = []
    if options:
        units = str(options.pop("units", "units"))
        new = ", ".join(filter(None, [units, _arguments(options)]))
        lines += [f"- keras.layers.Dense({current})  # the output layer"]
        lines += [f"+ keras.layers.Dense({new})"]
    if loss:
        lines += ["- model.compile(..., loss=...)"]
        lines += [f"+ model.compile(..., {_arguments(loss)})"]
    return Remedy(sentence, "\n".join(lines))


def _activation(**options):
    new = _arguments(options)
    return Remedy(
        f"Use {new} in the hidden layers.", f"- activation=...\n+ {new}"
    )


def _clipping(current="", **options):
    used = {key: each for key, each in options.items() if each is not None}
    sentence = "Do not clip the gradients."
    if used:
        instead = "" if current in ("", _arguments(used)) else current
        instead = instead and f" instead of {instead}"
        sentence = f"Clip the gradients with {_arguments(used)}{instead}."
    new = _arguments(options)
    if current.startswith("rules"):  # of kerasbn.optimizers.Clipped
        new = "rules=[kerasbn.clipping.ByNorm(1.0)]"
    elif not current:
        current = "keras.optimizers.Adam(learning_rate)"
        new = f"keras.optimizers.Adam(learning_rate, {new})"
    return Remedy(sentence, f"- {current}\n+ {new}")


def _learning_rate(factor=1.0, value=None, current=None):
    old = "learning_rate" if current is None else f"{current:.3g}"
    new = f"{factor:g} * learning_rate" if value is None else f"{value:.3g}"
    if value is None:
        sentence = f"Multiply the learning rate by {factor:g}."
    elif current is None:
        sentence = f"Set the learning rate to {new}."
    else:
        verb = "Lower" if value < current else "Raise"
        sentence = f"{verb} the learning rate from {old} to {new}."
    return Remedy(sentence, f"- learning_rate={old}\n+ learning_rate={new}")


# Up to "statistics" they are kinds of changes in `kerasbn.rescue` as well.
REMEDIES: dict[str, Remedy | Callable[..., Remedy]] = {
    "output": _output,
    "normalize_inputs": Remedy(
        "Normalize the inputs with kerasbn.layers.InputBatchNormalization.",
        "  inputs = keras.Input(shape)\n"
        "- x = inputs\n"
        "+ x = kerasbn.layers.InputBatchNormalization()(inputs)",
    ),
    "initializer": Remedy(
        "Draw the kernels from an initializer that fits the activation: He for "
        "ReLU and ELU, LeCun for SELU, else Glorot. Start the biases at 0.",
        "- kernel_initializer=...\n"
        '+ kernel_initializer="he_normal", bias_initializer="zeros"',
    ),
    "normalize_hidden": Remedy(
        "Normalize each hidden layer before its activation with "
        "kerasbn.layers.BatchNormalization.",
        "- keras.layers.Dense(units, activation=activation)\n"
        "+ keras.layers.Dense(units, use_bias=False)\n"
        "+ kerasbn.layers.BatchNormalization()\n"
        "+ keras.layers.Activation(activation)",
    ),
    "activation": _activation,
    "clipping": _clipping,
    "learning_rate": _learning_rate,
    "statistics": Remedy(
        "Use kerasbn.layers.BatchNormalization, whose moving statistics settle "
        "within the first steps.",
        "- keras.layers.BatchNormalization(momentum=...)\n"
        "+ kerasbn.layers.BatchNormalization()",
    ),
    "calibrate": Remedy(
        "Or measure the statistics of the trained model again.",
        "# or, after training:\n+ kerasbn.calibrate(model, x)",
    ),
    "decay": Remedy(
        "Or let it decay to 0 over the training.",
        "# or:\n"
        "+ learning_rate=keras.optimizers.schedules.CosineDecay(\n"
        "+     learning_rate, decay_steps=epochs * len(x) // batch_size)",
    ),
    "finite_data": Remedy(
        "Look for NaN and Inf in the data, and for logarithms of 0 and "
        "divisions by 0 in the loss.",
        "+ assert np.isfinite(x).all() and np.isfinite(y).all()",
    ),
    "recover": Remedy(
        "Return to the last good weights when it happens.",
        "+ callbacks=[kerasbn.callbacks.RecoverFromNonFinite()]",
    ),
    "check_targets": Remedy(
        "Check that the targets belong to the inputs: the network should fit "
        "ten rows until their loss is near 0. If it does, try a learning rate "
        "ten times higher and ten times lower.",
        "+ model.fit(x[:10], y[:10], epochs=200)  # the loss must go to 0",
    ),
    "drop_bias": Remedy(
        "Leave the bias out.",
        "- keras.layers.Dense(units)\n"
        "+ keras.layers.Dense(units, use_bias=False)",
    ),
    "move_dropout": Remedy(
        "Put the dropout after the normalization and the activation.",
        "- Dropout, BatchNormalization, Activation\n"
        "+ BatchNormalization, Activation, Dropout",
    ),
    "drop_remainder": Remedy(
        "Drop the last rows of an epoch, or use another batch size.",
        "+ dataset.batch(batch_size, drop_remainder=True)",
    ),
}
