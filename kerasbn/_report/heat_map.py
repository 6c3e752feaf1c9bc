"""The heat maps: layers down, steps across, size as colour."""

import io
from collections.abc import Sequence

import matplotlib
import numpy as np
from matplotlib import cm, colors
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

_ZERO, _NON_FINITE = "black", "red"
# By default each colour is a factor of two; more of them only swell the PNG.
_COLOURS = matplotlib.colormaps["viridis"].resampled(32)
_COLUMNS = 400
# More of them, or longer ones, are not legible on a TensorBoard card.
_LABELS, _LETTERS = 15, 32


def draw(
    axes: Axes,
    steps: Sequence[int] | np.ndarray,
    rms: np.ndarray,
    labels: list[str],
    title: str,
    *,
    label: str = "RMS of the gradient",
    limits: tuple[float, float] = (-9.0, 1.0),
) -> None:
    """Draw the sizes `rms`, shape (layers, steps), on `axes`.

    Of more than 400 steps neighbours are drawn as one, by the largest of them
    or NaN, so that no spike is lost.

    Args:
        axes: Where to draw.
        steps: The step of each column.
        rms: What to draw, by default RMS gradients.
        labels: A name for each row.
        title: Title of the axes.
        label: What the colours mean.
        limits: log10 of the smallest and the largest colour. They do not
            follow the data, so that two heat maps can be compared by eye: by
            default a healthy gradient lies in the middle, and 1e-9 is nothing
            to float32.
    """
    rms = np.asarray(rms, "float64")
    rows, columns = rms.shape
    drawn = rms
    if columns > _COLUMNS:
        starts = np.arange(_COLUMNS) * columns // _COLUMNS
        drawn = np.maximum.reduceat(rms, starts, axis=1)
    scale = cm.ScalarMappable(colors.Normalize(*limits), _COLOURS)
    with np.errstate(divide="ignore", invalid="ignore"):
        image = scale.to_rgba(np.log10(drawn))
    image[drawn == 0] = colors.to_rgba(_ZERO)
    image[~np.isfinite(drawn)] = colors.to_rgba(_NON_FINITE)
    axes.imshow(
        image,
        aspect="auto",
        interpolation="nearest",
        extent=(-0.5, columns - 0.5, rows - 0.5, -0.5),
    )
    axes.spines[:].set_visible(False)  # they cover the first and last step
    ticks = _spread(rows, _LABELS)
    axes.set_yticks(ticks, [_short(labels[tick]) for tick in ticks], fontsize=8)
    ticks = _spread(columns, 5)
    axes.set_xticks(ticks, [str(steps[tick]) for tick in ticks], fontsize=8)
    axes.set_xlabel("optimizer step", fontsize=8, loc="left")
    axes.set_title(title, fontsize=10)
    if axes.figure is not None:
        bar = axes.figure.colorbar(
            scale,
            ax=axes,
            extend="both",
            ticks=np.arange(limits[0], limits[1] + 1, 2),
            format="1e%d",
        )
        bar.ax.tick_params(labelsize=8)
        bar.set_label(label, fontsize=8)
    marks = [
        Patch(color=colour, label=meaning)
        for colour, meaning, shown in (
            (_ZERO, "exactly 0", drawn == 0),
            (_NON_FINITE, "NaN or Inf", ~np.isfinite(drawn)),
        )
        if shown.any()
    ]
    if marks:  # below the axes, beside their label, where it covers no data
        axes.legend(
            handles=marks,
            fontsize=8,
            frameon=False,
            ncols=2,
            loc="upper right",
            bbox_to_anchor=(1, 0),
            borderaxespad=2,
        )


def png(steps, rms, labels, title, **options) -> bytes:
    """Return the heat map as a PNG that reads well on a TensorBoard card."""
    height = 1.8 + 0.16 * min(len(labels), _LABELS)
    figure = Figure(figsize=(4.8, height), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    draw(axes, steps, rms, labels, title, **options)
    # Less than a pixel per cell would drop cells, those in red among them.
    figure.draw_without_rendering()
    cells = np.minimum(np.shape(rms)[::-1], (_COLUMNS, np.inf))
    missing = np.maximum(cells - axes.get_window_extent().size, 0)
    width, height = figure.get_size_inches() + 1.2 * missing / figure.dpi
    figure.set_size_inches(width, height)
    canvas.draw()
    buffer = io.BytesIO()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    image = image.quantize(palette=_palette(), dither=Image.Dither.NONE)
    image.save(buffer, "png", optimize=True)
    return buffer.getvalue()


def _palette():
    """The colours of the map and greys for the letters: a third of the bytes.

    Not chosen from the picture: that would merge a rare red into its like.
    """
    greys = [colors.to_rgba(str(grey)) for grey in np.linspace(0, 1, 31)]
    rgba = [*_COLOURS(range(_COLOURS.N)), *greys, colors.to_rgba(_NON_FINITE)]
    palette = Image.new("P", (1, 1))
    palette.putpalette((np.array(rgba)[:, :3] * 255).astype("uint8").tobytes())
    return palette


def _spread(count, at_most):
    """Indices of so many ticks, the first and the last among them."""
    ticks = np.linspace(0, count - 1, min(count, at_most))
    return np.unique(ticks.round().astype(int)).tolist()


def _short(label: str) -> str:
    return label if len(label) <= _LETTERS else "…" + label[1 - _LETTERS :]
