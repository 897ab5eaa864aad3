"""Transposed convolution straight from its definition: one tap after the other is laid on the output."""

from __future__ import annotations

from itertools import product

import torch
from torch import Tensor

from striate.geometry.arguments import Whole


def conv_transpose(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Whole = 0,
    output_padding: Whole = 0,
    groups: int = 1,
    dilation: Whole = 1,
    output_size: Whole | None = None,
) -> Tensor:
    """What ``conv_transpose1d/2d/3d`` mean; the rank is that of the weight."""
    rank = weight.dim() - 2
    if input.dim() == rank + 1:
        if output_size is not None and not isinstance(output_size, int):
            output_size = tuple(output_size)[-rank:]
        batch = input[None]
        return conv_transpose(
            batch, weight, bias, stride, padding, output_padding, groups, dilation, output_size
        )[0]
    kernel, sizes = weight.shape[2:], input.shape[2:]
    strides, dilations, cuts = _each(stride, rank), _each(dilation, rank), _each(padding, rank)
    # Everything that a copy of the kernel touches.
    touched = [
        (n - 1) * s + d * (k - 1) + 1 for n, k, s, d in zip(sizes, kernel, strides, dilations, strict=True)
    ]
    if output_size is None:
        added = _each(output_padding, rank)
        output = [whole - 2 * cut + extra for whole, cut, extra in zip(touched, cuts, added, strict=True)]
    else:
        output = list(_each(output_size, rank)[-rank:])
    canvas = [max(whole, cut + size) for whole, cut, size in zip(touched, cuts, output, strict=True)]

    # (N, group, C_in of the group, …) and (group, C_in of the group, C_out of the group, tap)
    share = weight.shape[0] // groups
    values = input.reshape(len(input), groups, share, *sizes)
    kernels = weight.reshape(groups, share, weight.shape[1], kernel.numel())
    result = input.new_zeros(len(input), groups, weight.shape[1], *canvas)
    for number, tap in enumerate(product(*map(range, kernel))):
        places = [
            slice(d * k, d * k + s * (n - 1) + 1, s)
            for k, n, s, d in zip(tap, sizes, strides, dilations, strict=True)
        ]
        laid = torch.zeros_like(result)
        laid[:, :, :, *places] = torch.einsum("ngc...,gco->ngo...", values, kernels[..., number])
        result = result + laid
    kept = [slice(cut, cut + size) for cut, size in zip(cuts, output, strict=True)]
    result = result[:, :, :, *kept].flatten(1, 2)
    return result if bias is None else result + bias.reshape(-1, *(1,) * rank)


def _each(value: Whole, rank: int) -> tuple[int, ...]:
    numbers = (value,) if isinstance(value, int) else tuple(value)
    return numbers * rank if len(numbers) == 1 else numbers
