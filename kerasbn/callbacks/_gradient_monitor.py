"""The gradients that `fit` really applied, in TensorBoard."""

import math
import time
import warnings
import weakref
from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from kerasbn import diagnosis
from kerasbn._monitor import inspection, optimizers
from kerasbn._monitor.recorder import recorder_of
from kerasbn._run.readings import (
    GROUPS,
    SCALARS,
    History,
    NonFinite,
    Reading,
    Recording,
)
from kerasbn._run.run import Run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Reading the layers takes a forward pass: at most this share of an epoch.
_LAYERS_SHARE = 0.02


class GradientMonitor(keras.callbacks.Callback):
    """Record the gradients that the optimizer is handed, as `fit` runs.

    The numbers are taken from inside the compiled train step: there is no
    second backward pass, and what is shown is what was applied, with the loss
    scale undone, replicas summed and repeated rows of an embedding added up.
    Every step is seen: between two readings the largest norms and the first NaN
    are kept. The model, its optimizer and its saved files stay as they are.

    In TensorBoard the run in `log_dir` shows the gradient flow as a heat map
    (layers down, steps across, log10 of the RMS gradient as colour), that of
    the updates, the norms and update ratios of each variable as curves, dead
    units of each layer, charts of all layers together under Custom Scalars, a
    summary under Text, and the optimizer's settings under HParams. A new run in
    the same directory moves the earlier one into a directory of its own; one
    that goes on from a later step, as after `BackupAndRestore`, continues it.

    Args:
        log_dir: Directory of this run, beside Keras's own `train` and
            `validation`, or `None` to write nothing.
        every: Optimizer steps between two readings; the very first step is
            read too. The default 10 costs 1 to 5 % of a training step, 1 costs
            4 to 25 % (`benchmarks/monitor_overhead.py`).
        layers: Whether to read the hidden layers at epoch ends, from the inputs
            of the last reading, as long as it takes less than 2 % of the time.
        histograms: Whether to write histograms of log10 |gradient|. Off by
            default: one takes the space of ten numbers.
        log: Whether to put the mean norm of the epoch's gradients into the logs
            of `fit` as `grad_norm`, for the progress line and `History`.
        on_reading: Called with `(step, numbers)` at each reading, `numbers`
            being a flat dict by the names in TensorBoard: what `wandb.log`,
            `mlflow.log_metrics` or `print` take. If it raises, training goes
            on, with one warning.
        stop_on: Names of problems at whose finding training ends with the
            epoch, such as `["non_finite", "output_mismatch"]`. Empty by
            default: a finding is advice.
        hparams: What this run differs in from others, such as `{"depth": 20,
            "activation": "elu"}`: columns of TensorBoard's HParams page, where
            each run is a row, beside the optimizer's settings. A name that is
            also a setting replaces it there. `None` shows the settings alone.

    Attributes:
        history: What was read, see below.
        layer_history: What was read of the layers at epoch ends, likewise:
            "step" and, per path of a layer, the groups "dead_units" (share
            never active over the batch), "saturation" (share of entries on the
            flat part of the activation), "activation_mean",
            "activation_deviation" and, per batch normalization,
            "statistics_distance" (median distance of moving from batch
            statistics, in deviations).
        findings: What `kerasbn.diagnose` says of the run so far. It is asked at
            every epoch end, and what is new is printed as one line, unless
            `fit` is silent (`verbose=0`).
        first_non_finite: `NonFinite(step, variable, origin)` where a gradient
            first held NaN or Inf, else `None`.
        skipped_steps: Steps that a `LossScaleOptimizer` or a
            `kerasbn.optimizers.Clipped` skipped, because a gradient held NaN or
            Inf.
        skipped_batches: Batches that kerasbn's layers left out of their
            statistics, by path of the layer, where there are any: NaN or Inf in
            the batch, a single row, or everything masked.

    `history` is a dict of arrays over the readings that a table takes as it is
    (`pandas.DataFrame(monitor.history)`): "step", "loss", "learning_rate",
    "global_norm" (L2 norm of the whole gradient), "clipped/global_norm" (the
    same after clipping), "clipped/share" (of the variables),
    "clipped/threshold" (the norm that a rule of `kerasbn.optimizers.Clipped`
    let pass, NaN without), the extremes since the reading before
    ("window/global_norm_min", "window/global_norm_max",
    "window/non_finite_steps") and, per `variable.path`, the groups
    "gradient_norm" (L2), "gradient_rms" (L2 over the root of the number of
    entries, so that layers of different width compare), "gradient_max" (largest
    absolute entry), "gradient_norm_max" (largest norm since the reading
    before), "zero_share", "non_finite" (entries), "weight_norm" (before the
    step) and "update_ratio" (norm of the step's change over the weight norm).
    Where gradients are accumulated, a step is one update, its gradient the
    average that is applied, and its loss the mean of the micro-batches.

    Raises:
        ValueError: If `every` is below 1, or `log_dir` cannot be written when
            training begins.
        TypeError: If `hparams` holds what TensorBoard cannot show.
        RuntimeError: If the model is not compiled.

    Example:
    >>> import keras, numpy as np, kerasbn
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(
    ...     1, use_bias=False, kernel_initializer="zeros", name="line")])
    >>> model.compile("sgd", "mean_squared_error")
    >>> monitor = kerasbn.callbacks.GradientMonitor(log_dir=None, every=1)
    >>> x, y = np.array([[1.0], [2.0]]), np.array([[2.0], [4.0]])
    >>> _ = model.fit(x, y, batch_size=2, verbose=0, callbacks=[monitor])
    >>> monitor.history["global_norm"].tolist()  # |2/2 (1*2 + 2*4)|
    [10.0]
    """

    # The batch hook reads nothing from `logs`, so dispatch may run ahead.
    async_safe = True

    def __init__(
        self,
        log_dir: str | None = "logs/gradients",
        every: int = 10,
        *,
        layers: bool = True,
        histograms: bool = False,
        log: bool = True,
        on_reading: Callable[[int, dict[str, float]], object] | None = None,
        stop_on: Collection[str] = (),
        hparams: Mapping[str, bool | int | float | str] | None = None,
    ):
        super().__init__()
        if every < 1:
            raise ValueError(
                "`every` must be at least 1 optimizer step. "
                f"Received: every={every}."
            )
        if on_reading is not None and not callable(on_reading):
            raise TypeError(
                "`on_reading` must be a function of a step and a dict. "
                f"Received: on_reading={on_reading!r}."
            )
        unknown = sorted(set(stop_on) - set(diagnosis.PROBLEMS))
        if isinstance(stop_on, str) or unknown:
            raise ValueError(
                "`stop_on` must hold names of problems. "
                f"Received: stop_on={stop_on!r}. "
                f"Use names of {list(diagnosis.PROBLEMS)}."
            )
        self.hparams = dict(hparams or {})
        for name, value in self.hparams.items():
            _check_hparam(name, value)
        self.log_dir = log_dir
        self.every = every
        self.layers = layers
        self.histograms = histograms
        self.log = log
        self.on_reading = on_reading
        self.stop_on = frozenset(stop_on)
        self._forget()

    def _forget(self):
        """Begin with nothing, for a model not seen before."""
        self._recorder: Any = None  # while training
        self._recording: Recording | None = None
        self._layer_readings: list[tuple[int, dict]] = []
        self._skipped_batches: dict[str, int] = {}
        self._tensorboard: Any = None
        self._seen: Any = None  # a weak reference to the model
        self._warned: set[str] = set()
        self._skipped_steps = 0
        self._inspection = inspection.Inspection()
        self._told: set[str] = set()  # problems

    @property
    def history(self) -> History:
        """The readings, as arrays."""
        self._flush()
        if self._recording is None:
            return Recording([], [], self.every, self._tell).history()
        return self._recording.history()

    @property
    def layer_history(self) -> History:
        """The readings of the layers, as arrays."""
        steps = [step for step, _ in self._layer_readings]
        columns: dict[str, Any] = {"step": np.array(steps, int)}
        for row, (_, groups) in enumerate(self._layer_readings):
            for group, numbers in groups.items():
                for layer, number in numbers.items():
                    column = columns.setdefault(
                        f"{group}/{layer}", np.full(len(steps), np.nan)
                    )
                    column[row] = number
        return History(columns)

    @property
    def findings(self) -> diagnosis.Diagnosis:
        """What is wrong, first what to mend first."""
        return diagnosis.diagnose(self)

    @property
    def first_non_finite(self) -> NonFinite | None:
        """Where a gradient first held NaN or Inf."""
        self._flush()
        return self._recording and self._recording.first_non_finite

    @property
    def skipped_steps(self) -> int:
        """Steps that were skipped, because a gradient was not finite."""
        self._flush()
        return self._skipped_steps

    @property
    def skipped_batches(self) -> dict[str, int]:
        """Batches that kerasbn's layers left out of their statistics."""
        model = self._seen and self._seen()
        if model is not None:
            counts = {
                variable.path.removesuffix("/batches"): int(variable.numpy()[1])
                for variable in model.non_trainable_variables
                if variable.path.endswith("/batches")
            }
            self._skipped_batches = {p: c for p, c in counts.items() if c}
        return self._skipped_batches

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Draw the gradient flow with matplotlib.

        Args:
            axes: Where to draw; `None` makes a new pyplot figure.

        Returns:
            The axes drawn on.

        Raises:
            RuntimeError: If nothing was recorded yet.
        """
        from matplotlib import pyplot

        from kerasbn._report import heat_map, tensorboard

        self._flush()
        if self._recording is None or not self._recording.readings:
            raise RuntimeError(
                "`plot` must come after a first reading. Received: none. Pass "
                "the monitor to `fit` as a callback first."
            )
        if axes is None:
            axes = pyplot.subplots(figsize=(8, 5), layout="constrained")[1]
        heat_map.draw(
            axes, **tensorboard.gradient_flow(self._recording, self._name)
        )
        return axes

    def on_train_begin(self, logs=None):
        """Open the event file and instrument the train step."""
        recorder = recorder_of(self.model)
        self._close()
        if self._seen is None or self._seen() is not self.model:
            self._forget()
        self._seen = weakref.ref(self.model)
        self._name = self.model.name
        self._started = False
        self._epoch_norms: list[float] = []
        self._layers_read, self._reading_time = time.monotonic(), 0.0
        self._settings = optimizers.settings(self.model)
        self._planned_steps = 0
        self._inspection.see_model(self.model)
        if self.log_dir is not None:
            from kerasbn._report.tensorboard import TensorBoardRun

            self._tensorboard = TensorBoardRun(
                self.log_dir, self._name, self._settings, self.hparams
            )
        recorder.attach(self)
        self._recorder = recorder

    def on_train_batch_begin(self, batch, logs=None):
        """Let the train function know that it is watched."""
        self._recorder.announce(self)

    def on_epoch_end(self, epoch, logs=None):
        """Read what is left, then the layers; draw where there is time."""
        self._flush()
        if self.log and logs is not None and self._epoch_norms:
            logs["grad_norm"] = float(np.mean(self._epoch_norms))
        self._epoch_norms = []
        self._read_layers()
        recording = self._recording
        if recording is not None and recording.readings:
            self._inspect()
            if self._tensorboard is not None:
                step = recording.readings[-1].step
                self._tensorboard.note(step, "data", self._inspection.data)
                self._tensorboard.draw(recording)
        if recording is not None:
            self._judge()

    def on_train_end(self, logs=None):
        """Draw the whole run, close the file, leave the model as it was."""
        if self._recorder is not None:
            self._recorder.detach(self)
            self._read_layers(last=True)
        recording = self._recording
        if self._tensorboard is not None and recording and recording.readings:
            from kerasbn._report import tensorboard

            self._tensorboard.draw(recording, last=True)
            page = tensorboard.summary(
                recording,
                self._skipped_steps,
                self.skipped_batches,
                self.findings,
            )
            self._tensorboard.text(recording.readings[-1].step, "summary", page)
        self._close()
        # Nor keep the model from being collected.
        self._recorder = None
        self._skipped_batches = self.skipped_batches
        self.set_model(None)

    def receive(self, window: Any) -> None:
        """Take the steps since the last call, from the recorder."""
        self._skipped_steps += window.skipped
        skipped = window.first_skipped
        if not len(window.steps) and skipped is None:
            return
        first = window.steps[0] if len(window.steps) else skipped[0]
        recorder = self._recorder
        self._inspection.see_batch(recorder.kept_batch())
        if not self._inspection.data:
            self._inspect()
        goes_on = self._started or first > 1
        before = self._recording if goes_on else None
        if before is not None and before.paths == recorder.paths:
            recording = before
        else:
            recording = self._recording = Recording(
                recorder.paths, recorder.shapes, self.every, self._tell, before
            )
        if before is None:
            self._layer_readings = []
        if not self._started:
            self._planned_steps = int(first) - 1 + _planned(self.params)
        if self._tensorboard is not None and not self._started:
            self._tensorboard.begin(
                int(first),
                {
                    "description": self._inspection.model,
                    "planned_steps": self._planned_steps,
                },
            )
        self._started = True
        self._epoch_norms += np.sqrt(np.square(window.norms).sum(1)).tolist()
        finite = recording.first_non_finite is None
        recording.receive(window)
        found = recording.first_non_finite
        if self._tensorboard is not None and found is not None and finite:
            self._tensorboard.note(found.step, "non_finite", found)
        if self._tensorboard is not None and self.histograms:
            for step, counts in window.histograms.items():
                if step == 1 or not step % self.every:
                    self._tensorboard.add_histograms(
                        step, recorder.paths, counts
                    )

    @property
    def run(self) -> Run:
        """All that is known of the run, as `kerasbn.diagnose` judges it."""
        self._flush()
        recording = self._recording or Recording([], [], self.every, self._tell)
        readings = recording.readings
        return Run(
            steps=np.array([reading.step for reading in readings], int),
            scalars={
                name: np.array([reading.scalars[name] for reading in readings])
                for name in SCALARS
            },
            tables={group: recording.table(group) for group in GROUPS},
            paths=recording.paths,
            shapes=recording.shapes,
            layers=list(self._layer_readings),
            settings=self._settings,
            model=self._inspection.model,
            data=self._inspection.data,
            planned_steps=self._planned_steps,
            non_finite=recording.first_non_finite,
        )

    def _tell(self, reading: Reading, recording: Recording) -> None:
        if self._tensorboard is not None:
            self._tensorboard.add(reading, recording)
        if self.on_reading is not None:
            try:
                self.on_reading(reading.step, reading.flat(recording.paths))
            except Exception as error:
                self._warn_once(f"`on_reading` raised {error!r}")

    def _inspect(self):
        """See what the model and its data are like."""
        kept = self._recorder.kept_batch()
        try:
            self._inspection.see_model(self.model)
            if kept is not None:
                self._inspection.see_data(self.model, kept)
        except Exception as error:
            self._warn_once(
                f"Model and data could not be described ({error!r})"
            )

    def _judge(self):
        """Tell what is newly found, and stop where that was asked for."""
        try:
            findings = self.findings
        except Exception as error:
            self._warn_once(f"The run could not be judged ({error!r})")
            return
        for finding in findings:
            if finding.problem not in self._told:
                self._told.add(finding.problem)
                if (self.params or {}).get("verbose"):
                    print(f"\nGradientMonitor: {finding}")
        if self.stop_on & {finding.problem for finding in findings}:
            self.model.stop_training = True

    def _read_layers(self, last=False):
        """Read the hidden layers on the kept inputs, in time."""
        recording, recorder = self._recording, self._recorder
        waited = time.monotonic() - self._layers_read
        if (
            not self.layers
            or recording is None
            or not recording.readings
            or (not last and self._reading_time > _LAYERS_SHARE * waited)
        ):
            return
        step = recording.readings[-1].step
        if self._layer_readings and self._layer_readings[-1][0] == step:
            return
        begin = time.monotonic()
        try:
            found = recorder.read_layers()
        except Exception as error:
            self._warn_once(f"The layers could not be read ({error!r})")
            self.layers = False
            return
        if found is None:
            return
        self._layers_read = time.monotonic()
        if self._layer_readings:  # the first takes time to compile
            self._reading_time = self._layers_read - begin
        self._layer_readings.append((step, found))
        if self._tensorboard is not None:
            self._tensorboard.add_layers(step, found, last)

    def _warn_once(self, message):
        if message.split("(")[0] not in self._warned:
            self._warned.add(message.split("(")[0])
            warnings.warn(f"{message}: training goes on.", stacklevel=2)

    def _flush(self):
        if self._recorder is not None:
            self._recorder.flush()

    def _close(self):
        if self._tensorboard is not None:
            self._tensorboard.close()
            self._tensorboard = None


def _check_hparam(name, value):
    kinds = bool | int | float | str | np.bool_ | np.integer | np.floating
    # TensorBoard leaves the cell of a NaN or Inf empty, and says nothing.
    shown = isinstance(value, str) or (
        isinstance(value, kinds) and math.isfinite(value)
    )
    if not (isinstance(name, str) and shown):
        raise TypeError(
            "`hparams` must map names to a bool, a finite int or float, or a "
            f"str: TensorBoard shows no other. Received: hparams[{name!r}]="
            f"{value!r}. Pass str({name}), or an entry for each part of it."
        )


def _planned(params):
    """Steps that `fit` is to take, 0 if it does not know."""
    params = params or {}  # none where the hooks are called by hand
    return (params.get("steps") or 0) * (params.get("epochs") or 0)
