"""Remedies applied to a model, each proved by short runs with and without."""

import math
from collections.abc import Sequence
from typing import Any

import keras

from kerasbn._monitor import first_look
from kerasbn._rescue.candidates import Candidates
from kerasbn._rescue.changes import Change, apply, fit_arguments
from kerasbn._rescue.data import Rows, rows_of, split
from kerasbn._rescue.result import Rescue, Trial
from kerasbn._rescue.trials import Trials
from kerasbn.diagnosis import Finding, _judge
from kerasbn.diagnosis._symptoms import Symptoms

# Skill of a network that nothing has to be done for.
_GOOD = 0.9
# The option of a change that is a learning rate.
_RATES = {"learning_rate": "value", "optimizer": "learning_rate"}
_USUAL_RATE = 1e-3  # where none can be chosen
_OF_OPTIMIZERS = ("learning_rate", "clipping")
# What is added first to a set that is not enough: a network that is sound may
# be too slow for its few steps.
_ORDER = (
    *("scale_targets", "learning_rate", "optimizer", "normalize_inputs"),
    *("statistics", "normalize_hidden", "initializer", "activation"),
    *("remove", "widen"),
)


def rescue(
    model: keras.Model,
    x: Any,
    y: Any = None,
    *,
    validation_data: Any = None,
    epochs: int = 10,
    batch_size: int = 32,
    sample_weight: Any = None,
    class_weight: dict[int, float] | None = None,
    budget: float | None = None,
    verbose: int = 1,
) -> Rescue:
    """Find the smallest set of changes that makes a model train.

    The model is trained for a few epochs as it is and diagnosed. Copies get the
    remedies of the findings, and the usual recipe of normalization, fitting
    kernels and Adam with clipping; they are trained on the same batches. The
    best is kept, with as few changes as are as good. What contradicts the data
    for certain is changed without a trial of its own. The model that is passed
    stays untouched.

    Args:
        model: A compiled functional or sequential model.
        x: Inputs, an array or a structure of arrays; or what yields batches of
            inputs and targets, as a `tf.data.Dataset`, which is read once.
        y: Targets, an array or a structure of arrays.
        validation_data: `(x, y)` or `(x, y, sample_weight)` to score by, or
            batches of them; `None` sets a fifth of the rows aside.
        epochs: Epochs of the training to come. With the budget they limit the
            length of the trials.
        batch_size: Rows of a batch, as for `fit`.
        sample_weight: As for `fit`.
        class_weight: As for `fit`.
        budget: Optimizer steps of all trials together, in trainings of `epochs`
            epochs; one of less than 300 steps counts as 300. `None` is 1.5
            trainings, or 2,400 steps if that is more: they take seconds. It
            leaves a fifth of a long training to each of eight trials.
        verbose: 1 prints a line per trial, 0 nothing.

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
    >>> result = kerasbn.rescue(model, x, y, verbose=0)
    >>> [change.kind for change in result.changes]
    ['learning_rate']

    Reference:
        [Nikanjam et al., 2021](https://arxiv.org/abs/2105.08095) on repairs
        that must beat the run without them; `benchmarks/rescue.py`.
    """
    apply(model, [])  # raises where it cannot be copied
    rows, batch_size = rows_of(x, y, sample_weight, batch_size)
    if validation_data is not None:
        is_pair = isinstance(validation_data, list | tuple)
        given = validation_data if is_pair else (validation_data,)
        vx, vy, weight = [*given, None, None][:3]
        validation_data, _ = rows_of(vx, vy, weight, batch_size)
    training, validation = split(rows, validation_data)
    trials = Trials(
        model,
        training,
        validation,
        batch_size=batch_size,
        epochs=epochs,
        budget=budget,
        class_weight=class_weight,
        verbose=verbose,
    )
    search = _Search(model, training, trials, batch_size)
    before, best = search.searched()
    made = apply(model, best.changes)
    made.optimizer.build(made.trainable_variables)  # or it is not pickled
    return Rescue(
        made,
        best.changes,
        before,
        best,
        trials.made,
        trials.refused,
        fit_arguments(best.changes, rows.y),
    )


