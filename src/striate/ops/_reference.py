"""How the slow references find the samples of a window: one list of places for every output position."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from math import prod

import torch
from torch import Tensor

from striate.geometry.window import same_padding

Taps = list[list[int]]  # of one dimension: for every output position, the places that its window reads
Ends = tuple[int, int]


def each(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """``value`` for every dimension."""
    numbers = (value,) if isinstance(value, int) else tuple(value)
    return numbers * rank if len(numbers) == 1 else numbers


def both_ends(
    padding: int | str | Sequence[int | Sequence[int]],
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> list[Ends]:
    """``padding`` as ``(before, after)`` for every dimension."""
    if padding == "same":
        return [same_padding(*window) for window in zip(sizes, kernel, stride, dilation, strict=True)]
    parts = [0] if isinstance(padding, str) else [padding] if isinstance(padding, int) else list(padding)
    pairs = [(part, part) if isinstance(part, int) else (part[0], part[1]) for part in parts]
    return pairs * len(sizes) if len(pairs) == 1 else pairs


def window_taps(size: int, kernel: int, stride: int, ends: Ends, dilation: int, ceil_mode: bool) -> Taps:
    """Places that sliding windows read along one dimension, also those in the padding.

    >>> window_taps(4, 2, 2, (1, 0), 1, ceil_mode=True)
    [[-1, 0], [1, 2], [3, 4]]
    """
    before, after = ends
    reach = dilation * (kernel - 1) + 1
    starts = list(range(-before, size + after - reach + 1, stride))
    if ceil_mode:  # one window more if anything is left for it; the last must not start in the padding behind
        following = starts[-1] + stride if starts else -before
        if following - stride + reach < size + after:
            starts.append(following)
        if starts[-1] >= size:
            starts.pop()
    return [[start + dilation * tap for tap in range(kernel)] for start in starts]


def adaptive_taps(size: int, bins: int) -> Taps:
    """Places that the windows of adaptive pooling read along one dimension: ``[⌊i·n/b⌋, ⌈(i + 1)·n/b⌉)``.

    >>> adaptive_taps(5, 2)
    [[0, 1, 2], [2, 3, 4]]
    """
    return [list(range(i * size // bins, ((i + 1) * size + bins - 1) // bins)) for i in range(bins)]


def places(dimensions: Sequence[Taps], sizes: Sequence[int]) -> Tensor:
    """Flat index of every tap of every window in row-major order, ``(positions, taps)``; −1 is padding.

    >>> places([[[0, 1], [1, 2]]], [2])
    tensor([[ 0,  1],
            [ 1, -1]])
    """
    windows = [list(product(*window)) for window in product(*dimensions)]
    most = max((len(window) for window in windows), default=1)
    table = torch.full((len(windows), most), -1)
    for position, window in enumerate(windows):
        for tap, place in enumerate(window):
            if all(0 <= p < size for p, size in zip(place, sizes, strict=True)):
                table[position, tap] = sum(p * prod(sizes[d + 1 :]) for d, p in enumerate(place))
    return table
