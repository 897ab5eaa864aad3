"""Mixed pooling by its definition: look at the samples of each window, mix their largest and their average."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from striate.ops._reference import both_ends, each, places, window_taps

Numbers = int | Sequence[int]


def mixed_pool(rank: int) -> Callable[..., Tensor]:
    """The definition of ``mixed_pool1d``, ``mixed_pool2d`` or ``mixed_pool3d``."""

    def mixed_pool(
        input: Tensor,
        kernel_size: Numbers,
        stride: Numbers | None = None,
        padding: int | str | Sequence[int | Sequence[int]] = 0,
        dilation: Numbers = 1,
        ceil_mode: bool = False,
        *,
        alpha: float | Tensor | None = None,
        gate: Tensor | None = None,
        count_include_pad: bool = False,
    ) -> Tensor:
        sizes = input.shape[-rank:]
        kernel, dilations = each(kernel_size, rank), each(dilation, rank)
        strides = each(kernel if stride is None else stride, rank)
        ends = both_ends(padding, sizes, kernel, strides, dilations)
        dimensions = [
            window_taps(*window, ceil_mode)
            for window in zip(sizes, kernel, strides, ends, dilations, strict=True)
        ]
        padded = [size + before + after for size, (before, after) in zip(sizes, ends, strict=True)]
        shifted = [
            [[place + before for place in window] for window in taps]
            for taps, (before, _) in zip(dimensions, ends, strict=True)
        ]
        table, table_padded = places(dimensions, sizes), places(shifted, padded)
        flat = input.flatten(-rank)
        largest = flat.new_full((*flat.shape[:-1], len(table)), -torch.inf)
        sums, scores = torch.zeros_like(largest), torch.zeros_like(largest)
        for k, tap in enumerate(table.T):
            value = flat[..., tap]  # padding reads the last sample, and is passed over
            largest = torch.where((tap >= 0) & (value > largest), value, largest)
            sums = torch.where(tap >= 0, sums + value, sums)
            if gate is not None:
                scores = torch.where(tap >= 0, scores + value * gate.flatten(-rank)[..., k, None], scores)
        divisors = (table_padded if count_include_pad else table).ge(0).sum(1).clamp(min=1)
        share: float | Tensor = 0.5 if alpha is None else alpha
        if gate is not None:
            share = torch.sigmoid(scores)
        elif isinstance(alpha, Tensor):
            share = alpha.reshape(-1, 1)
        largest = torch.where(table.ge(0).any(1), largest, 0)
        mixed = largest * share + sums / divisors * (1 - share)
        return mixed.reshape(*input.shape[:-rank], *map(len, dimensions))

    return mixed_pool
