"""The loss over the steps, drawn and described."""

import io

import numpy as np

from kerasbn._run.run import Run

# A loss that falls by more than this factor is drawn on a logarithmic axis.
_LOGARITHMIC = 30


def png(run: Run) -> bytes:
    """Draw the mean loss up to each reading; red ticks mark NaN and Inf."""
    from matplotlib.figure import Figure  # takes half a second to import

    losses = run.scalars["window/loss"]
    figure = Figure(figsize=(7, 2.6), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(run.steps, losses, ".-", linewidth=1.5, markersize=2)
    lost = run.steps[~np.isfinite(losses)]
    bottom = axes.get_xaxis_transform()  # of the axes, whatever the loss
    axes.plot(lost, np.zeros(len(lost)), "|r", transform=bottom, clip_on=False)
    axes.set_xlabel("optimizer step")
    axes.set_ylabel("loss")
    if _is_logarithmic(losses):
        axes.set_yscale("log")
    axes.spines[["top", "right"]].set_visible(False)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()


def caption(run: Run) -> str:
    """Describe the curve in a sentence."""
    losses = run.scalars["window/loss"]
    lost = int((~np.isfinite(losses)).sum())
    if lost == len(losses):
        return "No reading holds a finite loss."
    return (
        f"Loss from {losses[0]:.4g} to {losses[-1]:.4g}, mean of the steps up "
        "to each reading"
        + ", on a logarithmic axis" * _is_logarithmic(losses)
        + f", NaN or Inf at {lost} of {len(losses)} readings" * bool(lost)
        + "."
    )


def _is_logarithmic(losses):
    finite = losses[np.isfinite(losses)]
    low, high = finite.min(), finite.max()
    return bool(low > 0 and high / low > _LOGARITHMIC)
