"""The drawings of the poolings."""

from __future__ import annotations

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from drawings import canvas as c
from striate import functional, geometry

WINDOWS = torch.tensor([[1.0, 4, 2, 3], [5, 8, 4, 1], [7, 6, 0, 5], [2, 3, 9, 4]])

FRAME = "#c2554d"


def max_pool() -> Figure:
    """The lecture's 4×4 picture with stride 2 and stride 1, and where the gradient goes."""
    figure, axes = c.sheet(33.5, 8.4)
    for left, title, stride in ((0.5, "window 2×2, stride 2", 2), (11.5, "window 2×2, stride 1", 1)):
        c.words(axes, left + 4.4, 0.6, title)
        best, where = functional.max_pool2d(WINDOWS[None], 2, stride, return_indices=True)
        winners = {divmod(int(index), 4) for index in where.flatten()}
        c.grid(axes, WINDOWS, left, 1.8, marked=winners)
        if stride == 2:
            for row in (0, 2):
                for column in (0, 2):
                    c.frame(axes, left + column, 1.8 + row, 2, 2, FRAME, 2)
        c.arrow(axes, (left + 4.3, 3.8), (left + 5.2, 3.8))
        c.grid(axes, best[0], left + 5.5, 2.8 if stride == 2 else 2.3, c.GREEN)
    picture = WINDOWS.clone().requires_grad_()
    functional.max_pool2d(picture[None], 2, 1).sum().backward()
    assert picture.grad is not None
    c.words(axes, 27.3, 0.6, "backward, stride 1: only the largest learn")
    c.grid(axes, torch.ones(3, 3), 22.5, 2.3, c.GREEN)
    c.arrow(axes, (25.8, 3.8), (26.7, 3.8))
    reached = {tuple(place) for place in picture.grad.nonzero().tolist()}
    c.grid(axes, picture.grad, 27, 1.8, marked=reached)
    c.words(axes, 29, 6.5, "how many windows each one won", 8)
    c.words(axes, 8, 7.2, "red: the largest of a window", 8)
    return figure


def avg_pool() -> Figure:
    """What the border is divided by."""
    figure, axes = c.sheet(28, 8.6)
    padded = torch.nn.functional.pad(WINDOWS, (1, 1, 1, 1))
    ring = {(i, j) for i in range(6) for j in range(6) if not (0 < i < 5 and 0 < j < 5)}
    c.words(axes, 3.5, 0.6, "window 2×2, stride 2, padding 1")
    c.grid(axes, padded, 0.5, 1.5, marked=ring, mark=c.GREY)
    for row in range(3):
        for column in range(3):
            c.frame(axes, 0.5 + 2 * column, 1.5 + 2 * row, 2, 2, FRAME, 2)
    for left, title, counted in (
        (9.5, "zeros are counted: every sum ÷ 4", True),
        (19.5, "only samples: ÷ 1, ÷ 2, ÷ 4", False),
    ):
        mean = functional.avg_pool2d(WINDOWS[None], 2, 2, 1, count_include_pad=counted)[0]
        c.words(axes, left + 3, 1.6, title)
        c.words(axes, left + 3, 7.2, f"count_include_pad={counted}", 8)
        c.grid(axes, mean, left + 0.9, 2.6, c.GREEN, side=1.4)
    c.arrow(axes, (7, 4.5), (9.6, 4.5))
    return figure


def lp_pool() -> Figure:
    """From the mean (or the sum) to the maximum as p grows, for the window 1, 4, 5, 8."""
    window = WINDOWS[:2, :2]
    powers = torch.logspace(-0.5, 1.7, 60).tolist()
    figure, axes = c.sheet(28, 12)
    c.words(axes, 3, 2.6, "one window")
    c.grid(axes, window, 2, 3.4)
    for i, p in enumerate((1.0, 2.0, float("inf"))):
        c.words(axes, 1.4, 7 + 1.4 * i, f"p = {'∞' if p == float('inf') else f'{p:.0f}'}", 8.5, "left")
        c.grid(axes, functional.lp_pool2d(window[None], p, 2)[0], 4, 6.4 + 1.4 * i, c.GREEN, side=1.2)
    chart = figure.add_axes((0.36, 0.15, 0.61, 0.78))
    chart.set_facecolor("none")
    for is_mean, colour, label in ((False, c.SHADES[0], "(Σ |x|^p)^(1/p)"), (True, c.SHADES[1], "mean=True")):
        values = [float(functional.lp_pool2d(window[None], p, 2, mean=is_mean)) for p in powers]
        chart.plot(powers, values, color=colour, linewidth=2, label=label)
    for value, name in ((8, "the largest, 8"), (4.5, "the mean, 4.5")):
        chart.axhline(value, color=c.INK, linewidth=0.8, linestyle=":")
        chart.text(powers[-1], value + 0.25, name, color=c.INK, fontsize=8, ha="right")
    chart.set_xscale("log", base=2)
    chart.set_xticks([0.5, 1, 2, 4, 8, 16, 32], ["½", "1", "2", "4", "8", "16", "32"])
    chart.set_ylim(0, 20)
    chart.set_xlabel("p", color=c.INK, labelpad=-2)
    chart.tick_params(which="both", colors=c.INK, labelsize=8)
    for spine in chart.spines.values():
        spine.set_color(c.INK)
    chart.legend(frameon=False, labelcolor=c.INK, fontsize=9)
    return figure


