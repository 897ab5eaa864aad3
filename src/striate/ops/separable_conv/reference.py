"""Depthwise separable convolution as the one convolution whose kernels it factors."""

from __future__ import annotations

import torch
from torch import Tensor

from striate.geometry.arguments import Pads, Whole
from striate.ops.conv.reference import conv


def separable_conv(
    input: Tensor,
    depthwise_weight: Tensor,
    pointwise_weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
) -> Tensor:
    """What ``separable_conv1d/2d/3d`` mean; the rank is that of the weights.

    The kernel from channel ``c`` to ``o`` is ``Σ_j pointwise[o, cm + j] · depthwise[cm + j]``.
    """
    rank = depthwise_weight.dim() - 2
    channels = input.shape[-1 - rank]
    multiplier = depthwise_weight.shape[0] // channels
    rows = []
    for shares in pointwise_weight.flatten(1):
        scaled = shares.view(-1, *(1,) * rank) * depthwise_weight.squeeze(1)
        rows.append(torch.stack([part.sum(0) for part in scaled.split(multiplier)]))
    return conv(input, torch.stack(rows), bias, stride, padding, dilation)
