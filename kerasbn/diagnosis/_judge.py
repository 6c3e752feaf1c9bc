"""The judge: from the numbers of a run to findings with their remedies.

Most rules ask two questions: is there the symptom, and does training suffer? A
symptom alone is found in every second healthy network: published detectors that
stop there flag 36 to 100 % of the models that train well.
"""

import math

from kerasbn._run.run import Run
from kerasbn.diagnosis import _rules_model as model
from kerasbn.diagnosis import _rules_normalization as normalization
from kerasbn.diagnosis import _rules_targets as targets
from kerasbn.diagnosis import _rules_training as training
from kerasbn.diagnosis._advice import advised
from kerasbn.diagnosis._finding import Finding
from kerasbn.diagnosis._problems import PROBLEM
from kerasbn.diagnosis._rules_output import output_mismatch
from kerasbn.diagnosis._symptoms import Symptoms
from kerasbn.diagnosis._thresholds import LIMITS

# In the order to deal with their findings.
_RULES = (
    model.poisoned_data,
    training.non_finite,
    targets.target_shape,
    output_mismatch,
    model.symmetric_units,
    model.input_scale,
    targets.target_scale,
    model.kernel_scale,
    training.learning_rate_too_high,
    training.saturated_activation,
    training.dead_units,
    model.no_gradient,
    training.vanishing_gradient,
    training.clipping_always_on,
    training.learning_rate_too_low,
    targets.class_imbalance,
    training.oscillating_loss,
    normalization.batch_statistics_mismatch,
    training.overfitting,
    training.underfitting,
    training.not_learning,
    normalization.around_normalization,
)


# What may end in NaN.
_CAUSES = {"target_shape", "output_mismatch", "input_scale", "target_scale"}
_CAUSES |= {"exploding_gradient", "learning_rate_too_high"}


def judge(run: Run) -> tuple[list[Finding], str]:
    """Return the findings in the order to deal with them, and what is healthy.

    A finding is left out where a problem found before it has it as an effect,
    unless it is certain: then it stands on its own.
    """
    symptoms = Symptoms(run)
    rules = _RULES
    if not len(run.steps):
        rules = (model.poisoned_data, training.non_finite, training.no_steps)
    kept: list[Finding] = []
    effects: set[str] = set()
    for rule in rules:
        for finding in rule(symptoms):
            if (
                finding.problem not in effects
                or finding.confidence == "certain"
            ):
                kept.append(finding)
                if finding.severity != "minor":
                    effects |= PROBLEM[finding.problem].effects
    kept.sort(key=_no_certain_end)
    found = [advised(each, symptoms) for each in _mending_causes(kept)]
    return found, _healthy(symptoms)


def _no_certain_end(finding):
    return finding.severity != "fatal" or finding.confidence != "certain"


def _mending_causes(found):
    """Findings, where NaN is mended by what mends its cause, if it is known."""
    causes = [
        each.remedies or PROBLEM[each.problem].remedies
        for each in found
        if each.problem in _CAUSES
        or (each.problem == "non_finite" and each.remedies)
    ]
    for each in found:
        if each.problem == "non_finite" and not each.remedies and causes:
            each = each._replace(remedies=causes[0])
        yield each


def _healthy(symptoms):
    """What was looked at in a healthy run and how it came out, in sentences."""
    run = symptoms.run
    if not len(run.steps):
        return "Nothing was recorded yet."
    if "error" in run.data:
        return (
            "The model could not be run on the data, so little was looked at: "
            f"{run.data['error']}"
        )
    dead = max(symptoms.units("dead_units").values(), default=None)
    depth = (
        "the RMS gradients of the first and the last layers differ "
        f"{10 ** abs(symptoms.decades):.2g}-fold"
    )
    if dead is not None:
        depth += f", at most {dead:.0%} of a layer's units are dead"
    if symptoms.fresh:
        rows = run.data.get("rows", 0)
        if not math.isfinite(symptoms.start_loss):
            return (
                f"Nothing is wrong in the {rows} rows of data. The model's own "
                "train step shows its loss and gradients only in training."
            )
        return (
            f"Nothing is wrong before training, in {rows} rows of data: the "
            f"loss is {symptoms.start_loss:.3g}{symptoms.guess()}, and {depth}."
        )
    seen = (
        f"{depth}, no step changed a typical kernel by more than "
        f"{symptoms.updates.max(initial=0.0):.2g} of its norm, and no gradient "
        "held NaN or Inf."
    )
    if not run.knows_loss:
        return (
            f"Nothing is wrong in the gradients up to step "
            f"{symptoms.last_step}: {seen} The train step tells no loss, so "
            "whether it learns cannot be judged."
        )
    if not symptoms.judged:
        return (
            f"{symptoms.last_step} steps are too few to judge how it learns. "
            f"Nothing else is wrong: {symptoms.loss()}, {seen}"
        )
    share = run.data.get("learnable")
    if symptoms.stuck and share is not None and share < LIMITS.learnable:
        seen += (
            " Neither a linear model nor nearest neighbors find much in the "
            "inputs to predict the targets by "
            f"({max(share, 0.0):.0%} of their variance)."
        )
    return (
        f"Nothing is wrong up to step {symptoms.last_step}: {symptoms.loss()}, "
        f"{seen}"
    )
