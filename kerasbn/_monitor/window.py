"""Optimizer steps, as the host reads them out of the rings on the device."""

from typing import NamedTuple

import numpy as np

from kerasbn._monitor import measures, optimizers

HEAD = ("step", "loss", "learning_rate", "threshold")
"""The columns before the norms in each row of a ring."""


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
        """Return the steps of some rows, and their details if any."""
        hooks, scales_loss = self._hooks, self._hooks.scales_loss
        head, halves = np.split(rows, [len(HEAD)], axis=1)
        norms = np.sqrt(2.0 * halves.astype("float64"))
        norms = norms.reshape(len(rows), -1, len(hooks.columns.paths))
        before, after = norms[:, 0], norms[:, -1]
        applied = head[:, 0] > 0
        skipped = ~applied & ~np.isfinite(before).all(axis=1)
        skipped &= scales_loss or any(
            map(optimizers.skips_non_finite, hooks.leaves)
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
        """Norms after the stock clipping of each optimizer."""
        norms = norms.copy()
        for leaf in self._hooks.leaves:
            mine = self._hooks.columns.of(leaf)
            norms[:, mine] = optimizers.clipped_norms(
                leaf, norms[:, mine], self._hooks.replicas
            )
        return norms
