"""Rules about how a network trains."""

from collections.abc import Iterator

import numpy as np

from kerasbn.diagnosis._finding import Finding
from kerasbn.diagnosis._symptoms import Symptoms
from kerasbn.diagnosis._thresholds import LIMITS


def learning_rate_too_high(symptoms: Symptoms) -> Iterator[Finding]:
    large = symptoms.updates > LIMITS.overturned
    if large.any() and symptoms.suffers:
        yield Finding(
            problem="learning_rate_too_high",
            where="optimizer",
            step=symptoms.run.steps[np.argmax(large)],
            severity="serious",
            evidence="One step changed a typical kernel by "
            f"{symptoms.updates.max():.2g} of its norm (0.001 is usual), and "
            f"{symptoms.loss()}.",
        )


def non_finite(symptoms: Symptoms) -> Iterator[Finding]:
    if symptoms.run.non_finite is not None:
        step, variable, origin = symptoms.run.non_finite
        loss = {
            "forward": "the loss of that step is not finite either",
            "backward": "the loss of that step is finite",
        }.get(origin, "the loss of that step is unknown")
        skipped = symptoms.run.settings.get("skip_non_finite", False)
        done = " Clipped skipped the step: no weight was touched."
        yield Finding(
            problem="non_finite",
            where=variable,
            step=step,
            severity="serious" if skipped else "fatal",
            evidence="This gradient is the first with NaN or Inf in it, and "
            f"{loss}." + done * bool(skipped),
            confidence="certain",
        )


def saturated_activation(symptoms: Symptoms) -> Iterator[Finding]:
    shares = symptoms.units("saturation")
    flat = _beyond(shares, LIMITS.saturated)
    if flat and (symptoms.suffers or symptoms.fresh):
        yield Finding(
            problem="saturated_activation",
            where=flat[0],
            step=symptoms.since("saturation", flat[0], LIMITS.saturated),
            severity="serious",
            evidence=f"{shares[flat[0]]:.0%} of the outputs lie on the flat "
            f"part of the activation; {len(flat)} of {len(shares)} layers have "
            f"more than {LIMITS.saturated:.0%} there, which is not usual.",
        )


def dead_units(symptoms: Symptoms) -> Iterator[Finding]:
    shares = symptoms.units("dead_units")
    dead = _beyond(shares, LIMITS.dead)
    if dead and (symptoms.suffers or symptoms.fresh):
        yield Finding(
            problem="dead_units",
            where=dead[0],
            step=symptoms.since("dead_units", dead[0], LIMITS.dead),
            severity="fatal" if shares[dead[0]] == 1.0 else "serious",
            evidence=f"{shares[dead[0]]:.0%} of the units are not active for "
            f"any row of a batch (up to 40% is usual); {len(dead)} of "
            f"{len(shares)} layers have more than {LIMITS.dead:.0%} of them.",
        )


def vanishing_gradient(symptoms: Symptoms) -> Iterator[Finding]:
    hidden, starved = len(symptoms.kernels) - 1, symptoms.starved
    many = len(starved) > 0.3 * hidden > 0
    small = symptoms.decades > LIMITS.decades
    if (symptoms.stuck and (small or many)) or (symptoms.fresh and small):
        yield Finding(
            problem="vanishing_gradient",
            where=(starved or [symptoms.first_kernel])[0],
            step=min(1, symptoms.last_step),
            severity="fatal" if many else "serious",
            evidence=f"The RMS gradient of the first layers is "
            f"{10 ** -max(symptoms.decades, 0.0):.1g} of that of the last ones "
            f"(at least {10**-LIMITS.decades:.1g} is usual); {len(starved)} of "
            f"{hidden + 1} kernels get less than {LIMITS.starved:g} of the "
            "largest.",
        )


