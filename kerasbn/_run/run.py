"""The one record of a run: filled by a monitor or from files, then judged."""

import dataclasses
import functools
from collections.abc import Iterator
from dataclasses import field
from typing import Any

import numpy as np

from kerasbn._run.history import History, joined, of_layers
from kerasbn._run.readings import (
    GROUPS,
    SCALARS,
    NonFinite,
    Reading,
    is_recorded,
    measured,
)

_VIEWS = ("steps", "scalars", "tables")


@dataclasses.dataclass
class Run:
    """All that is known of a run, in numbers.

    Attributes:
        name: Name of the model.
        paths: Path of each trainable variable, in the order of the model.
        shapes: Shape of each.
        readings: The recorded steps, oldest first. Only `receive` changes them,
            so that the views below stay in step with them.
        layers: Readings of the layers at epoch ends: the step, then numbers by
            measure and path.
        settings: Settings of the optimizer.
        model: See `model_description.describe_model`; empty if unknown.
        data: See `inspection.describe_data`; empty if unknown.
        planned_steps: Steps that training is to take, 0 if unknown.
        knows_loss: Whether the train step tells its loss; else it is NaN in all
            readings, which says nothing about the run.
        non_finite: Where the first NaN or Inf was.
        before: The same run when other variables were trainable; it comes
            first in the history.
        steps: Step of each reading, shape `(readings,)`.
        scalars: One number per reading, by name.
        tables: Arrays of shape `(readings, variables)`, by group.
    """

    name: str = ""
    paths: list[str] = field(default_factory=list)
    shapes: list[tuple[int, ...]] = field(default_factory=list)
    readings: list[Reading] = field(default_factory=list)
    layers: list[tuple[int, dict[str, dict[str, float]]]] = field(
        default_factory=list
    )
    settings: dict[str, Any] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    planned_steps: int = 0
    knows_loss: bool = True
    non_finite: NonFinite | None = None
    before: "Run | None" = None

    def __post_init__(self):
        # Norms and loss of each step since the last reading.
        self._since: list[tuple[np.ndarray, float]] = []

    @functools.cached_property
    def steps(self) -> np.ndarray:
        return np.array([each.step for each in self.readings], int)

    @functools.cached_property
    def scalars(self) -> dict[str, np.ndarray]:
        names = self.readings[0].scalars if self.readings else SCALARS
        return {
            name: np.array([r.scalars[name] for r in self.readings], "float64")
            for name in names
        }

    @functools.cached_property
    def tables(self) -> dict[str, np.ndarray]:
        names = self.readings[0].groups if self.readings else GROUPS
        shape = len(self.readings), len(self.paths)
        return {
            name: np.array([r.groups[name] for r in self.readings]).reshape(
                shape
            )
            for name in names
        }

    @property
    def sizes(self) -> np.ndarray:
        """Number of entries of each variable."""
        return np.array([np.prod(shape) for shape in self.shapes])

    def receive(self, window: Any, every: int) -> Iterator[Reading]:
        """Take a `window.Window`, and yield each reading that it gives."""
        if window.first_skipped is not None and not window.scales_loss:
            step, norms, loss = window.first_skipped
            self._see(step, norms, loss, window.tells_loss)
        for row, step in enumerate(window.steps.tolist()):
            self._rewind(step)
            norms, loss = window.norms[row], float(window.losses[row])
            self._since.append((norms, loss))
            self._see(step, norms, loss, window.tells_loss)
            if step in window.details and is_recorded(step, every):
                reading = measured(window, row, self._since, self.sizes)
                self._since = []
                self.readings.append(reading)
                self._forget_views()
                yield reading

    def history(self) -> History:
        """Return the readings as a flat dict of arrays."""
        columns = {"step": self.steps, **self.scalars}
        for group, table in self.tables.items() if self.readings else ():
            for path, column in zip(self.paths, table.T, strict=True):
                columns[f"{group}/{path}"] = column
        if self.before is None:
            return History(columns)
        return joined(self.before.history(), History(columns))

    def layer_history(self) -> History:
        """Return the readings of the layers as a flat dict of arrays."""
        return of_layers(self.layers)

    def until(self, step: int) -> "Run":
        """Return the same run as it stood at an earlier step."""
        found = self.non_finite
        return dataclasses.replace(
            self,
            readings=[each for each in self.readings if each.step <= step],
            layers=[each for each in self.layers if each[0] <= step],
            non_finite=found if found and found.step <= step else None,
        )

    def _see(self, step, norms, loss, tells_loss):
        """Note where a gradient first held NaN or Inf."""
        places = np.flatnonzero(~np.isfinite(norms))
        if len(places) and self.non_finite is None:
            origin = "backward" if np.isfinite(loss) else "forward"
            self.non_finite = NonFinite(
                step,
                self.paths[places[-1]],
                origin if tells_loss else "unknown",
            )

    def _rewind(self, step):
        """Drop readings from that step on: a callback has gone back."""
        while self.readings and self.readings[-1].step >= step:
            self.readings.pop()
            self._forget_views()

    def _forget_views(self):
        for view in _VIEWS:
            vars(self).pop(view, None)
