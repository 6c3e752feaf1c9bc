"""Short runs of a model with changes, all on the same batches."""

import math
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from kerasbn._learning_rate.search import find_learning_rate
from kerasbn._monitor import inspection
from kerasbn._rescue import changes as _changes
from kerasbn._rescue.changes import Change
from kerasbn._rescue.data import Rows
from kerasbn._rescue.result import Trial
from kerasbn._rescue.score import Scorer
from kerasbn.callbacks import GradientMonitor
from kerasbn.diagnosis import _judge
from kerasbn.diagnosis._finding import Diagnosis
from kerasbn.diagnosis._symptoms import Symptoms

_READINGS = 30
# Rows of the training data that are scored beside those for validation.
_SCORED = 2048
# Of a trial, where the training has as many: networks differ by then.
_STEPS = 300
_EARLY = 0.05
_SHORTEST = 60  # twice the warm-up of the diagnosis
# Trainings of all trials together, or steps, if that is more.
_USUAL, _FEWEST = 1.5, 8 * _STEPS
# Seconds that all trials of a short training may take.
_SECONDS = 25.0


class _StopOnNaN(keras.callbacks.Callback):
    """Keras's own says so in a line of its own."""

    def on_train_batch_end(self, batch, logs=None):
        if not math.isfinite((logs or {}).get("loss", 0.0)):
            self.model.stop_training = True


class Trials:
    """Runs trials as long as there is a budget for them.

    Attributes:
        made: All trials so far.
        symptoms: Of the last run that was watched; `None` where gradients
            cannot be recorded.
        refused: Whether a trial was left out for want of budget.
    """

    def __init__(
        self,
        model: keras.Model,
        training: Rows,
        validation: Rows,
        *,
        batch_size: int,
        epochs: int,
        budget: float | None,
        class_weight: dict[int, float] | None,
        verbose: int,
    ):
        self.made: list[Trial] = []
        self.symptoms: Symptoms | None = None
        self.refused = False
        self._model = model
        self._class_weight = class_weight
        self._batch_size = batch_size
        self._verbose = verbose
        steps = -(-training.size // batch_size)
        self._planned = epochs * steps
        usual = max(_USUAL * self._planned, _FEWEST)
        given = usual if budget is None else budget * max(self._planned, _STEPS)
        self._left = given
        shortest = max(_SHORTEST, min(_STEPS, self._left / 6))
        wanted = min(self._planned, int(max(shortest, self._left / 8)))
        if wanted < steps:
            training, steps = training.take(slice(wanted * batch_size)), wanted
        self._epochs = max(1, min(epochs, round(wanted / steps)))
        self._steps = self._epochs * steps
        self._training = training
        self._scorer = Scorer(
            model,
            validation.take(slice(_SCORED)).finite(),
            training.take(slice(_SCORED)).finite(),
        )
        self._scored = validation.size
        # Early in a training a faster one is ahead of what gets as far.
        self._early = _EARLY if self._steps < self._planned / 2 else 0.0
        self._shared: dict[Any, Any] = {}
        self._began = time.perf_counter()
        self._longest = _SECONDS

    def rate(self, changes: Sequence[Change]) -> float:
        """Return a learning rate for the model with the changes."""
        found = find_learning_rate(
            _changes.apply(self._model, changes),
            self._training.x,
            self._training.y,
            batch_size=self._batch_size,
            sample_weight=self._training.weight,
            class_weight=self._class_weight,
        )
        return float(f"{found.suggested:.2g}")

    def noise(self, skill: float) -> float:
        """Return by how much a skill differs from another by chance.

        It is the standard error of an accuracy: the less is wrong, the smaller.
        """
        return max(0.03, math.sqrt(min(1.0, 1.0 - skill) / self._scored))

    def slack(self, skill: float) -> float:
        """Return what a smaller set of changes may lack of a skill."""
        return max(self.noise(skill) / 2, self._early)

    def affordable(self) -> bool:
        """Return whether another trial is within the budget."""
        late = time.perf_counter() - self._began > self._longest
        affordable = self._left >= self._steps and not late
        self.refused |= not affordable
        return affordable

    def run(self, changes: Sequence[Change], watched: bool = False) -> Trial:
        """Train the model with some changes, and score it.

        A run that is watched is diagnosed as well, which takes some seconds.
        """
        began = time.perf_counter()
        order = _changes.KINDS.index
        changes = sorted(changes, key=lambda each: order(each.kind))
        trial = Trial(changes, -math.inf, math.nan, math.nan)
        watched &= keras.backend.backend() == "tensorflow"
        try:
            trial = self._trained(changes, watched, trial)
        except Exception as error:  # of any model, layer or loss; it is told
            trial = trial._replace(error=inspection.readable(error))
        trial = trial._replace(seconds=time.perf_counter() - began)
        self._left -= trial.steps
        if not self.made and self._steps:
            whole = trial.seconds * self._planned / self._steps
            self._longest = max(_SECONDS, 1.2 * whole)
        self.made.append(trial)
        if self._verbose:
            print(f"{len(self.made):3} {trial.line()}", flush=True)
        return trial

    def _trained(self, changes, watched, trial):
        model = self._shared_model(changes)
        every = max(1, self._steps // _READINGS)
        monitor = GradientMonitor(None, every=every, log=False)
        stop = _StopOnNaN()
        fit = _changes.fit_arguments(changes, self._training.y)
        weights = {
            "sample_weight": self._training.weight,
            "class_weight": self._class_weight,
        }
        history = model.fit(
            self._training.x,
            self._training.y,
            epochs=self._epochs,
            shuffle=False,  # it was shuffled once for all trials
            verbose=0,
            callbacks=[monitor] if watched else [stop],
            **{"batch_size": self._batch_size, **weights, **fit},
        ).history
        score = self._scorer(model)
        trial = trial._replace(
            skill=score.skill,
            score=score.value,
            score_name=score.name,
            loss=float(history["loss"][-1]),
            steps=int(np.asarray(model.optimizer.iterations)),
        )
        if not watched:
            return trial
        run = monitor.run
        run.planned_steps = self._planned  # not those of the trial
        self.symptoms = Symptoms(run)
        return trial._replace(findings=Diagnosis(*_judge.judge(run)))

    def _shared_model(self, changes):
        """A model with the changes, compiled once for all that have its step.

        Trials that differ in initial weights and in the learning rate do.
        """
        made = _changes.apply(self._model, changes)
        key = _changes.step_key(changes, made)
        if key not in self._shared:
            made.optimizer.build(made.trainable_variables)
            state = [each.numpy() for each in made.optimizer.variables]
            self._shared[key] = made, state
            return made
        model, state = self._shared[key]
        model.set_weights(made.get_weights())
        for variable, start in zip(
            model.optimizer.variables, state, strict=True
        ):
            variable.assign(start)
        if _changes.has_plain_rate(made):
            model.optimizer.learning_rate = float(made.optimizer.learning_rate)
        return model
