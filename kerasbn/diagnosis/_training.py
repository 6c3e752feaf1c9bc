"""Rules about how a network trains."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from kerasbn.diagnosis._finding import Finding
from kerasbn.diagnosis._problems import finding
from kerasbn.diagnosis._symptoms import Signs
from kerasbn.diagnosis._thresholds import LIMITS


def learning_rate_too_high(signs: Signs) -> Iterator[Finding]:
    """Steps that overturn the weights."""
    if signs.jolt > LIMITS.overturned and signs.suffers:
        ratios = signs.run.tables["update_ratio"][:, signs.kernels]
        typical = np.nan_to_num(np.median(ratios, axis=1))
        first = signs.run.steps[np.argmax(typical > LIMITS.overturned)]
        yield finding(
            "learning_rate_too_high",
            "optimizer",
            first,
            "serious",
            f"One step moved a typical kernel by {signs.jolt:.2g} of its norm "
            f"(1e-3 is usual), and {_level(signs)}.",
            **_rates(signs),
        )


def non_finite(signs: Signs) -> Iterator[Finding]:
    """NaN or Inf in a gradient."""
    if signs.run.non_finite is not None:
        step, variable, origin = signs.run.non_finite
        told = {
            "forward": "the loss of that step is not finite either",
            "backward": "the loss of that step is finite",
        }.get(origin, "the train step does not tell its loss")
        skipped = signs.run.settings.get("skip_non_finite", False)
        done = " Clipped skipped the step: no weight was touched."
        yield finding(
            "non_finite",
            variable,
            step,
            "serious" if skipped else "fatal",
            f"Its gradient is the first that holds NaN or Inf, and {told}."
            + done * bool(skipped),
            certain=True,
        )


def saturated_activation(signs: Signs) -> Iterator[Finding]:
    """Outputs on the flat part of the activation."""
    shares = signs.units("saturation")
    flat = {k: v for k, v in shares.items() if v > LIMITS.saturated}
    if flat and (signs.suffers or signs.fresh):
        layer = max(flat, key=lambda path: flat[path])
        yield finding(
            "saturated_activation",
            layer,
            _since(signs, "saturation", layer, LIMITS.saturated),
            "serious",
            f"{flat[layer]:.0%} of its outputs lie on the flat part of the "
            f"activation; {len(flat)} of {len(shares)} layers are like that.",
        )


def dead_units(signs: Signs) -> Iterator[Finding]:
    """Units that are active at no row."""
    shares = signs.units("dead_units")
    dead = {k: v for k, v in shares.items() if v > LIMITS.dead}
    if dead and (signs.suffers or signs.fresh):
        layer = max(dead, key=lambda path: dead[path])
        yield finding(
            "dead_units",
            layer,
            _since(signs, "dead_units", layer, LIMITS.dead),
            "fatal" if dead[layer] == 1.0 else "serious",
            f"{dead[layer]:.0%} of its units are active at no row of a batch; "
            f"{len(dead)} of {len(shares)} layers have more than "
            f"{LIMITS.dead:.0%} such units.",
        )


def vanishing_gradient(signs: Signs) -> Iterator[Finding]:
    """Layers that no gradient reaches."""
    hidden = len(signs.kernels) - 1
    starved = len(signs.starved) > 0.3 * hidden > 0
    small = signs.decades > LIMITS.decades
    if (signs.stuck and (small or starved)) or (signs.fresh and small):
        where = signs.starved or [signs.run.paths[signs.kernels[0]]]
        yield finding(
            "vanishing_gradient",
            where[0],
            min(1, signs.last_step),
            "fatal" if starved else "serious",
            f"{len(signs.starved)} of {hidden + 1} kernels get less than "
            f"{LIMITS.starved:g} of the largest RMS gradient; the first layers "
            f"get {10 ** -max(signs.decades, 0.0):.1g} of what the last ones "
            "get.",
        )


def clipping_always_on(signs: Signs) -> Iterator[Finding]:
    """Clipping that cuts every gradient down to nothing."""
    total = signs.run.scalars["global_norm"]
    clipped = signs.run.scalars["clipped/global_norm"]
    if signs.adaptive or not signs.suffers or not signs.finite.any():
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.nan_to_num(clipped / total, nan=1.0)
    if (left[signs.finite] < LIMITS.clipped).mean() > 0.9:
        settings, usual = signs.run.settings, "clipnorm=1.0"
        kinds = ("clipnorm", "clipvalue", "global_clipnorm")
        set_ = next(
            (f"{k}={settings[k]}" for k in kinds if settings.get(k)), ""
        )
        if "rules" in settings:  # of a Clipped
            set_ = f"rules=[{settings['rules']}]"
            usual = "rules=[kerasbn.clipping.ByNorm(1.0)]"
        yield finding(
            "clipping_always_on",
            "optimizer",
            signs.run.steps[0],
            "serious",
            f"Clipping leaves {np.median(left):.2g} of the gradient's norm at "
            f"{(left < LIMITS.clipped).mean():.0%} of the readings.",
            set=set_,
            usual=usual,
        )


def learning_rate_too_low(signs: Signs) -> Iterator[Finding]:
    """Steps too small to get anywhere."""
    if signs.suffers and 0 < signs.travel < LIMITS.travel:
        yield finding(
            "learning_rate_too_low",
            "optimizer",
            signs.run.steps[0],
            "serious",
            "All planned steps together move no kernel by more than "
            f"{signs.travel:.2g} of its norm, and {_level(signs)}.",
            **_rates(signs),
        )


def oscillating_loss(signs: Signs) -> Iterator[Finding]:
    """A loss that jumps instead of falling."""
    losses = signs.losses[len(signs.losses) // 2 :]
    if not signs.suffers or not np.isfinite(losses).all():
        return
    jumps = float(np.std(np.diff(losses)) / 2**0.5 / np.mean(np.abs(losses)))
    if jumps > LIMITS.oscillation:
        yield finding(
            "oscillating_loss",
            "loss",
            signs.run.steps[len(losses)],
            "serious",
            f"The loss of neighbouring readings differs by {jumps:.0%} of its "
            f"mean, and {_level(signs)}.",
            **_rates(signs),
        )


def batch_statistics_mismatch(signs: Signs) -> Iterator[Finding]:
    """Moving statistics that are not those of the batches."""
    planned = signs.run.planned_steps
    slow = {
        each["path"]: each["momentum"] ** planned
        for each in signs.layers
        if each["momentum"] and not each["starts_warm"] and planned
    }
    cold = {k: v for k, v in slow.items() if v > LIMITS.cold}
    momenta = {each["path"]: each["momentum"] for each in signs.layers}
    if cold:
        layer = max(cold, key=lambda path: cold[path])
        yield finding(
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
        yield finding(
            "batch_statistics_mismatch",
            layer,
            _since(signs, "statistics_distance", layer, LIMITS.distance),
            "serious",
            f"Its moving statistics are {far[layer]:.1f} deviations from those "
            "of a batch.",
            momentum=momenta.get(layer),
        )


def not_learning(signs: Signs) -> Iterator[Finding]:
    """Nothing learnt, for no reason that shows."""
    patience = max(2 * LIMITS.warm_up, LIMITS.patience * signs.planned_steps)
    if signs.stuck and signs.last_step >= patience:
        yield finding(
            "not_learning",
            "loss",
            signs.last_step,
            "serious",
            f"After {signs.last_step} steps {_level(signs)}.",
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


def _rates(signs) -> dict[str, Any]:
    rate = float(signs.run.scalars["learning_rate"][0])
    usual = 1e-3 if signs.adaptive else 1e-2
    return {
        "rate": f"{rate:g}",
        "lower": f"{min(rate / 10, usual):g}",
        "usual": f"{usual:g}",
    }


def _since(signs, measure, layer, limit):
    """The first of the last steps at which a layer was beyond a limit."""
    since = signs.last_step
    for step, numbers in reversed(signs.run.layers):
        if not numbers.get(measure, {}).get(layer, 0.0) > limit:
            break
        since = step
    return since
