"""Parallel convolution branch by branch, each by the definition of convolution."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from striate.geometry.arguments import Whole
from striate.ops.conv.reference import conv


def parallel_conv(
    input: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None] | None = None,
    stride: Whole = 1,
    dilation: Whole = 1,
    groups: int | Sequence[int] = 1,
) -> Tensor:
    """What the function of this name means."""
    branches = []
    for index, weight in enumerate(weights):
        bias = None if biases is None else biases[index]
        group = groups if isinstance(groups, int) else groups[index]
        branches.append(conv(input, weight, bias, stride, "same", dilation, group))
    return torch.cat(branches, dim=1 - weights[0].dim())
