"""The drawings of the convolutions."""

from __future__ import annotations

import torch
from matplotlib.figure import Figure

from drawings import canvas as c
from striate import filters, functional, geometry


def conv() -> Figure:
    """Window, stride with padding, dilation: one 5×5 picture under one 3×3 kernel."""
    picture = torch.tensor(
        [[2.0, 1, 0, 0, 1], [1, 3, 2, 0, 0], [0, 2, 4, 1, 0], [1, 0, 2, 3, 1], [0, 1, 0, 1, 2]]
    )
    kernel = filters.sobel()

    def run(**options: int) -> torch.Tensor:
        return functional.conv2d(picture[None], kernel[None, None], **options)[0]

    figure, axes = c.sheet(34.3, 9.6)
    c.words(axes, 7, 0.6, "one output is a window times the kernel")
    window = {(i, j) for i in range(3) for j in range(1, 4)}
    c.grid(axes, picture, 0.5, 2, marked=window)
    c.grid(axes, kernel, 6.2, 3, c.YELLOW)
    c.grid(axes, run(), 10.3, 3, c.GREEN, {(0, 1)})
    c.words(axes, 5.85, 4.5, "×", 10)
    c.arrow(axes, (9.35, 4.5), (10.15, 4.5))

    c.words(axes, 20, 0.6, "stride 2, padding 1")
    padded = torch.nn.functional.pad(picture, (1, 1, 1, 1))
    ring = {(i, j) for i in range(7) for j in range(7) if not (0 < i < 6 and 0 < j < 6)}
    c.grid(axes, padded, 14.8, 1.3, marked=ring, mark=c.GREY)
    for row in range(3):
        for column in range(3):
            c.frame(axes, 15.88 + 2 * column, 2.38 + 2 * row, 0.84, 0.84, "#c2554d", 1.8)
    c.arrow(axes, (21.95, 4.8), (22.75, 4.8))
    c.grid(axes, run(stride=2, padding=1), 22.9, 3.3, c.GREEN)
    c.words(axes, 18.3, 8.8, "framed: where the middle of the kernel stops", 8)

    c.words(axes, 30.2, 0.6, "dilation 2")
    taps = {(i, j) for i in range(0, 5, 2) for j in range(0, 5, 2)}
    c.grid(axes, picture, 27.2, 2, marked=taps)
    c.arrow(axes, (32.3, 4.5), (32.8, 4.5))
    c.grid(axes, run(dilation=2), 32.9, 4, c.GREEN, {(0, 0)})
    c.words(axes, 29.7, 8, f"9 taps, {geometry.extent(3, 2)}×{geometry.extent(3, 2)} samples", 8)
    return figure


def conv_transpose() -> Figure:
    """The lecture's example in one dimension, and overlaps in two."""
    signal, kernel = torch.tensor([2.0, 3, 0, -1]), torch.tensor([1.0, 2, -1])
    result = functional.conv_transpose1d(signal[None, None], kernel[None, None])[0]
    figure, axes = c.sheet(29, 8.8)
    c.words(axes, 7, 0.6, "every input sends the whole kernel, what meets is added")
    for row, value in enumerate(signal):
        c.grid(axes, value, 0.5, 1.6 + 1.2 * row)
        c.words(axes, 2.75, 2.1 + 1.2 * row, "× (1, 2, −1)", 8)
        c.arrow(axes, (4.1, 2.1 + 1.2 * row), (4.8 + row, 2.1 + 1.2 * row))
        c.grid(axes, value * kernel, 5 + row, 1.6 + 1.2 * row, c.YELLOW)
    c.words(axes, 4.3, 7.2, "sum", 9)
    c.grid(axes, result, 5, 6.7, c.GREEN)

    c.words(axes, 21.5, 0.6, "stride 2: some outputs are met more often than others")
    ones = torch.ones(1, 1, 2, 2)
    c.grid(axes, ones[0, 0], 14.5, 3.2)
    c.words(axes, 15.5, 5.9, "2×2", 8)
    c.grid(axes, torch.ones(3, 3), 17.9, 2.7, c.YELLOW)
    c.arrow(axes, (21.3, 4.2), (22.3, 4.2))
    overlap = functional.conv_transpose2d(ones, torch.ones(1, 1, 3, 3), stride=2)[0, 0]
    often = {tuple(place) for place in (overlap > 1).nonzero().tolist()}
    c.grid(axes, overlap, 22.9, 1.7, c.GREEN, often)
    c.words(axes, 25.4, 7.2, "5×5: the checkerboard", 8)
    return figure


