"""Remedies applied to a model, each proved by a short run with and without."""

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import keras
import numpy as np

from kerasbn._monitor import first_look, inspection
from kerasbn._rescue.changes import Change, apply, expressible
from kerasbn.callbacks import GradientMonitor
from kerasbn.diagnosis import Finding, _judge
from kerasbn.diagnosis._contradictions import contradictions
from kerasbn.diagnosis._symptoms import Signs

# What two seeds of one healthy network differ by after a few epochs.
_EQUAL = 0.03
_TRIALS = 6  # that the budget is shared between
_FEWEST_STEPS = 60  # of a trial: twice the warm-up of the diagnosis
_READINGS = 30
# Tried where nothing else helps: what is known to make most networks train.
_STANDARD = [
    Change("normalize_inputs"),
    Change("initializer"),
    Change("normalize_hidden"),
    Change("activation", {"activation": "elu"}),
    Change("clipping", {"clipnorm": 1.0}),
]
_REMEDIES = {
    "symmetric_units": ["initializer"],
    "input_scale": ["normalize_inputs"],
    "exploding_gradient": ["initializer"],
    "non_finite": ["clipping"],
    "saturated_activation": ["initializer", "normalize_hidden"],
    "dead_units": ["initializer", "activation"],
    "vanishing_gradient": ["initializer", "normalize_hidden", "activation"],
    "clipping_always_on": ["clipping"],
    "batch_statistics_mismatch": ["statistics"],
    "not_learning": ["normalize_inputs", "initializer", "normalize_hidden"],
}
_OPTIONS = {"activation": {"activation": "elu"}, "clipping": {"clipnorm": 1.0}}
_ORDER = (
    "output",
    "normalize_inputs",
    "initializer",
    "normalize_hidden",
    "activation",
    "clipping",
    "learning_rate",
    "statistics",
)


class Trial(NamedTuple):
    """A short run of the model with some changes.

    Attributes:
        changes: What was changed.
        skill: Mean share of a constant guess's error that is gone, of the
            training loss and of the validation score; 1 is perfect, 0 is a
            constant guess.
        score: Validation accuracy, or R2 of a regression.
        loss: Training loss at the end.
        findings: What the diagnosis says of it.
        steps: Optimizer steps that it took.
    """

    changes: list[Change]
    skill: float
    score: float
    loss: float
    findings: list[Finding]
    steps: int


class Rescue(NamedTuple):
    """What became of a model.

    Attributes:
        model: A new compiled model with the changes, not trained further. Of
            the weights those are kept that the changes leave alone.
        changes: The smallest set that helps; empty if nothing does.
        before: The short run of the model as it was.
        after: The short run of the model with the changes.
        trials: All short runs, in the order in which they were made.
    """

    model: keras.Model
    changes: list[Change]
    before: Trial
    after: Trial
    trials: list[Trial]

    def __str__(self) -> str:
        """The runs before and after in a table, and the patch."""
        rows = [
            f"{name:8}{trial.loss:>12.4g}{trial.score:>12.3f}"
            f"{len(trial.findings):>10}"
            for name, trial in (("before", self.before), ("after", self.after))
        ]
        if not self.changes:
            told = (
                "Nothing that was tried helps: the model is as it was."
                if self.before.findings
                else "Nothing is wrong: the model is as it was."
            )
            return "\n".join([_HEAD, rows[0], told])
        patch = "\n\n".join(f"# {each}\n{each.patch}" for each in self.changes)
        return "\n".join([_HEAD, *rows, "", patch])


_HEAD = f"{'':8}{'loss':>12}{'validation':>12}{'findings':>10}"


