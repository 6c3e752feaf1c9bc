"""The gradients that `fit` really applied, in TensorBoard."""

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING, Any

import keras

from kerasbn import diagnosis
from kerasbn._run.history import History
from kerasbn._run.readings import NonFinite
from kerasbn._run.run import Run
from kerasbn.callbacks import _arguments
from kerasbn.callbacks._monitoring import Monitoring

if TYPE_CHECKING:
    from matplotlib.axes import Axes


class GradientMonitor(keras.callbacks.Callback):
    """Record the gradients that the optimizer receives, as `fit` runs.

    The numbers are taken from inside the compiled train step: there is no
    second backward pass, and what is shown is what was applied, with the loss
    scale undone, replicas summed and repeated rows of an embedding added up.
    Every step is seen: between two readings the largest norms and the first NaN
    are kept. The model, its optimizer and its saved files stay as they are.

    In TensorBoard the run in `log_dir` shows heat maps of gradients and updates
    (layers down, steps across), curves of each variable and layer, charts of
    all layers together under Custom Scalars, a summary under Text, and the
    settings under HParams. A new run in the same directory moves the earlier
    one into a directory below; one that goes on from a later step, as after
    `BackupAndRestore`, continues it.

    Args:
        log_dir: Directory of this run, next to Keras's own `train` and
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
        stop_on: Names of problems that end training with the epoch in which
            they are found, such as `["non_finite", "output_mismatch"]`. Empty
            by default: a finding is advice.
        hparams: How this run differs from others, such as `{"depth": 20,
            "activation": "elu"}`: columns of TensorBoard's HParams page, next
            to the optimizer's settings, where each run is a row. A name that is
            also a setting replaces it there. `None` shows the settings alone.

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
        self.hparams = dict(hparams or {})
        _arguments.check(every, on_reading, stop_on, self.hparams)
        self.log_dir = log_dir
        self.every = every
        self.layers = layers
        self.histograms = histograms
        self.log = log
        self.on_reading = on_reading
        self.stop_on = frozenset(stop_on)
        self._monitoring = Monitoring(self)

    @property
    def run(self) -> Run:
        """The record of the run that `kerasbn.diagnose` judges."""
        self._monitoring.flush()
        return self._monitoring.run

    @property
    def history(self) -> History:
        """The readings: a dict of arrays, which pandas takes as it is.

        It holds "step", "loss", "learning_rate", "global_norm" (L2 norm of the
        whole gradient), "clipped/global_norm" (the same after clipping),
        "clipped/share" (of the variables), "clipped/threshold" (the norm that a
        rule of `kerasbn.optimizers.Clipped` let pass, NaN without), the
        extremes since the reading before ("window/global_norm_min",
        "window/global_norm_max", "window/non_finite_steps") and the mean loss
        since then ("window/loss").

        Per `variable.path` it holds the groups "gradient_norm" (L2),
        "gradient_rms" (L2 over the root of the number of entries, so that
        layers of different width compare), "gradient_max" (largest absolute
        entry), "gradient_norm_max" (largest norm since the reading before),
        "zero_share", "non_finite" (entries), "weight_norm" (before the step)
        and "update_ratio" (norm of the step's change over the weight norm).

        Where gradients are accumulated, a step is one update, its gradient the
        average that is applied, and its loss the mean of the micro-batches.

        Where a `train_step` does not call `compute_loss`, "loss" is what it
        returns under that name, or NaN without (`run.knows_loss` is false).
        """
        return self.run.history()

    @property
    def layer_history(self) -> History:
        """The readings of the layers at epoch ends, likewise.

        It holds "step" and, per path of a layer, the groups "dead_units" (share
        never active over the batch), "saturation" (share of entries on the flat
        part of the activation), "activation_mean", "activation_deviation" and,
        per batch normalization, "statistics_distance" (median distance of
        moving from batch statistics, in deviations).
        """
        return self.run.layer_history()

    @property
    def findings(self) -> diagnosis.Diagnosis:
        """The findings of `kerasbn.diagnose` about the run so far.

        New ones are printed at each epoch end, a line each, unless `fit` is
        silent (`verbose=0`).
        """
        return diagnosis.diagnose(self)

    @property
    def first_non_finite(self) -> NonFinite | None:
        """Where a gradient first held NaN or Inf."""
        return self.run.non_finite

    @property
    def skipped_steps(self) -> int:
        """Steps skipped because a gradient held NaN or Inf.

        `LossScaleOptimizer` and `kerasbn.optimizers.Clipped` skip them.
        """
        self._monitoring.flush()
        return self._monitoring.skipped_steps

    @property
    def skipped_batches(self) -> dict[str, int]:
        """Batches that kerasbn's layers left out of their statistics.

        By path of the layer, where there are any: NaN or Inf in the batch, a
        single row, or everything masked.
        """
        return self._monitoring.skipped_batches()

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Draw the gradient flow with matplotlib.

        Args:
            axes: Where to draw; `None` makes a new pyplot figure.

        Returns:
            The axes drawn on.

        Raises:
            RuntimeError: If nothing was recorded yet.
        """
        from matplotlib import pyplot  # it takes a second

        from kerasbn._report import flows, heat_map

        run = self.run
        if not run.readings:
            raise RuntimeError(
                "`plot` must come after a first reading. Received: none. Pass "
                "the monitor to `fit` as a callback first."
            )
        if axes is None:
            axes = pyplot.subplots(figsize=(8, 5), layout="constrained")[1]
        heat_map.draw(axes, **flows.gradient_flow(run))
        return axes

    def on_train_begin(self, logs=None):
        """Open the event file and instrument the train step."""
        self._monitoring.close()  # of a fit that was broken off
        if not self._monitoring.is_of(self.model):
            self._monitoring = Monitoring(self)
        self._monitoring.begin()

    def on_train_batch_begin(self, batch, logs=None):
        """Let the train function know that it is watched."""
        self._monitoring.announce()

    def on_epoch_end(self, epoch, logs=None):
        """Read the layers, judge the run and, where there is time, draw it."""
        self._monitoring.end_epoch(logs)

    def on_train_end(self, logs=None):
        """Write what is left, and leave the model as it was."""
        self._monitoring.end()
        self.set_model(None)

    def receive(self, window: Any) -> None:
        """Take the steps since the last call, from the recorder."""
        self._monitoring.receive(window)
