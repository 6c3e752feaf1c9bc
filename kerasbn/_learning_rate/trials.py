"""Short runs at several rates, from the same weights on the same batches."""

import math
from collections.abc import Callable

import numpy as np

_HIGHEST, _LOWEST = 10.0, 1e-12
_SHARE = 0.06  # of all steps are those of a first run: 9 of 150
# In units of the loss at the start. A run breaks off where its loss is this far
# above that; losses closer than the noise of a batch are equal; a rate that
# changes less than that does not train.
_BREAK, _TIE, _STILL = 2.0, 0.02, 0.002
# Of the decrease, and half of it of the loss: what a lower rate may lack.
_LACK = 0.1
_HALF_DECADE = math.sqrt(10)


class Trials:
    """Runs that are added until the steps are spent.

    A loss is that of a batch before the model is trained on it, and a rate is
    judged by the mean over the second half of its run.

    Args:
        run: Takes a rate, a number of steps and a limit. Trains from the same
            weights, and returns the loss of each step, up to the first that is
            not below the limit.
        steps: Steps of all runs together.

    Attributes:
        runs: By rate, the losses of the longest run; the last one is infinite
            if it broke off.
        untrained: Losses of the first batches without training.
        spent: Steps so far.
    """

    def __init__(
        self, run: Callable[[float, int, float], list[float]], steps: int
    ):
        self.runs: dict[float, np.ndarray] = {}
        self.spent = 0
        self._run, self._steps = run, steps
        self._short = max(4, round(_SHARE * steps))
        self._limit = math.inf
        for rate in (0.0, _LOWEST):  # Ftrl divides by it
            self._start = self._loss(rate, self._short)
            self.untrained = self.runs.pop(rate)
            if math.isfinite(self._start):
                break
        self._unit = abs(self._start) or 1.0
        self._limit = self._start + _BREAK * self._unit

    def best(self) -> float:
        """Return a rate that trains best, or NaN if none trains."""
        if not math.isfinite(self._start):
            return math.nan
        highest = self._highest_decade()
        if not math.isfinite(highest):
            return math.nan
        rates = [highest / _HALF_DECADE, highest, highest * _HALF_DECADE]
        steps = max(self._short, (self._steps - self.spent) // len(rates))
        losses = [self._loss(rate, steps) for rate in rates]
        while min(losses) == losses[0] and self.spent + steps <= self._steps:
            rates.insert(0, rates[0] / _HALF_DECADE)
            losses.insert(0, self._loss(rates[0], steps))
        return self._lower(rates, losses)

    def _highest_decade(self):
        """Find the highest power of ten that trains as well as the best.

        It goes down from rates that diverge to the first that is too low.
        """
        losses: dict[float, float] = {}
        rate = _HIGHEST
        last = self._steps - 4 * self._short  # leaves three runs
        while rate > _LOWEST and self.spent <= last:
            losses[rate] = loss = self._loss(rate, self._short)
            still = abs(loss - self._start) < _STILL * self._unit
            if math.isfinite(loss) and (still or loss > min(losses.values())):
                break
            rate /= 10
        limit = min(losses.values()) + _TIE * self._unit
        if not math.isfinite(limit):
            return math.nan
        return max(rate for rate, loss in losses.items() if loss <= limit)

    def _loss(self, rate, steps):
        losses = self._run(rate, steps, self._limit)
        self.spent += len(losses)
        if not losses[-1] <= self._limit:
            losses[-1] = math.inf
        self.runs[rate] = np.array(losses)
        return mean_loss(self.runs[rate])

    def _lower(self, rates, losses):
        """Return the middle of the best rate and the lowest nearly as good.

        It is the middle of their logarithms, as in everything about rates.
        """
        best = int(np.argmin(losses))
        if not math.isfinite(losses[best]):
            return math.nan
        decrease = max(self._start - losses[best], 0.0)
        limit = losses[best] + _LACK * (decrease + abs(losses[best]) / 2)
        low = best
        while low and losses[low - 1] <= limit:
            low -= 1
        logs = np.log10(rates)
        edge = logs[low]
        if low and math.isfinite(losses[low - 1]):
            above = (limit - losses[low]) / (losses[low - 1] - losses[low])
            edge += above * (logs[low - 1] - edge)
        return float(10 ** ((edge + logs[best]) / 2))


def mean_loss(losses: np.ndarray) -> float:
    """Return what a rate is judged by, infinite if its run broke off."""
    return float(np.mean(losses[len(losses) // 2 :]))