def local_conv() -> Figure:
    """Shared weights against weights of their own, neuron by neuron."""
    signal = torch.tensor([[1.0, 2, 0, 3, 1]])
    shared = torch.tensor([[[1.0, -1, 2]]])
    own = torch.tensor([[1.0, 2, -1], [-1, 1, 0], [2, 0, 1]]).T[None, None]  # (1, 1, taps, outputs)
    figure, axes = c.sheet(24, 7.6)
    for left, title, outputs, colours in (
        (1.0, "conv: 3 weights, shared", functional.conv1d(signal, shared), lambda position, tap: tap),
        (
            13.5,
            "local_conv: 9 weights, one for each line",
            functional.local_conv1d(signal, own),
            lambda position, tap: 3 * position + tap,
        ),
    ):
        c.words(axes, left + 4.7, 0.6, title)
        for position in range(3):
            for tap in range(3):
                start = left + 0.5 + 2.1 * (position + tap)
                axes.plot(
                    [start, left + 2.6 + 2.1 * position],
                    [5.6, 2.6],
                    color=c.SHADES[colours(position, tap)],
                    linewidth=2.4,
                    zorder=1,
                )
        for i in range(5):
            c.grid(axes, signal[0, i], left + 2.1 * i, 5.6)
        for i in range(3):
            c.grid(axes, outputs[0, i], left + 2.1 * (i + 1), 1.6, c.GREEN)
    return figure


def separable_conv() -> Figure:
    """A coloured picture: each channel under its own kernel, then 1×1 across the results."""
    picture = c.photograph()
    kernels = torch.stack([filters.sobel(axis=1) / 4, filters.gaussian(3), filters.sobel(axis=0) / 4])
    mixing = torch.tensor([[1.0, 0, 1], [-1, 1, 0]])
    figure, axes = c.sheet(31.5, 12.4)
    c.words(axes, 2.5, 0.6, "3 channels")
    c.words(axes, 11, 0.6, "depthwise: a kernel for each")
    c.words(axes, 25, 0.6, "1×1: every output mixes all of them")
    c.picture(axes, picture, 0.3, 4.4, 3.6)
    maps = functional.conv2d(picture[None], kernels[:, None], groups=3, padding=1)[0]
    for i in range(3):
        top = 1.4 + 3.7 * i
        c.arrow(axes, (4.05, 6.2), (4.85, top + 1.6))
        c.picture(axes, picture[i], 5, top, 3.2)
        c.grid(axes, kernels[i], 8.9, top + 0.4, c.YELLOW, side=0.8, size=6)
        c.arrow(axes, (11.5, top + 1.6), (12.2, top + 1.6))
        c.picture(axes, maps[i], 12.4, top, 3.2, low=-1 if i != 1 else 0)
    result = functional.separable_conv2d(picture[None], kernels[:, None], mixing[..., None, None], padding=1)[
        0
    ]
    for j in range(2):
        top = 2.2 + 4.6 * j
        for i in range(3):
            c.arrow(axes, (15.75, 3 + 3.7 * i), (16.9, top + 1.8), c.SHADES[j], 0.9)
        c.grid(axes, mixing[j], 17.1, top + 1.3, c.YELLOW)
        c.arrow(axes, (20.3, top + 1.8), (21.1, top + 1.8))
        c.picture(axes, result[j], 21.3, top, 3.6, low=-1)
    dense, cheap = (
        rule((64, 28, 28), 64, 3, padding=1, bias=False).weights
        for rule in (geometry.conv, geometry.separable_conv)
    )
    c.words(
        axes,
        25.3,
        6.2,
        f"64 → 64 channels, 3×3:\n{dense:,} weights\nas a standard convolution,\n{cheap:,} so",
        8,
        "left",
    )
    return figure


