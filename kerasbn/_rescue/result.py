"""What a rescue returns and prints."""

import textwrap
from typing import Any, NamedTuple

import keras

from kerasbn._graph import code, model_code
from kerasbn._rescue.changes import Change
from kerasbn.diagnosis._blocks import Call
from kerasbn.diagnosis._finding import Diagnosis

_COLUMNS = 100


class Trial(NamedTuple):
    """A short run of the model with some changes.

    Attributes:
        changes: The changes.
        skill: What trials are compared by: 0 for a constant guess, 1 for
            perfect validation scores, minus infinity where there is none.
        score: Validation score; NaN where it is not finite.
        loss: Training loss at the end.
        findings: Its diagnosis; `None` if the run was not watched.
        steps: Optimizer steps that it took.
        error: Why it could not train, "" if it could.
        seconds: Time that it took, with the compilation.
        score_name: "accuracy", "balanced accuracy", "R²" or "loss".
    """

    changes: list[Change]
    skill: float
    score: float
    loss: float
    findings: Diagnosis | None = None
    steps: int = 0
    error: str = ""
    seconds: float = 0.0
    score_name: str = "score"

    @property
    def what(self) -> str:
        """The kinds of its changes."""
        kinds = ", ".join(each.kind for each in self.changes)
        return kinds or "the model as it was"

    def line(self) -> str:
        """What was tried, the score and the seconds."""
        what = textwrap.shorten(self.what, 60, placeholder=" ...")
        score = f"{self.score_name} {self.score:.3f}"
        if self.error:
            score = "could not be trained"
        return f"{what:62}{score:>26}{self.seconds:6.1f} s"


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
        fit: Arguments of `fit` that belong to the changes, as `class_weight`.
    """

    model: keras.Model
    changes: list[Change]
    before: Trial
    after: Trial
    trials: list[Trial]
    spent: bool = False
    fit: dict[str, Any] = {}  # noqa: RUF012, never written to

    @property
    def code(self) -> str:
        """The lines of a script that build and compile the model."""
        built = model_code.build(self.model)
        lines = f"{built}\n{code.compile(self.model)}"
        lines = "\n".join(map(_wrapped, lines.split("\n")))
        rooms = (each for each in ("keras", "kerasbn") if f"{each}." in lines)
        imports = "".join(f"import {each}\n" for each in rooms)
        return f"{imports}\n{lines}"

    def __str__(self) -> str:
        """Return the runs before and after in a table, and the code."""
        head = f"{'':8}{'loss':>12}{self.before.score_name:>20}{'findings':>10}"
        rows = [
            f"{name:8}{trial.loss:>12.4g}{trial.score:>20.3f}"
            f"{'-' if trial.findings is None else len(trial.findings):>10}"
            for name, trial in (("before", self.before), ("after", self.after))
        ]
        notes = []
        if self.before.error:
            notes.append(
                f"The model as it was could not be trained: {self.before.error}"
            )
        if self.spent:
            notes.append(
                "The budget allowed no further trial: a larger `budget` may "
                "find more."
            )
        if not self.changes:
            lines = [head, rows[0], *_filled([self._nothing(), *notes])]
            return "\n".join(lines + self._advice())
        changes = _filled(map(str, self.changes), "# ")
        lines = [head, *rows, *_filled(notes), "", *changes, self.code]
        if self.fit:
            given = ", ".join(f"{name}=..." for name in self.fit)
            short = {
                k: v for k, v in self.fit.items() if not hasattr(v, "shape")
            }
            if short == self.fit:
                given = ", ".join(f"{k}={v}" for k, v in short.items())
            lines.append(_wrapped(f"model.fit(x, y, {given})"))
        return "\n".join(lines)

    def _nothing(self):
        if self.before.error and len(self.trials) == 1:
            result = "Nothing was tried"
        elif len(self.trials) == 1 and self.before.findings:
            result = "Something is wrong, but nothing was tried"
        elif self.before.findings or self.before.error:
            result = "Nothing that was tried helps"
        elif self.before.skill < 0.1:
            result = "Nothing was learnt, and nothing is found wrong"
        else:
            result = "Nothing is wrong"
        return f"{result}: the model is as it was."

    def _advice(self):
        """What was tried, and what the evidence points to."""
        tried = [each.line() for each in self.trials if each.changes]
        lines = ["", "Tried:", *tried] if tried else []
        told = str(self.before.findings or "").splitlines()
        if told:
            lines += ["", "What the evidence points to:", *_filled(told)]
        return lines


def _filled(sentences, start=""):
    return [
        line
        for each in sentences
        for line in textwrap.wrap(
            each,
            _COLUMNS,
            initial_indent=start,
            subsequent_indent=start or "    ",
        )
    ]


def _wrapped(line):
    """Code of at most so many columns, where it can be broken."""
    if len(line) <= _COLUMNS:
        return line
    body = line.strip().removesuffix(",")
    comma = "," * line.rstrip().endswith(",")
    indent = line[: len(line) - len(line.lstrip())]
    if '"' not in body:  # numbers
        return textwrap.fill(
            body + comma,
            _COLUMNS,
            initial_indent=indent,
            subsequent_indent=f"{indent}    ",
            break_long_words=False,
            break_on_hyphens=False,
        )
    target, equals, text = "", "", body
    if "=" in body.split("(")[0]:
        target, equals, text = body.partition(" = ")
    try:
        call = Call(text)
    except (AttributeError, SyntaxError):  # no call, or a part of one
        return line
    given = [*call.positional, *(f"{k}={v}" for k, v in call.named.items())]
    inside = "".join(_wrapped(f"{indent}    {each},") + "\n" for each in given)
    return f"{indent}{target}{equals}{call.name}(\n{inside}{indent}){comma}"
