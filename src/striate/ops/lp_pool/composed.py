"""The norms of windows from their taps, gathered by PyTorch's operators: for calls that no kernel takes."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from striate.geometry.window import extent
from striate.ops._layout import memory_format
from striate.ops._pool import Placement, Windows, counted, place
from striate.ops.lp_pool.norm import norm

MOST_TAPS_AT_ONCE = 16


def norms_of_windows(x: Tensor, p: float | Tensor, windows: Windows, mean: bool) -> Tensor:
    """The norm of every window: at once, or as a norm of norms along one dimension after the other."""
    rank = len(windows.kernel)
    sizes = x.shape[-rank:]
    placement = place(windows, sizes, pads_inside=False)
    order = list(range(x.dim()))  # compute as it lies in memory
    if memory_format(x) is not torch.contiguous_format:
        order.append(order.pop(1))
    axes = [order.index(x.dim() - rank + dimension) for dimension in range(rank)]
    x = placement.pad(x.abs(), 0.0).permute(order)

    taps = prod(placement.kernel)
    is_cheap = taps <= MOST_TAPS_AT_ONCE and taps <= 2 * prod(windows.stride)
    for group in [range(rank)] if is_cheap else [[dimension] for dimension in range(rank)]:
        weight: float | Tensor = 1.0
        stacked = x.unsqueeze(0)
        for d in group:
            shape = [1] * (x.dim() + 1)
            shape[axes[d] + 1] = windows.output[d]
            along = _weight(windows, d, sizes[d], mean, x)
            weight = weight * (along.reshape(shape) if isinstance(along, Tensor) else along)
            stacked = _taps(stacked, axes[d] + 1, windows.output[d], windows.stride[d], placement, d)
        x = norm(stacked, p, [0], weight).squeeze(0)
    return x.movedim(-1, 1) if order[-1] == 1 else x


def _taps(x: Tensor, axis: int, positions: int, stride: int, placement: Placement, dimension: int) -> Tensor:
    """The taps of the windows along ``axis``, gathered in the first dimension."""
    span = (positions - 1) * stride + 1
    every: tuple[Any, ...] = (*(slice(None),) * axis, slice(None, None, stride))
    dilation = placement.dilation[dimension]
    return torch.cat(
        [x.narrow(axis, tap * dilation, span)[every] for tap in range(placement.kernel[dimension])]
    )


def _weight(windows: Windows, dimension: int, size: int, mean: bool, like: Tensor) -> float | Tensor:
    """What the sum of the powers of each window is multiplied by, along one dimension."""
    k, s, d = windows.kernel[dimension], windows.stride[dimension], windows.dilation[dimension]
    before, after = windows.padding[dimension]
    start, stop = (0, size) if mean else (-before, size + after)
    if start == -before and (windows.output[dimension] - 1) * s + extent(k, d) - before <= stop:
        return 1 / k if mean else 1.0
    taps = counted(windows, dimension, start, stop, like.device).clamp(min=1).to(like.dtype)
    return (1 if mean else k) / taps