class _Search:
    """The way from a model as it was to the best that was found."""

    def __init__(
        self, model: keras.Model, rows: Rows, trials: Trials, batch_size: int
    ):
        self._trials = trials
        self._candidates = Candidates(model, rows)
        self._static: list[Finding] = []
        self._symptoms: Symptoms | None = None
        if keras.backend.backend() == "tensorflow":
            looked = first_look.before_training(
                model, rows.x, rows.y, batch_size
            )
            self._symptoms = Symptoms(looked)
            self._static, _ = _judge.judge(looked)
        self._certain: list[Change] = []

    def searched(self) -> tuple[Trial, Trial]:
        """Return the run of the model as it was, and the best one."""
        trials = self._trials
        before = start = trials.run([], watched=True)
        self._certain = self._rated(
            self._of_findings(filter(_is_clear, self._static))
        )
        if self._certain and trials.affordable():
            start = trials.run(self._certain, watched=True)
            if start.skill < before.skill:
                start = before  # another fault may hide what it is good for
        best = start
        if _is_fine(start):
            return before, start
        changes = self._rated(self._wanted(start))
        guided = self._better(start, changes)
        habit = _together(
            self._certain,
            self._kinds_of(changes, "scale_targets", "remove", "widen"),
            self._candidates.by_habit(),
        )
        best = self._better(guided, self._rated(habit))
        if best is guided:
            return before, self._fewer(guided)
        return before, self._few(best, guided)

    def _of_findings(self, findings):
        symptoms = self._symptoms
        if symptoms is None:
            return []
        return self._candidates.of_findings(findings, symptoms)

    def _wanted(self, trial):
        """The changes of a trial, and those that it calls for."""
        found = self._of_findings([*self._static, *(trial.findings or [])])
        return _together(trial.changes, found, self._candidates.by_look())

    def _rated(self, changes):
        """The changes with a learning rate where one of them leaves it open."""
        found = list(changes)
        for place, change in enumerate(found):
            name = _RATES.get(change.kind)
            if name and change.options.get(name, 0.0) is None:
                usual = {**change.options, name: _USUAL_RATE}
                found[place] = Change(change.kind, usual)
                if math.isfinite(rate := self._rate(found)):
                    found[place] = Change(change.kind, {**usual, name: rate})
        return found

    def _rate(self, changes):
        try:
            return self._trials.rate(changes)
        except Exception:  # as in a trial with these changes, which tells it
            return math.nan

    @staticmethod
    def _kinds_of(changes, *kinds):
        return [each for each in changes if each.kind in kinds]

    def _better(self, best, changes):
        """A trial with the changes if it is better, else the best so far."""
        trial = self._trial(changes)
        if trial is None or trial.skill <= best.skill:
            return best
        noise = self._trials.noise(max(best.skill, 0.0))
        # A little below 0 is a constant guess as well.
        least = max(best.skill, 0.0) if best.skill > -noise else best.skill
        return trial if trial.skill > least + noise else best

    def _trial(self, changes):
        """The trial with the changes; `None` if there is no budget for it."""
        for each in self._trials.made:
            if _same(each.changes, changes):
                return each
        affordable = self._trials.affordable()
        return self._trials.run(changes) if affordable else None

    def _few(self, best, guided):
        """A trial that adds one change to those by findings and is as good."""
        more = [e for e in best.changes if e not in guided.changes]
        if "learning_rate" not in {each.kind for each in guided.changes}:
            more.append(Change("learning_rate", {"value": None}))
        more.sort(key=lambda each: _ORDER.index(each.kind))
        for change in more:
            kept = guided.changes
            if change.kind == "optimizer":
                kept = [e for e in kept if e.kind not in _OF_OPTIMIZERS]
            trial = self._trial(self._rated(_together(kept, [change])))
            if trial is None:
                return best
            if trial.skill >= best.skill - self._trials.slack(best.skill):
                return self._fewer(trial)
        return self._fewer(best, more[::-1])

    def _fewer(self, best, order: Sequence[Change] = ()):
        """The trial with each change left out that does not help."""
        goal = best.skill - self._trials.slack(best.skill)
        for change in order or list(reversed(best.changes)):
            if change in self._certain or len(best.changes) < 2:
                continue
            trial = self._trial([e for e in best.changes if e != change])
            if trial is None:
                break
            if trial.skill >= goal:
                best = trial
        return best


def _is_clear(finding):
    """Whether its remedies follow from the code or from the data.

    NaN is certain, its cause is not, unless it stands in the data.
    """
    known = finding.problem != "non_finite" or finding.where == "inputs"
    return finding.confidence == "certain" and known


def _is_fine(trial):
    grave = [e for e in trial.findings or [] if e.severity != "minor"]
    return not grave and trial.skill > _GOOD


def _together(*groups):
    """One change of each kind, the first that is given."""
    found: dict[str, Change] = {}
    for change in (each for group in groups for each in group):
        found.setdefault(change.kind, change)
    return list(found.values())


def _same(one, other):
    def key(changes):
        return sorted((e.kind, str(e.options)) for e in changes)

    return key(one) == key(other)
