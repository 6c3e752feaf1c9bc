"""Rules about how a network trains."""

from collections.abc import Iterator

import numpy as np

from kerasbn.diagnosis._finding import Finding
from kerasbn.diagnosis._remedies import Named
from kerasbn.diagnosis._symptoms import Symptoms, beyond
from kerasbn.diagnosis._thresholds import LIMITS


def learning_rate_too_high(symptoms: Symptoms) -> Iterator[Finding]:
    large = symptoms.updates > LIMITS.overturned
    if large.any() and symptoms.lags and not symptoms.falling:
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
    rms = symptoms.run.tables["gradient_rms"]
    if symptoms.fresh and np.isinf(rms).any():
        loss = "is" if np.isfinite(symptoms.start_loss) else "is not"
        yield Finding(
            problem="non_finite",
            where=symptoms.run.paths[np.flatnonzero(np.isinf(rms[0]))[-1]],
            step=0,
            severity="fatal",
            evidence="Before any step this gradient holds NaN or Inf, and the "
            f"loss {loss} finite.",
            confidence="certain",
        )
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
    outputs = {head["layer"] for head, *_ in symptoms.heads}
    shares = {
        path: share
        for path, share in symptoms.units("saturation").items()
        if path not in outputs
    }
    flat = beyond(shares, LIMITS.saturated)
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
    for head, _, seen in symptoms.heads:
        constant = seen and seen["low"] == seen["high"] == 0.0
        if constant and head["activation"] == "relu":
            yield Finding(
                problem="dead_units",
                where=head["layer"],
                step=symptoms.last_step,
                severity="fatal",
                evidence="The output is 0 for every row: its ReLU is dead, and "
                "no gradient passes it.",
                remedies=(Named("output", activation="linear"),),
            )
            return
    dead = beyond(shares, LIMITS.dead)
    if dead and (symptoms.suffers or symptoms.fresh):
        since = symptoms.since("dead_units", dead[0], LIMITS.dead)
        killed = since > symptoms.run.steps[0]  # by large steps
        yield Finding(
            problem="dead_units",
            where=dead[0],
            step=since,
            remedies=(
                *("learning_rate",) * bool(killed),
                *("initializer", "activation"),
            ),
            severity="fatal" if shares[dead[0]] == 1.0 else "serious",
            evidence=f"{shares[dead[0]]:.0%} of the units are not active for "
            f"any row of a batch (up to 40% is usual); {len(dead)} of "
            f"{len(shares)} layers have more than {LIMITS.dead:.0%} of them.",
        )


def vanishing_gradient(symptoms: Symptoms) -> Iterator[Finding]:
    hidden, starved = len(symptoms.passed_kernels) - 1, symptoms.starved
    dead = beyond(symptoms.units("dead_units"), LIMITS.dead)
    # What is dead, or starved up to the last layer, has another cause.
    last = [symptoms.run.paths[i] for i in symptoms.passed_kernels[-1:]]
    passes = not dead and not set(last) & set(starved)
    many = passes and len(starved) > 0.3 * hidden > 0
    limit = LIMITS.decades
    if symptoms.fresh and symptoms.adaptive:
        limit = LIMITS.decades_adaptive
    small = symptoms.decades > limit
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
            confidence="certain" if _is_tiny(symptoms) else "likely",
        )


def _keeps_up(symptoms):
    """Whether the outputs explain as much as a cheap model does."""
    share = symptoms.run.data.get("learnable")
    explained = [seen.get("explained") for *_, seen in symptoms.heads if seen]
    return share is not None and any(
        each is not None and each >= 0.8 * share for each in explained
    )


def _is_tiny(symptoms):
    """Whether the limit itself cuts gradients of any usual size."""
    names = ("clipnorm", "clipvalue", "global_clipnorm")
    limits = [symptoms.run.settings.get(name) for name in names]
    return any(each and each < 0.01 for each in limits)