def clipping_always_on(symptoms: Symptoms) -> Iterator[Finding]:
    total = symptoms.run.scalars["global_norm"]
    clipped = symptoms.run.scalars["clipped/global_norm"]
    if symptoms.adaptive or not symptoms.suffers or not symptoms.finite.any():
        return
    with np.errstate(divide="ignore", invalid="ignore"):
        left = np.nan_to_num(clipped / total, nan=1.0)
    small = left < LIMITS.clipped
    if small[symptoms.finite].mean() > 0.9:
        yield Finding(
            problem="clipping_always_on",
            where="optimizer",
            step=symptoms.run.steps[0],
            severity="serious",
            evidence=f"Clipping leaves {np.median(left):.2g} of the gradient's "
            f"norm, and less than {LIMITS.clipped:g} at {small.mean():.0%} of "
            "the readings. Usually it cuts only spikes.",
        )


def learning_rate_too_low(symptoms: Symptoms) -> Iterator[Finding]:
    if symptoms.suffers and 0 < symptoms.travel < LIMITS.travel:
        yield Finding(
            problem="learning_rate_too_low",
            where="optimizer",
            step=symptoms.run.steps[0],
            severity="serious",
            evidence="All planned steps together change no kernel by more than "
            f"{symptoms.travel:.2g} of its norm (at least {LIMITS.travel:g} is "
            f"usual), and {symptoms.loss()}.",
        )


def oscillating_loss(symptoms: Symptoms) -> Iterator[Finding]:
    losses = symptoms.losses[len(symptoms.losses) // 2 :]
    if not symptoms.suffers or not np.isfinite(losses).all():
        return
    jumps = float(np.std(np.diff(losses)) / 2**0.5 / np.mean(np.abs(losses)))
    if jumps > LIMITS.oscillation:
        yield Finding(
            problem="oscillating_loss",
            where="loss",
            step=symptoms.run.steps[len(losses)],
            severity="serious",
            evidence="From one reading to the next the loss jumps by "
            f"{jumps:.0%} of its mean (less than {LIMITS.oscillation:.0%} is "
            f"usual), and {symptoms.loss()}.",
        )


def batch_statistics_mismatch(symptoms: Symptoms) -> Iterator[Finding]:
    planned = symptoms.run.planned_steps
    momenta = {each["path"]: each["momentum"] for each in symptoms.layers}
    kept = {
        each["path"]: each["momentum"] ** planned
        for each in symptoms.layers
        if each["momentum"] and not each["starts_warm"] and planned
    }
    if cold := _beyond(kept, LIMITS.cold):
        yield Finding(
            problem="batch_statistics_mismatch",
            where=cold[0],
            step=0,
            severity="serious",
            evidence=f"With momentum={momenta[cold[0]]:g} the moving "
            f"statistics still keep {kept[cold[0]]:.0%} of their initial "
            f"values after the {planned} steps of this training.",
            confidence="certain",
        )
        return
    measure = "statistics_distance"
    distances = {
        path: distance
        for path, distance in symptoms.units(measure).items()
        if (momenta.get(path) or 0.99) ** symptoms.last_step < 0.05
    }
    far = _beyond(distances, LIMITS.distance)
    if far and symptoms.judged:
        yield Finding(
            problem="batch_statistics_mismatch",
            where=far[0],
            step=symptoms.since(measure, far[0], LIMITS.distance),
            severity="serious",
            evidence="The moving statistics are "
            f"{distances[far[0]]:.1f} deviations away from those of a batch "
            f"(less than {LIMITS.distance:g} is usual).",
        )


def not_learning(symptoms: Symptoms) -> Iterator[Finding]:
    patience = LIMITS.patience * symptoms.run.planned_steps
    patience = max(2 * LIMITS.warm_up, patience)
    if symptoms.stuck and symptoms.last_step >= patience:
        yield Finding(
            problem="not_learning",
            where="loss",
            step=symptoms.last_step,
            severity="serious",
            evidence=f"After {symptoms.last_step} steps {symptoms.loss()}, and "
            "no other symptom shows why.",
        )


def _beyond(values, limit):
    """Layers beyond a limit, the worst of them first."""
    worst_first = sorted(values, key=values.__getitem__, reverse=True)
    return [path for path in worst_first if values[path] > limit]
