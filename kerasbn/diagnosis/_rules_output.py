"""Rules about outputs, losses and targets."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

from kerasbn.diagnosis._finding import Finding
from kerasbn.diagnosis._remedies import Named
from kerasbn.diagnosis._symptoms import Symptoms

_CLASSES = ("categorical_crossentropy", "sparse_categorical_crossentropy")
REGRESSIONS = (
    "mean_squared_error",
    "mean_absolute_error",
    "huber",
    "log_cosh",
)
RANGES = {
    **dict.fromkeys(("sigmoid", "hardsigmoid", "softmax"), (0.0, 1.0)),
    **dict.fromkeys(("tanh", "softsign"), (-1.0, 1.0)),
    **dict.fromkeys(("relu", "softplus", "exponential"), (0.0, float("inf"))),
}
UNLIMITED = (-float("inf"), float("inf"))
# Probabilities of half precision miss 0 and 1 by that much.
_SLACK = 1e-3


class Contradiction(NamedTuple):
    """A contradiction in a sentence, and what of the output to change."""

    applies: bool
    sentence: str
    change: dict[str, Any] = {}  # noqa: RUF012, never written to
    severity: str = "fatal"
    may_train: bool = False  # a run that learns shows that it does no harm
    remedy: str = ""  # in place of a change of the output


def output_mismatch(symptoms: Symptoms) -> Iterator[Finding]:
    for head, found in contradictions(symptoms):
        severity = found.severity
        if found.may_train and symptoms.learns:
            severity = "minor"  # it trains all the same
        elif found.may_train and symptoms.stuck and severity == "minor":
            severity = "serious"
        yield Finding(
            problem="output_mismatch",
            where=head["layer"],
            step=0,
            severity=severity,
            evidence=found.sentence,
            confidence="certain",
            remedies=(found.remedy,) if found.remedy else (),
        )


def contradictions(
    symptoms: Symptoms,
) -> Iterator[tuple[dict[str, Any], Contradiction]]:
    """Yield each output that contradicts its loss or its targets, and how.

    The `change` has "activation", "units" and "loss" of an output that fits.
    """
    for head, targets, seen in symptoms.heads:
        units = head_units(head, targets, seen)
        for each in _checks(head, targets, seen, units, symptoms):
            if each.applies:
                fitting = _fitting(targets or {}, units)
                yield head, each._replace(change={**fitting, **each.change})
                break


def head_units(head: dict[str, Any], targets: Any, seen: Any) -> int:
    """Return the size of an output's last axis, that of targets if unknown."""
    if seen:
        return seen["units"]
    return head["units"] or (targets or {}).get("columns", 1)