def rescue(
    model: keras.Model,
    x: Any,
    y: Any,
    *,
    validation_data: tuple[Any, Any] | None = None,
    epochs: int = 10,
    batch_size: int = 32,
    budget: float = 1.5,
) -> Rescue:
    """Find the smallest set of changes that makes a model train.

    The model is trained for a few epochs as it is and diagnosed. A copy gets
    the changes that the findings call for and is trained on the same batches;
    then each change is left out in turn, and what does not help is taken back.
    The model that is passed stays untouched.

    Changes are: normalizing the inputs, batch normalization in hidden layers,
    initializers, activation, clipping, learning rate, moving statistics, and
    the output layer and loss where they contradict the targets.

    Args:
        model: A compiled functional or sequential model with one output.
        x: Inputs, an array or a structure of arrays.
        y: Targets, an array.
        validation_data: `(x, y)` to score by; `None` sets a fifth of the rows
            aside.
        epochs: Epochs that the model is meant to be trained for. With the
            budget they say how long the trials may be.
        batch_size: Rows of a batch, as for `fit`.
        budget: What all trials together may cost, in trainings of `epochs`
            epochs, counted in optimizer steps. The default 1.5 leaves a quarter
            of a training to each of six trials; a trial is 60 steps at least.

    Returns:
        A `Rescue`. Printed, it is the table of both runs and the patch for the
        script.

    Raises:
        ValueError: If the model shows no graph to change, or data is missing.
        RuntimeError: If the model is not compiled.

    Example:
    >>> import keras, numpy as np, kerasbn
    >>> keras.utils.set_random_seed(0)
    >>> x = np.random.default_rng(0).normal(size=(400, 4))
    >>> y = x[:, 0] - x[:, 1]
    >>> model = keras.Sequential([keras.Input((4,)),
    ...     keras.layers.Dense(8, "relu"), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.Adam(1e-7), "mean_squared_error")
    >>> result = kerasbn.rescue(model, x, y)
    >>> [change.kind for change in result.changes]
    ['learning_rate']

    Reference:
        That repairs must beat the run without them: [Nikanjam et al.,
        2021](https://arxiv.org/abs/2105.08095); `benchmarks/diagnosis.py`.
    """
    if not expressible(model):
        raise ValueError(
            "`model` must be a functional or sequential model. "
            f"Received: model={model!r}. A subclassed model shows no graph to "
            "change; `kerasbn.diagnose` judges it all the same."
        )
    search = _Search(model, x, y, validation_data, epochs, batch_size, budget)
    before = search.trial([])
    best = search.improved(before, search.wanted(before))
    if best is before and before.findings:
        best = search.improved(before, _STANDARD)
    best = search.smallest(best)
    return Rescue(
        apply(model, best.changes),
        best.changes,
        before,
        best,
        search.trials,
    )


