"""All that is known of a run, in numbers: from a monitor or from its files."""

import json
from typing import Any, NamedTuple

import numpy as np


class Run(NamedTuple):
    """A run, as rules judge it.

    Attributes:
        steps: Optimizer step of each reading, shape `(readings,)`.
        scalars: By name, one number per reading.
        tables: By group, shape `(readings, variables)`.
        paths: Path of each trainable variable, in the order of the model.
        shapes: Shape of each.
        layers: What epoch ends read of the layers: step, then numbers by
            measure and path.
        settings: Of the optimizer.
        model: See `_inspection.describe_model`; empty if unknown.
        data: See `_inspection.describe_data`; empty if unknown.
        planned_steps: Steps that training is to take, 0 if unknown.
        non_finite: Step, variable and origin of the first NaN or Inf.
    """

    steps: np.ndarray
    scalars: dict[str, np.ndarray]
    tables: dict[str, np.ndarray]
    paths: list[str]
    shapes: list[tuple[int, ...]]
    layers: list[tuple[int, dict[str, dict[str, float]]]]
    settings: dict[str, Any]
    model: dict[str, Any]
    data: dict[str, Any]
    planned_steps: int
    non_finite: tuple[int, str, str] | None

    def until(self, step: int) -> "Run":
        """The same run as it stood at an earlier step."""
        kept = self.steps <= step
        found = self.non_finite
        return self._replace(
            steps=self.steps[kept],
            scalars={k: v[kept] for k, v in self.scalars.items()},
            tables={k: v[kept] for k, v in self.tables.items()},
            layers=[each for each in self.layers if each[0] <= step],
            non_finite=found if found and found[0] <= step else None,
        )


def from_directory(log_dir: str) -> Run:
    """Read the run that `GradientMonitor` wrote into a directory.

    Raises:
        ValueError: If the directory holds no run, or one without a reading.
    """
    from kerasbn._events import reader

    series = reader.read(log_dir)
    if not {"readings/description", "readings/step", "readings/variables"} <= (
        series.keys()
    ):
        raise ValueError(
            "`log_dir` must hold a run with at least one reading. "
            f"Received: log_dir={log_dir!r}, whose files end before the first. "
            "Train for some steps with GradientMonitor(log_dir)."
        )

    def notes(tag):
        return [(s, json.loads(str(v))) for s, v in series.get(tag, [])]

    description = notes("readings/description")[-1][1]
    shape = (len(description["groups"]), len(description["variables"]))
    tables = dict(series["readings/variables"])
    rows = [
        (step, values, tables[step])
        for step, values in series["readings/step"]
        if step in tables and tables[step].shape == shape  # else cut off
    ]
    table = np.array([row for *_, row in rows], "float64").reshape(-1, *shape)
    scalars = np.array([values for _, values, _ in rows], "float64")
    groups = {g: table[:, i] for i, g in enumerate(description["groups"])}
    sizes = [np.prod(each) for each in description["shapes"]]
    groups["gradient_rms"] = groups["gradient_norm"] / np.sqrt(sizes)
    found = notes("readings/non_finite")
    data = notes("readings/data")
    return Run(
        steps=np.array([step for step, *_ in rows], int),
        scalars={
            name: scalars[:, i] for i, name in enumerate(description["scalars"])
        },
        tables=groups,
        paths=description["variables"],
        shapes=[tuple(each) for each in description["shapes"]],
        layers=notes("readings/layers"),
        settings=description["settings"],
        model=description.get("description", {}),
        data=data[-1][1] if data else {},
        planned_steps=description.get("planned_steps", 0),
        non_finite=tuple(found[-1][1]) if found else None,
    )
