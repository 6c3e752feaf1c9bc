"""The run that TensorBoard shows: how much of it, and how it is arranged."""

import time
from typing import Any

import numpy as np

from kerasbn._events.writer import EventWriter
from kerasbn._report import flows
from kerasbn._run import files
from kerasbn._run.readings import EDGES, Reading
from kerasbn._run.run import Run

# The limit is 1 MB per 1,000 steps of a 50-layer network. A scalar takes some
# 70 bytes, mostly its tag, so a network with more tags than this has its curves
# thinned; the table of readings holds every number in 4 bytes.
_SCALARS_PER_READING = 40
_IMAGE_STEPS, _LAYER_STEPS = 1000, 200
# A heat map takes some 0.2 s to draw: at most this share of the training time.
_DRAWING_SHARE = 0.02
_CURVES = ("gradient_norm", "update_ratio")
_LAYER_CURVES = ("dead_units", "saturation", "statistics_distance")
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
        hparams: What to compare runs by, besides the settings of the optimizer.
    """

    def __init__(self, log_dir: str, hparams: dict[str, Any]):
        self._writer = EventWriter(log_dir)
        self._hparams = hparams
        self._described: list[str] = []
        self._readings = self._last = 0
        self._imaged_at, self._layered_at = 0, -_LAYER_STEPS
        self._drawn, self._drawing_time = time.monotonic(), 0.0

    def begin(self, step: int, run: Run) -> None:
        """Start at that step: a new run from 1 on, else one resumed."""
        self._writer.start(step)
        self._writer.hparams({**run.settings, **self._hparams})
        self._writer.layout(_CHARTS)

    def add(self, reading: Reading, run: Run) -> None:
        """Write one reading."""
        step = reading.step
        if step <= self._last:  # a callback went back
            self._writer.start(step)
        self._last = step
        if self._described != run.paths:
            self._described = run.paths
            files.write_description(self._writer, step, run)
        files.write_reading(self._writer, reading)
        curves = len(_CURVES) * len(run.paths) + len(reading.scalars)
        if self._readings % -(-curves // _SCALARS_PER_READING) == 0:
            self._writer.scalars(step, reading.flat(run.paths, _CURVES))
        self._readings += 1

    def note(self, step: int, what: str, content: Any) -> None:
        """Write something for the diagnosis of this run."""
        files.write_note(self._writer, step, what, content)

    def add_histograms(self, step: int, paths: list, counts: Any) -> None:
        """Write the entries of each gradient by log10 of their size."""
        width = EDGES[1] - EDGES[0]
        edges = np.array([EDGES[0] - width, *EDGES, EDGES[-1] + width])
        for path, row in zip(paths, counts, strict=True):
            buckets = np.stack([edges[:-1], edges[1:], row], axis=1)
            self._writer.histogram(step, f"log10_gradient/{path}", buckets)

    def add_layers(self, step: int, layers: dict, last: bool = False) -> None:
        """Write the readings of the layers at the end of an epoch."""
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

    def draw(self, run: Run, last: bool = False) -> None:
        """Draw the heat maps, unless it would cost time or space."""
        step = run.readings[-1].step
        waited = time.monotonic() - self._drawn
        if not last and (
            0 < self._imaged_at > step - _IMAGE_STEPS
            or self._drawing_time > _DRAWING_SHARE * waited
        ):
            return
        self._imaged_at, self._drawn = step, time.monotonic()
        for tag, flow in (
            ("gradient_flow", flows.gradient_flow(run)),
            ("update_ratio", flows.update_flow(run)),
        ):
            self._writer.image(step, tag, lambda flow=flow: self._png(flow))

    def finish(self, run: Run, summary: str) -> None:
        """Draw the whole run, and write a page of Markdown about it."""
        self.draw(run, last=True)
        self._writer.text(run.readings[-1].step, "summary", summary)

    def close(self) -> None:
        """Write what is left."""
        self._writer.close()

    def _png(self, flow):
        from kerasbn._report import heat_map  # matplotlib takes a second

        start = time.monotonic()
        png = heat_map.png(**flow)
        self._drawing_time = 2 * (time.monotonic() - start)
        return png
