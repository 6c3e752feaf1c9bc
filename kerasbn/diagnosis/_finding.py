"""Findings and diagnoses, the results that a user reads."""

from typing import Any, NamedTuple


class Finding(NamedTuple):
    """One problem, the numbers that show it, and what to do about it.

    Attributes:
        problem: One of `kerasbn.diagnosis.PROBLEMS`.
        where: Path of the layer or variable, or the part of the training
            ("inputs", "loss", "optimizer").
        step: Optimizer step at which it began, 0 for before training.
        severity: "fatal" if nothing can be learnt, "serious" if much is lost,
            "minor" if it is worth knowing.
        evidence: The numbers that show it, in a sentence.
        remedy: What to do, in a sentence for each of `remedies`.
        patch: The code to change: lines to remove "-" and to add "+".
        confidence: "certain" if it follows from the code or the data, "likely"
            if it follows from numbers that healthy runs do not show.
        cost: What is lost if it stays as it is.
        source: Where the remedies are explained.
        remedies: Names of the remedies. `kerasbn.rescue` tries those that
            change a model.
    """

    problem: str
    where: str
    step: int
    severity: str
    evidence: str
    remedy: str = ""
    patch: str = ""
    confidence: str = "likely"
    cost: str = ""
    source: str = ""
    remedies: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return the finding in a sentence to act on."""
        when = f"from step {self.step}" if self.step else "before training"
        return (
            f"{self.problem} in {self.where}, {when} ({self.severity}, "
            f"{self.confidence}): {self.evidence} {self.remedy}"
        )


class Diagnosis(list[Finding]):
    """Findings, in the order to deal with them.

    Attributes:
        healthy: The numbers that show a healthy run, in a sentence.
    """

    def __init__(self, findings: Any = (), healthy: str = ""):
        super().__init__(findings)
        self.healthy = healthy

    def __str__(self) -> str:
        """Return a line for each finding, or why the run is healthy."""
        return "\n".join(map(str, self)) or self.healthy
