"""Symptoms of a run: the numbers that the rules compare with thresholds."""

import functools
import math
from typing import Any

import numpy as np

from kerasbn._run.run import Run
from kerasbn.diagnosis._thresholds import LIMITS

_BOUNDED = {"tanh", "sigmoid", "softsign", "hardsigmoid", "hardtanh", "softmax"}
_ADAPTIVE = {"Adam", "AdamW", "Adamax", "Nadam", "RMSprop", "Lion", "Adadelta"}
_ADAPTIVE |= {"Adagrad", "Adafactor", "Muon", "Ftrl"}


class Symptoms:
    """The symptoms of a run, each computed when a rule asks for it.

    Attributes:
        heads: Each output as `heads.Head`, with what is known of its targets
            and of what comes out (`inspection.describe_data`), or `None`.
        fresh: Whether this is one look before training, where a symptom counts
            without a training that suffers from it.
        judged: Whether enough was recorded to judge the loss, and it has to
            fall, unlike that of a game between two networks.
        adaptive: Whether steps do not depend on the size of the gradient.
        recent: How many readings are the last quarter, three at least.
        finite: For each reading, whether its gradients are finite.
        penalty: What the model adds to its loss, as penalties of weights.
        constant_loss: Loss of the best constant guess without the penalty,
            `None` if unknown.
    """

    def __init__(self, run: Run):
        self.run = run
        self.model = run.model
        self.layers: list[dict[str, Any]] = run.model.get("layers", [])
        heads = run.model.get("outputs") or []
        none = [None] * len(heads)
        targets, seen = (
            run.data.get(each) or none for each in ("targets", "outputs")
        )
        self.heads: list[tuple[dict[str, Any], Any, Any]] = list(
            zip(heads, targets, seen, strict=False)
        )
        self.inputs = [each for each in run.data.get("inputs", []) if each]
        self.seen_losses: dict[str, float] = run.data.get("losses", {})
        self.last_step = int(run.steps[-1]) if len(run.steps) else 0
        self.fresh = len(run.steps) == 1 and self.last_step == 0
        self.judged = (
            len(run.steps) > 3
            and self.last_step >= LIMITS.warm_up
            and (self.run.knows_loss or run.non_finite is not None)
        )
        self.adaptive = run.settings.get("optimizer") in _ADAPTIVE
        self.losses = run.scalars["window/loss"]
        self.recent = max(3, len(run.steps) // 4)
        self.finite = np.isfinite(run.scalars["window/global_norm_max"])
        penalty = self.seen_losses.get("penalty", 0.0)
        guess = self.seen_losses.get("guess", math.nan)
        self.penalty = penalty if math.isfinite(penalty) else 0.0
        self.constant_loss = guess if math.isfinite(guess) else None

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
    def passed_kernels(self) -> list[int]:
        """The same without attention, and without one of several outputs.

        Their gradients do not compare with those of the other layers.
        """
        left_out = [e["path"] for e in self.layers if e.get("attention")]
        if len(self.heads) > 1:
            left_out += [head["layer"] for head, *_ in self.heads]
        prefixes = tuple(f"{path}/" for path in left_out)
        paths = self.run.paths
        return [i for i in self.kernels if not paths[i].startswith(prefixes)]

    @property
    def first_kernel(self) -> str:
        return self.run.paths[self.kernels[0]] if self.kernels else "model"

    @property
    def learning_rate(self) -> float:
        """The learning rate; of a schedule, the first one recorded."""
        rate = self.run.settings.get("learning_rate")
        recorded = self.run.scalars["learning_rate"]
        return rate if isinstance(rate, float) else float(recorded[0])

    @property
    def progress(self) -> float:
        """Share of the planned steps that were taken; 1 if it is not known."""
        planned = self.run.planned_steps
        return self.last_step / planned if planned else 1.0

    @property
    def start_loss(self) -> float:
        return float(self.run.scalars["loss"][0])

    @functools.cached_property
    def recent_loss(self) -> float:
        return float(np.median(self.losses[-self.recent :]))

    @functools.cached_property
    def loss_left(self) -> float:
        """Share of a constant guess's loss that is left; infinite for NaN.

        Where the guess is not known, only a loss that has not fallen shows
        that nothing was learnt.
        """
        if not math.isfinite(self.recent_loss):
            return math.inf
        if self.constant_loss is None:
            return 0.0 if self.has_fallen else 1.0
        floor = self.seen_losses.get("floor", 0.0)
        floor = floor if math.isfinite(floor) else 0.0
        left = self.recent_loss - self.penalty - floor
        left /= max(self.constant_loss - floor, 1e-12)
        # Dropout and noise may hide from the training loss what was learnt.
        training, inference = (
            self.seen_losses.get(each, math.nan) - self.penalty - floor
            for each in ("training", "inference")
        )
        hidden = 0.0 < inference < training
        return left * inference / training if hidden else left

    @functools.cached_property
    def has_fallen(self) -> bool:
        """Whether the loss is lower than at first, by more than its noise."""
        start, late = float(self.losses[0]), self.losses[-self.recent :]
        if not math.isfinite(start) or not np.isfinite(late).all():
            return False
        least = max(2.0 * float(np.std(late)), LIMITS.fallen * abs(start))
        return start - float(np.median(late)) > least

    @property
    def suffers(self) -> bool:
        """Whether less was learnt than a healthy network has by now."""
        return self.judged and self.loss_left > LIMITS.learning

    @property
    def lags(self) -> bool:
        """Whether it suffers, and is not just beginning to learn."""
        begins = self.progress < LIMITS.beginning and not self.stuck
        return self.suffers and not begins

    @property
    def learns(self) -> bool:
        """Whether training has shown that the network learns."""
        return self.judged and not self.suffers

    @property
    def stuck(self) -> bool:
        """Whether nothing was learnt so far, and nothing is about to be."""
        left = self.loss_left > LIMITS.stuck
        return self.judged and left and not self.falling

    @property
    def declines(self) -> bool:
        """Whether the loss goes down by more than its noise."""
        return self._trend[0]

    @property
    def falling(self) -> bool:
        """Whether the loss declines so fast that it will get somewhere.

        A line through the later readings reaches the loss of a constant guess
        before training ends.
        """
        declines, last = self._trend
        goal = self.penalty + LIMITS.stuck * (self.constant_loss or 0.0)
        return declines and (self.constant_loss is None or last < goal)

    @functools.cached_property
    def _trend(self):
        """Whether a line through later readings declines, and where it ends."""
        late = slice(-max(5, len(self.losses) // 2), None)
        steps, losses = self.run.steps[late].astype(float), self.losses[late]
        if len(losses) < 4 or not np.isfinite(losses).all():
            return False, math.nan
        steps = steps - steps[-1]
        (slope, level), noise, *_ = np.polyfit(steps, losses, 1, full=True)
        error = math.sqrt(noise[0] / (len(steps) - 2)) if len(noise) else 0.0
        spread = math.sqrt(np.square(steps - steps.mean()).sum())
        planned = self.run.planned_steps or 5 * self.last_step
        last = level + slope * (planned - self.last_step)
        return bool(slope * spread < -LIMITS.trend * error), float(last)

    def median(self, group: str) -> np.ndarray:
        """Median of each variable over the recent finite readings."""
        table = self.run.tables[group]
        kept = np.flatnonzero(self.finite)[-self.recent :]
        if not len(kept):
            return np.full(table.shape[1], np.nan)
        return np.median(table[kept], axis=0)

    @functools.cached_property
    def updates(self) -> np.ndarray:
        """Update of a typical kernel at each reading, over its norm."""
        ratios = self.run.tables["update_ratio"][:, self.kernels]
        if not ratios.size:
            return np.zeros(len(ratios))
        return np.median(np.where(np.isfinite(ratios), ratios, 0.0), axis=1)

    @functools.cached_property
    def travel(self) -> float:
        """How far the kernel that moves most goes in all planned steps."""
        ratios = self.median("update_ratio")[self.kernels]
        steps = self.run.planned_steps or 10 * self.last_step
        return float(np.max(ratios, initial=0.0)) * steps

    @functools.cached_property
    def decades(self) -> float:
        """Log10 of the last layers' RMS gradient over that of the first."""
        rms = self.median("gradient_rms")[self.passed_kernels]
        third = len(rms) // 3
        if third == 0 or not (rms > 0).all():
            return 0.0
        logs = np.log10(rms)
        return float(np.median(logs[-third:]) - np.median(logs[:third]))

    @functools.cached_property
    def starved(self) -> list[str]:
        """Kernels whose gradient is negligible against the largest."""
        rms = self.median("gradient_rms")
        least = LIMITS.starved * np.max(rms, initial=0.0)
        few = [i for i in self.passed_kernels if rms[i] < least]
        return [self.run.paths[i] for i in few]

    @functools.cached_property
    def gains(self) -> float:
        """Log10 of the factor by which the hidden kernels scale their input."""
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
        """The last reading of a measure by layer, before NaN has spread."""
        lost = self.run.non_finite
        if any(each["not_finite"] for each in self.inputs):
            return {}
        for step, numbers in reversed(self.run.layers):
            if lost is None or step < lost.step:
                seen = numbers.get(measure, {})
                return {k: v for k, v in seen.items() if v == v}
        return {}

    def since(self, measure: str, layer: str, limit: float) -> int:
        """Step from which on a layer has been beyond a limit."""
        since = self.last_step
        for step, numbers in reversed(self.run.layers):
            if not numbers.get(measure, {}).get(layer, 0.0) > limit:
                break
            since = step
        return since

    def loss(self) -> str:
        """The way of the loss, in half a sentence."""
        if not self.run.knows_loss:
            return "the train step tells no loss"
        if not np.isfinite(self.recent_loss):
            return "the loss is not finite"
        start, end = f"{self.start_loss:.3g}", f"{self.recent_loss:.3g}"
        return f"the loss went from {start} to {end}{self.guess()}"

    def guess(self) -> str:
        if self.constant_loss is None:
            return ""
        loss = self.constant_loss + self.penalty
        return f" (a constant guess has {loss:.3g})"


def beyond(values: dict[str, float], limit: float) -> list[str]:
    """Layers beyond a limit, the worst of them first."""
    worst_first = sorted(values, key=values.__getitem__, reverse=True)
    return [path for path in worst_first if values[path] > limit]
