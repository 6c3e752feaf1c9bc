"""Train a program under the monitor, and hold what is told against truth."""

import itertools
import time
import warnings
from typing import Any, NamedTuple

import keras
import numpy as np
import tensorflow as tf

import kerasbn
from benchmarks.strangers._program import Program


class Listener(keras.callbacks.Callback):
    """Ask the monitor at each epoch end, as it prints to its user."""

    def __init__(self, monitor):
        super().__init__()
        self.monitor = monitor
        self.heard: list[list] = []
        self.errors: list[str] = []

    def on_epoch_end(self, epoch, logs=None):
        try:
            self.heard.append(list(self.monitor.findings))
        except Exception as error:
            self.errors.append(f"findings: {error!r}")


class Judged(NamedTuple):
    """What was told of a program, and whether it is right."""

    program: Program
    before: list
    during: list[list]  # at each epoch end
    end: list
    errors: list[str]
    ended: str  # what `fit` raised
    seconds: float

    @property
    def broken(self) -> bool:
        return self.program.truth != "healthy"

    @property
    def noted(self) -> bool:
        """Whether the truth is a note, which may be told as minor."""
        return self.program.group == "notes"

    def _told(self, findings):
        return [
            each
            for each in findings
            if each.severity in ("fatal", "serious")
            or self.noted
            or self.program.trains
        ]

    @property
    def _last(self):
        """What the user reads last: where nothing was trained, the first."""
        return self.end if self.during or self.end else self.before

    @property
    def detected(self) -> bool:
        names = frozenset().union(*self.program.truth)
        told = itertools.chain(self.before, *self.during, self.end)
        return any(each.problem in names for each in self._told(told))

    @property
    def late(self) -> bool:
        """Whether it was found, and not before half of the epochs."""
        names = frozenset().union(*self.program.truth)
        half = self.during[: max(1, len(self.during) // 2)]
        told = self._told(itertools.chain(self.before, *half))
        return self.detected and not any(f.problem in names for f in told)

    @property
    def first(self) -> bool:
        told = self._told(self._last)
        if "non_finite" in self.program.accepted:  # NaN may stand before all
            told = [each for each in told if each.problem != "non_finite"]
        return bool(told) and told[0].problem in self.program.truth[0]

    @property
    def named(self) -> list[bool]:
        """For each problem whether it is named, before training or last."""
        told = {each.problem for each in [*self.before, *self._last]}
        return [bool(names & told) for names in self.program.truth]

    @property
    def wrong(self) -> list[str]:
        """Names told as fatal or serious that are neither true nor effects."""
        right = self.program.accepted.union(*self.program.truth)
        return sorted(
            {
                each.problem
                for each in [*self.before, *self._last]
                if each.severity != "minor" and each.problem not in right
            }
        )

    @property
    def alarms(self) -> list[str]:
        """For a healthy program when it was called ill, and of what."""
        found = []
        last = _alarms(self._last)
        found += [f"{name} before" for name in _alarms(self.before)]
        found += [f"{name} at the end" for name in _alarms(self.end)]
        heard = {name for each in self.during for name in _alarms(each)}
        found += [f"{name} taken back" for name in sorted(heard - set(last))]
        return found

    @property
    def notes(self) -> list[str]:
        return sorted(
            {
                each.problem
                for each in [*self.before, *self._last]
                if each.severity == "minor"
                and each.problem not in self.program.accepted
            }
        )


def _alarms(findings):
    return sorted({f.problem for f in findings if f.severity != "minor"})


def judged(program: Program) -> Judged:
    """Train a program once; what is raised is a miss, not an end."""
    began = time.perf_counter()
    keras.utils.set_random_seed(0)
    keras.backend.clear_session()
    errors, before, end, ended = [], [], [], ""
    task = program.task()
    batch_size = task.fit.get("batch_size", 32)
    if not isinstance(task.x, tf.data.Dataset):
        try:
            before = list(_before(task, batch_size))
        except Exception as error:
            errors.append(f"diagnose: {error!r}")
    monitor = kerasbn.callbacks.GradientMonitor(log_dir=None)
    listener = Listener(monitor)
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            task.model.fit(
                task.x,
                task.y,
                verbose=0,
                callbacks=[monitor, listener],
                **task.fit,
            )
        except Exception as error:
            ended = type(error).__name__
        if listener.heard:
            try:
                end = list(monitor.findings)
            except Exception as error:
                errors.append(f"findings: {error!r}")
    errors += listener.errors
    errors += [str(w.message) for w in told if "goes on" in str(w.message)]
    if ended and not _may_end(program):
        errors.append(f"fit: {ended}")
    seconds = time.perf_counter() - began
    return Judged(program, before, listener.heard, end, errors, ended, seconds)


def _before(task: Any, batch_size: int):
    return kerasbn.diagnose(task.model, task.x, task.y, batch_size=batch_size)


def _may_end(program):
    """Whether Keras itself may end such a run: labels out of range do."""
    return program.truth != "healthy" and bool(
        program.truth[0] & {"output_mismatch"}
    )


def share(part: int, whole: int) -> str:
    return f"{part}/{whole} {np.divide(part, whole):.0%}" if whole else "-"
