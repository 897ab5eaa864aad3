"""Local convolution straight from its definition: a loop over output positions."""

from __future__ import annotations

from itertools import product

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

    kernels = weight.flatten(2 + rank)
    inputs_of_group = input.shape[1] // groups
    outputs_of_group = weight.shape[0] // groups
    channels = []
    for channel in range(weight.shape[0]):
        first = channel // outputs_of_group * inputs_of_group
        values = []
        for place, position in enumerate(product(*map(range, output))):
            taps = [
                slice(p * s, p * s + d * (k - 1) + 1, d)
                for p, s, k, d in zip(position, strides, kernel, dilations, strict=True)
            ]
            window = padded[:, first : first + inputs_of_group, *taps]
            value = (window * kernels[channel, ..., place]).flatten(1).sum(1)
            values.append(value if bias is None else value + bias.flatten(1)[channel, place])
        channels.append(torch.stack(values, 1).view(-1, *output))
    return torch.stack(channels, 1)
