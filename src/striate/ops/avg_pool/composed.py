"""Average pooling composed of other operators, for what PyTorch's own does not take."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.geometry.window import extent
from striate.ops._checks import autocasts
from striate.ops._pool import Placement, Windows, crop, place

POOLS: dict[int, Any] = {2: F.avg_pool2d, 3: F.avg_pool3d}


def is_half_on_cpu(input: Tensor) -> bool:
    """Whether PyTorch lacks an operator for volumes of this dtype."""
    return (
        input.dtype in (torch.bfloat16, torch.float16)
        and input.device.type == "cpu"
        and not autocasts(input)  # which computes in float32
    )


def as_picture(windows: Windows) -> Windows:
    """Windows of a signal as those of a picture of one row."""
    return Windows(
        (1, *windows.kernel),
        (1, *windows.stride),
        ((0, 0), *windows.padding),
        (1, *windows.dilation),
        (1, *windows.output),
    )


def averages(
    input: Tensor, windows: Windows, count_include_pad: bool, divisor_override: int | None
) -> Tensor:
    """Average pooling with any padding and dilation.

    First the mean over all taps of a window, which does not overflow where a sum of 16-bit numbers
    would; then corrected where the divisor is another.
    """
    sizes = tuple(input.shape[-len(windows.kernel) :])
    is_dilated = set(windows.dilation) != {1}
    # Volumes are padded by hand, see is_half_on_cpu; kernels larger than a volume too.
    placement = place(windows, sizes, pads_inside=len(sizes) < 3 and not is_dilated)
    taken = prod(placement.kernel) if divisor_override is None else divisor_override
    padded = placement.pad(input, 0.0)
    if is_dilated or (len(sizes) == 3 and is_half_on_cpu(input)):
        padded = padded.to(torch.promote_types(input.dtype, torch.float32))
    if is_dilated:
        means = _dilated_sums(padded, windows, placement) / taken
    else:
        inside = placement.inside
        pooled = POOLS[len(sizes)](padded, placement.kernel, windows.stride, inside, False, True, taken)
        means = crop(pooled, windows.output)
    dtype = input.dtype if means.dtype == padded.dtype else means.dtype  # autocast chooses
    if divisor_override is None:
        correction: Tensor | float = 1.0
        for dimension, size in enumerate(sizes):
            share = _share(windows, placement.kernel, dimension, size, count_include_pad, means)
            correction = correction * share
        if isinstance(correction, Tensor) or correction != 1:
            means = means * correction
    return means.to(dtype)


def _dilated_sums(padded: Tensor, windows: Windows, placement: Placement) -> Tensor:
    """The sum of every window, one dimension after the other: the k-th taps of all windows are a slice."""
    sums = padded
    for dimension in range(-len(windows.kernel), 0):
        stride, dilation = windows.stride[dimension], placement.dilation[dimension]
        span = (windows.output[dimension] - 1) * stride + 1
        each: tuple[Any, ...] = (..., slice(None, None, stride), *(slice(None),) * (-1 - dimension))
        taps = [
            sums.narrow(dimension, tap * dilation, span)[each] for tap in range(placement.kernel[dimension])
        ]
        sums = sum(taps[1:], start=taps[0])
    return sums


def _share(
    windows: Windows,
    kernel: tuple[int, ...],
    dimension: int,
    size: int,
    count_include_pad: bool,
    like: Tensor,
) -> Tensor | float:
    """Along one dimension, how many taps a mean was taken over for each that counts, ready to broadcast."""
    k, s, d = windows.kernel[dimension], windows.stride[dimension], windows.dilation[dimension]
    before, after = windows.padding[dimension]
    positions = windows.output[dimension]
    start, stop = (-before, size + after) if count_include_pad else (0, size)
    if start == -before and (positions - 1) * s + extent(k, d) - before <= stop:
        return kernel[dimension] / k
    first = torch.arange(positions, device=like.device) * s - before
    behind = ((stop - 1 - first) // d + 1).clamp(0, k)
    ahead = (-((first - start) // d)).clamp(0, k)
    counted = (behind - ahead).clamp(min=1).to(torch.promote_types(like.dtype, torch.float32))
    return (kernel[dimension] / counted).reshape(-1, *(1,) * (len(kernel) - 1 - dimension))
