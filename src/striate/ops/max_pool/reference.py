"""Max pooling by its definition: look at the taps of a window one after the other, keep the best."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from striate.ops._reference import Taps, adaptive_taps, both_ends, each, places, window_taps

Pooled = Tensor | tuple[Tensor, Tensor]


def _pool(input: Tensor, dimensions: Sequence[Taps], return_indices: bool) -> Pooled:
    """The largest tap of every window: the first of equal ones, the last NaN; nothing gives −∞ and −1."""
    rank = len(dimensions)
    sizes = input.shape[-rank:]
    flat = input.flatten(-rank)
    table = places(dimensions, sizes)
    best = flat.new_full((*flat.shape[:-1], len(table)), -torch.inf)
    chosen = torch.full(best.shape, -1)
    for tap in table.T:
        value = flat.detach()[..., tap]  # padding reads the last sample, and is passed over
        better = (tap >= 0) & ((value > best) | value.isnan() | (chosen < 0))
        best = torch.where(better, value, best)
        chosen = torch.where(better, tap, chosen)
    values = torch.where(chosen < 0, best, flat.gather(-1, chosen.clamp(min=0)))
    shape = (*input.shape[:-rank], *(len(taps) for taps in dimensions))
    return (values.reshape(shape), chosen.reshape(shape)) if return_indices else values.reshape(shape)


def max_pool(rank: int) -> Callable[..., Pooled]:
    """The definition of ``max_pool1d``, ``max_pool2d`` or ``max_pool3d``."""

    def pool(
        input: Tensor,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | str | Sequence[int | Sequence[int]] = 0,
        dilation: int | Sequence[int] = 1,
        ceil_mode: bool = False,
        return_indices: bool = False,
    ) -> Pooled:
        sizes = input.shape[-rank:]
        kernel, dilations = each(kernel_size, rank), each(dilation, rank)
        strides = each(kernel if stride is None else stride, rank)
        ends = both_ends(padding, sizes, kernel, strides, dilations)
        dimensions = [
            window_taps(*window, ceil_mode)
            for window in zip(sizes, kernel, strides, ends, dilations, strict=True)
        ]
        return _pool(input, dimensions, return_indices)

    return pool


def adaptive_max_pool(rank: int) -> Callable[..., Pooled]:
    """The definition of ``adaptive_max_pool1d``, ``adaptive_max_pool2d`` or ``adaptive_max_pool3d``."""

    def pool(
        input: Tensor, output_size: int | Sequence[int | None] | None, return_indices: bool = False
    ) -> Pooled:
        sizes = input.shape[-rank:]
        wanted = [output_size] * rank if isinstance(output_size, int | None) else list(output_size)
        dimensions = [
            adaptive_taps(size, size if bins is None else bins)
            for size, bins in zip(sizes, wanted, strict=True)
        ]
        return _pool(input, dimensions, return_indices)

    return pool


def global_max_pool(rank: int) -> Callable[..., Pooled]:
    """The definition of ``global_max_pool1d``, ``global_max_pool2d`` or ``global_max_pool3d``."""

    def pool(input: Tensor) -> Pooled:
        return _pool(input, [adaptive_taps(size, 1) for size in input.shape[-rank:]], False)

    return pool
