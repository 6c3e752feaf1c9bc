"""Remedies applied to a model, each proved by a short run with and without."""

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerasbn._monitor import first_look
from kerasbn._rescue.changes import KINDS, Change, apply, check
from kerasbn._rescue.result import Rescue, Trial
from kerasbn._rescue.score import score_of
from kerasbn.callbacks import GradientMonitor
from kerasbn.diagnosis import _advice, _judge
from kerasbn.diagnosis._problems import PROBLEM
from kerasbn.diagnosis._symptoms import Symptoms

# The difference between two seeds of a healthy network after a few epochs.
_EQUAL = 0.03
_TRIALS = 6  # that the budget is shared between
_FEWEST_STEPS = 60  # of a trial: twice the warm-up of the diagnosis
_READINGS = 30
_ERROR = 200  # characters of an error that are told
# Their remedies are tried where those of the findings do not help.
_USUAL = ("input_scale", "vanishing_gradient", "exploding_gradient")


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
    the remedies of the findings and is trained on the same batches; then each
    change is left out in turn and dropped if the training is no worse without
    it. The model that is passed stays untouched.

    Args:
        model: A compiled functional or sequential model.
        x: Inputs, an array or a structure of arrays.
        y: Targets, an array or a structure of arrays.
        validation_data: `(x, y)` to score by; `None` sets a fifth of the rows
            aside.
        epochs: Epochs of the training to come. With the budget they limit the
            length of the trials.
        batch_size: Rows of a batch, as for `fit`.
        budget: Optimizer steps of all trials together, in trainings of `epochs`
            epochs. The default 1.5 leaves a quarter of a training to each of
            six trials; a trial takes 60 steps at least.

    Returns:
        A `Rescue`, printed as a table of both runs and the code of the model.

    Raises:
        ValueError: If the model has no graph to change, or is not compiled.

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
        [Nikanjam et al., 2021](https://arxiv.org/abs/2105.08095) on repairs
        that must beat the run without them; `benchmarks/diagnosis.py`.
    """
    check(model)
    search = _Search(model, x, y, validation_data, epochs, batch_size, budget)
    before = search.trial([])
    best = search.improved(before, search.wanted(before))
    if best is before and before.findings:
        usual = [(name, p) for p in _USUAL for name in PROBLEM[p].remedies]
        best = search.improved(before, search.changes(usual))
    best = search.smallest(best)
    changed = apply(model, best.changes)
    return Rescue(
        changed, best.changes, before, best, search.trials, search.spent
    )


class _Search:
    """Short runs on one set of batches."""

    def __init__(
        self, model, x, y, validation_data, epochs, batch_size, budget
    ):
        self.trials: list[Trial] = []
        self.spent = False
        self._model = model
        self._batch_size = batch_size
        x, y = (keras.tree.map_structure(np.asarray, each) for each in (x, y))
        rows = len(keras.tree.flatten(y)[0])
        order = np.random.default_rng(0).permutation(rows)
        if validation_data is None:
            aside, order = np.split(order, [max(1, rows // 5)])
            validation_data = _rows(x, aside), _rows(y, aside)
        self._x, self._y = _rows(x, order), _rows(y, order)
        self._validation = validation_data
        # Two standard errors of an accuracy near 0.5, doubled to be a skill,
        # halved by the loss that it is averaged with.
        rows = len(keras.tree.flatten(validation_data[1])[0])
        self._noise = max(_EQUAL, 1.0 / np.sqrt(rows))
        steps = -(-len(order) // batch_size)
        self._planned = epochs * steps
        self._left = budget * self._planned
        share = max(_FEWEST_STEPS, self._left / _TRIALS)
        self._epochs = max(1, min(epochs, round(share / steps)))
        self._steps = self._epochs * steps
        looked = first_look.before_training(model, self._x, self._y, batch_size)
        self._symptoms = Symptoms(looked)
        self._static, _ = _judge.judge(looked)

    def affordable(self):
        affordable = not self.trials or self._left >= self._steps
        self.spent |= not affordable
        return affordable

    def trial(self, changes: Sequence[Change]) -> Trial:
        changes = sorted(changes, key=lambda each: KINDS.index(each.kind))
        monitor = GradientMonitor(
            None, every=max(1, self._steps // _READINGS), log=False
        )
        try:
            model = apply(self._model, changes)
            model.fit(
                self._x,
                self._y,
                self._batch_size,
                self._epochs,
                shuffle=False,  # it was shuffled once for all trials
                verbose=0,
                callbacks=[monitor],
            )
        except Exception as error:  # as of a loss that cannot take the labels
            trial = Trial(
                changes, -1.0, 0.0, math.nan, self._static, 0, _line(error)
            )
        else:
            run = monitor.run
            run.planned_steps = self._planned  # not those of the trial
            findings = _judge.judge(run)[0] or ([] if changes else self._static)
            symptoms = self._symptoms = Symptoms(run)
            score, gain = score_of(model, *self._validation)
            trial = Trial(
                changes=changes,
                skill=(max(-1.0, 1.0 - symptoms.loss_left) + gain) / 2,
                score=score,
                loss=symptoms.recent_loss,
                findings=findings,
                steps=symptoms.last_step,
            )
        self._left -= self._steps
        self.trials.append(trial)
        return trial

    def wanted(self, trial: Trial) -> list[Change]:
        """Return the changes of a trial and the remedies of its findings."""
        remedies = [
            (name, finding.problem)
            for finding in [*self._static, *trial.findings]
            for name in finding.remedies
            if finding.severity != "minor"
        ]
        return self.changes(remedies, trial.changes)

    def changes(self, remedies, given=()) -> list[Change]:
        """Return the changes that are given, and one for each new remedy."""
        found = {each.kind: each for each in given}
        for name, problem in remedies:
            if name in KINDS and name not in found:
                options = _advice.options_of(name, problem, self._symptoms)
                if name == "scale_targets":
                    options = _scale(self._y)
                found[name] = Change(name, options)
        return list(found.values())

    def improved(self, best: Trial, changes: Sequence[Change]) -> Trial:
        """Return a trial with the changes, and those it asks for, if better."""
        while len(changes) > len(best.changes) and self.affordable():
            trial = self.trial(changes)
            if trial.skill < best.skill + self._noise:
                break
            best, changes = trial, self.wanted(trial)
        return best

    def smallest(self, best: Trial) -> Trial:
        """Return the trial with each change left out that does not help."""
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


def _scale(y):
    """Mean and deviation of each column of targets."""
    columns = np.asarray(y, "float64").reshape(len(y), -1)
    found = {"mean": columns.mean(axis=0), "deviation": columns.std(axis=0)}
    return {
        name: float(each[0]) if len(each) == 1 else each.tolist()
        for name, each in found.items()
    }


def _line(error):
    """What an error says, in a line."""
    lines = [each.strip() for each in str(error).splitlines()]
    text = next(filter(None, lines), "")
    return f"{type(error).__name__}: {text[:_ERROR]}"
