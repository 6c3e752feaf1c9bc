"""What the numbers of a run mean, and what to do: numbers in, findings out.

Neither keras nor tensorflow is needed to judge a run from its event files.
"""

import os
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import keras

    from kerasbn.callbacks import GradientMonitor


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


def diagnose(
    subject: "GradientMonitor | keras.Model | str | os.PathLike",
    x: Any = None,
    y: Any = None,
    *,
    batch_size: int = 32,
) -> Diagnosis:
    """Say what is wrong with a run, or with a model before it is trained.

    A run is judged by its windows of steps, its loss against that of a constant
    guess, the gradients over depth, the updates, and the units of the layers. A
    finding needs a symptom and a training that suffers from it, except for what
    cannot work at all. A cause is told once, without its effects.

    Args:
        subject: A `GradientMonitor`, during training or after it; or the
            directory that it wrote, which may come from another machine and is
            read without Keras; or a compiled model, judged with `x` and `y`.
        x: Inputs of the model as for `fit`, arrays or a structure of them. The
            first 256 rows are looked at; nothing is trained, no state moves.
        y: Targets likewise.
        batch_size: Rows of a batch that `fit` will take, for what happens to
            the last one. Keras's default is 32.

    Returns:
        Findings, first what to mend first. `str` of it is a line for each, or
        for a healthy run the sentence of numbers that make it healthy.

    Raises:
        TypeError: If `subject` is none of these.
        ValueError: If the directory holds no run, or the model is judged
            without data.
        RuntimeError: If the model is not compiled.

    Example:
    >>> import keras, numpy as np, kerasbn
    >>> model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(
    ...     1, activation="relu", name="answer")])
    >>> model.compile("adam", "binary_crossentropy")
    >>> x, y = np.eye(2), np.array([0.0, 1.0])
    >>> (finding,) = kerasbn.diagnose(model, x, y)
    >>> finding.problem, finding.severity
    ('output_mismatch', 'fatal')
    >>> finding.evidence
    "`binary_crossentropy` wants probabilities, and 'relu' outputs are none."

    Reference:
        [Schoop et al., 2021](https://arxiv.org/abs/2008.12249) on what goes
        wrong; `benchmarks/diagnosis.py` on how often this is right.
    """
    from kerasbn import _rules, _trace

    if isinstance(subject, str | os.PathLike):
        trace = _trace.from_directory(os.fspath(subject))
    elif hasattr(subject, "trace"):
        trace = subject.trace
    elif hasattr(subject, "compute_loss"):
        from kerasbn import _first_look

        trace = _first_look.before_training(subject, x, y, batch_size)
    else:
        raise TypeError(
            "`subject` must be a GradientMonitor, a log directory or a "
            f"compiled model. Received: {subject!r}."
        )
    return Diagnosis(*_rules.judge(trace))
