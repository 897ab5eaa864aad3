"""What the drawings are made of: grids of numbers, pictures, arrows and words.

Lengths are cells; y runs down. The background is transparent, words outside cells are of a middle grey and
cells are light with dark numbers, so that a drawing stands on light and dark pages alike.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch, Rectangle
from skimage import data
from torch import Tensor

INCHES = 0.36  # side of a cell
INK = "#7d8590"
DARK = "#1f2328"
BLUE, YELLOW, GREEN = "#b9d6f2", "#f6dfa4", "#bfe5c4"  # what comes in, the kernel, what goes out
RED = "#f2a48f"  # what the drawing points at
GREY = "#e3e6ea"  # padding
SHADES = ("#4c8fd6", "#e0912f", "#3fa05a", "#c2554d", "#8a63c9", "#b0a02a", "#2f9fa8", "#d069a6", "#77818c")


def sheet(width: float, height: float) -> tuple[Figure, Axes]:
    """An empty canvas of so many cells."""
    figure = plt.figure(figsize=(width * INCHES, height * INCHES))
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    axes.set_axis_off()
    axes.set_autoscale_on(False)
    return figure, axes


def photograph() -> Tensor:
    """A coloured picture, ``(3, 96, 96)`` from 0 to 1: the cat that scikit-image carries."""
    cat = torch.from_numpy(data.chelsea()[:288, 90:378].copy()).float().permute(2, 0, 1) / 255
    return torch.nn.functional.avg_pool2d(cat, 3)


def grid(
    axes: Axes,
    values: Tensor,
    x: float,
    y: float,
    fill: str = BLUE,
    marked: Collection[tuple[int, int]] = (),
    mark: str = RED,
    side: float = 1.0,
    size: float = 9,
) -> None:
    """A matrix (or a row) of numbers with its upper left corner at ``(x, y)``; ``size`` is the letters'."""
    values = torch.atleast_2d(values)
    for row, column in torch.cartesian_prod(*map(torch.arange, values.shape)).tolist():
        left, top = x + column * side, y + row * side
        colour = mark if (row, column) in marked else fill
        axes.add_patch(Rectangle((left, top), side, side, facecolor=colour, edgecolor=INK, linewidth=0.8))
        axes.text(
            left + side / 2,
            top + side / 2,
            written(float(values[row, column])),
            color=DARK,
            fontsize=size,
            ha="center",
            va="center_baseline",
        )


def written(value: float) -> str:
    """A number in at most four characters, with a true minus.

    >>> written(-2.0), written(2.25), written(-0.3333)
    ('−2', '2.25', '−.33')
    """
    text = f"{value:.0f}" if abs(value - round(value)) < 5e-4 else f"{value:.2f}".rstrip("0")
    text = text.replace("0.", ".") if text.startswith("-0.") else text
    return "0" if text in ("-0", "-.") else text.replace("-", "−")


def picture(
    axes: Axes,
    values: Tensor,
    x: float,
    y: float,
    width: float,
    height: float | None = None,
    low: float = 0.0,
    high: float = 1.0,
    cmap: str = "gray",
) -> None:
    """A grey picture ``(H, W)`` or a coloured one ``(3, H, W)``; the frame is drawn."""
    height = width if height is None else height
    shown = values.movedim(0, -1).clamp(0, 1) if values.dim() == 3 else values
    axes.imshow(
        shown.numpy(),
        cmap=cmap,
        vmin=low,
        vmax=high,
        extent=(x, x + width, y + height, y),
        interpolation="none",
        aspect="auto",
        zorder=2,
    )
    frame(axes, x, y, width, height)


def frame(
    axes: Axes, x: float, y: float, width: float, height: float, colour: str = INK, thick: float = 0.8
) -> None:
    """A rectangle without a filling."""
    axes.add_patch(Rectangle((x, y), width, height, fill=False, edgecolor=colour, linewidth=thick, zorder=2))


def arrow(
    axes: Axes, start: tuple[float, float], end: tuple[float, float], colour: str = INK, thick: float = 1.2
) -> None:
    """From ``start`` to ``end``."""
    axes.add_patch(
        FancyArrowPatch(
            start,
            end,
            arrowstyle="-|>",
            mutation_scale=9,
            color=colour,
            linewidth=thick,
            shrinkA=0,
            shrinkB=0,
            zorder=4,
        )
    )


def words(
    axes: Axes, x: float, y: float, text: str, size: float = 9, where: str = "center", colour: str = INK
) -> None:
    """Text around ``(x, y)``: ``where`` is ``"left"``, ``"center"`` or ``"right"``."""
    axes.text(x, y, text, color=colour, fontsize=size, ha=where, va="center", linespacing=1.4)
