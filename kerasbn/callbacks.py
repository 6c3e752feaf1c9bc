"""The gradients that `fit` really applied, in TensorBoard."""

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import keras
import numpy as np

from kerasbn import _statistics

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The ring buffer is read at least this often, so that it stays small.
_LONGEST_WINDOW = 100
# A heat map takes some 0.2 s to draw: at most this share of the training time.
_DRAWING_SHARE = 0.02


class NonFinite(NamedTuple):
    """Where a gradient first held NaN or Inf.

    Attributes:
        step: The optimizer step, counted from 1.
        variable: Path of the variable; of several in that step, the one that
            backpropagation reaches first.
    """

    step: int
    variable: str


class GradientMonitor(keras.callbacks.Callback):
    """Record the gradients that the optimizer is handed, as `fit` runs.

    The norms are taken from inside the compiled train step: there is no second
    backward pass, and what is shown is what was applied. The model, its
    optimizer and its saved files stay as they are.

    In TensorBoard the run in `log_dir` shows the norm of each variable's
    gradient (`gradient_norm/<path>`), the norm of the whole gradient
    (`global_norm`), the loss of the batch (`loss`) and, under Images, the
    gradient flow: layers down, steps across, log10 of the RMS gradient as
    colour.

    Args:
        log_dir: Directory of this run, beside Keras's own `train` and
            `validation`, or `None` to write nothing.
        every: Optimizer steps between two recorded steps; the very first step
            is recorded too. The default 10 costs about 2 % of a training step.

    Attributes:
        history: What was recorded, see below.
        first_non_finite: `NonFinite(step, variable)` where a gradient first
            held NaN or Inf, else `None`. Every step is checked, whatever
            `every` is.

    `history` is a dict of arrays over the recorded steps: "step", "loss",
    "global_norm" and, per `variable.path`, "gradient_norm" (L2) and
    "gradient_rms" (L2 over the root of the number of entries, so that layers
    of different width compare).

    Raises:
        ValueError: If `every` is below 1, or `log_dir` cannot be written when
            training begins.
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

    # The batch hooks read nothing from `logs`, so dispatch may run ahead.
    async_safe = True

    def __init__(self, log_dir: str | None = "logs/gradients", every: int = 10):
        super().__init__()
        if every < 1:
            raise ValueError(
                "`every` must be at least 1 optimizer step. "
                f"Received: every={every}."
            )
        self.log_dir = log_dir
        self.every = every
        self.first_non_finite: NonFinite | None = None
        self._recorder: Any = None  # a GradientRecorder once training begins
        self._writer: Any = None
        self._rows: list[tuple[int, float, np.ndarray]] = []
        self._pending = 0
        self._drawn_at = 0.0
        self._drawing_time = 0.0

    @property
    def history(self) -> dict[str, Any]:
        """The recorded steps, as arrays."""
        paths, sizes = self._variables()
        steps, losses, norms = (
            zip(*self._rows, strict=True) if self._rows else ((), (), ())
        )
        norms = np.array(norms, "float64").reshape(len(steps), len(paths))
        rms = norms / np.sqrt(sizes)
        return {
            "step": np.array(steps, int),
            "loss": np.array(losses, "float64"),
            "global_norm": np.sqrt(np.square(norms).sum(axis=1)),
            "gradient_norm": dict(zip(paths, norms.T, strict=True)),
            "gradient_rms": dict(zip(paths, rms.T, strict=True)),
        }

    @property
    def skipped_batches(self) -> dict[str, int]:
        """Batches that kerasbn's layers left out of their statistics.

        By path of the layer, where there are any: NaN or Inf in the batch, a
        single row, or everything masked.
        """
        counts = {
            variable.path.removesuffix("/batches"): int(variable.numpy()[1])
            for variable in self.model.non_trainable_variables
            if variable.path.endswith("/batches")
        }
        return {path: count for path, count in counts.items() if count}

    def plot(self, axes: "Axes | None" = None) -> "Axes":
        """Draw the gradient flow with matplotlib.

        Args:
            axes: Where to draw; `None` makes a new pyplot figure.

        Returns:
            The axes drawn on.
        """
        from matplotlib import pyplot

        from kerasbn import _heatmap

        if axes is None:
            axes = pyplot.subplots(figsize=(8, 5), layout="constrained")[1]
        _heatmap.draw(axes, *self._flow())
        return axes

    def on_train_begin(self, logs=None):
        """Open the event file and instrument the train step."""
        window = min(self.every, _LONGEST_WINDOW)
        recorder = self._recorder
        if recorder is None or recorder.model is not self.model:
            recorder = _statistics.GradientRecorder(
                self.model, window + self.model.steps_per_execution
            )
            self._rows = []
            self.first_non_finite = None
        self._close()
        if self.log_dir is not None:
            from kerasbn._events import EventWriter

            self._writer = EventWriter(self.log_dir)
        recorder.attach()
        self._recorder = recorder
        self._pending = 0
        self._drawn_at = time.monotonic()

    def on_train_batch_begin(self, batch, logs=None):
        """Let the train function know that it is watched."""
        self._recorder.expect_step()

    def on_train_batch_end(self, batch, logs=None):
        """Read the steps of a full window."""
        self._pending += self.model.steps_per_execution
        if self._pending >= min(self.every, _LONGEST_WINDOW):
            self._read()

    def on_epoch_end(self, epoch, logs=None):
        """Read what is left and draw, unless drawing would cost too much."""
        self._read()
        waited = time.monotonic() - self._drawn_at
        if self._drawing_time <= _DRAWING_SHARE * waited:
            self._write_heatmap()

    def on_train_end(self, logs=None):
        """Draw the whole run, close the file, leave the model as it was."""
        self._read()
        self._recorder.detach()
        self._write_heatmap()
        self._close()

    def _read(self):
        self._pending = 0
        rows = self._recorder.read()
        paths, _ = self._variables()
        for step, norms, loss in zip(
            rows.steps.tolist(), rows.norms, rows.losses.tolist(), strict=True
        ):
            finite = np.isfinite(norms)
            if self.first_non_finite is None and not finite.all():
                last = int(np.flatnonzero(~finite)[-1])
                self.first_non_finite = NonFinite(step, paths[last])
            if step == 1 or step % self.every == 0:
                self._rows.append((step, loss, norms))
                if self._writer is not None:
                    self._write_scalars(step, loss, norms)

    def _variables(self):
        recorder = self._recorder
        return (recorder.paths, recorder.sizes) if recorder else ([], [])

    def _write_scalars(self, step, loss, norms):
        paths, _ = self._variables()
        values = {
            f"gradient_norm/{path}": norm
            for path, norm in zip(paths, norms.tolist(), strict=True)
        }
        values["global_norm"] = float(
            np.sqrt(np.square(norms, dtype=float).sum())
        )
        values["loss"] = loss
        self._writer.scalars(step, values)

    def _write_heatmap(self):
        if self._writer is None or not self._rows:
            return
        flow = self._flow()

        def draw():
            from kerasbn import _heatmap

            start = time.monotonic()
            png = _heatmap.png(*flow)
            self._drawing_time = time.monotonic() - start
            return png

        self._writer.image(self._rows[-1][0], "gradient_flow", draw)
        self._drawn_at = time.monotonic()

    def _flow(self):
        """Steps, RMS gradients (layers, steps), labels and title to draw."""
        history = self.history
        rms = history["gradient_rms"]
        shapes = {v.path: v.shape for v in self.model.trainable_variables}
        kernels = [path for path in rms if len(shapes.get(path, ())) > 1]
        shown = kernels or list(rms)
        labels = [path.removesuffix("/kernel") for path in shown]
        values = np.array([rms[path] for path in shown])
        title = f"Gradient flow of {self.model.name!r}"
        return history["step"], values, labels, title

    def _close(self):
        if self._writer is not None:
            self._writer.close()
            self._writer = None
