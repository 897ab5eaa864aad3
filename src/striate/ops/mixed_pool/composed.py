"""Mixed pooling of given windows by PyTorch's operators, which have gradients of gradients."""

from __future__ import annotations

from math import inf, prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.geometry.window import extent
from striate.ops._pool import Windows, counted, crop
from striate.ops.avg_pool.composed import as_picture, averages

LARGEST: dict[int, Any] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
CONVOLUTIONS: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def mixed(
    input: Tensor, weights: Tensor, is_gated: bool, windows: Windows, count_include_pad: bool
) -> Tensor:
    """``share · max + (1 − share) · average``, with weights as the kernel takes them."""
    rank = len(windows.kernel)
    x = input.to(weights.dtype)
    margins = [end for pair in reversed(reached(windows, input)) for end in pair]
    peak = LARGEST[rank](F.pad(x, margins, value=-inf), windows.kernel, windows.stride, 0, windows.dilation)
    peak = torch.where(is_empty(windows, input), 0.0, crop(peak, windows.output))
    if rank == 1:
        mean = averages(x.unsqueeze(-2), as_picture(windows), count_include_pad, None).squeeze(-2)
    else:
        mean = averages(x, windows, count_include_pad, None)
    if is_gated:
        gate = weights.t().reshape(-1, 1, *windows.kernel)
        scores = CONVOLUTIONS[rank](
            F.pad(x, margins), gate, None, windows.stride, 0, windows.dilation, gate.shape[0]
        )
        share = torch.sigmoid(crop(scores, windows.output))
    else:
        share = weights.reshape(-1, *(1,) * rank)
    return (peak * share + mean * (1 - share)).to(input.dtype)


def reached(windows: Windows, input: Tensor) -> list[tuple[int, int]]:
    """How many samples before and behind the picture the windows reach, for each dimension."""
    return [
        (before, max((o - 1) * s + extent(k, d) - before - n, 0))
        for n, k, s, d, o, (before, _) in zip(
            input.shape[-len(windows.kernel) :],
            windows.kernel,
            windows.stride,
            windows.dilation,
            windows.output,
            windows.padding,
            strict=True,
        )
    ]


def is_empty(windows: Windows, input: Tensor) -> Tensor:
    """Which windows have no tap in the picture."""
    rank = len(windows.kernel)
    taps = [
        counted(windows, d, 0, input.shape[d - rank], input.device).reshape(-1, *(1,) * (rank - 1 - d))
        for d in range(rank)
    ]
    return prod(taps, start=torch.ones((), dtype=torch.int64, device=input.device)) == 0
