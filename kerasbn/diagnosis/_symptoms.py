"""Signs of health and trouble, taken from the numbers of a run."""

import functools
import math
from typing import Any

import numpy as np

from kerasbn._run.run import Run
from kerasbn.diagnosis._thresholds import LIMITS

_BOUNDED = {"tanh", "sigmoid", "softsign", "hardsigmoid", "hardtanh", "softmax"}
_ADAPTIVE = {"Adam", "AdamW", "Adamax", "Nadam", "RMSprop", "Lion", "Adadelta"}
_ADAPTIVE |= {"Adagrad", "Adafactor", "Muon", "Ftrl"}


class Signs:
    """What the rules ask of a run."""

    def __init__(self, run: Run):
        self.run = run
        self.model, self.data = run.model, run.data
        self.layers: list[dict[str, Any]] = run.model.get("layers", [])
        self.output: dict[str, Any] = run.model.get("output") or {}
        self.targets: dict[str, Any] = run.data.get("targets") or {}
        self.inputs = [i for i in run.data.get("inputs", []) if i]
        self.planned_steps = run.planned_steps
        self.last_step = int(run.steps[-1]) if len(run.steps) else 0
        # One look before training: symptoms are told by themselves.
        self.fresh = len(run.steps) == 1 and self.last_step == 0
        # A loss that need not fall, as of a game, tells nothing of learning.
        self.judged = (
            len(run.steps) > 3
            and self.last_step >= LIMITS.warm_up
            and run.model.get("compiled_loss", True)
        )

    @functools.cached_property
    def kernels(self) -> list[int]:
        """Columns of the layers' kernels, first layer first."""
        by_path = {path: i for i, path in enumerate(self.run.paths)}
        known = [each["kernel"] for each in self.layers if each.get("kernel")]
        columns = [by_path[path] for path in known if path in by_path]
        return columns or [
            i
            for i, (path, shape) in enumerate(
                zip(self.run.paths, self.run.shapes, strict=True)
            )
            if len(shape) > 1 and "embedding" not in path
        ]

    @functools.cached_property
    def recent(self) -> slice:
        """The last quarter of the readings, three at least."""
        count = len(self.run.steps)
        return slice(max(0, count - max(3, count // 4)), count)

    @functools.cached_property
    def start_loss(self) -> float:
        """Loss of the first batch."""
        return float(self.run.scalars["loss"][0])

    @functools.cached_property
    def losses(self) -> np.ndarray:
        """Mean loss of the steps up to each reading."""
        return self.run.scalars["window/loss"]

    @functools.cached_property
    def recent_loss(self) -> float:
        """Loss of late: the median of the last readings."""
        return float(np.median(self.losses[self.recent]))

    @property
    def trivial_loss(self) -> float | None:
        """Loss of the best constant guess."""
        return self.targets.get("trivial_loss") or None

    @functools.cached_property
    def left(self) -> float:
        """Share of a constant guess's loss that is left; NaN is all of it."""
        if self.recent_loss == 0.0:
            return 0.0
        level = self.trivial_loss or self.start_loss
        share = self.recent_loss / level if level else math.nan
        return share if math.isfinite(share) else math.inf

    @property
    def stuck(self) -> bool:
        """Whether nothing was learnt so far, and nothing is about to be."""
        return self.judged and self.left > LIMITS.stuck and not self.falling

    @functools.cached_property
    def falling(self) -> bool:
        """Whether the loss falls so fast that it will get somewhere.

        A line through the later readings goes down by more than their noise,
        and reaches the loss of a constant guess before training ends.
        """
        late = slice(-max(5, len(self.losses) // 2), None)
        steps, losses = self.run.steps[late].astype(float), self.losses[late]
        if len(losses) < 4 or not np.isfinite(losses).all():
            return False
        steps = steps - steps[-1]
        (slope, level), noise, *_ = np.polyfit(steps, losses, 1, full=True)
        error = math.sqrt(noise[0] / (len(steps) - 2)) if len(noise) else 0.0
        spread = math.sqrt(np.square(steps - steps.mean()).sum())
        remaining = (self.planned_steps or 5 * self.last_step) - self.last_step
        goal = LIMITS.stuck * (self.trivial_loss or abs(self.start_loss))
        return (
            slope * spread < -LIMITS.trend * error
            and level + slope * remaining < goal
        )

    @property
    def suffers(self) -> bool:
        """Whether less was learnt than a healthy network has by now."""
        return self.judged and self.left > LIMITS.learning

    @functools.cached_property
    def finite(self) -> np.ndarray:
        """Readings before the first NaN or Inf."""
        return np.isfinite(self.run.scalars["window/global_norm_max"])

    def median(self, group: str) -> np.ndarray:
        """Of each variable, the median over the recent finite readings."""
        table = self.run.tables[group]
        kept = np.flatnonzero(self.finite)[
            -(self.recent.stop - self.recent.start) :
        ]
        if not len(kept):
            return np.full(table.shape[1], np.nan)
        return np.median(table[kept], axis=0)

    @functools.cached_property
    def jolt(self) -> float:
        """Largest step of a typical kernel, over its norm."""
        ratios = self.run.tables["update_ratio"][:, self.kernels]
        if not ratios.size:
            return 0.0
        ratios = np.where(np.isfinite(ratios), ratios, 0.0)
        return float(np.median(ratios, axis=1).max())

    @functools.cached_property
    def travel(self) -> float:
        """How far the kernel that moves most goes in all planned steps."""
        ratios = self.median("update_ratio")[self.kernels]
        steps = self.run.planned_steps or 10 * self.last_step
        return float(np.max(ratios, initial=0.0)) * steps

    @functools.cached_property
    def decades(self) -> float:
        """Log10 of the last layers' RMS gradient over the first ones'."""
        rms = self.median("gradient_rms")[self.kernels]
        third = len(rms) // 3
        if third == 0 or not (rms > 0).all():
            return 0.0
        logs = np.log10(rms)
        return float(np.median(logs[-third:]) - np.median(logs[:third]))

    @functools.cached_property
    def starved(self) -> list[str]:
        """Kernels whose gradient is nothing beside the largest, not 0."""
        rms = self.median("gradient_rms")
        largest = np.max(rms, initial=0.0)
        return [
            self.run.paths[i]
            for i in self.kernels
            if rms[i] < LIMITS.starved * largest
        ]

    @functools.cached_property
    def gains(self) -> float:
        """Log10 of what the hidden kernels multiply their inputs by."""
        total = lowest = highest = 0.0
        for layer in self.layers:
            if layer["normalizes"]:
                total = 0.0
            if layer.get("gain"):
                total += math.log10(layer["gain"])
            activation = layer["activation"] or "linear"
            if activation in _BOUNDED:
                total = min(total, 0.0)
            elif "lu" in activation:  # cuts half away (He et al., 2015)
                total -= math.log10(math.sqrt(2.0))
            lowest, highest = min(lowest, total), max(highest, total)
        return highest if highest > -lowest else lowest

    def units(self, measure: str) -> dict[str, float]:
        """The last reading of the layers."""
        if not self.run.layers:
            return {}
        numbers = self.run.layers[-1][1].get(measure, {})
        return {k: v for k, v in numbers.items() if v == v}

    @property
    def adaptive(self) -> bool:
        """Whether steps do not depend on the size of the gradient."""
        return self.run.settings.get("optimizer") in _ADAPTIVE

    def healthy(self) -> str:
        """What the numbers of a healthy run are, in a sentence."""
        if not len(self.run.steps):
            return "Nothing was recorded yet."
        guess = (
            f" (a constant guess has {self.trivial_loss:.3g})"
            if self.trivial_loss
            else ""
        )
        dead = max(self.units("dead_units").values(), default=0.0)
        depth = (
            f"the RMS gradient spans {abs(self.decades):.1f} decades over "
            f"depth, at most {dead:.0%} of a layer's units are dead"
        )
        if self.fresh:
            return (
                "Nothing is wrong before training: the loss is "
                f"{self.start_loss:.3g}{guess}, and {depth}."
            )
        return (
            f"Nothing is wrong up to step {self.last_step}: the loss went from "
            f"{self.start_loss:.3g} to {self.recent_loss:.3g}{guess}, {depth}, "
            f"no step moved a typical kernel by more than {self.jolt:.2g} of "
            "its norm, and no gradient held NaN or Inf."
        )
