"""Rules that turn the numbers of a run into findings.

Most rules ask two questions: is there the symptom, and does training suffer? A
symptom alone is found in every second healthy network: published detectors that
stop there flag 36 to 100 % of the models that train well.
"""

from kerasbn._run.run import Run
from kerasbn.diagnosis import _construction as construction
from kerasbn.diagnosis import _training as training
from kerasbn.diagnosis._finding import Finding
from kerasbn.diagnosis._symptoms import Signs

# In the order of what to mend first.
_RULES = (
    construction.output_mismatch,
    construction.poisoned_inputs,
    construction.symmetric_units,
    construction.input_scale,
    construction.exploding_gradient,
    construction.vanishing_gradient,
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
    construction.around_normalization,
)
# What each problem brings about: a cause is told once, without its effects.
_STALLED = {"not_learning", "oscillating_loss", "learning_rate_too_low"}
_STALLED |= {"vanishing_gradient", "clipping_always_on"}
_BROKEN = {"dead_units", "saturated_activation", "non_finite"} | _STALLED
_WILD = {"exploding_gradient", "learning_rate_too_high"} | _BROKEN
_EFFECTS = {
    "output_mismatch": _WILD,
    "non_finite": _WILD,
    "symmetric_units": _WILD,
    # Scaled inputs alone would not bring a gradient through twenty sigmoids.
    "input_scale": _WILD - {"vanishing_gradient"},
    "exploding_gradient": _WILD,
    "learning_rate_too_high": _BROKEN,
    "saturated_activation": _STALLED,
    "dead_units": _STALLED,
    "vanishing_gradient": _BROKEN,
    "clipping_always_on": {"not_learning", "learning_rate_too_low"},
    "learning_rate_too_low": {"not_learning"},
    "oscillating_loss": {"not_learning"},
    "batch_statistics_mismatch": set(),
    "not_learning": set(),
}


def judge(run: Run) -> tuple[list[Finding], str]:
    """Return the findings, first to mend first, and else what is healthy."""
    signs = Signs(run)
    return _causes([f for rule in _RULES for f in rule(signs)]), signs.healthy()


def _causes(findings):
    """Without what is the effect of something that comes first."""
    kept, effects = [], set()
    for finding in findings:
        if finding.problem not in effects:
            kept.append(finding)
            if finding.severity != "minor":
                effects |= _EFFECTS[finding.problem]
    return kept
