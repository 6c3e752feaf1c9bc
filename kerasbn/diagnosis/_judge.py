"""The judge: from the numbers of a run to findings with their remedies.

Most rules ask two questions: is there the symptom, and does training suffer? A
symptom alone is found in every second healthy network: published detectors that
stop there flag 36 to 100 % of the models that train well.
"""

from kerasbn._run.run import Run
from kerasbn.diagnosis import _rules_model as model
from kerasbn.diagnosis import _rules_training as training
from kerasbn.diagnosis._advice import advised
from kerasbn.diagnosis._finding import Finding
from kerasbn.diagnosis._problems import PROBLEM
from kerasbn.diagnosis._rules_output import output_mismatch
from kerasbn.diagnosis._symptoms import Symptoms

# In the order to deal with their findings.
_RULES = (
    output_mismatch,
    model.poisoned_inputs,
    model.symmetric_units,
    model.input_scale,
    model.kernel_scale,
    training.learning_rate_too_high,
    training.non_finite,
    training.saturated_activation,
    training.dead_units,
    training.vanishing_gradient,
    training.clipping_always_on,
    training.learning_rate_too_low,
    training.oscillating_loss,
    training.batch_statistics_mismatch,
    training.not_learning,
    model.around_normalization,
)


def judge(run: Run) -> tuple[list[Finding], str]:
    """Return the findings in the order to deal with them, and what is healthy.

    A finding is left out where a problem found before it has it as an effect.
    """
    symptoms = Symptoms(run)
    kept, effects = [], set()
    for rule in _RULES:
        for finding in rule(symptoms):
            if finding.problem not in effects:
                kept.append(advised(finding, symptoms))
                if finding.severity != "minor":
                    effects |= PROBLEM[finding.problem].effects
    return kept, _healthy(symptoms)


def _healthy(symptoms):
    """The numbers that show a healthy run, in a sentence."""
    if not len(symptoms.run.steps):
        return "Nothing was recorded yet."
    dead = max(symptoms.units("dead_units").values(), default=0.0)
    depth = (
        "the RMS gradients of the first and the last layers differ "
        f"{10 ** abs(symptoms.decades):.2g}-fold, at most {dead:.0%} of a "
        "layer's units are dead"
    )
    if symptoms.fresh:
        return (
            "Nothing is wrong before training: the loss is "
            f"{symptoms.start_loss:.3g}{symptoms.guess()}, and {depth}."
        )
    return (
        f"Nothing is wrong up to step {symptoms.last_step}: {symptoms.loss()}, "
        f"{depth}, no step changed a typical kernel by more than "
        f"{symptoms.updates.max(initial=0.0):.2g} of its norm, and no gradient "
        "held NaN or Inf."
    )
