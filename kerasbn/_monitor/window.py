"""Optimizer steps in rings on the device, and as the host reads them."""

from typing import Any, NamedTuple

import numpy as np
import tensorflow as tf

from kerasbn._monitor import measures, optimizers

HEAD = ("step", "loss", "learning_rate", "threshold")
"""The columns before the norms in each row of a ring."""


class Ring:
    """The last `capacity` values of one shape.

    The compiled step writes them on each replica; the host reads those of the
    first replica.
    """

    def __init__(self, capacity: int, shape: tuple[int, ...]):
        local = {
            "trainable": False,
            "synchronization": tf.VariableSynchronization.ON_READ,
            "aggregation": tf.VariableAggregation.ONLY_FIRST_REPLICA,
        }
        self._capacity, self._shape = capacity, shape
        self._values = tf.Variable(tf.zeros((capacity, *shape)), **local)
        self._count = tf.Variable(tf.zeros((), "int64"), **local)
        self._read = 0

    def put(self, value: Any) -> None:
        place = tf.identity(self._count) % self._capacity
        if hasattr(self._values, "values"):  # one variable per replica
            held = tf.convert_to_tensor(self._values)
            new = tf.tensor_scatter_nd_update(held, [[place]], value[None])
            self._values.assign(new)
        else:
            update = tf.IndexedSlices(value[None], place[None])
            self._values.scatter_update(update)
        self._count.assign_add(1)

    def read(self) -> np.ndarray:
        """Return the values written since the last call, oldest first."""
        count = int(_first(self._count))
        start = max(self._read, count - self._capacity)
        self._read = count
        if start == count:
            return np.empty((0, *self._shape), "float32")
        places = np.arange(start, count) % self._capacity
        return _first(self._values)[places]


def _first(variable):
    return getattr(variable, "values", [variable])[0].numpy()


class Window(NamedTuple):
    """Optimizer steps since the last read, oldest first."""

    steps: np.ndarray  # `optimizer.iterations` after each step
    losses: np.ndarray  # of each step's batch, means where accumulated
    learning_rates: np.ndarray
    norms: np.ndarray  # L2, before clipping, shape (steps, variables)
    clipped: np.ndarray  # the same after clipping
    thresholds: np.ndarray  # of the last rule of a `Clipped`, NaN without one
    details: dict[int, np.ndarray]  # by step, `DETAILS` of each variable
    histograms: dict[int, np.ndarray]  # by step, entries by log10 of their size
    skipped: int  # steps that a loss scale or a `Clipped` skipped
    first_skipped: tuple[int, np.ndarray, float] | None  # step, norms, loss
    scales_loss: bool  # whether it is the loss scale that skips
    tells_loss: bool  # whether `losses` are known


class Decoder:
    """Turns the rows that a step with hooks writes into windows."""

    def __init__(self, hooks):
        self._hooks = hooks
        self._losses: list[float] = []  # of micro-steps not applied yet

    def decode(
        self, rows: np.ndarray, details: np.ndarray, tells_loss: bool
    ) -> Window:
        hooks, scales_loss = self._hooks, self._hooks.scales_loss
        head, halves = np.split(rows, [len(HEAD)], axis=1)
        norms = np.sqrt(2.0 * halves.astype("float64"))
        norms = norms.reshape(len(rows), -1, len(hooks.paths))
        before, after = norms[:, 0], norms[:, -1]
        applied = head[:, 0] > 0
        skipped = ~applied & ~np.isfinite(before).all(axis=1)
        skipped &= scales_loss or any(
            getattr(leaf, "skip_non_finite", False) for leaf in hooks.leaves
        )
        losses = []
        for step, loss, *_ in head[~skipped]:
            self._losses.append(loss)
            if step > 0:
                losses.append(np.mean(self._losses))
                self._losses = []
        first_skipped = None
        if skipped.any():
            row = int(np.argmax(skipped))
            step = 1 - int(head[row, 0])  # negative: steps applied before
            first_skipped = step, before[row], float(head[row, 1])
        steps = head[applied, 0].astype(int)
        found = {int(each[0, 0]): each[:, 1:] for each in details}
        found = {step: found[step] for step in steps.tolist() if step in found}
        width = len(measures.DETAILS)
        return Window(
            steps=steps,
            losses=np.array(losses),
            learning_rates=head[applied, 2],
            norms=before[applied],
            clipped=self._clipped(after[applied]),
            thresholds=head[applied, 3],
            details={step: each[:, :width] for step, each in found.items()},
            histograms={step: each[:, width:] for step, each in found.items()},
            skipped=int(skipped.sum()),
            first_skipped=first_skipped,
            scales_loss=scales_loss,
            tells_loss=tells_loss,
        )

    def _clipped(self, norms):
        norms = norms.copy()
        for leaf in self._hooks.leaves:
            owners = self._hooks.owners.items()
            mine = [column for column, owner in owners if owner is leaf]
            norms[:, mine] = optimizers.clipped_norms(
                leaf, norms[:, mine], self._hooks.replicas
            )
        return norms
