"""Lp pooling by its definition: add up the powers of the taps of a window one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

import torch
from torch import Tensor

from striate.ops._reference import Taps, adaptive_taps, both_ends, each, places, window_taps

Numbers = int | Sequence[int]


def _power(x: Tensor, p: float | Tensor) -> Tensor:
    """``x^p``, with a gradient of 0 at 0."""
    return torch.where(x > 0, torch.where(x > 0, x, 1).pow(p), 0)


def pool(input: Tensor, p: float | Tensor, dimensions: Sequence[Taps], factors: Tensor) -> Tensor:
    """``(factor · Σ |x|^p)^(1/p)`` of every window, tap after tap; one factor for each position."""
    rank = len(dimensions)
    sizes = input.shape[-rank:]
    magnitudes = input.flatten(-rank).abs()
    is_largest = isinstance(p, float) and p == inf
    result: Tensor | None = None
    for tap in places(dimensions, sizes).T:
        value = torch.where(tap >= 0, magnitudes[..., tap], 0)  # padding reads the last sample, and is 0
        term = value if is_largest else _power(value, p)
        if result is None:
            result = term
        elif is_largest:  # of equal ones the first
            result = torch.where(term > result, term, result)
        else:
            result = result + term
    assert result is not None
    if not is_largest:
        result = _power(result * factors, 1 / p)
    return result.reshape(*input.shape[:-rank], *(len(taps) for taps in dimensions))


def lp_pool(rank: int) -> Callable[..., Tensor]:
    """The definition of ``lp_pool1d``, ``lp_pool2d`` or ``lp_pool3d``."""

    def lp_pool(
        input: Tensor,
        norm_type: float | Tensor,
        kernel_size: Numbers,
        stride: Numbers | None = None,
        ceil_mode: bool = False,
        *,
        padding: int | str | Sequence[int | Sequence[int]] = 0,
        dilation: Numbers = 1,
        mean: bool = False,
    ) -> Tensor:
        sizes = input.shape[-rank:]
        kernel, dilations = each(kernel_size, rank), each(dilation, rank)
        strides = each(kernel if stride is None else stride, rank)
        ends = both_ends(padding, sizes, kernel, strides, dilations)
        dimensions = [
            window_taps(*window, ceil_mode)
            for window in zip(sizes, kernel, strides, ends, dilations, strict=True)
        ]
        factors = torch.ones(1, dtype=torch.float64)  # of the positions, in row-major order
        for taps, size, k, (before, after) in zip(dimensions, sizes, kernel, ends, strict=True):
            start, stop = (0, size) if mean else (-before, size + after)
            counts = [max(sum(start <= place < stop for place in window), 1) for window in taps]
            along = torch.tensor([(1 if mean else k) / count for count in counts], dtype=torch.float64)
            factors = torch.outer(factors, along).flatten()
        return pool(input, norm_type, dimensions, factors)

    return lp_pool


def global_lp_pool(rank: int) -> Callable[..., Tensor]:
    """The definition of ``global_lp_pool1d``, ``global_lp_pool2d`` or ``global_lp_pool3d``."""

    def global_lp_pool(input: Tensor, norm_type: float | Tensor, mean: bool = False) -> Tensor:
        sizes = input.shape[-rank:]
        factor = torch.tensor([1 / sizes.numel() if mean else 1.0], dtype=torch.float64)
        return pool(input, norm_type, [adaptive_taps(size, 1) for size in sizes], factor)

    return global_lp_pool