def spatial_separable_conv() -> Figure:
    """Sobel's kernel as a column and a row."""
    picture = torch.tensor(
        [[2.0, 1, 0, 0, 1], [1, 3, 2, 0, 0], [0, 2, 4, 1, 0], [1, 0, 2, 3, 1], [0, 1, 0, 1, 2]]
    )
    column, row = torch.tensor([[1.0], [2], [1]]), torch.tensor([[-1.0, 0, 1]])
    between = functional.conv2d(picture[None], column[None, None])[0]
    result = functional.spatial_separable_conv2d(picture[None], column[None, None], row[None, None])[0]
    figure, axes = c.sheet(32, 7.4)
    c.words(axes, 11.6, 0.6, "3×1, then 1×3: 6 weights")
    c.grid(axes, picture, 0.4, 1.5, marked={(i, 1) for i in range(3)})
    c.grid(axes, column, 6.2, 2.5, c.YELLOW)
    c.arrow(axes, (7.4, 4), (8.2, 4))
    c.grid(axes, between, 8.5, 2.5, marked={(0, j) for j in range(1, 4)})
    c.grid(axes, row, 14.3, 3.5, c.YELLOW)
    c.arrow(axes, (17.5, 4), (18.3, 4))
    c.grid(axes, result, 18.6, 2.5, c.GREEN, {(0, 1)})
    c.words(axes, 27.4, 0.6, "the same 3×3 kernel: 9 weights")
    c.words(axes, 23, 4, "=", 14)
    whole = functional.conv2d(picture[None], (column * row)[None, None])[0]
    assert torch.equal(whole, result)
    c.grid(axes, column * row, 24.2, 2.5, c.YELLOW)
    c.arrow(axes, (27.4, 4), (28.1, 4))
    c.grid(axes, whole, 28.4, 2.5, c.GREEN, {(0, 1)})
    return figure


def flattened_conv() -> Figure:
    """A coloured picture across its channels, down its columns, along its rows."""
    picture = c.photograph()
    across = torch.tensor([0.3, 0.6, 0.1])
    down = filters.gaussian(5, 1.2, rank=1)
    along = filters.sobel(rank=1)
    steps = (across.view(1, 3, 1, 1), down.view(1, 1, 5, 1), along.view(1, 1, 1, 3))
    grey = functional.conv2d(picture[None], steps[0])[0, 0]
    smooth = functional.conv2d(grey[None, None], steps[1], padding="same")[0, 0]
    result = functional.flattened_conv2d(picture[None], *steps, padding="same")[0, 0]
    figure, axes = c.sheet(31, 8)
    for i in (2, 1, 0):
        c.picture(axes, picture[i], 0.5 + 0.5 * i, 1.6 + 0.5 * i, 4)
    c.words(axes, 3.2, 7.3, "3 channels", 8)
    c.words(axes, 8.2, 0.6, "across the channels")
    c.grid(axes, across[:, None], 7.1, 2.6, c.YELLOW, side=1.1)
    c.arrow(axes, (8.6, 4.2), (9.5, 4.2))
    c.picture(axes, grey, 9.8, 2.2, 4)
    c.words(axes, 15.6, 0.6, "down")
    c.grid(axes, down[:, None], 15, 1.7, c.YELLOW)
    c.arrow(axes, (16.3, 4.2), (17.3, 4.2))
    c.picture(axes, smooth, 17.6, 2.2, 4)
    c.words(axes, 23.6, 0.6, "along")
    c.grid(axes, along, 22.1, 3.7, c.YELLOW)
    c.arrow(axes, (25.3, 4.2), (26.1, 4.2))
    c.picture(axes, result, 26.4, 2.2, 4, low=-0.5, high=0.5)
    c.words(axes, 15.5, 7.5, "3 + 5 + 3 = 11 weights in place of 3 · 5 · 3 = 45", 8)
    return figure


