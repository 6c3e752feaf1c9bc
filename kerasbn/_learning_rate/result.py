"""What a search for a learning rate returns, prints and draws."""

import io
import math
from typing import Any, NamedTuple

import numpy as np

from kerasbn._learning_rate.trials import mean_loss

_LITTLE = 0.02  # of the loss at the start: the noise of batches


class LearningRates(NamedTuple):
    """A learning rate, and the short runs that it was chosen by.

    Attributes:
        suggested: The rate to train with; NaN if none can be chosen.
        current: The rate of the model, or the largest of its schedule.
        untrained: Losses of the first batches without training.
        runs: By rate, the loss before each step of the run at it. The last one
            is infinite if training diverged.
        steps: Steps of all runs together.
    """

    suggested: float
    current: float
    untrained: np.ndarray
    runs: dict[float, np.ndarray]
    steps: int

    @property
    def factor(self) -> float:
        """What to multiply all rates of a schedule by."""
        return self.suggested / self.current if self.current else math.nan

    @property
    def rates(self) -> np.ndarray:
        """The rates that were tried, in rising order."""
        return np.array(sorted(self.runs))

    @property
    def losses(self) -> np.ndarray:
        """The loss at each rate: the mean of the second half of its run."""
        return np.array([mean_loss(self.runs[rate]) for rate in self.rates])

    @property
    def start(self) -> float:
        """The mean loss without training."""
        return mean_loss(self.untrained)

    @property
    def learns(self) -> bool:
        """Whether any rate lowered the loss by more than noise."""
        noise = _LITTLE * abs(self.start)
        runs = [each for each in self.runs.values() if np.isfinite(each).all()]
        if not runs or math.isnan(self.start):
            return False
        # Losses of one batch compare best: those of the first steps with those
        # without training, those of the longest runs with each other.
        short, long = len(self.untrained), max(map(len, runs))
        lowest = min(mean_loss(each[:short]) for each in runs)
        last = [mean_loss(each) for each in runs if len(each) == long]
        moved = max(last) - min(last) > noise
        return bool(
            lowest < self.start - noise
            or (moved and min(last) < self.start - noise)
        )

    def __str__(self) -> str:
        """Return the suggestion in sentences, and a line for each rate."""
        lines = [f"{'rate':>9}{'steps':>7}{'loss':>11}"]
        for rate, loss in zip(self.rates, self.losses, strict=True):
            told = f"{loss:11.4g}" if math.isfinite(loss) else "   diverges"
            lines.append(f"{rate:9.1e}{len(self.runs[rate]):7}{told}")
        lines.append(f"{'none':>9}{'':7}{self.start:11.4g}")
        return "\n".join([self.sentence, "", *lines])

    @property
    def sentence(self) -> str:
        """What was found, and what to do."""
        if not math.isfinite(self.start):
            return (
                "No learning rate can be chosen: the loss is not finite before "
                "any step. Look for NaN in the data and in the weights."
            )
        if not math.isfinite(self.suggested):
            return (
                "No learning rate can be chosen: training diverges at all "
                f"rates from {max(self.runs):.0e} down to {min(self.runs):.0e}."
                " Scale the inputs and the targets, or clip the gradients."
            )
        found = (
            f"The suggested learning rate is {self.suggested:.2g}; the model "
            f"has {self.current:.2g}."
        )
        if self.learns:
            return found
        longest = max(map(len, self.runs.values()))
        return (
            f"{found} It is only a guess, below the rates that diverge: no "
            f"rate lowers the loss within {longest} steps. "
            "`kerasbn.diagnose(model, x, y)` may tell why."
        )

    def plot(self) -> Any:
        """Draw the loss at each rate, in a matplotlib `Figure`."""
        from matplotlib.figure import Figure  # takes half a second to import

        figure = Figure(figsize=(7, 3), dpi=120, layout="constrained")
        axes = figure.add_subplot()
        finite = np.isfinite(self.losses)
        lengths = np.array([len(self.runs[rate]) for rate in self.rates])
        for length in np.unique(lengths[finite]):
            shown = finite & (lengths == length)
            label = f"after {length} steps"
            axes.plot(self.rates[shown], self.losses[shown], "o-", label=label)
        lost = self.rates[~finite]
        top = axes.get_xaxis_transform()  # of the axes, whatever the loss
        axes.plot(lost, np.ones(len(lost)), "xr", transform=top, clip_on=False)
        axes.axhline(self.start, color="0.7", label="without training")
        axes.axvline(self.suggested, color="k", label="suggested")
        axes.axvline(self.current, color="k", ls=":", label="of the model")
        axes.set_xscale("log")
        axes.set_xlabel("learning rate; red: training diverges")
        axes.set_ylabel("loss")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(fontsize=8, frameon=False)
        return figure

    def _repr_png_(self) -> bytes:
        buffer = io.BytesIO()
        self.plot().savefig(buffer, format="png")
        return buffer.getvalue()
