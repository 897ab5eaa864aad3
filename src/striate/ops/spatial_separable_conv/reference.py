"""Spatially separable convolution as the one convolution whose kernels it factors."""

from __future__ import annotations

import torch
from torch import Tensor

from striate.geometry.arguments import Pads, Whole
from striate.ops.conv.reference import conv


def spatial_separable_conv2d(
    input: Tensor,
    vertical_weight: Tensor,
    horizontal_weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
) -> Tensor:
    """What the function of this name means."""
    kernel = product([vertical_weight, horizontal_weight], groups)
    return conv(input, kernel, bias, stride, padding, dilation)


def spatial_separable_conv3d(
    input: Tensor,
    depth_weight: Tensor,
    vertical_weight: Tensor,
    horizontal_weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
) -> Tensor:
    """What the function of this name means."""
    kernel = product([depth_weight, vertical_weight, horizontal_weight], groups)
    return conv(input, kernel, bias, stride, padding, dilation)


def product(weights: list[Tensor], groups: int) -> Tensor:
    """The weight of one convolution that does what those of ``weights``, one after the other, do.

    From channel ``c`` to ``o`` it is ``Σ_m second[o, m] · first[m, c]``, where taps along different
    axes multiply out to a kernel of both; a pair of channels in different groups has zeros.
    """
    kernel = _full(weights[0], groups)
    for weight in weights[1:]:
        kernel = (_full(weight, groups).unsqueeze(2) * kernel.unsqueeze(0)).sum(1)
    return kernel


def _full(weight: Tensor, groups: int) -> Tensor:
    """The weight of one group that does what ``weight`` does with ``groups``."""
    blocks = []
    for group, block in enumerate(weight.chunk(groups)):
        around = [torch.zeros_like(block)] * groups
        around[group] = block
        blocks.append(torch.cat(around, 1))
    return torch.cat(blocks)