class _Search:
    """Short runs on one set of batches."""

    def __init__(
        self, model, x, y, validation_data, epochs, batch_size, budget
    ):
        self.trials: list[Trial] = []
        self._model = model
        self._batch_size = batch_size
        x, y = (keras.tree.map_structure(np.asarray, each) for each in (x, y))
        order = np.random.default_rng(0).permutation(len(y))
        if validation_data is None:
            aside, order = np.split(order, [max(1, len(y) // 5)])
            validation_data = _rows(x, aside), y[aside]
        self._x, self._y = _rows(x, order), y[order]
        self._validation = validation_data
        # Two standard errors of an accuracy near 0.5, doubled to be a skill,
        # halved by the loss that it is averaged with.
        self._noise = max(_EQUAL, 1.0 / np.sqrt(len(validation_data[1])))
        steps = -(-len(order) // batch_size)
        self._planned = epochs * steps
        self._left = budget * self._planned
        share = max(_FEWEST_STEPS, self._left / _TRIALS)
        self._epochs = max(1, min(epochs, round(share / steps)))
        self._steps = self._epochs * steps
        looked = first_look.before_training(model, self._x, self._y, batch_size)
        self._signs = Signs(looked)
        self._static, _ = _judge.judge(looked)

    def affordable(self) -> bool:
        """Whether there is budget for one trial more."""
        return not self.trials or self._left >= self._steps

    def trial(self, changes: Sequence[Change]) -> Trial:
        """Train a copy with these changes, and judge it."""
        changes = sorted(changes, key=lambda each: _ORDER.index(each.kind))
        model = apply(self._model, changes)
        monitor = GradientMonitor(
            None, every=max(1, self._steps // _READINGS), log=False
        )
        try:
            model.fit(
                self._x,
                self._y,
                self._batch_size,
                self._epochs,
                shuffle=False,  # it was shuffled once for all trials
                verbose=0,
                callbacks=[monitor],
            )
        except Exception:  # a loss that cannot take these labels
            trial = Trial(changes, -1.0, 0.0, math.nan, self._static, 0)
        else:
            run = monitor.run
            run.planned_steps = self._planned  # not those of the trial
            findings = _judge.judge(run)[0] or ([] if changes else self._static)
            self._signs = Signs(run)
            score, relative = _score(model, *self._validation)
            skill = (max(-1.0, 1.0 - self._signs.left) + relative) / 2
            trial = Trial(
                changes,
                skill,
                score,
                self._signs.recent_loss,
                findings,
                self._signs.last_step,
            )
        self._left -= self._steps
        self.trials.append(trial)
        return trial

    def wanted(self, trial: Trial) -> list[Change]:
        """The changes that the findings of a trial call for, beside its own."""
        found = {each.kind: each for each in trial.changes}
        for finding in [*self._static, *trial.findings]:
            for change in self._called_for(finding):
                found.setdefault(change.kind, change)
        return list(found.values())

    def _called_for(self, finding):
        signs = self._signs
        if finding.problem == "output_mismatch":
            found = contradictions(signs.model, signs.targets)
            return [
                Change("output", fit)
                for severity, _, fit in found
                if severity != "minor"
            ]
        usual = 1e-3 if signs.adaptive else 1e-2
        rate = signs.run.settings["learning_rate"]
        if not isinstance(rate, float):  # a schedule, as it is at first
            rate = float(signs.run.scalars["learning_rate"][0])
        rates = {
            # A tenth at least, and never above the usual.
            "learning_rate_too_high": min(rate / 10, usual),
            "non_finite": min(rate / 10, usual),
            "oscillating_loss": rate / 3,
            "learning_rate_too_low": usual,
        }
        changes = [
            Change(kind, _OPTIONS.get(kind, {}))
            for kind in _REMEDIES.get(finding.problem, ())
        ]
        if finding.problem in rates:
            value = rates[finding.problem]
            changes.append(Change("learning_rate", {"value": value}))
        return changes

    def improved(self, base: Trial, changes: Sequence[Change]) -> Trial:
        """The trial with these changes and what it calls for, if better."""
        best = base
        while len(changes) > len(best.changes) and self.affordable():
            trial = self.trial(changes)
            if trial.skill < best.skill + self._noise:
                break
            best, changes = trial, self.wanted(trial)
        return best

    def smallest(self, best: Trial) -> Trial:
        """Without each change in turn, where that is no worse."""
        for change in list(best.changes):
            if len(best.changes) == 1 or not self.affordable():
                break
            without = [each for each in best.changes if each != change]
            trial = self.trial(without)
            if trial.skill > best.skill - _EQUAL:
                best = trial
        return best


def _rows(structure, rows):
    return keras.tree.map_structure(lambda each: each[rows], structure)


def _score(model, x, y):
    """Accuracy or R2, and what it is beyond that of a constant guess."""
    predicted = model.predict(x, verbose=0)
    predicted = predicted.reshape(len(predicted), -1)
    y = np.asarray(y).reshape(len(y), -1)
    columns = predicted.shape[1]
    if not np.isfinite(predicted).all():
        return 0.0, -1.0
    classes = np.unique(y)
    if "crossentropy" not in str(inspection.loss_of(model)[0]):
        error = np.mean(np.square(predicted - y))
        score = 1.0 - error / max(y.var(axis=0).mean(), 1e-12)
        return float(score), float(max(-1.0, score))
    if columns > 1 and y.shape[1] == 1:
        right = predicted.argmax(axis=1) == y[:, 0]
        guess = max(np.mean(y == each) for each in classes)
    elif columns > 1 and (y.sum(axis=1) == 1).all():
        right = predicted.argmax(axis=1) == y.argmax(axis=1)
        guess = y.mean(axis=0).max()
    else:
        limit = 0.0 if inspection.loss_of(model)[1] else 0.5
        right = (predicted > limit) == (y > 0.5)
        guess = np.maximum(y.mean(axis=0), 1.0 - y.mean(axis=0)).mean()
    score = float(np.mean(right))
    return score, (score - guess) / max(1.0 - guess, 1e-12)
