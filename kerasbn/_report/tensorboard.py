"""What the TensorBoard run of a monitor shows, and how much of it."""

import json
import time
from typing import Any

import numpy as np

from kerasbn._events.writer import EventWriter
from kerasbn._report import finding_text
from kerasbn._run.readings import EDGES, GROUPS, SCALARS, Reading, Recording
from kerasbn.diagnosis import Diagnosis

# Bytes are what limits it: 1 MB per 1,000 steps of a 50-layer network. A scalar
# takes some 70 bytes, mostly its tag, so a network with more tags than this has
# its curves thinned; the table of readings holds every number in 4 bytes.
_SCALARS_PER_READING = 40
_IMAGE_STEPS, _LAYER_STEPS = 1000, 200
# A heat map takes some 0.2 s to draw: at most this share of the training time.
_DRAWING_SHARE = 0.02
_CURVES = ("gradient_norm", "update_ratio")
_LAYER_CURVES = ("dead_units", "saturation", "statistics_distance")
# Not in the table: it follows from the norm and the shape.
_TABLE = tuple(group for group in GROUPS if group != "gradient_rms")
_CHARTS = {
    "Gradients": [
        ("Norm of each kernel's gradient", [r"gradient_norm/.*kernel"]),
        ("Norm of each other gradient", [r"gradient_norm/(?!.*kernel).*"]),
        (
            "Norm of the whole gradient, with extremes between readings",
            "global_norm",
            "window/global_norm_min",
            "window/global_norm_max",
        ),
        ("Clipping", ["global_norm", "clipped/.*"]),
    ],
    "Updates": [
        ("Update over weights, kernels", [r"update_ratio/.*kernel"]),
        ("Learning rate", ["learning_rate"]),
    ],
    "Layers": [
        ("Dead units", ["dead_units/.*"]),
        ("Saturation", ["saturation/.*"]),
        ("Moving from batch statistics", ["statistics_distance/.*"]),
    ],
}


