"""The loss over the steps, as a picture and a sentence."""

import io

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

# A loss that falls by more than this factor is drawn by its logarithm.
_LOGARITHMIC = 30


def draw(axes: Axes, steps: np.ndarray, losses: np.ndarray) -> str:
    """Draw the curve and return its caption.

    The curve is broken at NaN and Inf, with a red mark on the axis, since the
    gap of a single reading is too narrow to see in a long run.
    """
    finite = np.isfinite(losses)
    curve = np.where(finite, losses, np.nan)
    low, high = np.nanmin(curve), np.nanmax(curve)
    # A line shows no reading that stands alone between two gaps.
    alone = finite & (np.convolve(finite, [1, 1, 1], "same") == 1)
    axes.plot(
        steps,
        curve,
        "o-",
        color="#0b63c5",
        linewidth=1.3,
        markersize=2,
        markevery=np.flatnonzero(alone).tolist(),
        solid_capstyle="butt",
    )
    lost = steps[~finite]
    floor = axes.get_xaxis_transform()
    axes.plot(lost, 0 * lost, "|", color="red", transform=floor, clip_on=False)
    by_log = bool(low > 0 and high / low > _LOGARITHMIC)
    if by_log:
        axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.set_xlabel("optimizer step")
    notes = [
        f"Loss from {losses[0]:.4g} to {losses[-1]:.4g}",
        "mean of the steps up to each reading",
        *(["by its logarithm"] if by_log else []),
    ]
    if len(lost):
        notes.append(
            f"NaN or Inf (red) at {len(lost)} of {len(steps)} readings"
        )
    return ", ".join(notes) + "."


def png(steps: np.ndarray, losses: np.ndarray) -> tuple[bytes, str]:
    """Return the picture and its caption."""
    figure = Figure(figsize=(7.2, 2.6), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    caption = draw(figure.add_subplot(), steps, losses)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue(), caption
