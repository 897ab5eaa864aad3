"""What the Python sides of the poolings' kernels share: which calls they take, and how windows are told to them."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from striate.ops._layout import memory_format
from striate.ops._pool import Windows

SMALLEST = 4096  # numbers: below, the call is what takes time
MOST_TAPS = 100  # of windows whose taps are listed
LEAST_COLUMNS = 8  # of a result whose lanes are columns


def batch_obstacle(input: Tensor, rank: int) -> str:
    """Why the kernels do not take an input of this shape and layout; empty when they do."""
    if input.dim() != rank + 2 or any(size < 1 for size in input.shape):
        return "without a batch, or with nothing in it"
    if rank == 3 and not input.is_contiguous():
        return "PyTorch's result would be contiguous"
    return ""


def fits_kernel(windows: Windows, input: Tensor) -> bool:
    """Whether the windows have few enough taps to list them, and there are lanes for enough of them.

    Where the call is what takes time, no lanes are needed: instead of the kernel there would be several calls.
    """
    is_wide = windows.output[-1] >= LEAST_COLUMNS or not input.is_contiguous() or input.numel() < SMALLEST
    return prod(windows.kernel) <= MOST_TAPS and is_wide


def lists_of(windows: Windows) -> tuple[Any, ...]:
    """The windows as kernels take them, the padding as b₀, a₀, b₁, a₁, …

    A single window has a stride of 1: kernels lay out rows by strides, and any was allowed.
    """
    ends = [end for pair in windows.padding for end in pair]
    strides = [
        1 if size == 1 else stride for size, stride in zip(windows.output, windows.stride, strict=True)
    ]
    return windows.kernel, strides, ends, windows.dilation, windows.output


def windows_of(lists: Any) -> Windows:
    """The windows that a kernel was given."""
    kernel, stride, ends, dilation, size = map(tuple, lists)
    return Windows(kernel, stride, tuple(zip(ends[::2], ends[1::2], strict=True)), dilation, size)


def empty_result(input: Tensor, size: Any) -> Tensor:
    """Of the size that the windows give, in the layout of the input."""
    return torch.empty(
        (*input.shape[:2], *size),
        dtype=input.dtype,
        device=input.device,
        memory_format=memory_format(input),
    )
