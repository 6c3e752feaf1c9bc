"""Rules about how a network is built, for the data that it is given."""

from collections.abc import Iterator

from kerasbn.diagnosis._contradictions import contradictions
from kerasbn.diagnosis._finding import Finding
from kerasbn.diagnosis._problems import finding
from kerasbn.diagnosis._symptoms import Signs
from kerasbn.diagnosis._thresholds import LIMITS

_BATCH_NORMALIZATION = "https://arxiv.org/abs/1502.03167"


def output_mismatch(signs: Signs) -> Iterator[Finding]:
    """Output activation, loss and targets contradict each other."""
    for severity, evidence, fit in contradictions(signs.model, signs.targets):
        layer = signs.output["layer"]
        units, activation = signs.output["units"], signs.output["activation"]
        yield Finding(
            "output_mismatch",
            layer,
            0,
            severity,
            evidence,
            "Use an output and a loss that fit the targets.",
            f'- keras.layers.Dense({units}, activation="{activation}")\n'
            f"+ keras.layers.Dense({fit['units']}, "
            f'activation="{fit["activation"]}")\n'
            f'+ model.compile(..., loss="{fit["loss"]}")',
            "certain",
            "The loss cannot say what is right.",
            "https://developers.google.com/machine-learning/guides/"
            "text-classification/step-4",
        )


def poisoned_inputs(signs: Signs) -> Iterator[Finding]:
    """NaN or Inf in the data."""
    inputs = [each for each in signs.inputs if each["not_finite"]]
    if inputs:
        yield finding(
            "non_finite",
            "inputs",
            0,
            "fatal",
            f"A batch of inputs holds {inputs[0]['not_finite']} values that "
            "are NaN or Inf.",
            certain=True,
        )


def symmetric_units(signs: Signs) -> Iterator[Finding]:
    """All units of a layer start equal."""
    drawn = [each for each in signs.layers if each.get("kernel")][:-1]
    same = [each["path"] for each in drawn if each["identical_units"]]
    if same and len(same) > len(drawn) / 2:
        yield finding(
            "symmetric_units",
            same[0],
            0,
            "fatal",
            f"All units start with the same weights in {len(same)} of "
            f"{len(drawn)} hidden layers.",
            certain=True,
        )


def input_scale(signs: Signs) -> Iterator[Finding]:
    """Large or uneven inputs that nothing normalizes."""
    if signs.model.get("normalizes_inputs") is not False or not signs.inputs:
        return
    worst = max(signs.inputs, key=lambda each: each["rms"])
    deviation = worst["deviation"] or 1.0
    offset = worst["offset"] / deviation
    if (
        max(worst["rms"], offset) < LIMITS.input_scale
        and worst["spread"] < LIMITS.input_spread
    ):
        return
    if signs.fresh or signs.suffers:
        yield finding(
            "input_scale",
            "inputs",
            0,
            "serious",
            f"The inputs have an RMS of {worst['rms']:.3g}, means of up to "
            f"{worst['offset']:.3g} beside a typical deviation of "
            f"{worst['deviation']:.3g}, and no layer normalizes them.",
        )


def exploding_gradient(signs: Signs) -> Iterator[Finding]:
    """Kernels so large that what passes grows with depth."""
    level = signs.trivial_loss
    if signs.gains < LIMITS.gains:
        return
    if signs.fresh or signs.suffers:
        yield finding(
            "exploding_gradient",
            _first_hidden(signs),
            min(1, signs.last_step),
            "serious",
            f"The kernels multiply what passes by {10**signs.gains:.1g} over "
            f"depth; the first loss is {signs.start_loss:.3g}"
            + (f", where a constant guess has {level:.3g}." if level else "."),
        )


def vanishing_gradient(signs: Signs) -> Iterator[Finding]:
    """Kernels so small that what passes shrinks with depth."""
    if signs.gains < -LIMITS.gains and (signs.fresh or signs.stuck):
        yield finding(
            "vanishing_gradient",
            _first_hidden(signs),
            0,
            "fatal",
            f"The kernels multiply what passes by {10**signs.gains:.1g} over "
            "depth: neither inputs nor gradients come through.",
        )


def around_normalization(signs: Signs) -> Iterator[Finding]:
    """What batch normalization makes useless, or is spoilt by."""
    if signs.last_step:
        return
    by_path = {each["path"]: each for each in signs.layers}
    for layer in signs.layers:
        before = by_path.get(layer.get("after"), {})
        if layer["normalizes"] != "batch":
            continue
        if before.get("has_bias") and before["activation"] in (None, "linear"):
            yield Finding(
                "vanishing_gradient",
                before["path"],
                0,
                "minor",
                f"{layer['path']!r} subtracts its bias again: the gradient of "
                "the bias is 0.",
                "Leave the bias out.",
                "- keras.layers.Dense(units)\n"
                "+ keras.layers.Dense(units, use_bias=False)",
                "certain",
                "Weights that are stored and never learnt.",
                _BATCH_NORMALIZATION,
            )
        if "Dropout" in before.get("type", ""):
            yield Finding(
                "batch_statistics_mismatch",
                layer["path"],
                0,
                "minor",
                f"{before['path']!r} in front of it changes the variance in "
                "training only.",
                "Put dropout behind the normalization and the activation.",
                "- Dropout, BatchNormalization, Activation\n"
                "+ BatchNormalization, Activation, Dropout",
                "certain",
                "At inference the variance differs from what was learnt.",
                "https://arxiv.org/abs/1801.05134",
            )
        if layer.get("last_rows") == 1 and not layer["starts_warm"]:
            yield Finding(
                "batch_statistics_mismatch",
                layer["path"],
                0,
                "minor",
                "The last batch of an epoch is a single row, whose variance "
                "is 0.",
                "Leave the last rows out, or use another batch size.",
                "+ dataset.batch(batch_size, drop_remainder=True)",
                "certain",
                "A step in a direction that no other row has a part in.",
                _BATCH_NORMALIZATION,
            )


def _first_hidden(signs):
    return signs.run.paths[signs.kernels[0]] if signs.kernels else "model"
