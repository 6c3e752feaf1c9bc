"""What a rescue returns and prints."""

from typing import NamedTuple

import keras

from kerasbn._graph import code, model_code
from kerasbn._rescue.changes import Change
from kerasbn.diagnosis import Finding

_HEAD = f"{'':8}{'loss':>12}{'validation':>12}{'findings':>10}"


class Trial(NamedTuple):
    """A short run of the model with some changes.

    Attributes:
        changes: The changes.
        skill: Share of a constant guess's error that is gone, averaged over
            the training loss and the validation score; 1 is perfect, 0 is a
            constant guess.
        score: Validation accuracy, or R2 of a regression.
        loss: Training loss at the end.
        findings: Its diagnosis.
        steps: Optimizer steps that it took.
        error: Why it could not train, "" if it could.
    """

    changes: list[Change]
    skill: float
    score: float
    loss: float
    findings: list[Finding]
    steps: int
    error: str = ""


class Rescue(NamedTuple):
    """A changed model, and the short runs that prove the changes.

    Attributes:
        model: A new compiled model with the changes, not trained further. It
            keeps the weights that the changes leave alone.
        changes: The smallest set that helps; empty if nothing does.
        before: The short run of the model as it was.
        after: The short run of the model with the changes.
        trials: All short runs, in the order in which they were made.
        spent: Whether something was left untried for want of budget.
    """

    model: keras.Model
    changes: list[Change]
    before: Trial
    after: Trial
    trials: list[Trial]
    spent: bool = False

    @property
    def code(self) -> str:
        """The lines of a script that build and compile the model."""
        built = model_code.build(self.model)
        lines = f"{built}\n{code.compile(self.model)}"
        rooms = (each for each in ("keras", "kerasbn") if f"{each}." in lines)
        imports = "".join(f"import {each}\n" for each in rooms)
        return f"{imports}\n{lines}"

    def __str__(self) -> str:
        """Return the runs before and after in a table, and the code."""
        rows = [
            f"{name:8}{trial.loss:>12.4g}{trial.score:>12.3f}"
            f"{len(trial.findings):>10}"
            for name, trial in (("before", self.before), ("after", self.after))
        ]
        notes = [_told(each) for each in self.trials if each.error]
        if self.spent:
            notes.append(
                "The budget allowed no further trial: a larger `budget` may "
                "find more."
            )
        if not self.changes:
            return "\n".join([_HEAD, rows[0], self._nothing(), *notes])
        changes = [f"# {each}" for each in self.changes]
        return "\n".join([_HEAD, *rows, *notes, "", *changes, self.code])

    def _nothing(self):
        result = "Nothing that was tried helps"
        if not self.before.findings:
            result = "Nothing is wrong"
            if self.before.skill < 0.1:
                result = "Nothing was learnt, and nothing is found wrong"
        elif len(self.trials) == 1:
            result = "Something is wrong, but nothing was tried"
        return f"{result}: the model is as it was."


def _told(trial):
    kinds = ", ".join(each.kind for each in trial.changes)
    what = f"With {kinds} it" if kinds else "The model as it was"
    return f"{what} could not be trained: {trial.error}"
