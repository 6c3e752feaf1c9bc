"""A run in event files: the tags `readings/*`, written and read.

Each reading is two tensors, `readings/step` and `readings/variables`, whose
rows are named by the JSON note `readings/description`. Other notes hold what is
written seldom: `readings/layers`, `readings/data`, `readings/non_finite`.
"""

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from kerasbn._run.readings import GROUPS, SCALARS, NonFinite, Reading
from kerasbn._run.run import Run

if TYPE_CHECKING:
    from kerasbn._events.writer import EventWriter

# Not in the table: it follows from the norm and the shape.
_TABLE = tuple(group for group in GROUPS if group != "gradient_rms")


def write_description(writer: "EventWriter", step: int, run: Run) -> None:
    """Write all that the readings from `step` on have in common."""
    description = {
        "model": run.name,
        "variables": run.paths,
        "shapes": run.shapes,
        "scalars": SCALARS,
        "groups": _TABLE,
        "settings": run.settings,
        "description": run.model,
        "planned_steps": run.planned_steps,
        "knows_loss": run.knows_loss,
    }
    write_note(writer, step, "description", description)


def write_reading(writer: "EventWriter", reading: Reading) -> None:
    """Write the numbers of one reading."""
    step, scalars, groups = reading
    writer.tensor(step, "readings/step", [scalars[name] for name in SCALARS])
    writer.tensor(step, "readings/variables", [groups[name] for name in _TABLE])


def write_note(
    writer: "EventWriter", step: int, what: str, content: Any
) -> None:
    """Write "layers", "data" or "non_finite" as the run holds it."""
    writer.note(step, f"readings/{what}", json.dumps(content))


def from_directory(log_dir: str) -> Run:
    """Read the run that `GradientMonitor` wrote into a directory.

    Raises:
        ValueError: If the directory holds no run, or one without a reading.
    """
    # TensorBoard, which takes a second to import, is needed for files alone.
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

    def notes(what):
        points = series.get(f"readings/{what}", [])
        return [(step, json.loads(str(text))) for step, text in points]

    def last(what: str) -> Any:
        found = notes(what)
        return found[-1][1] if found else None

    description, found = last("description"), last("non_finite")
    names, groups = description["scalars"], description["groups"]
    shapes = [tuple(shape) for shape in description["shapes"]]
    roots = np.sqrt([np.prod(shape) for shape in shapes])
    whole = len(names), len(groups), len(shapes)
    tables = dict(series["readings/variables"])
    readings = []
    for step, values in series["readings/step"]:
        table = tables.get(step, np.empty(0))
        if (len(values), *table.shape) == whole:  # else cut off
            rows = dict(zip(groups, table.astype("float64"), strict=True))
            rows["gradient_rms"] = rows["gradient_norm"] / roots
            scalars = dict(zip(names, values.tolist(), strict=True))
            readings.append(Reading(step, scalars, rows))
    data = last("data") or {}
    if not isinstance(data.get("targets", []), list):
        data = {}  # of an earlier version, which described one output only
    return Run(
        name=description.get("model", ""),
        paths=description["variables"],
        shapes=shapes,
        readings=readings,
        layers=notes("layers"),
        settings=description["settings"],
        model=description.get("description", {}),
        data=data,
        planned_steps=description.get("planned_steps", 0),
        knows_loss=description.get("knows_loss", True),
        non_finite=NonFinite(*found) if found else None,
    )
