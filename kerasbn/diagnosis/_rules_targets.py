"""Rules about the shape, the scale and the balance of targets."""

from collections.abc import Iterator

import numpy as np

from kerasbn.diagnosis._finding import Finding
from kerasbn.diagnosis._remedies import Named
from kerasbn.diagnosis._rules_output import RANGES, REGRESSIONS, UNLIMITED
from kerasbn.diagnosis._symptoms import Symptoms
from kerasbn.diagnosis._thresholds import LIMITS


def target_shape(symptoms: Symptoms) -> Iterator[Finding]:
    """Targets and outputs whose shapes differ, in a loss that broadcasts."""
    for head, targets, seen in symptoms.heads:
        if not targets or not seen or targets["shape"] == seen["shape"]:
            continue
        shapes = (
            f"The targets of a row have shape {tuple(targets['shape'])}, the "
            f"outputs {tuple(seen['shape'])}"
        )
        here = Finding(
            problem="target_shape",
            where=head["layer"],
            step=0,
            severity="fatal",
            evidence="",
            confidence="certain",
            remedies=_reshaping(symptoms, targets["shape"], seen["shape"]),
        )
        losses = symptoms.seen_losses
        given = losses.get("copied", np.nan)
        reshaped = losses.get("reshaped", np.nan)
        small = 1e-4 * abs(symptoms.constant_loss or symptoms.start_loss)
        if np.isfinite([given, reshaped]).all() and not np.isclose(
            given, reshaped, rtol=1e-3, atol=small
        ):
            yield here._replace(
                evidence=f"{shapes}: the loss compares each row with every "
                f"other one. It is {given:.3g}, and {reshaped:.3g} when "
                "the targets have the shape of the outputs.",
            )
        elif _spreads(head, targets["shape"], seen["shape"]):
            yield here._replace(
                evidence=f"{shapes}: each target is compared with several "
                "outputs, or each output with several targets.",
                confidence="certain"
                if head["loss"] in REGRESSIONS
                else "likely",
            )
        elif (
            np.prod(targets["shape"]) == np.prod(seen["shape"])
            and symptoms.run.model.get("own_train_step")
            and (symptoms.stuck or _learns_less(symptoms, seen))
        ):
            yield here._replace(
                evidence=f"{shapes}. In a loss written by hand, their "
                "difference compares each row with every other one, and "
                f"{symptoms.loss()}.",
                confidence="likely",
            )


def _reshaping(symptoms, targets, outputs):
    """What gives targets and outputs of a row one shape."""
    if np.prod(targets) == np.prod(outputs):
        return (Named("reshape_targets", shape=outputs),)
    if outputs[-1:] == [1] and np.prod(targets) > 1 == np.prod(outputs):
        return (Named("output", units=targets[-1]),)
    recurrent = [e["path"] for e in symptoms.layers if e["recurrent"]]
    if np.prod(targets) == 1 and len(outputs) == 2 and recurrent:
        return (Named("last_step", layers=recurrent[-1:]),)
    return ()


def _learns_less(symptoms, seen):
    """Whether cheap models predict much better than the network does."""
    share, explained = symptoms.run.data.get("learnable"), seen.get("explained")
    return (
        symptoms.last_step >= symptoms.run.planned_steps / 2
        and share is not None
        and explained is not None
        and share - explained > LIMITS.underfits
    )


def _spreads(head, targets, outputs):
    """Whether a loss of single elements has to stretch one to the other.

    A user's loss may take other shapes on purpose, as parameters of a
    distribution; steps of a sequence are none.
    """
    if np.prod(targets) == np.prod(outputs):
        return False
    steps = len(outputs) > max(1, len(targets)) and outputs[-1] == 1
    known = head["loss"] in REGRESSIONS or (
        head["loss"] == "binary_crossentropy"
    )
    return known or (steps and "entropy" not in str(head["loss"]))


def target_scale(symptoms: Symptoms) -> Iterator[Finding]:
    limit = LIMITS.target_scale
    if symptoms.fresh:
        limit = LIMITS.target_scale_before[symptoms.adaptive]
    for head, targets, seen in symptoms.heads:
        reaches = RANGES.get(str(head["activation"]), UNLIMITED)[1] == float(
            "inf"
        )
        if not targets or head["loss"] not in REGRESSIONS or not reaches:
            continue
        size = targets["rms"]
        if symptoms.fresh and seen:  # the bias may start at the mean
            middle = (seen["low"] + seen["high"]) / 2.0
            apart = np.hypot(targets["mean"] - middle, targets["deviation"])
            size = min(size, apart)
        if size > limit and (symptoms.fresh or symptoms.lags):
            yield Finding(
                problem="target_scale",
                where=head["name"] if len(symptoms.heads) > 1 else "targets",
                step=0,
                severity="serious",
                evidence=f"The targets have mean {targets['mean']:.3g} and "
                f"deviation {targets['deviation']:.3g} (1 is usual), while the "
                "outputs start near 0.",
            )


def class_imbalance(symptoms: Symptoms) -> Iterator[Finding]:
    for head, targets, seen in symptoms.heads:
        balance = targets and targets.get("balance")
        if not balance or balance["distinct"] < 2:
            continue
        found = symptoms.run.data.get("rare_found")
        shares = (
            f"{balance['majority']:.1%} of the targets belong to the most "
            f"frequent class, {balance['rarest']:.2%} to the rarest one"
        )
        here = Finding(
            problem="class_imbalance",
            where=head["name"] if len(symptoms.heads) > 1 else "targets",
            step=symptoms.last_step,
            severity="serious",
            evidence="",
        )
        few = balance["rarest"] < min(LIMITS.rare, 0.2 / balance["distinct"])
        if symptoms.fresh and few:
            yield here._replace(
                severity="minor",
                evidence=f"{shares}: to guess that class always gives an "
                f"accuracy of {balance['majority']:.3f}.",
                confidence="certain",
            )
        if found is None:
            found = 0.0 if seen and seen["classes"] == 1 else 1.0
        # What is recognized is known from when the model was last called.
        looked_at = symptoms.run.data.get("looked_at", symptoms.last_step)
        progress = symptoms.progress * looked_at / max(1, symptoms.last_step)
        limit = LIMITS.rare_found if progress >= 0.5 else 0.05
        waits = progress < (0.4 if symptoms.declines else 0.3)
        share = symptoms.run.data.get("learnable")
        unlearnable = share is not None and share < LIMITS.learnable
        if unlearnable and balance["majority"] < LIMITS.majority_always:
            continue  # the most likely class may be the frequent one everywhere
        if (
            symptoms.suffers
            and not waits
            and balance["majority"] > LIMITS.majority
            and found < limit
        ):
            recognized = "none" if not found else f"{found:.0%}"
            yield here._replace(
                evidence=f"{shares}, and after {symptoms.last_step} steps the "
                f"network recognizes {recognized} of the rare ones "
                f"({symptoms.loss()}).",
            )