def mixed_pool() -> Figure:
    """The average, the maximum, and between them."""
    figure, axes = c.sheet(29, 6.6)
    c.grid(axes, WINDOWS, 0.5, 1.6)
    for row in (0, 2):
        for column in (0, 2):
            c.frame(axes, 0.5 + column, 1.6 + row, 2, 2, FRAME, 2)
    c.arrow(axes, (4.9, 3.6), (6.4, 3.6))
    for i, alpha in enumerate((0.0, 0.25, 0.5, 1.0)):
        left = 7.2 + 5.5 * i
        name = {0.0: "α = 0, the average", 1.0: "α = 1, the maximum"}.get(alpha, f"α = {alpha}")
        c.words(axes, left + 1.7, 1.2, name, 8.5)
        c.grid(axes, functional.mixed_pool2d(WINDOWS[None], 2, alpha=alpha)[0], left, 1.9, c.GREEN, side=1.7)
    c.words(axes, 17.2, 6, "α · max + (1 − α) · average")
    return figure


def pyramid_pool() -> Figure:
    """Two pictures of different sizes become vectors of one length."""
    cat = c.photograph().mean(0)
    levels = (4, 2, 1)
    figure, axes = c.sheet(31, 13.4)
    c.words(axes, 25.2, 0.8, "21 numbers for each channel")
    for top, picture in ((1.2, cat[16:76]), (7.3, cat[:, 24:84])):
        height, width = (side / 20 for side in picture.shape)
        c.words(axes, 0.4, top + 2.3, "×".join(map(str, picture.shape)), 8.5, "left")
        vector = functional.pyramid_pool2d(picture[None, None], levels)
        start = 20.0
        for i, bins in enumerate(levels):
            left = 3.4 + 5.4 * i
            c.picture(axes, picture, left, top, width, height)
            _draw_bins(axes, picture, bins, left, top)
            c.words(axes, left + width / 2, top + height + 0.5, f"{bins}×{bins}", 8)
            c.words(axes, start + bins * bins / 4, top + 3.4, str(bins * bins), 8)
            start += bins * bins / 2
        c.arrow(axes, (19.2, top + 2.3), (19.9, top + 2.3))
        c.picture(axes, vector, 20, top + 1.6, 10.5, 1.4, float(vector.min()), float(vector.max()))
        for i in range(vector.numel()):
            c.frame(axes, 20 + i / 2, top + 1.6, 0.5, 1.4)
    return figure


def _draw_bins(axes: Axes, picture: Tensor, bins: int, left: float, top: float) -> None:
    rows, columns = (geometry.adaptive_windows(side, bins) for side in picture.shape)
    for above, below in rows:
        for before, after in columns:
            place = (left + before / 20, top + above / 20)
            c.frame(axes, *place, (after - before) / 20, (below - above) / 20, FRAME, 1.3)


def spectral_pool() -> Figure:
    """The lowest frequencies of a picture, against every fourth maximum."""
    cat = c.photograph().mean(0)
    side, kept = cat.shape[-1], 24
    spectrum = torch.fft.fftshift(torch.fft.fft2(cat)).abs().log()
    figure, axes = c.sheet(31, 8.2)
    c.picture(axes, cat, 0.4, 1.5, 5.6)
    c.words(axes, 3.2, 0.7, f"{side}×{side}")
    c.arrow(axes, (6.3, 4.3), (7.5, 4.3))
    c.picture(
        axes,
        spectrum,
        7.8,
        1.5,
        5.6,
        low=float(spectrum.quantile(0.05)),
        high=float(spectrum.max()),
        cmap="viridis",
    )
    width = 5.6 * kept / side
    c.frame(axes, 10.6 - width / 2, 4.3 - width / 2, width, width, "#ff7b6b", 2)
    c.words(axes, 10.6, 0.7, "its spectrum")
    c.words(axes, 10.6, 7.6, f"framed: the {kept}×{kept} that stay", 8)
    c.arrow(axes, (13.7, 4.3), (14.9, 4.3))
    c.picture(axes, functional.spectral_pool2d(cat[None], kept)[0], 15.2, 1.5, 5.6)
    c.words(axes, 18, 0.7, f"spectral pooling, {kept}×{kept}")
    c.picture(axes, functional.max_pool2d(cat[None], side // kept)[0], 24, 1.5, 5.6)
    c.words(axes, 26.8, 0.7, f"max-pooling, {kept}×{kept}")
    return figure
