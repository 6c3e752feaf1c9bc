"""Rules that turn the numbers of a run into findings.

Most rules ask two questions: is there the symptom, and does training suffer? A
symptom alone is found in every second healthy network: published detectors that
stop there flag 36 to 100 % of the models that train well.
"""

from collections.abc import Iterator

import numpy as np

from kerasbn._contradictions import contradictions
from kerasbn._remedies import REMEDIES
from kerasbn._signs import LIMITS, Signs
from kerasbn._trace import Trace
from kerasbn.diagnosis import Finding

_BATCH_NORMALIZATION = "https://arxiv.org/abs/1502.03167"

# What each problem brings about: a cause is told once, without its effects.
_STALLED = {"not_learning", "oscillating_loss", "learning_rate_too_low"}
_STALLED |= {"vanishing_gradient", "clipping_always_on"}
_BROKEN = {"dead_units", "saturated_activation", "non_finite"} | _STALLED
_WILD = {"exploding_gradient", "learning_rate_too_high"} | _BROKEN
_EFFECTS = {
    "output_mismatch": _WILD,
    "non_finite": _WILD,
    "symmetric_units": _WILD,
    "input_scale": _WILD,
    "exploding_gradient": _WILD,
    "learning_rate_too_high": _BROKEN,
    "saturated_activation": _STALLED,
    "dead_units": _STALLED,
    "vanishing_gradient": {"not_learning", "learning_rate_too_low"},
    "clipping_always_on": {"not_learning", "learning_rate_too_low"},
    "learning_rate_too_low": {"not_learning"},
    "oscillating_loss": {"not_learning"},
    "batch_statistics_mismatch": set(),
    "not_learning": set(),
}


def judge(trace: Trace) -> tuple[list[Finding], str]:
    """Return the findings, first to mend first, and else what is healthy."""
    signs = Signs(trace)
    return _causes([f for rule in _RULES for f in rule(signs)]), signs.healthy()


def _causes(findings):
    """Without what is the effect of something that comes first."""
    kept, effects = [], set()
    for finding in findings:
        if finding.problem not in effects:
            kept.append(finding)
            effects |= _EFFECTS[finding.problem]
    return kept


def _finding(problem, where, step, severity, evidence, certain=False, **blanks):
    remedy = REMEDIES[problem]
    return Finding(
        problem,
        where,
        int(step),
        severity,
        evidence,
        remedy.sentence,
        remedy.patch.format(**blanks) if blanks else remedy.patch,
        "certain" if certain else "likely",
        remedy.cost,
        remedy.source,
    )


