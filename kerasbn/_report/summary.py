"""A run as a page of Markdown, for TensorBoard's Text."""

from collections.abc import Mapping

import numpy as np

from kerasbn._report import finding_text
from kerasbn._run.run import Run
from kerasbn.diagnosis import Diagnosis

_HEAD = """\
| variable | RMS gradient, median | largest entry | update / weights, median \
| weight norm |
|---|---|---|---|---|"""


def page(
    run: Run,
    findings: Diagnosis,
    skipped_steps: int,
    skipped_batches: Mapping[str, int],
) -> str:
    """Return the findings, some numbers of the run, and a table."""
    history, found = run.history(), run.non_finite
    steps, losses = history["step"], history["loss"]
    norms = history["window/global_norm_max"]
    spike = int(np.argmax(np.nan_to_num(norms, nan=np.inf)))
    lines = [
        *map(finding_text.markdown, findings),
        *([] if findings else [findings.healthy]),
        f"Steps {steps[0]} to {steps[-1]}, {len(steps)} readings.",
        f"Loss {losses[0]:.4g} at the first reading, {losses[-1]:.4g} at the "
        "last.",
        f"Norm of the whole gradient: median "
        f"{np.median(history['global_norm']):.3g}, largest {norms[spike]:.3g} "
        f"in the steps up to {steps[spike]}.",
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
        for path in run.paths
    ]
    return "\n\n".join([*lines, "\n".join([_HEAD, *rows])])