def learning_rate_too_low(symptoms: Symptoms) -> Iterator[Finding]:
    gradient = symptoms.median("gradient_rms")[symptoms.kernels]
    moves = symptoms.travel > 0.0 or np.nanmax(gradient, initial=0.0) > 0.0
    # A run that begins far below a constant guess goes on with trained weights.
    guess = symptoms.constant_loss
    start = symptoms.start_loss - symptoms.penalty
    trained = _keeps_up(symptoms)
    if guess is not None:
        trained = start < LIMITS.trained * guess
    low = symptoms.travel < LIMITS.travel and not trained
    if symptoms.suffers and moves and low:
        # Adaptive steps are as small as the rate, whatever else is wrong.
        tiny = symptoms.adaptive and symptoms.learning_rate < LIMITS.tiny_rate
        if symptoms.run.settings.get("optimizer") == "Adadelta":
            tiny = symptoms.learning_rate <= 0.01  # made for 1, Keras has 0.001
        yield Finding(
            problem="learning_rate_too_low",
            where="optimizer",
            step=symptoms.run.steps[0],
            severity="serious",
            evidence="All planned steps together change no kernel by more than "
            f"{symptoms.travel:.2g} of its norm (at least {LIMITS.travel:g} is "
            f"usual), and {symptoms.loss()}.",
            confidence="certain" if tiny else "likely",
        )


def oscillating_loss(symptoms: Symptoms) -> Iterator[Finding]:
    losses = symptoms.losses[len(symptoms.losses) // 2 :]
    if not symptoms.suffers or not np.isfinite(losses).all():
        return
    if symptoms.run.data.get("signed"):
        return  # a loss around 0 is no measure of its jumps
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


def not_learning(symptoms: Symptoms) -> Iterator[Finding]:
    patience = LIMITS.patience * symptoms.run.planned_steps
    patience = max(2 * LIMITS.warm_up, patience)
    waits = not symptoms.stuck or symptoms.last_step < patience
    if waits or any(underfitting(symptoms)):
        return
    if symptoms.declines and symptoms.recent_loss < 0.8 * symptoms.start_loss:
        return  # it needs more steps
    share = symptoms.run.data.get("learnable")
    if share is not None and share < LIMITS.learnable:
        return  # a cheap model finds nothing in these inputs either
    if share is None and symptoms.last_step < symptoms.run.planned_steps / 2:
        return  # too few rows to know
    unknown = symptoms.constant_loss is None
    if unknown and not symptoms.model.get("compiled_loss", True):
        return  # a game between two networks need not get anywhere
    if unknown and _keeps_up(symptoms):
        return  # it is done
    yield Finding(
        problem="not_learning",
        where="loss",
        step=symptoms.last_step,
        severity="minor" if unknown else "serious",
        evidence=f"After {symptoms.last_step} steps {symptoms.loss()}, and "
        "no other symptom shows why.",
    )


def no_steps(symptoms: Symptoms) -> Iterator[Finding]:
    if symptoms.run.data.get("epochs_without_steps"):
        yield Finding(
            problem="not_learning",
            where="optimizer",
            step=1,
            severity="fatal",
            evidence="A whole epoch passed, and the optimizer was given no "
            "gradient to apply.",
            confidence="certain",
            remedies=("apply_gradients",),
        )


def overfitting(symptoms: Symptoms) -> Iterator[Finding]:
    """The validation loss rises while that of the training goes on falling."""
    validation = symptoms.run.data.get("validation") or []
    losses = np.array([each[1] for each in validation])
    if len(losses) < 4 or not np.isfinite(losses).all() or not symptoms.learns:
        return
    best = int(losses.argmin())
    late = best < 0.75 * len(losses) - 1
    if late and losses[-1] > LIMITS.overfits * losses[best] > 0:
        yield Finding(
            problem="overfitting",
            where="loss",
            step=int(validation[best][0]),
            severity="minor",
            evidence=f"The validation loss was lowest, {losses[best]:.3g}, at "
            f"step {validation[best][0]:g} and is {losses[-1]:.3g} now, while "
            f"the training loss is {symptoms.recent_loss:.3g}.",
        )


def underfitting(symptoms: Symptoms) -> Iterator[Finding]:
    """A linear network where the data are not linear."""
    share = symptoms.run.data.get("learnable")
    learnt = 1.0 - symptoms.loss_left
    linear = len(symptoms.kernels) == 1 and symptoms.constant_loss is not None
    linear = linear and not any(e["recurrent"] for e in symptoms.layers)
    if share and linear and symptoms.suffers and not symptoms.falling:
        if share - learnt > LIMITS.underfits:
            yield Finding(
                problem="underfitting",
                where="model",
                step=symptoms.last_step,
                severity="minor",
                evidence="The network has no hidden layer, and "
                f"{symptoms.loss()}. Nearest neighbors predict {share:.0%} of "
                "the targets' variance from the same inputs.",
            )
