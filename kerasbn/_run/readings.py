"""One recorded step: the names and meaning of its numbers."""

from collections.abc import Collection
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


def is_recorded(step: int, every: int) -> bool:
    """Return whether a step is recorded: the first and every n-th are."""
    return step == 1 or step % every == 0


class NonFinite(NamedTuple):
    """Where a gradient first held NaN or Inf.

    Attributes:
        step: The optimizer step, counted from 1.
        variable: Path of the variable; of several in that step, the one that
            backpropagation reaches first.
        origin: "forward" if the loss was not finite either, "backward" if it
            was, "unknown" if the train step does not report its loss.
    """

    step: int
    variable: str
    origin: str


class Reading(NamedTuple):
    """One recorded step: numbers of the step, and arrays over variables."""

    step: int
    scalars: dict[str, float]
    groups: dict[str, np.ndarray]

    def flat(
        self, paths: list[str], groups: Collection[str] = GROUPS
    ) -> dict[str, float]:
        """Return the numbers by their names in TensorBoard.

        What is not known of the clipping is left out.
        """
        numbers = {
            name: number
            for name, number in self.scalars.items()
            if not (name.startswith("clipped/") and np.isnan(number))
        }
        for group in groups:
            column = self.groups[group].tolist()
            for path, number in zip(paths, column, strict=True):
                numbers[f"{group}/{path}"] = number
        return numbers


def measured(
    window: Any,
    row: int,
    since: list[tuple[np.ndarray, float]],
    sizes: np.ndarray,
) -> Reading:
    """Return the reading of one step.

    Args:
        window: A `window.Window` with the details of that step.
        row: Row of the step in the window.
        since: Norms and loss of each step since the reading before, this one
            included.
        sizes: Number of entries of each variable.
    """
    step, norms = int(window.steps[row]), window.norms[row]
    clipped, total = window.clipped[row], _total(window.clipped[row])
    # A norm that was clipped comes out smaller by more than rounding.
    share = (clipped < norms * (1 - 1e-6)).mean()
    seen = np.array([each for each, _ in since])
    totals = _total(seen)
    scalars = {
        "loss": window.losses[row],
        "window/loss": np.mean([loss for _, loss in since]),
        "learning_rate": window.learning_rates[row],
        "global_norm": totals[-1],
        "clipped/global_norm": total,
        "clipped/share": np.nan if np.isnan(total) else share,
        "clipped/threshold": window.thresholds[row],
        "window/global_norm_min": totals.min(),
        "window/global_norm_max": totals.max(),
        "window/non_finite_steps": (~np.isfinite(seen).all(axis=1)).sum(),
    }
    details = window.details[step].T.astype("float64")
    largest, zeros, non_finite, weight, update = details
    weight, update = np.sqrt(2 * weight), np.sqrt(2 * update)
    with np.errstate(divide="ignore", invalid="ignore"):
        # A bias begins at 0: all there is to compare is that it grows.
        ratio = np.where(weight > 0, update / weight, np.sign(update))
    groups = {
        "gradient_norm": norms,
        "gradient_rms": norms / np.sqrt(sizes),
        "gradient_max": largest,
        "gradient_norm_max": seen.max(axis=0),
        "zero_share": zeros / sizes,
        "non_finite": non_finite,
        "weight_norm": weight,
        "update_ratio": ratio,
    }
    return Reading(step, {k: float(v) for k, v in scalars.items()}, groups)


def _total(norms):
    return np.sqrt(np.square(norms, dtype="float64").sum(axis=-1))