class TensorBoardRun:
    """Writes one run: curves, heat maps, text, charts, hyperparameters.

    Args:
        log_dir: Directory of the run.
        name: Name of the model.
        settings: Those of the optimizer.
        hparams: What else to compare runs by.
    """

    def __init__(self, log_dir: str, name: str, settings: dict, hparams: dict):
        self._writer = EventWriter(log_dir)
        self._name = name
        self._settings, self._hparams = settings, hparams
        self._described: list[str] = []
        self._description: dict[str, Any] = {}
        self._readings = self._last = 0
        self._imaged_at, self._layered_at = 0, -_LAYER_STEPS
        self._drawn, self._drawing_time = time.monotonic(), 0.0

    def begin(self, step: int, description: dict) -> None:
        """Start at that step: a new run from 1 on, else one resumed."""
        self._description = description
        self._writer.start(step)
        self._writer.hparams({**self._settings, **self._hparams})
        self._writer.layout(_CHARTS)

    def add(self, reading: Reading, recording: Recording) -> None:
        """Write one reading."""
        if reading.step <= self._last:  # a callback went back
            self._writer.start(reading.step)
        self._last = reading.step
        if self._described != recording.paths:
            self._described = recording.paths
            description = {
                "model": self._name,
                "variables": recording.paths,
                "shapes": recording.shapes,
                "scalars": SCALARS,
                "groups": _TABLE,
                "settings": self._settings,
                **self._description,
            }
            self.note(reading.step, "description", description)
        step = reading.step
        self._writer.tensor(
            step, "readings/step", [reading.scalars[name] for name in SCALARS]
        )
        table = [reading.groups[group] for group in _TABLE]
        self._writer.tensor(step, "readings/variables", table)
        curves = len(_CURVES) * len(recording.paths) + len(reading.scalars)
        if self._readings % -(-curves // _SCALARS_PER_READING) == 0:
            values = reading.known()
            for group in _CURVES:
                for path, number in zip(
                    recording.paths, reading.groups[group].tolist(), strict=True
                ):
                    values[f"{group}/{path}"] = number
            self._writer.scalars(step, values)
        self._readings += 1

    def note(self, step: int, what: str, content: Any) -> None:
        """Write something for the diagnosis of this run."""
        self._writer.note(step, f"readings/{what}", json.dumps(content))

    def add_histograms(self, step: int, paths: list, counts: Any) -> None:
        """Write the entries of each gradient by log10 of their size."""
        width = EDGES[1] - EDGES[0]
        edges = np.array([EDGES[0] - width, *EDGES, EDGES[-1] + width])
        for path, row in zip(paths, counts, strict=True):
            buckets = np.stack([edges[:-1], edges[1:], row], axis=1)
            self._writer.histogram(step, f"log10_gradient/{path}", buckets)

    def add_layers(self, step: int, layers: dict, last: bool = False) -> None:
        """Write what an epoch's end found in the layers."""
        self.note(step, "layers", layers)
        if step - self._layered_at >= _LAYER_STEPS or last:
            self._layered_at = step
            values = {
                f"{name}/{layer}": number
                for name in _LAYER_CURVES
                for layer, number in layers[name].items()
                if not np.isnan(number)
            }
            self._writer.scalars(step, values)

    def draw(self, recording: Recording, last: bool = False) -> None:
        """Draw the heat maps, unless it would cost time or space."""
        if not recording.readings:
            return
        step = recording.readings[-1].step
        waited = time.monotonic() - self._drawn
        if not last and (
            0 < self._imaged_at > step - _IMAGE_STEPS
            or self._drawing_time > _DRAWING_SHARE * waited
        ):
            return
        self._imaged_at, self._drawn = step, time.monotonic()
        for tag, flow in (
            ("gradient_flow", gradient_flow(recording, self._name)),
            ("update_ratio", update_flow(recording, self._name)),
        ):
            self._writer.image(step, tag, lambda flow=flow: self._png(flow))

    def text(self, step: int, tag: str, markdown: str) -> None:
        """Write a page of Markdown."""
        self._writer.text(step, tag, markdown)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()

    def _png(self, flow):
        from kerasbn._report import heat_map

        start = time.monotonic()
        png = heat_map.png(**flow)
        self._drawing_time = 2 * (time.monotonic() - start)
        return png


def gradient_flow(recording: Recording, name: str) -> dict[str, Any]:
    """What the heat map of the gradients draws: window maxima of the RMS."""
    table = recording.table("gradient_norm_max")
    sizes = [np.prod(shape) for shape in recording.shapes]
    values = table / np.sqrt(sizes)
    return {
        **_rows(recording, values),
        "title": f"Gradient flow of {name!r}",
        "label": "RMS of the gradient",
        "limits": (-9.0, 1.0),
    }


def update_flow(recording: Recording, name: str) -> dict[str, Any]:
    """What the heat map of the updates draws."""
    return {
        **_rows(recording, recording.table("update_ratio")),
        "title": f"Updates of {name!r}",
        "label": "update / weights",
        "limits": (-7.0, 0.0),
    }


def _rows(recording, table):
    """The kernels, or all variables where there is none, layers down."""
    shapes = recording.shapes
    kernels = [i for i, shape in enumerate(shapes) if len(shape) > 1]
    shown = kernels or list(range(len(shapes)))
    labels = [recording.paths[i].removesuffix("/kernel") for i in shown]
    steps = np.array([reading.step for reading in recording.readings])
    values = table[:, shown].T
    return {"steps": steps, "rms": values, "labels": labels}


def summary(
    recording: Recording,
    skipped_steps: int,
    skipped_batches: dict[str, int],
    findings: Diagnosis,
) -> str:
    """The run in a page of Markdown: what is wrong, then tables."""
    history = recording.history()
    found = recording.first_non_finite
    norms = history["window/global_norm_max"]
    spike = int(np.argmax(np.nan_to_num(norms, nan=np.inf)))
    lines = [
        *map(finding_text.markdown, findings),
        *([] if findings else [findings.healthy]),
        f"Steps {history['step'][0]} to {history['step'][-1]}, "
        f"{len(history['step'])} readings.",
        f"Loss {history['loss'][0]:.4g} at the first reading, "
        f"{history['loss'][-1]:.4g} at the last.",
        f"Norm of the whole gradient: median "
        f"{np.median(history['global_norm']):.3g}, largest {norms[spike]:.3g} "
        f"in the steps up to {history['step'][spike]}.",
        "No gradient held NaN or Inf."
        if found is None
        else f"**NaN or Inf** first at step {found.step} in "
        f"`{found.variable}` ({found.origin}).",
    ]
    if skipped_steps:
        lines.append(
            f"{skipped_steps} steps were skipped: a gradient held NaN or Inf."
        )
    lines += [
        f"`{layer}` left {count} batches out of its statistics."
        for layer, count in skipped_batches.items()
    ]
    rows = [
        f"| {path} | {np.median(history['gradient_rms'][path]):.2g} "
        f"| {history['gradient_max'][path].max():.2g} "
        f"| {np.median(history['update_ratio'][path]):.2g} "
        f"| {history['weight_norm'][path][-1]:.3g} |"
        for path in recording.paths
    ]
    table = [
        "| variable | RMS gradient, median | largest entry | update / weights, "
        "median | weight norm |",
        "|---|---|---|---|---|",
        *rows,
    ]
    return "\n\n".join(lines) + "\n\n" + "\n".join(table)
