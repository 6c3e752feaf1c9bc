"""The numbers that the heat maps of a run draw."""

from typing import Any

import numpy as np

from kerasbn._run.run import Run


def flows(run: Run, name: str) -> list[dict[str, Any]]:
    """Return the arguments of `heat_map.draw` for gradients and updates.

    Rows are the kernels, or all variables where there is no kernel.
    """
    kernels = [i for i, shape in enumerate(run.shapes) if len(shape) > 1]
    shown = kernels or list(range(len(run.shapes)))
    sizes = [np.prod(shape) for shape in run.shapes]
    rows = {
        "steps": run.steps,
        "labels": [run.paths[i].removesuffix("/kernel") for i in shown],
    }
    gradients = run.tables["gradient_norm_max"] / np.sqrt(sizes)
    return [
        {
            **rows,
            "rms": gradients[:, shown].T,
            "title": f"Gradient flow of {name!r}",
            "label": "RMS of the gradient",
            "limits": (-9.0, 1.0),
        },
        {
            **rows,
            "rms": run.tables["update_ratio"][:, shown].T,
            "title": f"Updates of {name!r}",
            "label": "update / weights",
            "limits": (-7.0, 0.0),
        },
    ]
