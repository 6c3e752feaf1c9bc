"""Every remedy, in a sentence and in code."""

from collections.abc import Callable
from typing import Any, NamedTuple


class Remedy(NamedTuple):
    """One thing to do about a problem.

    Attributes:
        name: As in `Finding.remedies`, and a kind of change in
            `kerasbn.rescue` for those up to "statistics". The rest is advice.
        sentence: What to do, or a function of the options that returns it.
        patch: The code, with lines to remove "-" and to add "+", likewise.
            Functions also take `current`, what the script has now.
    """

    name: str
    sentence: str | Callable[..., str]
    patch: str | Callable[..., str]

    def write(self, **options: Any) -> tuple[str, str]:
        """Return the sentence and the patch with these options."""
        sentence, patch = (
            each if isinstance(each, str) else each(**options)
            for each in (self.sentence, self.patch)
        )
        return sentence, patch


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


def _output_sentence(current="", **options):
    return f"Change the output to {_arguments(options)}."


def _output_patch(current="units, activation=...", **options):
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
    return "\n".join(lines)


def _clipping_sentence(current="", **options):
    used = {key: each for key, each in options.items() if each is not None}
    if not used:
        return "Do not clip the gradients."
    new = _arguments(used)
    if current in ("", new):
        return f"Clip the gradients with {new}."
    return f"Clip the gradients with {new} instead of {current}."


def _clipping_patch(current="", **options):
    new = _arguments(options)
    if current.startswith("rules"):  # of kerasbn.optimizers.Clipped
        new = "rules=[kerasbn.clipping.ByNorm(1.0)]"
    elif not current:
        current = "keras.optimizers.Adam(learning_rate)"
        new = f"keras.optimizers.Adam(learning_rate, {new})"
    return f"- {current}\n+ {new}"


def _rate_sentence(factor=1.0, value=None, current=None):
    if value is None:
        return f"Multiply the learning rate by {factor:g}."
    if current is None:
        return f"Set the learning rate to {value:.3g}."
    verb = "Lower" if value < current else "Raise"
    return f"{verb} the learning rate from {current:.3g} to {value:.3g}."


def _rate_patch(factor=1.0, value=None, current=None):
    old = "learning_rate" if current is None else f"{current:.3g}"
    new = f"{factor:g} * learning_rate" if value is None else f"{value:.3g}"
    return f"- learning_rate={old}\n+ learning_rate={new}"


_ALL = (
    Remedy("output", _output_sentence, _output_patch),
    Remedy(
        "normalize_inputs",
        "Normalize the inputs with kerasbn.layers.InputBatchNormalization.",
        "  inputs = keras.Input(shape)\n"
        "- x = inputs\n"
        "+ x = kerasbn.layers.InputBatchNormalization()(inputs)",
    ),
    Remedy(
        "initializer",
        "Draw the kernels from an initializer that fits the activation: He for "
        "ReLU and ELU, LeCun for SELU, else Glorot. Start the biases at 0.",
        "- kernel_initializer=...\n"
        '+ kernel_initializer="he_normal", bias_initializer="zeros"',
    ),
    Remedy(
        "normalize_hidden",
        "Normalize each hidden layer before its activation with "
        "kerasbn.layers.BatchNormalization.",
        "- keras.layers.Dense(units, activation=activation)\n"
        "+ keras.layers.Dense(units, use_bias=False)\n"
        "+ kerasbn.layers.BatchNormalization()\n"
        "+ keras.layers.Activation(activation)",
    ),
    Remedy(
        "activation",
        lambda **options: f"Use {_arguments(options)} in the hidden layers.",
        lambda **options: f"- activation=...\n+ {_arguments(options)}",
    ),
    Remedy("clipping", _clipping_sentence, _clipping_patch),
    Remedy("learning_rate", _rate_sentence, _rate_patch),
    Remedy(
        "statistics",
        "Use kerasbn.layers.BatchNormalization, whose moving statistics settle "
        "within the first steps.",
        "- keras.layers.BatchNormalization(momentum=...)\n"
        "+ kerasbn.layers.BatchNormalization()",
    ),
    Remedy(
        "calibrate",
        "Or measure the statistics of the trained model again.",
        "# or, after training:\n+ kerasbn.calibrate(model, x)",
    ),
    Remedy(
        "decay",
        "Or let it decay to 0 over the training.",
        "# or:\n"
        "+ learning_rate=keras.optimizers.schedules.CosineDecay(\n"
        "+     learning_rate, decay_steps=epochs * len(x) // batch_size)",
    ),
    Remedy(
        "finite_data",
        "Look for NaN and Inf in the data, and for logarithms of 0 and "
        "divisions by 0 in the loss.",
        "+ assert np.isfinite(x).all() and np.isfinite(y).all()",
    ),
    Remedy(
        "recover",
        "Return to the last good weights when it happens.",
        "+ callbacks=[kerasbn.callbacks.RecoverFromNonFinite()]",
    ),
    Remedy(
        "check_targets",
        "Check that the targets belong to the inputs: the network should fit "
        "ten rows until their loss is near 0. If it does, try a learning rate "
        "ten times higher and ten times lower.",
        "+ model.fit(x[:10], y[:10], epochs=200)  # the loss must go to 0",
    ),
    Remedy(
        "drop_bias",
        "Leave the bias out.",
        "- keras.layers.Dense(units)\n"
        "+ keras.layers.Dense(units, use_bias=False)",
    ),
    Remedy(
        "move_dropout",
        "Put the dropout after the normalization and the activation.",
        "- Dropout, BatchNormalization, Activation\n"
        "+ BatchNormalization, Activation, Dropout",
    ),
    Remedy(
        "drop_remainder",
        "Drop the last rows of an epoch, or use another batch size.",
        "+ dataset.batch(batch_size, drop_remainder=True)",
    ),
)
REMEDIES = {each.name: each for each in _ALL}
