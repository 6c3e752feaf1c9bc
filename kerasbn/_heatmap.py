"""The gradient-flow heat map: layers down, steps across, size as colour."""

import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib import cm, colors
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

_ZERO, _NON_FINITE = "black", "red"
# One scale for every run, so that two heat maps can be compared by eye: a
# healthy gradient lies in the middle, and 1e-9 is nothing to float32.
_LIMITS = (-9.0, 1.0)
_COLUMNS = 400
_LABELS = 15  # more of them are not legible on a TensorBoard card


def draw(
    axes: Axes,
    steps: Sequence[int] | np.ndarray,
    rms: np.ndarray,
    labels: Sequence[str],
    title: str,
) -> None:
    """Draw the RMS gradients `rms`, shape (layers, steps), on `axes`."""
    rms = np.asarray(rms, "float64")
    if rms.shape[1] > _COLUMNS:
        chosen = np.linspace(0, rms.shape[1] - 1, _COLUMNS).round().astype(int)
        steps, rms = np.asarray(steps)[chosen], rms[:, chosen]
    colours = matplotlib.colormaps["viridis"]
    with np.errstate(divide="ignore", invalid="ignore"):
        image = colours(colors.Normalize(*_LIMITS)(np.log10(rms)))
    image[rms == 0] = colors.to_rgba(_ZERO)
    image[~np.isfinite(rms)] = colors.to_rgba(_NON_FINITE)
    columns = len(steps)
    axes.imshow(
        image,
        aspect="auto",
        interpolation="nearest",
        extent=(-0.5, columns - 0.5, len(labels) - 0.5, -0.5),
    )
    every = -(-len(labels) // _LABELS)
    axes.set_yticks(range(0, len(labels), every), labels[::every], fontsize=8)
    ticks = np.unique(np.linspace(0, columns - 1, min(columns, 5)).astype(int))
    axes.set_xticks(ticks, [str(steps[tick]) for tick in ticks], fontsize=8)
    axes.set_xlabel("optimizer step")
    axes.set_title(title, fontsize=10)
    if axes.figure is None:
        return
    bar = axes.figure.colorbar(
        cm.ScalarMappable(colors.Normalize(*_LIMITS), colours),
        ax=axes,
        extend="both",
        ticks=np.arange(_LIMITS[0], _LIMITS[1] + 1, 2),
        format="1e%d",
    )
    bar.ax.tick_params(labelsize=8)
    bar.set_label("RMS of the gradient", fontsize=8)
    marks = [
        Patch(color=colour, label=label)
        for colour, label, shown in (
            (_ZERO, "exactly 0", (rms == 0).any()),
            (_NON_FINITE, "NaN or Inf", (~np.isfinite(rms)).any()),
        )
        if shown
    ]
    if marks:
        axes.legend(handles=marks, fontsize=8, loc="lower right")


def png(steps, rms, labels, title) -> bytes:
    """Return the heat map as a PNG that reads well on a TensorBoard card."""
    height = 1.6 + 0.16 * min(len(labels), _LABELS)
    figure = Figure(figsize=(4.8, height), dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    draw(figure.add_subplot(), steps, rms, labels, title)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    return buffer.getvalue()
