"""Small random networks of everything whose receptive field has rules, and what autograd says of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

CHANNELS = 4


class Step(nn.Module):
    """One function of one tensor, with positive weights for it."""

    def __init__(self, name: str, function: Callable[..., Tensor], *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.name = name
        self.function = function
        self.weights = nn.ParameterList(torch.rand(shape, dtype=torch.float64) + 0.1 for shape in shapes)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x, *self.weights) + 0.1  # nothing is 0, also where only padding is seen

    def extra_repr(self) -> str:
        return self.name


def asymmetric(draw: Any) -> list[int]:
    return [draw(st.integers(0, 2)) for _ in range(4)]


def convolution(draw: Any, height: int, width: int) -> Step | None:
    pads = asymmetric(draw)
    kernel = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    stride = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    dilation = draw(st.integers(1, 3)), draw(st.integers(1, 2))
    groups = draw(st.sampled_from([1, 2, CHANNELS]))
    need = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    if height + pads[2] + pads[3] < need[0] or width + pads[0] + pads[1] < need[1]:
        return None
    return Step(
        f"pad {pads} conv {kernel} stride {stride} dilation {dilation} groups {groups}",
        lambda x, w: F.conv2d(F.pad(x, pads), w, None, stride, 0, dilation, groups),
        (CHANNELS, CHANNELS // groups, *kernel),
    )


def transposed(draw: Any, height: int, width: int) -> Step | None:
    kernel, stride, dilation = draw(st.integers(1, 3)), draw(st.integers(1, 3)), draw(st.integers(1, 2))
    padding = draw(st.integers(0, 1))
    extra = draw(st.integers(0, max(stride, dilation) - 1))
    sizes = [(n - 1) * stride - 2 * padding + dilation * (kernel - 1) + extra + 1 for n in (height, width)]
    if min(sizes) < 1:
        return None
    return Step(
        f"transposed {kernel} stride {stride} padding {padding} extra {extra} dilation {dilation}",
        lambda x, w: F.conv_transpose2d(x, w, None, stride, padding, extra, 1, dilation),
        (CHANNELS, CHANNELS, kernel, kernel),
    )


def average(draw: Any, height: int, width: int) -> Step | None:
    kernel, stride = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    padding, up = draw(st.integers(0, kernel // 2)), draw(st.booleans())
    if min(height, width) + 2 * padding < kernel:
        return None
    return Step(
        f"average {kernel} stride {stride} padding {padding} ceil {up}",
        lambda x: F.avg_pool2d(x, kernel, stride, padding, up),
    )


def adaptive(draw: Any, height: int, width: int) -> Step:
    bins = draw(st.integers(1, min(height + 2, 9))), draw(st.integers(1, min(width + 2, 9)))
    return Step(f"adaptive {bins}", lambda x: F.adaptive_avg_pool2d(x, bins))


def upsample(draw: Any, height: int, width: int) -> Step:
    mode = draw(st.sampled_from(["nearest", "bilinear", "nearest-exact"]))
    return Step(f"upsample {mode}", lambda x: F.interpolate(x, scale_factor=2, mode=mode))


def moved(draw: Any, height: int, width: int) -> Step:
    choices: dict[str, Callable[[Tensor], Tensor]] = {
        "flip": lambda x: x.flip(2),
        "roll": lambda x: x.roll((1, -2), (2, 3)),
        "every other": lambda x: x[:, :, 1::2, ::2] if height > 1 else x[:, :, :, ::2],
        "cut": lambda x: x[:, :, : height - height // 3, width // 4 :],
        "transpose": lambda x: x.transpose(2, 3),
        "replicate": lambda x: F.pad(x, (2, 1, 0, 1), "replicate"),
        "circular": lambda x: F.pad(x, (1, 0, 1, 1), "circular"),
        "reflect": lambda x: F.pad(x, (min(1, width - 1), 0, min(1, height - 1), 0), "reflect"),
        "repeat": lambda x: x.repeat(1, 1, 1, 2),
        "look up": lambda x: x.index_select(2, torch.tensor([height - 1, 0])),
    }
    name = draw(st.sampled_from(sorted(choices)))
    return Step(name, choices[name])


def across(draw: Any, height: int, width: int) -> Step:
    """Layers that mix channels, and layouts of channels."""

    def shuffle(x: Tensor) -> Tensor:
        return F.channel_shuffle(x, 2)

    def last(x: Tensor, w: Tensor) -> Tensor:
        return F.linear(x.permute(0, 2, 3, 1), w).permute(0, 3, 1, 2)

    def halves(x: Tensor, w: Tensor) -> Tensor:
        left, right = x.chunk(2, 1)
        return torch.cat((left, F.conv2d(right, w, padding=1)), 1)

    def unshuffle(x: Tensor, w: Tensor) -> Tensor:
        x = F.pixel_unshuffle(x[:, :, : height // 2 * 2, : width // 2 * 2], 2)
        return F.conv2d(x, w)

    def patches(x: Tensor, w: Tensor) -> Tensor:
        n, c = x.shape[:2]
        x = x[:, :, : height // 2 * 2, : width // 2 * 2].reshape(n, c, height // 2, 2, width // 2, 2)
        return torch.einsum("nchawb,cdab->ndhw", x, w)

    def shuffled(x: Tensor, w: Tensor) -> Tensor:
        return F.pixel_shuffle(F.conv2d(x, w), 2)

    choices: dict[str, tuple[Any, ...]] = {
        "channel shuffle": (shuffle,),
        "linear on channels last": (last, (CHANNELS, CHANNELS)),
        "pixel shuffle": (shuffled, (CHANNELS * 4, CHANNELS, 1, 1)),
        "half the channels": (halves, (CHANNELS // 2, CHANNELS // 2, 3, 3)),
    }
    if min(height, width) > 1:
        choices["pixel unshuffle"] = (unshuffle, (CHANNELS, CHANNELS * 4, 1, 1))
        choices["patches"] = (patches, (CHANNELS, CHANNELS, 2, 2))
    name = draw(st.sampled_from(sorted(choices)))
    return Step(name, *choices[name])


def branches(draw: Any, height: int, width: int) -> Step:
    """Shortcuts and paths side by side."""

    def skip(x: Tensor, w: Tensor) -> Tensor:
        return x + F.conv2d(x, w, padding=2, dilation=2)

    def crossed(x: Tensor, w: Tensor, v: Tensor) -> Tensor:
        return F.conv2d(x, w, padding=(1, 0)) * F.conv2d(x, v, padding=(0, 2))

    def inception(x: Tensor, w: Tensor, v: Tensor) -> Tensor:
        return torch.cat((F.conv2d(x, w, padding=1), F.avg_pool2d(x, 3, 1, 1)[:, :1], F.conv2d(x, v)), 1)

    def squeeze(x: Tensor, w: Tensor) -> Tensor:
        return x * F.conv2d(x.mean((2, 3), keepdim=True), w)

    def rows(x: Tensor) -> Tensor:
        return x + x.sum(3, keepdim=True)

    def stacked(x: Tensor) -> Tensor:
        return torch.stack((x, x.flip(3))).sum(0)

    choices: dict[str, tuple[Any, ...]] = {
        "skip": (skip, (CHANNELS, CHANNELS, 3, 3)),
        "crossed": (crossed, (CHANNELS, CHANNELS, 3, 1), (CHANNELS, CHANNELS, 1, 5)),
        "inception": (inception, (CHANNELS - 2, CHANNELS, 3, 3), (1, CHANNELS, 1, 1)),
        "squeeze": (squeeze, (CHANNELS, CHANNELS, 1, 1)),
        "rows": (rows,),
        "stacked": (stacked,),
    }
    name = draw(st.sampled_from(sorted(choices)))
    return Step(name, *choices[name])


KINDS = (convolution, convolution, transposed, average, adaptive, upsample, moved, across, branches)


@st.composite
def models(
    draw: Any,
    kinds: tuple[Any, ...] = KINDS,
    most: int = 5,
    sizes: tuple[int, int] = (3, 13),
    largest: int = 26,
) -> tuple[nn.Sequential, tuple[int, int]]:
    """A network and the height and width of its pictures, of ``CHANNELS`` channels.

    Args:
        draw: hypothesis's.
        kinds: of steps.
        most: steps.
        sizes: least and largest height and width of the pictures.
        largest: height or width of what the steps give.
    """
    size = height, width = draw(st.integers(*sizes)), draw(st.integers(*sizes))
    steps = []
    for _ in range(draw(st.integers(1, most))):
        step = draw(st.sampled_from(kinds))(draw, height, width)
        if step is None:
            continue
        with torch.no_grad():
            after = step(torch.ones(1, CHANNELS, height, width, dtype=torch.float64)).shape[2:]
        if min(after) < 1 or max(after) > largest:
            continue
        height, width = after
        steps.append(step)
    return nn.Sequential(*steps), size


def support(model: nn.Module, size: tuple[int, ...]) -> Tensor:
    """Which pixels (last dimensions) each output position (first dimensions) depends on, by autograd."""
    x = (torch.rand(1, CHANNELS, *size, dtype=torch.float64) + 0.5).requires_grad_()
    y = model(x).sum(1)[0]
    rows = [torch.autograd.grad(value, x, retain_graph=True)[0] for value in y.flatten()]
    return (torch.stack(rows)[:, 0] != 0).any(1).reshape(*y.shape, *size)
