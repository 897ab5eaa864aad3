"""Convolution straight from its definition: a loop over output positions on an input padded by index."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from striate.geometry.arguments import Pads, Whole


def conv(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> Tensor:
    """What ``conv1d/2d/3d`` mean; the rank is that of the weight."""
    rank = weight.dim() - 2
    if input.dim() == rank + 1:
        return conv(input[None], weight, bias, stride, padding, dilation, groups, padding_mode)[0]
    strides, dilations = _each(stride, rank), _each(dilation, rank)
    kernel = weight.shape[2:]
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]

    padded, output = input, []
    for axis in range(rank):
        size, step = input.shape[2 + axis], strides[axis]
        before, after = _ends(padding, rank, axis, size, reach[axis], step)
        padded = _padded(padded, 2 + axis, before, after, padding_mode)
        output.append((before + size + after - reach[axis]) // step + 1)

    # (N, group, C_in of the group, …) and (group, C_out of the group, C_in of the group, …)
    padded = padded.reshape(padded.shape[0], groups, weight.shape[1], *padded.shape[2:])
    kernels = weight.reshape(groups, -1, *weight.shape[1:])
    values = []
    for position in product(*map(range, output)):
        taps = [
            slice(p * s, p * s + length, d)
            for p, s, length, d in zip(position, strides, reach, dilations, strict=True)
        ]
        window = padded[:, :, :, *taps]
        values.append((window.unsqueeze(2) * kernels).flatten(3).sum(3).flatten(1))
    result = torch.stack(values, 2).reshape(len(input), len(weight), *output)
    return result if bias is None else result + bias.reshape(-1, *(1,) * rank)


def _each(value: Whole, rank: int) -> tuple[int, ...]:
    numbers = (value,) if isinstance(value, int) else tuple(value)
    return numbers * rank if len(numbers) == 1 else numbers


def _ends(padding: Pads, rank: int, axis: int, size: int, reach: int, step: int) -> tuple[int, int]:
    """Samples added before and after one dimension."""
    if padding == "valid":
        return 0, 0
    if padding == "same":
        positions = (size + step - 1) // step
        total = max(0, (positions - 1) * step + reach - size)
        return total // 2, total - total // 2
    assert not isinstance(padding, str)
    parts = (padding,) if isinstance(padding, int) else tuple(padding)
    part = parts[axis if len(parts) > 1 else 0]
    return (part, part) if isinstance(part, int) else (part[0], part[1])


def _padded(values: Tensor, dimension: int, before: int, after: int, padding_mode: str) -> Tensor:
    """Every sample from where the mode says; zeros are one more sample after the last."""
    size = values.shape[dimension]
    edge = torch.zeros_like(values.narrow(dimension, 0, 1))
    places = [_source(place, size, padding_mode) for place in range(-before, size + after)]
    return torch.cat([values, edge], dimension).index_select(dimension, torch.tensor(places))


def _source(place: int, size: int, padding_mode: str) -> int:
    """The sample that stands at ``place``, which may lie before 0 or from ``size`` on."""
    if padding_mode == "zeros":
        return place if 0 <= place < size else size
    if padding_mode == "replicate":
        return min(max(place, 0), size - 1)
    if padding_mode == "circular":
        return place % size
    place = place % max(2 * size - 2, 1)  # a reflection repeats after there and back
    return min(place, 2 * size - 2 - place)
