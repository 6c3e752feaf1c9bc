"""Going on after NaN: back to the last good weights, with smaller steps."""

import warnings

import keras
import numpy as np


class RecoverFromNonFinite(keras.callbacks.Callback):
    """Go back to the last good weights when the loss turns NaN or Inf.

    Weights, moving statistics and the state of the optimizer are set back to
    where they were saved last, the learning rate is lowered, and training goes
    on with the next batch. After `max_recoveries` it stops, on the last good
    weights: where smaller steps do not help the data or the model is at fault.

    Args:
        max_recoveries: How often to go on. The default 3 lowers the learning
            rate to an eighth at most.
        factor: What the learning rate is multiplied by, in (0, 1). The default
            0.5 is a gentle step, for a rate that was only just too high.
        save_freq: "epoch" saves between epochs, an integer after so many
            batches, as in `keras.callbacks.BackupAndRestore`. What is saved
            stays in memory: as much as weights and optimizer take.

    Attributes:
        recoveries: Optimizer steps from which it went back, and to which.

    Raises:
        ValueError: If an argument is out of its range.

    Example:
    >>> import keras, numpy as np, kerasbn
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(keras.optimizers.SGD(0.1), "mean_squared_error")
    >>> recover = kerasbn.callbacks.RecoverFromNonFinite()
    >>> x = np.ones((8, 1)); x[3] = np.nan
    >>> _ = model.fit(
    ...     x, x, 4, shuffle=False, verbose=0, callbacks=[recover])
    >>> recover.recoveries, float(model.optimizer.learning_rate)
    ([(1, 0)], 0.05000000074505806)
    >>> bool(np.isfinite(model.get_weights()[0]).all())
    True

    Reference:
        Going back and on is how large runs survive: [Chowdhery et al.,
        2022](https://arxiv.org/abs/2204.02311), section 5.1.
    """

    def __init__(
        self,
        max_recoveries: int = 3,
        factor: float = 0.5,
        save_freq: str | int = "epoch",
    ):
        super().__init__()
        if max_recoveries < 1:
            raise ValueError(
                "`max_recoveries` must be at least 1. "
                f"Received: max_recoveries={max_recoveries}. "
                "Use `keras.callbacks.TerminateOnNaN` to stop at once."
            )
        if not 0.0 < factor < 1.0:
            raise ValueError(
                "`factor` must lie between 0 and 1, to lower the learning "
                f"rate. Received: factor={factor}."
            )
        if save_freq != "epoch" and (
            not isinstance(save_freq, int) or save_freq < 1
        ):
            raise ValueError(
                '`save_freq` must be "epoch" or a positive number of batches. '
                f"Received: save_freq={save_freq!r}."
            )
        self.max_recoveries = max_recoveries
        self.factor = factor
        self.save_freq = save_freq
        self.recoveries: list[tuple[int, int]] = []
        self._saved: dict[int, np.ndarray] = {}
        self._batches = 0

    def on_train_begin(self, logs=None):
        """Begin with no recoveries and nothing saved."""
        self.recoveries, self._saved, self._batches = [], {}, 0

    def on_epoch_begin(self, epoch, logs=None):
        """Save what training can go back to."""
        if not self._saved:
            self._save()

    def on_train_batch_end(self, batch, logs=None):
        """Go back if the loss is not finite."""
        loss = (logs or {}).get("loss")
        if loss is not None and not np.isfinite(loss):
            self._recover()
            return
        self._batches += 1
        freq = self.save_freq
        if isinstance(freq, int) and self._batches % freq == 0:
            self._save()

    def on_epoch_end(self, epoch, logs=None):
        """Go back if the last step spoilt the weights, unseen by a loss."""
        values = self._read()
        if not _are_finite(values):
            self._recover()
        elif self.save_freq == "epoch":
            self._saved = values

    def _variables(self):
        return [*self.model.variables, *self.model.optimizer.variables]

    def _read(self):
        return {id(v): v.numpy() for v in self._variables()}

    def _save(self):
        values = self._read()
        if _are_finite(values):
            self._saved = values

    def _recover(self):
        optimizer = self.model.optimizer
        step, rate = int(optimizer.iterations), _rate(optimizer)
        for variable in self._variables():
            # Slots of an optimizer that was built since begin at 0.
            variable.assign(
                self._saved.get(id(variable), np.zeros(variable.shape))
            )
        self.model.reset_metrics()  # a running mean stays NaN
        if rate is not None:
            optimizer.learning_rate = rate
        if len(self.recoveries) == self.max_recoveries:
            self.model.stop_training = True
            warnings.warn(
                "The loss was not finite once more after "
                f"{self.max_recoveries} recoveries: training stops on the last "
                "good weights. Look for NaN in the data.",
                stacklevel=2,
            )
            return
        if rate is None:
            warnings.warn(
                "The learning rate follows a schedule and cannot be lowered: "
                "training goes on from the last good weights.",
                stacklevel=2,
            )
        else:
            optimizer.learning_rate = rate * self.factor
        self.recoveries.append((step, int(optimizer.iterations)))


def _rate(optimizer):
    """The learning rate, or `None` if it cannot be set."""
    inner = getattr(optimizer, "inner_optimizer", optimizer)
    rate = inner.get_config().get("learning_rate")
    return float(rate) if isinstance(rate, int | float) else None


def _are_finite(values):
    return all(
        np.isfinite(value).all()
        for value in values.values()
        if np.issubdtype(value.dtype, np.floating)
    )