def _checks(head, targets, seen, units, symptoms):
    """All contradictions; the first that applies counts."""
    loss, logits = head["loss"], head["from_logits"]
    activation = head["activation"]
    binary = loss == "binary_crossentropy"
    classes = loss in _CLASSES
    probabilities = _are_probabilities(activation, seen)
    if loss is None or (seen is None and activation is None):
        return
    yield Contradiction(
        units == 1 and (activation == "softmax" or (classes and not logits)),
        "Softmax over a single unit is always 1, whatever the inputs are."
        if activation == "softmax"
        else f"`{loss}` compares classes, and there is a single output unit.",
    )
    losses = symptoms.seen_losses
    copied, given = (losses.get(e, np.nan) for e in ("copied", "inference"))
    undone = not np.isclose(copied, given, rtol=1e-3, atol=1e-6)
    named = activation in ("softmax", "sigmoid", "hardsigmoid")
    sums = seen and seen["sums_to_one"] and units > 1
    yield Contradiction(
        (binary or classes) and logits and bool(named or sums),
        "The loss has from_logits=True and applies its own activation, but the "
        f"outputs already went through {activation or 'softmax'}. "
        + (
            "On TensorFlow, Keras warns and uses the logits."
            if undone
            else "Keras cannot undo it here, so it is applied twice and the "
            "loss stays high."
        ),
        {"activation": activation or "softmax", "loss": loss},
        "minor" if undone else "serious",
        may_train=not undone,
    )
    low, high, columns = 0.0, 0.0, None
    if targets:
        low, high = targets["low"], targets["high"]
        columns = targets["columns"]
    fitting = "sigmoid" if binary else "softmax"
    beyond = binary and (low < 0 or high > 1)
    comes_out = repr(activation)
    if activation is None and seen:
        comes_out = f"values from {seen['low']:.3g} to {seen['high']:.3g}"
    yield Contradiction(
        (binary or classes) and not logits and probabilities is False,
        f"`{loss}` needs probabilities, but {comes_out} does not give any."
        if activation
        else f"`{loss}` needs probabilities, but the outputs are {comes_out}.",
        {} if beyond else {"activation": fitting, "loss": loss},
        may_train=True,
    )
    yield Contradiction(
        classes
        and not logits
        and bool(seen)
        and not seen["sums_to_one"]
        and seen["other_axis"] is not None,
        "The outputs add up to 1 along another axis than that of the classes, "
        "which is the last one.",
        {"activation": "softmax", "loss": loss},
    )
    if not targets:
        return
    yield Contradiction(
        loss == "sparse_categorical_crossentropy"
        and (_out_of_range(targets, units, symptoms) or not targets["integers"])
        and not targets["not_finite"],
        f"The labels run from {low:g} to {high:g}, but {units} output units "
        f"stand for the classes 0 to {units - 1}.",
        {"units": int(high) + 1, "activation": "softmax", "loss": loss}
        if targets["integers"] and low >= 0
        else {},
        remedy=Named("shift_labels", first=int(low))
        if targets["integers"] and low and high - low + 1 == units
        else "",
    )
    yield Contradiction(
        loss == "categorical_crossentropy" and columns != units,
        "`categorical_crossentropy` needs one column of targets for each of "
        f"the {units} units, but there are {columns}.",
    )
    yield Contradiction(
        beyond,
        "`binary_crossentropy` needs targets between 0 and 1, but they run "
        f"from {low:.3g} to {high:.3g}.",
    )
    yield Contradiction(
        classes and activation in ("sigmoid", "hardsigmoid") and units > 1,
        f"`{loss}` is for classes that exclude each other, but sigmoid outputs "
        "are independent of each other.",
        {"activation": "softmax"},
        "minor",  # it mostly trains well
        may_train=True,
    )
    yield Contradiction(
        binary
        and activation == "softmax"
        and targets["binary"]
        and not targets["one_hot"]
        and columns == units > 1,
        "Softmax outputs add up to 1, but the labels of a row do not: they do "
        "not exclude each other.",
        may_train=True,
    )
    bottom, top = RANGES.get(str(activation), UNLIMITED)
    slack = 0.05 * (high - low)
    yield Contradiction(
        loss in REGRESSIONS and (low < bottom - slack or high > top + slack),
        f"{activation!r} outputs stay within [{bottom:g}, {top:g}], but the "
        f"targets run from {low:.3g} to {high:.3g}.",
        {"loss": loss},
        may_train=True,
    )


def _out_of_range(targets, units, symptoms):
    """Whether a label stands for no unit; one that is ignored may."""
    low, high = targets["low"], targets["high"]
    loss = symptoms.seen_losses.get("inference", np.nan)
    ignored = high in (254.0, 255.0) or low < 0
    if ignored and np.isfinite(loss):
        # Keras gives NaN for a label out of range, unless it is ignored.
        return False
    return low < 0 or high >= units


def _are_probabilities(activation, seen):
    """Whether the outputs are probabilities; `None` if that is not known."""
    if activation is not None:
        return RANGES.get(activation) == (0.0, 1.0)
    if seen is None:
        return None
    return -_SLACK <= seen["low"] and seen["high"] <= 1.0 + _SLACK


def _fitting(targets, units):
    """Activation, units and loss of an output that fits the targets."""
    units = targets.get("columns", units)
    activation, loss = "linear", "mean_squared_error"
    classes = int(targets.get("high", 0)) + 1
    if targets.get("one_hot"):
        activation, loss = "softmax", "categorical_crossentropy"
    elif targets.get("binary"):
        activation, loss = "sigmoid", "binary_crossentropy"
    elif (
        targets.get("integers")
        and units == 1
        and targets["low"] == 0
        and targets["distinct"] == classes
    ):
        activation, loss = "softmax", "sparse_categorical_crossentropy"
        units = classes
    return {"activation": activation, "units": units, "loss": loss}
