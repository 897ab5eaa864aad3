"""Local convolution straight from its definition: a loop over output positions."""

from __future__ import annotations

from itertools import product
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.geometry.arguments import Pads, Whole
from striate.ops._checks import windows


def local_conv(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
) -> Tensor:
    """What ``local_conv1d/2d/3d`` mean; the rank is that of the weight."""
    rank = weight.dim() // 2 - 1
    if input.dim() == rank + 1:
        return local_conv(input[None], weight, bias, stride, padding, dilation, groups)[0]
    kernel = weight.shape[2 : 2 + rank]
    strides, pairs, dilations, output = windows(
        "local_conv", input.shape[2:], kernel, stride, padding, dilation
    )
    padded = F.pad(input, [end for pair in reversed(pairs) for end in pair])

    # (N, group, C_in of the group, …), and of each place (group, C_out of the group, C_in of the group, …)
    padded = padded.reshape(padded.shape[0], groups, weight.shape[1], *padded.shape[2:])
    kernels = weight.reshape(groups, -1, *weight.shape[1 : 2 + rank], prod(output)).unbind(-1)
    values = []
    for position, own in zip(product(*map(range, output)), kernels, strict=True):
        taps = [
            slice(p * s, p * s + d * (k - 1) + 1, d)
            for p, s, k, d in zip(position, strides, kernel, dilations, strict=True)
        ]
        window = padded[:, :, :, *taps]
        values.append((window.unsqueeze(2) * own).flatten(3).sum(3).flatten(1))
    result = torch.stack(values, 2).reshape(len(input), len(weight), *output)
    return result if bias is None else result + bias
