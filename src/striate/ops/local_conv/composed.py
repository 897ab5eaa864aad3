"""Local convolution by PyTorch's operators: one matrix product for each position, all in a batch."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.geometry.window import extent
from striate.ops._checks import Pairs
from striate.ops._layout import is_channels_last


def local_conv_composed(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    pairs: Pairs,
    dilation: Sequence[int],
) -> Tensor:
    """The operator for a batch whose arguments have been checked, padded by ``(before, after)`` pairs."""
    rank = input.dim() - 2
    kernel, output = weight.shape[2 : 2 + rank], weight.shape[2 + rank :]
    batch_size, out_channels, groups = input.shape[0], weight.shape[0], input.shape[1] // weight.shape[1]
    positions = prod(output)
    taps = weight.shape[1] * prod(kernel)  # numbers that one output is a sum of
    share = out_channels // groups
    channels_last = is_channels_last(input)

    padded = (
        F.pad(input, [end for pair in reversed(pairs) for end in pair]) if any(map(any, pairs)) else input
    )
    patches = _patches(padded, kernel, stride, dilation)
    patches = patches.view(batch_size, groups, weight.shape[1], *patches.shape[2:])
    columns = _positions_first(patches.transpose(0, 1).reshape(groups * batch_size * taps, positions))
    columns = columns.view(positions * groups, batch_size, taps)
    kernels = _positions_first(weight.reshape(out_channels * taps, positions))
    kernels = kernels.view(positions * groups, share, taps).transpose(1, 2)
    if bias is None:
        result = torch.bmm(columns, kernels)
    else:
        offsets = _positions_first(bias.reshape(out_channels, positions))
        result = torch.baddbmm(offsets.view(positions * groups, 1, share), columns, kernels)

    result = result.view(positions, groups, batch_size, share)
    if channels_last:
        result = result.permute(2, 0, 1, 3).contiguous()
        return result.view(batch_size, *output, out_channels).movedim(-1, 1)
    return result.permute(2, 1, 3, 0).contiguous().view(batch_size, out_channels, *output)


def _patches(input: Tensor, kernel: Sequence[int], stride: Sequence[int], dilation: Sequence[int]) -> Tensor:
    """A view ``(N, C, *kernel, *output)`` of all windows; nothing is copied."""
    rank = len(kernel)
    for dimension, (k, s, d) in enumerate(zip(kernel, stride, dilation, strict=True), start=2):
        input = input.unfold(dimension, extent(k, d), s)[..., ::d]
    return input.permute(0, 1, *range(2 + rank, 2 + 2 * rank), *range(2, 2 + rank))


def _positions_first(matrix: Tensor) -> Tensor:
    """The transpose in memory: PyTorch copies a plain matrix in blocks, several times faster than
    it permutes many dimensions in one go.
    """
    return matrix.t().contiguous()
