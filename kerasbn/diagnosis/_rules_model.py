"""Rules about how a network is built, for the data that it is given."""

from collections.abc import Iterator

from kerasbn.diagnosis._finding import Finding
from kerasbn.diagnosis._symptoms import Symptoms
from kerasbn.diagnosis._thresholds import LIMITS


def poisoned_inputs(symptoms: Symptoms) -> Iterator[Finding]:
    inputs = [each for each in symptoms.inputs if each["not_finite"]]
    if inputs:
        yield Finding(
            problem="non_finite",
            where="inputs",
            step=0,
            severity="fatal",
            evidence="A batch of inputs contains "
            f"{inputs[0]['not_finite']} values that are NaN or Inf.",
            confidence="certain",
            remedies=("finite_data",),
        )


def symmetric_units(symptoms: Symptoms) -> Iterator[Finding]:
    drawn = [each for each in symptoms.layers if each.get("kernel")][:-1]
    same = [each["path"] for each in drawn if each["identical_units"]]
    if same and len(same) > len(drawn) / 2:
        yield Finding(
            problem="symmetric_units",
            where=same[0],
            step=0,
            severity="fatal",
            evidence="All units of a layer start with the same weights in "
            f"{len(same)} of {len(drawn)} hidden layers.",
            confidence="certain",
        )


def input_scale(symptoms: Symptoms) -> Iterator[Finding]:
    normalized = symptoms.model.get("normalizes_inputs") is not False
    if normalized or not symptoms.inputs:
        return
    worst = max(symptoms.inputs, key=lambda each: each["rms"])
    size = max(worst["rms"], worst["offset"] / (worst["deviation"] or 1.0))
    large = size >= LIMITS.input_scale or worst["spread"] >= LIMITS.input_spread
    if large and (symptoms.fresh or symptoms.suffers):
        yield Finding(
            problem="input_scale",
            where="inputs",
            step=0,
            severity="serious",
            evidence="No layer normalizes the inputs, whose RMS is "
            f"{worst['rms']:.3g} (1 is usual); the means of the features reach "
            f"{worst['offset']:.3g}, their typical deviation is "
            f"{worst['deviation']:.3g}, and the largest deviation is "
            f"{worst['spread']:.3g} times the smallest.",
        )


def kernel_scale(symptoms: Symptoms) -> Iterator[Finding]:
    gains = symptoms.gains
    evidence = (
        "From the first layer to the last the kernels multiply their inputs "
        f"by {10**gains:.1g} (about 1 is usual)"
    )
    if gains >= LIMITS.gains and (symptoms.fresh or symptoms.suffers):
        yield Finding(
            problem="exploding_gradient",
            where=symptoms.first_kernel,
            step=min(1, symptoms.last_step),
            severity="serious",
            evidence=f"{evidence}; the first loss is "
            f"{symptoms.start_loss:.3g}{symptoms.guess()}.",
        )
    if gains < -LIMITS.gains and (symptoms.fresh or symptoms.stuck):
        yield Finding(
            problem="vanishing_gradient",
            where=symptoms.first_kernel,
            step=0,
            severity="fatal",
            evidence=f"{evidence}: neither inputs nor gradients get through.",
        )


def around_normalization(symptoms: Symptoms) -> Iterator[Finding]:
    by_path = {each["path"]: each for each in symptoms.layers}
    note = Finding(
        problem="batch_statistics_mismatch",
        where="",
        step=0,
        severity="minor",
        evidence="",
        confidence="certain",
    )
    for layer in [] if symptoms.last_step else symptoms.layers:
        before = by_path.get(layer.get("after"), {})
        if layer["normalizes"] != "batch":
            continue
        if before.get("has_bias") and before["activation"] in (None, "linear"):
            yield note._replace(
                problem="vanishing_gradient",
                where=before["path"],
                evidence=f"{layer['path']!r} comes next and subtracts the bias "
                "again, so the gradient of the bias is 0.",
                cost="The bias takes memory and never learns.",
                remedies=("drop_bias",),
            )
        if "Dropout" in before.get("type", ""):
            yield note._replace(
                where=layer["path"],
                evidence=f"{before['path']!r} comes before it and changes the "
                "variance of its inputs, but in training only.",
                cost="At inference the variance differs from the learnt one.",
                source="https://arxiv.org/abs/1801.05134",
                remedies=("move_dropout",),
            )
        if layer.get("last_rows") == 1 and not layer["starts_warm"]:
            yield note._replace(
                where=layer["path"],
                evidence="The last batch of each epoch is a single row, whose "
                "variance is 0.",
                cost="That step follows a single row.",
                source="https://arxiv.org/abs/1502.03167",
                remedies=("drop_remainder",),
            )
