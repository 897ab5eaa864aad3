"""Average pooling by its definition: add the taps of a window, divide by how many count."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from math import prod

import torch
from torch import Tensor

from striate.ops._reference import Taps, adaptive_taps, both_ends, each, places, window_taps


def _sums(input: Tensor, dimensions: Sequence[Taps]) -> Tensor:
    """The sum of every window's taps in the picture, ``(…, positions)``."""
    rank = len(dimensions)
    table = places(dimensions, input.shape[-rank:])
    flat = torch.nn.functional.pad(input.flatten(-rank), (0, 1))  # padding, −1 in the table, reads this zero
    return flat[..., table].sum(-1)


def _shaped(result: Tensor, input: Tensor, dimensions: Sequence[Taps]) -> Tensor:
    return result.reshape(*input.shape[: -len(dimensions)], *(len(taps) for taps in dimensions))


def _counts(dimensions: Sequence[Taps], ranges: Sequence[range]) -> Tensor:
    """How many taps of every window lie in ``ranges``, one of each dimension; 1 where none does."""
    along = [
        [sum(tap in inside for tap in window) for window in taps]
        for taps, inside in zip(dimensions, ranges, strict=True)
    ]
    return torch.tensor([max(prod(counts), 1) for counts in product(*along)])


def avg_pool(rank: int) -> Callable[..., Tensor]:
    """The definition of ``avg_pool2d`` and ``avg_pool3d``; of ``avg_pool1d`` but for ``divisor_override``."""

    def pool(
        input: Tensor,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] | None = None,
        padding: int | str | Sequence[int | Sequence[int]] = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        dilation: int | Sequence[int] = 1,
    ) -> Tensor:
        sizes = input.shape[-rank:]
        kernel, dilations = each(kernel_size, rank), each(dilation, rank)
        strides = each(kernel if stride is None else stride, rank)
        ends = both_ends(padding, sizes, kernel, strides, dilations)
        dimensions = [
            window_taps(*window, ceil_mode)
            for window in zip(sizes, kernel, strides, ends, dilations, strict=True)
        ]
        sums = _sums(input, dimensions)
        if divisor_override is not None:
            return _shaped(sums / divisor_override, input, dimensions)
        counted = [
            range(-before, size + after) if count_include_pad else range(size)
            for size, (before, after) in zip(sizes, ends, strict=True)
        ]
        return _shaped(sums / _counts(dimensions, counted), input, dimensions)

    return pool


def avg_pool1d(
    input: Tensor,
    kernel_size: int | Sequence[int],
    stride: int | Sequence[int] | None = None,
    padding: int | str | Sequence[int | Sequence[int]] = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    dilation: int | Sequence[int] = 1,
) -> Tensor:
    """The definition of ``avg_pool1d``, which has no ``divisor_override``."""
    return avg_pool(1)(input, kernel_size, stride, padding, ceil_mode, count_include_pad, dilation=dilation)


def adaptive_avg_pool(rank: int) -> Callable[..., Tensor]:
    """The definition of ``adaptive_avg_pool1d``, ``adaptive_avg_pool2d`` or ``adaptive_avg_pool3d``."""

    def pool(input: Tensor, output_size: int | Sequence[int | None] | None) -> Tensor:
        sizes = input.shape[-rank:]
        wanted = [output_size] * rank if isinstance(output_size, int | None) else list(output_size)
        dimensions = [
            adaptive_taps(size, size if bins is None else bins)
            for size, bins in zip(sizes, wanted, strict=True)
        ]
        return _mean(input, dimensions)

    return pool


def global_avg_pool(rank: int) -> Callable[..., Tensor]:
    """The definition of ``global_avg_pool1d``, ``global_avg_pool2d`` or ``global_avg_pool3d``."""

    def pool(input: Tensor) -> Tensor:
        return _mean(input, [adaptive_taps(size, 1) for size in input.shape[-rank:]])

    return pool


def _mean(input: Tensor, dimensions: Sequence[Taps]) -> Tensor:
    counts = _counts(dimensions, [range(size) for size in input.shape[-len(dimensions) :]])
    return _shaped(_sums(input, dimensions) / counts, input, dimensions)
