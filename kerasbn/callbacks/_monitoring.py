"""One model under a monitor: its steps received, written and judged."""

import contextlib
import dataclasses
import warnings
import weakref
from typing import Any

import numpy as np

from kerasbn._monitor import inspection, optimizers, sample
from kerasbn._monitor.recorder import recorder_of
from kerasbn._run.readings import is_recorded
from kerasbn._run.run import Run
from kerasbn.callbacks._time_limit import TimeLimit


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
        self._time_limit = TimeLimit()
        self._tensorboard: Any = None
        self._sample = sample.Sample()
        self._received = False  # whether the optimizer was ever called
        self._validation: list[list[float]] = []  # step and loss, by epoch
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
        self._sample.see_model(model)
        run.name, run.model = model.name, self._sample.model
        run.settings = optimizers.settings(model)
        run.planned_steps = 0
        if monitor.log_dir is not None:
            # TensorBoard, which takes a second to import.
            from kerasbn._report.tensorboard import TensorBoardRun

            self._tensorboard = TensorBoardRun(monitor.log_dir, monitor.hparams)
        recorder.attach(monitor)
        self._recorder, self._time_limit = recorder, TimeLimit()
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
        self._received = True
        self.skipped_steps += window.skipped
        skipped = window.first_skipped
        if not len(window.steps) and skipped is None:
            return
        first = int(window.steps[0] if len(window.steps) else skipped[0])
        self._sample.see_batch(self._recorder.kept_batch())
        if not self._sample.data:
            self._inspect(called=False)
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
        step = self.run.readings[-1].step if self.run.readings else 0
        if logs is not None and "val_loss" in logs:
            self._validation.append([step, float(logs["val_loss"])])
        self._look()
        if step and self._tensorboard is not None:
            self._tensorboard.note(step, "data", self.run.data)
            self._tensorboard.draw(self.run)
        if not self._received:
            self.run.data["epochs_without_steps"] = 1
        if self.run.paths or not self._received:
            with self._spared("The run could not be judged:"):
                self._judge()

    def end(self) -> None:
        """Draw the whole run, close the file, leave the model as it was."""
        if self._recorder is not None:
            self._recorder.detach(self._monitor)
            self._look(last=True)
        # They would keep the model from being collected.
        self._recorder = None
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

    def _look(self, last=False):
        """Read the layers and the outputs, where there is time."""
        if not self.run.readings:
            return
        if not (last or self._time_limit.allows()):
            self._inspect(called=False)
            return
        with self._time_limit.measured():
            self._read_layers(last)
            self._inspect(called=True)

    def _inspect(self, called):
        """Describe the model and its data, and what it makes of them."""
        step = self.run.readings[-1].step if self.run.readings else 0
        with self._spared("Model and data could not be described:"):
            self._sample.see_model(self._monitor.model)
            probe = self._recorder.output_probe() if called else None
            self._sample.look(self._monitor.model, probe, step)
        self.run.model = self._sample.model
        validation = {"validation": self._validation}
        self.run.data = {**self._sample.data, **validation}

    def _judge(self):
        """Print new findings, and stop where that was asked for."""
        findings = self._monitor.findings
        for finding in findings:
            if finding.problem not in self._reported:
                self._reported.add(finding.problem)
                self._say(finding, "\n")
        if self._monitor.stop_on & {finding.problem for finding in findings}:
            self._monitor.model.stop_training = True

    def _read_layers(self, last):
        run, found = self.run, None
        step = run.readings[-1].step
        if not self._monitor.layers or (
            run.layers and run.layers[-1][0] == step
        ):
            return
        self._monitor.layers = False  # unless it succeeds
        with self._spared("The layers could not be read:"):
            found = self._recorder.read_layers()
            self._monitor.layers = True
        if found is None:
            return
        run.layers.append((step, found))
        if self._tensorboard is not None:
            self._tensorboard.add_layers(step, found, last)

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
                reason = inspection.readable(error)
                warnings.warn(
                    f"{message} {reason}: training goes on.", stacklevel=2
                )
