"""One model under a monitor: its steps received, written and judged."""

import contextlib
import dataclasses
import re
import warnings
import weakref
from typing import Any

import numpy as np

from kerasbn._monitor import inspection, optimizers
from kerasbn._monitor.recorder import recorder_of
from kerasbn._run.readings import is_recorded
from kerasbn._run.run import Run
from kerasbn.callbacks._layer_reader import LayerReader


class Monitoring:
    """Does the work of a `GradientMonitor` on one model, `fit` after `fit`.

    Args:
        monitor: The callback; its attributes are the settings.
    """

    def __init__(self, monitor: Any):
        self.run = Run()
        self.skipped_steps = 0
        self._monitor = monitor
        self._model: Any = monitor.model and weakref.ref(monitor.model)
        self._recorder: Any = None  # while training
        self._layer_reader: Any = None
        self._tensorboard: Any = None
        self._inspection = inspection.Inspection()
        self._skipped_batches: dict[str, int] = {}
        self._reported: set[str] = set()  # problems
        self._warned: set[str] = set()

    def is_of(self, model: Any) -> bool:
        """Return whether this is the model."""
        return self._model is not None and self._model() is model

    def skipped_batches(self) -> dict[str, int]:
        """Read the counts of the layers, as long as the model lives."""
        model = self._model and self._model()
        if model is not None:
            counts = {
                variable.path.removesuffix("/batches"): int(variable.numpy()[1])
                for variable in model.non_trainable_variables
                if variable.path.endswith("/batches")
            }
            self._skipped_batches = {p: c for p, c in counts.items() if c}
        return self._skipped_batches

    def begin(self) -> None:
        """Open the event file and instrument the train step."""
        monitor, model, run = self._monitor, self._monitor.model, self.run
        recorder = recorder_of(model)
        self._started = False
        self._epoch_norms: list[float] = []
        self._inspection.see_model(model)
        run.name, run.model = model.name, self._inspection.model
        run.settings = optimizers.settings(model)
        run.planned_steps = 0
        if monitor.log_dir is not None:
            # TensorBoard, which takes a second to import.
            from kerasbn._report.tensorboard import TensorBoardRun

            self._tensorboard = TensorBoardRun(monitor.log_dir, monitor.hparams)
        recorder.attach(monitor)
        self._recorder, self._layer_reader = recorder, LayerReader(recorder)
        if not (recorder.is_traced or model.run_eagerly):
            self._say("tracing the train step: the first step takes longest")

    def announce(self) -> None:
        """Let the train function know that it is watched."""
        self._recorder.announce(self._monitor)

    def flush(self) -> None:
        """Take the steps that were not read yet."""
        if self._recorder is not None:
            self._recorder.flush()

    def receive(self, window: Any) -> None:
        """Take a `window.Window` of steps."""
        self.skipped_steps += window.skipped
        skipped = window.first_skipped
        if not len(window.steps) and skipped is None:
            return
        first = int(window.steps[0] if len(window.steps) else skipped[0])
        self._inspection.see_batch(self._recorder.kept_batch())
        if not self._inspection.data:
            self._inspect()
        self._continue_run(goes_on=self._started or first > 1)
        run, tensorboard = self.run, self._tensorboard
        if not self._started:
            self._started = True
            run.planned_steps = first - 1 + self._planned()
            run.knows_loss = window.tells_loss
            if tensorboard is not None:
                tensorboard.begin(first, run)
        self._epoch_norms += np.sqrt(np.square(window.norms).sum(1)).tolist()
        finite, every = run.non_finite is None, self._monitor.every
        for reading in run.receive(window, every):
            if tensorboard is not None:
                tensorboard.add(reading, run)
            if self._monitor.on_reading is not None:
                with self._spared("`on_reading` raised"):
                    numbers = reading.flat(run.paths)
                    self._monitor.on_reading(reading.step, numbers)
        if tensorboard is None:
            return
        if finite and run.non_finite is not None:
            tensorboard.note(run.non_finite.step, "non_finite", run.non_finite)
        for step, counts in window.histograms.items():
            if self._monitor.histograms and is_recorded(step, every):
                tensorboard.add_histograms(step, run.paths, counts)

    def end_epoch(self, logs: dict[str, Any] | None) -> None:
        """Read what is left, then the layers; draw where there is time."""
        self.flush()
        if self._monitor.log and logs is not None and self._epoch_norms:
            logs["grad_norm"] = float(np.mean(self._epoch_norms))
        self._epoch_norms = []
        self._read_layers()
        if self.run.readings:
            self._inspect()
            if self._tensorboard is not None:
                step = self.run.readings[-1].step
                self._tensorboard.note(step, "data", self.run.data)
                self._tensorboard.draw(self.run)
        if self.run.paths:
            with self._spared("The run could not be judged:"):
                self._judge()

    def end(self) -> None:
        """Draw the whole run, close the file, leave the model as it was."""
        if self._recorder is not None:
            self._recorder.detach(self._monitor)
            self._read_layers(last=True)
        # They would keep the model from being collected.
        self._recorder = self._layer_reader = None
        if self._tensorboard is not None and self.run.readings:
            from kerasbn._report import summary

            findings, batches = self._monitor.findings, self.skipped_batches()
            page = summary.page(self.run, findings, self.skipped_steps, batches)
            self._tensorboard.finish(self.run, page)
        self.close()
        self.skipped_batches()  # the last that can be known

    def close(self) -> None:
        """Close the event file."""
        if self._tensorboard is not None:
            self._tensorboard.close()
            self._tensorboard = None

    def _continue_run(self, goes_on):
        """Go on with the run, or begin one anew or for other variables."""
        run, recorder = self.run, self._recorder
        if goes_on and run.paths == recorder.paths:
            return
        self.run = dataclasses.replace(
            run,
            paths=recorder.paths,
            shapes=recorder.shapes,
            readings=[],
            layers=run.layers if goes_on else [],
            non_finite=None,
            before=run if goes_on and run.paths else None,
        )

    def _inspect(self):
        """Describe the model and its data."""
        kept, model = self._recorder.kept_batch(), self._monitor.model
        with self._spared("Model and data could not be described:"):
            self._inspection.see_model(model)
            if kept is not None:
                self._inspection.see_data(model, kept)
        self.run.model = self._inspection.model
        self.run.data = self._inspection.data

    def _judge(self):
        """Print new findings, and stop where that was asked for."""
        findings = self._monitor.findings
        for finding in findings:
            if finding.problem not in self._reported:
                self._reported.add(finding.problem)
                self._say(finding, "\n")
        if self._monitor.stop_on & {finding.problem for finding in findings}:
            self._monitor.model.stop_training = True

    def _read_layers(self, last=False):
        new = None
        if self._monitor.layers and self.run.readings:
            self._monitor.layers = False  # unless it succeeds
            with self._spared("The layers could not be read:"):
                new = self._layer_reader.read(self.run, last)
                self._monitor.layers = True
        if new and self._tensorboard is not None:
            self._tensorboard.add_layers(*self.run.layers[-1], last)

    def _say(self, text, start=""):
        if (self._monitor.params or {}).get("verbose"):
            print(f"{start}GradientMonitor: {text}")

    def _planned(self):
        """Steps that `fit` is to take, 0 if it does not know."""
        params = self._monitor.params or {}  # none where called by hand
        return (params.get("steps") or 0) * (params.get("epochs") or 0)

    @contextlib.contextmanager
    def _spared(self, message):
        """Have training go on whatever is raised, with one warning."""
        try:
            yield
        except Exception as error:  # of any model, layer or function of a user
            if message not in self._warned:
                self._warned.add(message)
                warnings.warn(
                    f"{message} {_reason(error)}: training goes on.",
                    stacklevel=2,
                )


def _reason(error):
    """The kind and the first line of an error.

    Keras writes which layer was called in front of it, and colors it.
    """
    plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
    lines = re.sub("^Exception encountered .*", "", plain).split("\n")
    line = next(filter(None, map(str.strip, lines)), "no reason is given")
    return f"{type(error).__name__}: {line.removesuffix('.')}"
