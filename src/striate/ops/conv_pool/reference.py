"""Convolution, activation and pooling straight from their definitions: loops over output positions."""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import product
from typing import Any

import torch
from torch import Tensor

from striate.geometry.arguments import Pads, Whole
from striate.ops._reference import both_ends, each, window_taps

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": lambda x: torch.where(x > 0, x, torch.where(x <= 0, 0 * x, x)),  # NaN stays
    "gelu": lambda x: x * (1 + torch.erf(x / math.sqrt(2))) / 2,
    "sigmoid": lambda x: 1 / (1 + torch.exp(-x)),
    "silu": lambda x: x / (1 + torch.exp(-x)),
    "tanh": lambda x: 1 - 2 / (torch.exp(2 * x) + 1),
}


def conv_pool(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
    activation: str = "relu",
    pool: str = "max",
    pool_size: Whole = 2,
    pool_stride: Whole | None = None,
) -> Tensor:
    """What ``conv_pool1d/2d/3d`` mean; the rank is that of the weight."""
    rank = weight.dim() - 2
    if input.dim() == rank + 1:
        options = (stride, padding, dilation, groups, activation, pool, pool_size, pool_stride)
        return conv_pool(input[None], weight, bias, *options)[0]
    mapped = ACTIVATIONS[activation](_convolution(input, weight, bias, stride, padding, dilation, groups))

    window = each(pool_size, rank)
    step = window if pool_stride is None else each(pool_stride, rank)
    taps = [
        window_taps(size, q, t, (0, 0), 1, ceil_mode=False)
        for size, q, t in zip(mapped.shape[2:], window, step, strict=True)
    ]
    results = []
    for position in product(*taps):
        seen = torch.stack([_at(mapped, place) for place in product(*position)])
        # Of equal numbers the first wins, as argmax has it.
        results.append(
            seen.mean(0) if pool == "avg" else seen.gather(0, _first_of_largest(seen)[None]).squeeze(0)
        )
    shape = (*mapped.shape[:2], *(len(places) for places in taps))
    return torch.stack(results, -1).view(shape)


def _at(tensor: Tensor, place: Any) -> Tensor:
    """All of the first two dimensions at one place of the others."""
    return tensor[(slice(None), slice(None), *place)]


def _first_of_largest(values: Tensor) -> Tensor:
    """Index along the first dimension; NaN is larger than anything."""
    best = torch.zeros(values.shape[1:], dtype=torch.int64)
    largest = values[0].detach()
    for index, value in enumerate(values.detach()):
        wins = (value > largest) | value.isnan()
        best = torch.where(wins, index, best)
        largest = torch.where(wins, value, largest)
    return best


def _convolution(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Whole,
    padding: Pads,
    dilation: Whole,
    groups: int,
) -> Tensor:
    kernel, sizes = weight.shape[2:], input.shape[2:]
    rank = len(kernel)
    strides, dilations = each(stride, rank), each(dilation, rank)
    ends = both_ends(padding, sizes, kernel, strides, dilations)
    taps = [
        window_taps(*of_axis, ceil_mode=False)
        for of_axis in zip(sizes, kernel, strides, ends, dilations, strict=True)
    ]
    seen_by = input.shape[1] // groups
    made_of = weight.shape[0] // groups
    results = []
    for position in product(*taps):  # of every axis, the places that its window reads
        sums = input.new_zeros(input.shape[0], weight.shape[0])
        for tap in product(*map(range, kernel)):
            place = tuple(places[t] for places, t in zip(position, tap, strict=True))
            if all(0 <= p < size for p, size in zip(place, sizes, strict=True)):
                pixel = _at(input, place)
                parts = [
                    pixel[:, g * seen_by : (g + 1) * seen_by]
                    @ _at(weight[g * made_of : (g + 1) * made_of], tap).T
                    for g in range(groups)
                ]
                sums = sums + torch.cat(parts, 1)
        results.append(sums if bias is None else sums + bias)
    return torch.stack(results, -1).view(*results[0].shape, *(len(places) for places in taps))
