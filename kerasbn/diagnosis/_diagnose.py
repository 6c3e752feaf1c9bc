"""The entry: from whatever holds a run, or a model, to its diagnosis."""

import os
from typing import Any

from kerasbn._run.files import from_directory
from kerasbn._run.subjects import run_of
from kerasbn.diagnosis._finding import Diagnosis
from kerasbn.diagnosis._judge import judge


def diagnose(
    subject: Any,
    x: Any = None,
    y: Any = None,
    *,
    batch_size: int = 32,
) -> Diagnosis:
    """Find what is wrong with a run, or with a model before it is trained.

    A finding needs a symptom and a training that suffers from it, except for
    what cannot work at all. A cause is reported without its effects.

    Args:
        subject: A `GradientMonitor`, during training or after it; or the
            directory that it wrote, which may come from another machine and is
            read without Keras; or a compiled model, judged with `x` and `y`.
        x: Inputs of the model as for `fit`, arrays or a structure of them. All
            rows are looked at, 256 from all over go through the model; nothing
            is trained, no state moves.
        y: Targets likewise.
        batch_size: Rows of a batch in the training to come, which decide how
            many are left for the last one. Keras's default is 32.

    Returns:
        Findings in the order to deal with them. Its `str` has a line for each,
        or for a healthy run a sentence with the numbers that show it.

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
    "`binary_crossentropy` needs probabilities, but 'relu' does not give any."

    Reference:
        [Schoop et al., 2021](https://arxiv.org/abs/2008.12249) on what goes
        wrong; `benchmarks/diagnosis.py` on how often this is right.
    """
    return Diagnosis(*judge(run_of(subject, x, y, batch_size)))


@run_of.register(str)
@run_of.register(os.PathLike)
def _(log_dir, *ignored):
    return from_directory(os.fspath(log_dir))
