"""The rule about output activation, loss and targets that contradict."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from kerasbn.diagnosis._finding import Finding
from kerasbn.diagnosis._symptoms import Symptoms

_CLASSES = ("categorical_crossentropy", "sparse_categorical_crossentropy")
_REGRESSIONS = (
    "mean_squared_error",
    "mean_absolute_error",
    "huber",
    "log_cosh",
)
_RANGES = {
    **dict.fromkeys(("sigmoid", "hard_sigmoid", "softmax"), (0.0, 1.0)),
    "tanh": (-1.0, 1.0),
    **dict.fromkeys(("relu", "softplus"), (0.0, float("inf"))),
}
_ANY = (-float("inf"), float("inf"))


class Contradiction(NamedTuple):
    """A contradiction in a sentence, and what of the output to change."""

    applies: bool
    sentence: str
    change: dict[str, Any] = {}  # noqa: RUF012, never written to
    severity: str = "fatal"


def output_mismatch(symptoms: Symptoms) -> Iterator[Finding]:
    found = contradiction(symptoms.model, symptoms.targets)
    if found:
        yield Finding(
            problem="output_mismatch",
            where=symptoms.output["layer"],
            step=0,
            severity=found.severity,
            evidence=found.sentence,
            confidence="certain",
        )


def contradiction(
    model: dict[str, Any], targets: dict[str, Any]
) -> Contradiction | None:
    """Return how the output contradicts the loss or the targets, if it does.

    Its `change` has "activation", "units" and "loss" of an output that fits.
    """
    if not model.get("output") or not model.get("loss"):
        return None
    fitting = _fitting(targets, model["output"]["units"])
    for each in _checks(model, targets):
        if each.applies:
            return each._replace(change={**fitting, **each.change})
    return None


def _checks(model, targets):
    """All contradictions; the first that applies counts."""
    loss, logits = model["loss"], model["from_logits"]
    activation = model["output"]["activation"]
    units = model["output"]["units"]
    binary = loss == "binary_crossentropy"
    classes = loss in _CLASSES
    probabilities = activation in ("softmax", "sigmoid")
    yield Contradiction(
        activation == "softmax" and units == 1,
        "Softmax over a single unit is always 1, whatever the inputs are.",
    )
    yield Contradiction(
        (binary or classes) and logits and probabilities,
        "The loss has from_logits=True and applies its own activation, but the "
        f"outputs already went through {activation}. On TensorFlow, Keras "
        "warns and uses the logits.",
        {"activation": activation, "loss": loss},
        "minor",
    )
    low, high = targets.get("low", 0.0), targets.get("high", 0.0)
    columns = targets.get("columns")
    fitting = "sigmoid" if binary else "softmax"
    beyond = binary and (low < 0 or high > 1)
    yield Contradiction(
        (binary or classes) and not logits and not probabilities,
        f"`{loss}` needs probabilities, but {activation!r} does not give any.",
        {} if beyond else {"activation": fitting, "loss": loss},
    )
    if "low" not in targets:  # unknown
        return
    yield Contradiction(
        loss == "sparse_categorical_crossentropy"
        and (low < 0 or high >= units or not targets["integers"]),
        f"The labels run from {low:g} to {high:g}, but {units} output units "
        f"stand for the classes 0 to {units - 1}.",
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
        classes and activation == "sigmoid" and units > 1,
        f"`{loss}` is for classes that exclude each other, but sigmoid outputs "
        "are independent of each other.",
        {"activation": "softmax"},
    )
    yield Contradiction(
        binary
        and activation == "softmax"
        and targets["binary"]
        and not targets["one_hot"],
        "Softmax outputs add up to 1, but the labels of a row do not: they do "
        "not exclude each other.",
    )
    bottom, top = _RANGES.get(activation, _ANY)
    slack = 0.05 * (high - low)
    yield Contradiction(
        loss in _REGRESSIONS and (low < bottom - slack or high > top + slack),
        f"{activation!r} outputs stay within [{bottom:g}, {top:g}], but the "
        f"targets run from {low:.3g} to {high:.3g}.",
        {"loss": loss},
    )
    yield Contradiction(
        loss in _REGRESSIONS and columns == 1 != units,
        f"{units} outputs are compared with the same single target.",
        {"units": 1, "loss": loss},
    )


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
