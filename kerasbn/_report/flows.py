"""What the two heat maps of a run show: gradients and updates."""

from typing import Any

import numpy as np

from kerasbn._run.run import Run


def gradient_flow(run: Run) -> dict[str, Any]:
    """Return arguments of `heat_map.draw`: window maxima of the RMS."""
    rms = run.tables["gradient_norm_max"] / np.sqrt(run.sizes)
    return {**_rows(run, rms), "title": f"Gradient flow of {run.name!r}"}


def update_flow(run: Run) -> dict[str, Any]:
    """Return arguments of `heat_map.draw`: updates over weights."""
    return {
        **_rows(run, run.tables["update_ratio"]),
        "title": f"Updates of {run.name!r}",
        "label": "update / weights",
        "limits": (-7.0, 0.0),
    }


def _rows(run, table):
    """The kernels, or all variables where there is no kernel."""
    kernels = [i for i, shape in enumerate(run.shapes) if len(shape) > 1]
    shown = kernels or list(range(len(run.shapes)))
    return {
        "steps": run.steps,
        "rms": table[:, shown].T,
        "labels": [run.paths[i].removesuffix("/kernel") for i in shown],
    }
