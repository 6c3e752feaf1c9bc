"""Where output activation, loss and targets contradict each other."""

from collections.abc import Iterator
from typing import Any

_CLASSES = ("categorical_crossentropy", "sparse_categorical_crossentropy")
_CROSSENTROPIES = (*_CLASSES, "binary_crossentropy")
_REGRESSIONS = {
    "mean_squared_error",
    "mse",
    "mean_absolute_error",
    "mae",
    "huber",
    "log_cosh",
}
_RANGES = {
    "sigmoid": (0.0, 1.0),
    "hard_sigmoid": (0.0, 1.0),
    "softmax": (0.0, 1.0),
    "tanh": (-1.0, 1.0),
    "relu": (0.0, float("inf")),
    "softplus": (0.0, float("inf")),
}


def contradictions(
    model: dict[str, Any], targets: dict[str, Any] | None
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Yield severity, what contradicts in a sentence, and what would fit.

    Args:
        model: Of `_inspection.describe_model`.
        targets: Of `_inspection.describe_data`, or `None`.

    Yields:
        A severity, a sentence, and "activation", "units" and "loss" of an
        output that fits.
    """
    output, loss = model.get("output"), model.get("loss")
    if not output or not loss:
        return
    activation, units = output["activation"], output["units"]
    targets = targets or {}
    columns = targets.get("columns")
    known = "low" in targets
    low, high = targets.get("low", 0.0), targets.get("high", 0.0)
    fit = fitting(targets, units)

    def found(sentence, severity="fatal", **change):
        return severity, sentence, {**fit, **change}

    if activation == "softmax" and units == 1:
        yield found(
            "Softmax over a single unit is always 1, whatever the inputs."
        )
        return
    if loss in _CROSSENTROPIES:
        probabilities = activation in ("softmax", "sigmoid")
        if model["from_logits"] and probabilities:
            yield found(
                f"The loss applies its own activation (from_logits=True) to "
                f"outputs that went through {activation}. On TensorFlow "
                "Keras goes back to the logits, with a warning.",
                "minor",
                activation=activation,
                loss=loss,
            )
            return
        if not model["from_logits"] and not probabilities:
            binary = loss == "binary_crossentropy"
            beyond = binary and known and (low < 0 or high > 1)
            mend = {
                "activation": "sigmoid" if binary else "softmax",
                "loss": loss,
            }
            yield found(
                f"`{loss}` wants probabilities, and {activation!r} outputs are "
                "none.",
                **({} if beyond else mend),
            )
            return
    if not known:
        return
    if loss == "sparse_categorical_crossentropy" and (
        low < 0 or high >= units or not targets["integers"]
    ):
        yield found(
            f"Labels run from {low:g} to {high:g}, and {units} output units "
            f"know the classes 0 to {units - 1}."
        )
    elif loss == "categorical_crossentropy" and columns != units:
        yield found(
            f"`categorical_crossentropy` wants one column for each of the "
            f"{units} units, and the targets have {columns}."
        )
    elif loss == "binary_crossentropy" and (low < 0 or high > 1):
        yield found(
            f"`binary_crossentropy` wants targets in [0, 1], and they run from "
            f"{low:.3g} to {high:.3g}."
        )
    elif loss in _CLASSES and activation == "sigmoid" and units > 1:
        yield found(
            "Sigmoid outputs are independent of each other, and "
            f"`{loss}` is for classes that exclude each other.",
            activation="softmax",
        )
    elif (
        loss == "binary_crossentropy"
        and activation == "softmax"
        and targets["binary"]
        and not targets["one_hot"]
    ):
        yield found(
            "Softmax outputs add up to 1, and the labels of a row do not: they "
            "do not exclude each other."
        )
    elif loss in _REGRESSIONS:
        bottom, top = _RANGES.get(activation, (-float("inf"), float("inf")))
        slack = 0.05 * (high - low)
        if low < bottom - slack or high > top + slack:
            yield found(
                f"{activation!r} outputs stay in [{bottom:g}, {top:g}], and "
                f"the targets run from {low:.3g} to {high:.3g}.",
                loss=loss,
            )
        elif columns != units and columns == 1:
            yield found(
                f"{units} outputs are compared with one target each.",
                units=1,
                loss=loss,
            )


def fitting(targets: dict[str, Any], units: int) -> dict[str, Any]:
    """The output that fits the targets: activation, units and loss."""
    columns = targets.get("columns", units)
    if targets.get("one_hot"):
        return {
            "activation": "softmax",
            "units": columns,
            "loss": "categorical_crossentropy",
        }
    if targets.get("binary"):
        return {
            "activation": "sigmoid",
            "units": columns,
            "loss": "binary_crossentropy",
        }
    classes = int(targets.get("high", 0)) + 1
    if (
        targets.get("integers")
        and columns == 1
        and targets["low"] == 0
        and targets["distinct"] == classes
    ):
        return {
            "activation": "softmax",
            "units": classes,
            "loss": "sparse_categorical_crossentropy",
        }
    return {
        "activation": "linear",
        "units": columns,
        "loss": "mean_squared_error",
    }
