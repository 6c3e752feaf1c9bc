"""What was recorded, as arrays: numbers in, no model."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

SCALARS = (
    "loss",
    "window/loss",
    "learning_rate",
    "global_norm",
    "clipped/global_norm",
    "clipped/share",
    "clipped/threshold",
    "window/global_norm_min",
    "window/global_norm_max",
    "window/non_finite_steps",
)
GROUPS = (
    "gradient_norm",
    "gradient_rms",
    "gradient_max",
    "gradient_norm_max",
    "zero_share",
    "non_finite",
    "weight_norm",
    "update_ratio",
)

# Histograms of log10 |gradient|: below, bins of half a decade, above.
EDGES = np.arange(-12.0, 3.5, 0.5)


class NonFinite(NamedTuple):
    """Where a gradient first held NaN or Inf.

    Attributes:
        step: The optimizer step, counted from 1.
        variable: Path of the variable; of several in that step, the one that
            backpropagation reaches first.
        origin: "forward" if the loss was not finite either, "backward" if it
            was, "unknown" if the train step does not tell its loss.
    """

    step: int
    variable: str
    origin: str


class History(dict):
    """Arrays by name, all of one length.

    `history["gradient_norm/hidden_0/kernel"]` is an array over the recorded
    steps, and `history["gradient_norm"]` a dict of those whose name begins so.
    Being flat, it goes into a table as it is: `pandas.DataFrame(history)`.
    """

    def __missing__(self, name: str) -> dict[str, np.ndarray]:
        group = {
            key.removeprefix(f"{name}/"): array
            for key, array in self.items()
            if key.startswith(f"{name}/")
        }
        if not group and name not in GROUPS:
            raise KeyError(name)
        return group

    def __contains__(self, name: object) -> bool:
        """Whether there is an array or a group of that name."""
        return dict.__contains__(self, name) or any(
            key.startswith(f"{name}/") for key in self
        )


class Reading(NamedTuple):
    """One recorded step: numbers of the step, and arrays over variables."""

    step: int
    scalars: dict[str, float]
    groups: dict[str, np.ndarray]

    def known(self) -> dict[str, float]:
        """The numbers of the step, but what is not known of the clipping."""
        return {
            name: number
            for name, number in self.scalars.items()
            if not (name.startswith("clipped/") and np.isnan(number))
        }

    def flat(self, paths: list[str]) -> dict[str, float]:
        """All numbers by the name that they have in TensorBoard."""
        return {
            **self.known(),
            **{
                f"{group}/{path}": float(number)
                for group, numbers in self.groups.items()
                for path, number in zip(paths, numbers, strict=True)
            },
        }


class Recording:
    """Turns windows of steps into readings, and readings into a history.

    Args:
        paths: Path of each variable.
        shapes: Shape of each variable.
        every: Steps between two readings.
        tell: Called with each reading and this recording.
        before: What was recorded of the same run when other variables were
            trainable; it comes first in the history.
    """

    def __init__(
        self,
        paths: list[str],
        shapes: list[tuple[int, ...]],
        every: int,
        tell: Callable[[Reading, "Recording"], None],
        before: "Recording | None" = None,
    ):
        self.paths = paths
        self.shapes = shapes
        self.readings: list[Reading] = []
        self._before = before  # of the same run, with other variables trained
        self.first_non_finite: NonFinite | None = None
        self._sizes = np.array([np.prod(shape) for shape in shapes])
        self._every = every
        self._tell = tell
        self._norms: list[np.ndarray] = []  # since the last reading
        self._losses: list[float] = []  # likewise

    def receive(self, window: Any) -> None:
        """Take a `_statistics.Window`."""
        if window.first_skipped is not None and not window.scales_loss:
            step, norms, loss = window.first_skipped
            self._note_non_finite(step, norms, loss, window.tells_loss)
        total = _total(window.norms)
        clipped = _total(window.clipped)
        # A norm that was clipped comes out smaller by more than rounding.
        share = (window.clipped < window.norms * (1 - 1e-6)).mean(axis=1)
        share[np.isnan(clipped)] = np.nan
        for row, step in enumerate(window.steps.tolist()):
            self._rewind(step)  # a callback may have gone back meanwhile
            norms = window.norms[row]
            loss = float(window.losses[row])
            self._norms.append(norms)
            self._losses.append(loss)
            if not np.isfinite(norms).all():
                self._note_non_finite(step, norms, loss, window.tells_loss)
            if step in window.details and (step == 1 or not step % self._every):
                numbers = {
                    "loss": loss,
                    "learning_rate": window.learning_rates[row],
                    "global_norm": total[row],
                    "clipped/global_norm": clipped[row],
                    "clipped/share": share[row],
                    "clipped/threshold": window.thresholds[row],
                }
                self._add(step, numbers, norms, window.details[step])

    def _note_non_finite(self, step, norms, loss, tells_loss):
        """Note where a gradient held NaN or Inf, if it is the first."""
        if self.first_non_finite is not None:
            return
        origin = "backward" if np.isfinite(loss) else "forward"
        last = int(np.flatnonzero(~np.isfinite(norms))[-1])
        self.first_non_finite = NonFinite(
            step, self.paths[last], origin if tells_loss else "unknown"
        )

    def _add(self, step, scalars, norms, details):
        seen = np.array(self._norms)
        totals = _total(seen)
        scalars |= {
            "window/loss": np.mean(self._losses),
            "window/global_norm_min": totals.min(),
            "window/global_norm_max": totals.max(),
            "window/non_finite_steps": (~np.isfinite(seen).all(axis=1)).sum(),
        }
        largest, zeros, non_finite, weight, update = details.T.astype("float64")
        weight, update = np.sqrt(2 * weight), np.sqrt(2 * update)
        with np.errstate(divide="ignore", invalid="ignore"):
            # A bias begins at 0: what it grows by is then all there is.
            ratio = np.where(weight > 0, update / weight, np.sign(update))
        groups = {
            "gradient_norm": norms,
            "gradient_rms": norms / np.sqrt(self._sizes),
            "gradient_max": largest,
            "gradient_norm_max": seen.max(axis=0),
            "zero_share": zeros / self._sizes,
            "non_finite": non_finite,
            "weight_norm": weight,
            "update_ratio": ratio,
        }
        self._norms, self._losses = [], []
        reading = Reading(
            step, {k: float(v) for k, v in scalars.items()}, groups
        )
        self.readings.append(reading)
        self._tell(reading, self)

    def _rewind(self, step):
        """Forget what was recorded from that step on: it is made again."""
        while self.readings and self.readings[-1].step >= step:
            self.readings.pop()

    def table(self, group: str) -> np.ndarray:
        """A group of numbers, shape `(readings, variables)`."""
        rows = [reading.groups[group] for reading in self.readings]
        return np.array(rows).reshape(len(rows), len(self.paths))

    def history(self) -> History:
        """The readings as arrays over the recorded steps."""
        columns: dict[str, Any] = {
            "step": np.array([each.step for each in self.readings], int)
        }
        for name in SCALARS:
            columns[name] = np.array(
                [each.scalars[name] for each in self.readings], "float64"
            )
        for group in GROUPS if self.readings else ():
            for path, column in zip(
                self.paths, self.table(group).T, strict=True
            ):
                columns[f"{group}/{path}"] = column
        return _joined(self._before, columns, len(self.readings))


def _joined(before, columns, count):
    """One history after another; NaN where a variable was not trained."""
    if before is None:
        return History(columns)
    earlier = before.history()
    lengths = len(earlier["step"]), count
    names = dict.fromkeys((*earlier, *columns))

    def part(parts, name, length):
        return dict.get(parts, name, np.full(length, np.nan))

    return History(
        {
            name: np.concatenate(
                [
                    part(earlier, name, lengths[0]),
                    part(columns, name, lengths[1]),
                ]
            )
            for name in names
        }
    )


def _total(norms):
    return np.sqrt(np.square(norms, dtype="float64").sum(axis=1))
