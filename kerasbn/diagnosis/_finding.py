"""What a finding is."""

from typing import Any, NamedTuple

PROBLEMS = (
    "output_mismatch",
    "non_finite",
    "symmetric_units",
    "input_scale",
    "exploding_gradient",
    "learning_rate_too_high",
    "saturated_activation",
    "dead_units",
    "vanishing_gradient",
    "clipping_always_on",
    "learning_rate_too_low",
    "oscillating_loss",
    "batch_statistics_mismatch",
    "not_learning",
)


class Finding(NamedTuple):
    """One thing that is wrong, its evidence and its remedy.

    Attributes:
        problem: What it is called: "vanishing_gradient", "exploding_gradient",
            "non_finite", "dead_units", "saturated_activation",
            "symmetric_units", "input_scale", "output_mismatch",
            "learning_rate_too_high", "learning_rate_too_low",
            "oscillating_loss", "not_learning", "clipping_always_on" or
            "batch_statistics_mismatch".
        where: Path of the layer or variable, or what of the run ("inputs",
            "loss", "optimizer").
        step: Optimizer step at which it began, 0 for before training.
        severity: "fatal" where nothing can be learnt, "serious" where much is
            lost, "minor" where it is worth knowing.
        evidence: The numbers that show it, in a sentence.
        remedy: What to do, in a sentence.
        patch: The code to change, in Keras's terms and with kerasbn.
        confidence: How sure it is: "certain" follows from the code, "likely"
            from numbers that healthy runs do not show.
        cost: What it costs to leave it.
        source: Where the remedy comes from.
    """

    problem: str
    where: str
    step: int
    severity: str
    evidence: str
    remedy: str
    patch: str
    confidence: str = "likely"
    cost: str = ""
    source: str = ""

    def __str__(self) -> str:
        """A sentence to act on."""
        when = f"from step {self.step}" if self.step else "before training"
        return (
            f"{self.problem} in {self.where}, {when} ({self.severity}, "
            f"{self.confidence}): {self.evidence} {self.remedy}"
        )


class Diagnosis(list[Finding]):
    """Findings, what to mend first before the rest.

    Attributes:
        healthy: The numbers of a run that nothing is wrong with, in a sentence.
    """

    def __init__(self, findings: Any = (), healthy: str = ""):
        super().__init__(findings)
        self.healthy = healthy

    def __str__(self) -> str:
        """A line for each finding, or why the run is healthy."""
        return "\n".join(map(str, self)) or self.healthy