def _output_mismatch(signs: Signs) -> Iterator[Finding]:
    for evidence, fit in contradictions(signs.model, signs.targets):
        layer = signs.output["layer"]
        units, activation = signs.output["units"], signs.output["activation"]
        yield Finding(
            "output_mismatch",
            layer,
            0,
            "fatal",
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


def _symmetric_units(signs: Signs) -> Iterator[Finding]:
    drawn = [each for each in signs.layers if each.get("kernel")][:-1]
    same = [each["path"] for each in drawn if each["identical_units"]]
    if same and len(same) > len(drawn) / 2:
        yield _finding(
            "symmetric_units",
            same[0],
            0,
            "fatal",
            f"All units start with the same weights in {len(same)} of "
            f"{len(drawn)} hidden layers.",
            certain=True,
        )


def _input_scale(signs: Signs) -> Iterator[Finding]:
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
        yield _finding(
            "input_scale",
            "inputs",
            0,
            "serious",
            f"The inputs have an RMS of {worst['rms']:.3g}, means of up to "
            f"{worst['offset']:.3g} beside a typical deviation of "
            f"{worst['deviation']:.3g}, and no layer normalizes them.",
        )


def _exploding(signs: Signs) -> Iterator[Finding]:
    level = signs.trivial_loss
    if signs.gains < LIMITS.gains:
        return
    if signs.fresh or signs.suffers:
        yield _finding(
            "exploding_gradient",
            _first_hidden(signs),
            min(1, signs.last_step),
            "serious",
            f"The kernels multiply what passes by 1e{signs.gains:.1f} over "
            f"depth; the first loss is {signs.start_loss:.3g}"
            + (f", where a constant guess has {level:.3g}." if level else "."),
        )


def _saturated(signs: Signs) -> Iterator[Finding]:
    shares = signs.units("saturation")
    flat = {k: v for k, v in shares.items() if v > LIMITS.saturated}
    if flat and (signs.suffers or signs.fresh):
        layer = max(flat, key=lambda path: flat[path])
        yield _finding(
            "saturated_activation",
            layer,
            _since(signs, "saturation", layer, LIMITS.saturated),
            "serious",
            f"{flat[layer]:.0%} of its outputs lie on the flat part of the "
            f"activation; {len(flat)} of {len(shares)} layers are like that.",
        )


def _dead_units(signs: Signs) -> Iterator[Finding]:
    shares = signs.units("dead_units")
    dead = {k: v for k, v in shares.items() if v > LIMITS.dead}
    if dead and (signs.suffers or signs.fresh):
        layer = max(dead, key=lambda path: dead[path])
        yield _finding(
            "dead_units",
            layer,
            _since(signs, "dead_units", layer, LIMITS.dead),
            "fatal" if dead[layer] == 1.0 else "serious",
            f"{dead[layer]:.0%} of its units are active at no row of a batch; "
            f"{len(dead)} of {len(shares)} layers have more than "
            f"{LIMITS.dead:.0%} such units.",
        )


def _too_high(signs: Signs) -> Iterator[Finding]:
    if signs.jolt > LIMITS.overturned and signs.suffers:
        ratios = signs.trace.tables["update_ratio"][:, signs.kernels]
        typical = np.nan_to_num(np.median(ratios, axis=1))
        first = signs.trace.steps[np.argmax(typical > LIMITS.overturned)]
        yield _finding(
            "learning_rate_too_high",
            "optimizer",
            first,
            "serious",
            f"One step moved a typical kernel by {signs.jolt:.2g} of its norm "
            f"(1e-3 is usual), and {_level(signs)}.",
            **_rates(signs),
        )


def _around_normalization(signs: Signs) -> Iterator[Finding]:
    """What batch normalization makes useless, or is spoilt by."""
    if signs.last_step:
        return
    by_path = {each["path"]: each for each in signs.layers}
    for layer in signs.layers:
        before = by_path.get(layer["after"], {})
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


def _poisoned_inputs(signs: Signs) -> Iterator[Finding]:
    inputs = [each for each in signs.inputs if each["not_finite"]]
    if inputs:
        yield _finding(
            "non_finite",
            "inputs",
            0,
            "fatal",
            f"A batch of inputs holds {inputs[0]['not_finite']} values that "
            "are NaN or Inf.",
            certain=True,
        )


def _non_finite(signs: Signs) -> Iterator[Finding]:
    if signs.trace.non_finite is not None:
        step, variable, origin = signs.trace.non_finite
        told = {
            "forward": "the loss of that step is not finite either",
            "backward": "the loss of that step is finite",
        }.get(origin, "the train step does not tell its loss")
        yield _finding(
            "non_finite",
            variable,
            step,
            "fatal",
            f"Its gradient is the first that holds NaN or Inf, and {told}.",
            certain=True,
        )


def _vanishing(signs: Signs) -> Iterator[Finding]:
    hidden = len(signs.kernels) - 1
    starved = len(signs.starved) > 0.3 * hidden > 0
    small = signs.decades > LIMITS.decades or signs.gains < -LIMITS.gains
    if (signs.stuck and (small or starved)) or (signs.fresh and small):
        where = signs.starved or [signs.trace.paths[signs.kernels[0]]]
        yield _finding(
            "vanishing_gradient",
            where[0],
            min(1, signs.last_step),
            "fatal" if starved else "serious",
            f"{len(signs.starved)} of {hidden + 1} kernels get less than "
            f"{LIMITS.starved:g} of the largest RMS gradient; the first layers "
            f"get 1e-{max(signs.decades, 0):.1f} of what the last ones get.",
        )


def _clipping(signs: Signs) -> Iterator[Finding]:
    total = signs.trace.scalars["global_norm"]
    clipped = signs.trace.scalars["clipped/global_norm"]
    if signs.adaptive or not signs.suffers or not signs.finite.any():
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.nan_to_num(clipped / total, nan=1.0)
    if (left[signs.finite] < LIMITS.clipped).mean() > 0.9:
        settings = signs.trace.settings
        kind = next(
            k
            for k in ("clipnorm", "clipvalue", "global_clipnorm", "clipnorm")
            if settings.get(k) or k == "clipnorm"
        )
        yield _finding(
            "clipping_always_on",
            "optimizer",
            signs.trace.steps[0],
            "serious",
            f"Clipping leaves {np.median(left):.2g} of the gradient's norm at "
            f"{(left < LIMITS.clipped).mean():.0%} of the readings.",
            clip=settings.get(kind),
        )


def _too_low(signs: Signs) -> Iterator[Finding]:
    if signs.suffers and 0 < signs.travel < LIMITS.travel:
        yield _finding(
            "learning_rate_too_low",
            "optimizer",
            signs.trace.steps[0],
            "serious",
            "All planned steps together move no kernel by more than "
            f"{signs.travel:.2g} of its norm, and {_level(signs)}.",
            **_rates(signs),
        )


def _oscillating(signs: Signs) -> Iterator[Finding]:
    losses = signs.losses[len(signs.losses) // 2 :]
    if not signs.suffers or not np.isfinite(losses).all():
        return
    jumps = float(np.std(losses) / np.mean(np.abs(losses)))
    if jumps > LIMITS.oscillation:
        yield _finding(
            "oscillating_loss",
            "loss",
            signs.trace.steps[len(losses)],
            "serious",
            f"The loss of neighbouring readings differs by {jumps:.0%} of its "
            f"mean, and {_level(signs)}.",
            **_rates(signs),
        )


def _mismatch(signs: Signs) -> Iterator[Finding]:
    planned = signs.trace.planned_steps
    slow = {
        each["path"]: each["momentum"] ** planned
        for each in signs.layers
        if each["momentum"] and not each["starts_warm"] and planned
    }
    cold = {k: v for k, v in slow.items() if v > LIMITS.cold}
    momenta = {each["path"]: each["momentum"] for each in signs.layers}
    if cold:
        layer = max(cold, key=lambda path: cold[path])
        yield _finding(
            "batch_statistics_mismatch",
            layer,
            0,
            "serious",
            f"With a momentum of {momenta[layer]:g} its moving statistics are "
            f"still {cold[layer]:.0%} their start after the {planned} steps of "
            "this training.",
            certain=True,
            momentum=momenta[layer],
        )
        return
    distances = signs.units("statistics_distance")
    far = {
        k: v
        for k, v in distances.items()
        if v > LIMITS.distance
        and (momenta.get(k) or 0.99) ** signs.last_step < 0.05
    }
    if far and signs.judged:
        layer = max(far, key=lambda path: far[path])
        yield _finding(
            "batch_statistics_mismatch",
            layer,
            _since(signs, "statistics_distance", layer, LIMITS.distance),
            "serious",
            f"Its moving statistics are {far[layer]:.1f} deviations from those "
            "of a batch.",
            momentum=momenta.get(layer),
        )


def _not_learning(signs: Signs) -> Iterator[Finding]:
    if signs.stuck:
        yield _finding(
            "not_learning",
            "loss",
            signs.last_step,
            "serious",
            f"After {signs.last_step} steps {_level(signs)}.",
        )


# In the order of what to mend first.
_RULES = (
    _output_mismatch,
    _poisoned_inputs,
    _symmetric_units,
    _input_scale,
    _exploding,
    _too_high,
    _non_finite,
    _saturated,
    _dead_units,
    _vanishing,
    _clipping,
    _too_low,
    _oscillating,
    _mismatch,
    _not_learning,
    _around_normalization,
)


def _level(signs):
    if not np.isfinite(signs.recent_loss):
        return "the loss is not finite"
    guess = signs.trivial_loss
    return (
        f"the loss is {signs.recent_loss:.3g}, where a constant guess has "
        f"{guess:.3g}"
        if guess
        else f"the loss went from {signs.start_loss:.3g} to "
        f"{signs.recent_loss:.3g}"
    )


def _rates(signs):
    rate = float(signs.trace.scalars["learning_rate"][0])
    usual = 1e-3 if signs.adaptive else 1e-2
    return {
        "rate": f"{rate:g}",
        "lower": f"{min(rate / 10, usual):g}",
        "usual": f"{usual:g}",
    }


def _first_hidden(signs):
    return signs.trace.paths[signs.kernels[0]] if signs.kernels else "model"


def _since(signs, measure, layer, limit):
    """The first of the last steps at which a layer was beyond a limit."""
    since = signs.last_step
    for step, numbers in reversed(signs.trace.layers):
        if not numbers.get(measure, {}).get(layer, 0.0) > limit:
            break
        since = step
    return since