def parallel_conv() -> Figure:
    """Branches of different reach on one picture, side by side."""
    picture = c.photograph().mean(0)
    kernels = {"1×1": filters.identity(1), "3×3": filters.sobel(), "5×5": filters.outline(5)}
    ranges = ((0.0, 1.0), (-2.8, 2.8), (-8.0, 8.0))
    result = functional.parallel_conv(picture[None, None], [k[None, None] for k in kernels.values()])[0]
    figure, axes = c.sheet(26, 12.2)
    c.picture(axes, picture, 0.4, 4, 4)
    for i, (name, kernel) in enumerate(kernels.items()):
        top = 0.8 + 3.8 * i
        c.arrow(axes, (4.6, 6), (6.3, top + 1.7))
        side = min(3.3 / len(kernel), 1.0)
        start = -len(kernel) * side / 2
        c.grid(axes, kernel, 8.2 + start, top + 1.7 + start, c.YELLOW, side=side, size=9 if i < 2 else 6)
        c.words(axes, 11.1, top + 1.7, name)
        c.arrow(axes, (12.1, top + 1.7), (13.4, top + 1.7))
        c.picture(axes, result[i], 13.7, top, 3.4, low=ranges[i][0], high=ranges[i][1])
        c.arrow(axes, (17.3, top + 1.7), (19, 6 + 0.35 * (i - 1)))
    for i in (2, 1, 0):
        c.picture(axes, result[i], 19.4 + 0.8 * i, 3.6 + 0.6 * i, 3.8, low=ranges[i][0], high=ranges[i][1])
    c.words(axes, 22, 9.5, "concatenated: 3 channels")
    return figure


def conv_pool() -> Figure:
    """Convolution, ReLU and pooling in one pass: the maps between are never kept."""
    picture = torch.tensor(
        [
            [2, 1, 0, 0, 1, 3],
            [1, 3, 2, 0, 0, 1],
            [0, 2, 4, 1, 0, 0],
            [1, 0, 2, 3, 1, 2],
            [0, 1, 0, 1, 2, 0],
            [2, 0, 1, 0, 3, 1],
        ]
    ).float()
    kernel = filters.sobel()
    before = functional.conv2d(picture[None], kernel[None, None])[0]
    result = functional.conv_pool2d(picture[None], kernel[None, None], pool_size=2)[0]
    figure, axes = c.sheet(29, 8.6)
    c.grid(axes, picture, 0.4, 1.6, marked={(i, j) for i in range(4) for j in range(4)})
    c.grid(axes, kernel, 7.2, 3.1, c.YELLOW)
    c.arrow(axes, (10.4, 4.6), (11.1, 4.6))
    c.grid(axes, before, 11.4, 2.6, c.GREY, {(i, j) for i in range(2) for j in range(2)})
    c.arrow(axes, (15.6, 4.6), (16.3, 4.6))
    c.grid(axes, before.relu(), 16.6, 2.6, c.GREY, {(i, j) for i in range(2) for j in range(2)})
    c.arrow(axes, (20.8, 4.6), (21.5, 4.6))
    c.grid(axes, result, 21.8, 3.6, c.GREEN, {(0, 0)})
    for x, text in ((8.7, "3×3 convolution"), (18.6, "ReLU"), (22.8, "max-pool 2"), (13.4, "4×4")):
        c.words(axes, x, 1.2, text, 8)
    c.words(axes, 16, 7.6, "grey: computed a few numbers at a time, never stored", 8)
    return figure
