"""Parallel convolution as one convolution for each branch and a concatenation."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from striate.errors import ArgumentError, ArgumentTypeError
from striate.geometry.arguments import Whole
from striate.ops._checks import (
    REFUSALS,
    check_bias,
    check_floating,
    check_groups,
    check_rank,
    check_weight,
    in_step,
    windows,
)
from striate.ops.conv.op import conv1d, conv2d, conv3d

CONVOLUTIONS = {1: conv1d, 2: conv2d, 3: conv3d}


def parallel_conv(
    input: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None] | None = None,
    stride: Whole = 1,
    dilation: Whole = 1,
    groups: int | Sequence[int] = 1,
) -> Tensor:
    """Several convolutions of the same input, side by side; their outputs are concatenated by channel.

    ``y = [conv(x, weight_1), …, conv(x, weight_B)]`` along the channels, where every branch is padded
    with the zeros that its own kernel needs for ⌈n / stride⌉ positions (``"same"``), so that all sizes
    agree whatever the kernels are.

    Args:
        input: ``(N, C_in, *size)`` or ``(C_in, *size)``, in one to three dimensions.
        weights: one for each branch: ``(C_b, C_in / groups, *kernel)``. Their rank is that of the operator.
        biases: one ``(C_b,)`` or ``None`` for each branch.
        stride: samples from one window to the next, in all branches.
        dilation: samples from one tap to the next, in all branches.
        groups: blocks of channels that do not see each other: one number, or one for each branch.

    Returns:
        ``(N, C_1 + … + C_B, *output)`` or without the batch, with ``output = ⌈size / stride⌉``.

    Raises:
        ArgumentError: shapes, dtypes or sizes that do not fit together, or no branch.

    Source:
        Szegedy et al., *Going deeper with convolutions*, arXiv 1409.4842 (Inception), section 4.

    >>> image = torch.ones(1, 3, 3)
    >>> parallel_conv(image, [torch.ones(1, 1, 1, 1), torch.ones(1, 1, 3, 3)])
    tensor([[[1., 1., 1.],
             [1., 1., 1.],
             [1., 1., 1.]],
    <BLANKLINE>
            [[4., 6., 4.],
             [6., 9., 6.],
             [4., 6., 4.]]])
    """
    try:
        offsets = [None] * len(weights) if biases is None else biases
        blocks = groups if isinstance(groups, (list, tuple)) else [groups] * len(weights)
        # What the convolutions would take, and this operator does not:
        if not input.is_floating_point() or isinstance(weights, Tensor):
            _check(input, weights, biases, stride, dilation, groups)
        rank = weights[0].dim() - 2
        convolve = CONVOLUTIONS.get(rank, conv2d)  # which says that it has no such rank
        branches = [
            convolve(input, weight, bias, stride, "same", dilation, group)
            for weight, bias, group in zip(weights, offsets, blocks, strict=True)
        ]
        return torch.cat(branches, -1 - rank)
    except REFUSALS as error:
        _check(input, weights, biases, stride, dilation, groups)
        raise in_step("parallel_conv", error) from error


def _check(
    input: Tensor,
    weights: Sequence[Tensor],
    biases: Sequence[Tensor | None] | None,
    stride: Whole,
    dilation: Whole,
    groups: int | Sequence[int],
) -> None:
    """Raise the error that says what is wrong with the arguments, if anything is."""
    operator = "parallel_conv"
    for name, value in (("weights", weights), ("biases", biases)):
        if not isinstance(value, list | tuple) and not (name == "biases" and value is None):
            raise ArgumentTypeError(
                f"{operator}: {name} came as {type(value).__name__}; wanted a list with one for each branch"
            )
    if not weights:
        raise ArgumentError(f"{operator}: weights came empty; wanted at least one branch")
    for name, values in (("biases", biases), ("groups", groups)):
        if isinstance(values, list | tuple) and len(values) != len(weights):
            raise ArgumentError(
                f"{operator}: {name} came with {len(values)} entries; wanted {len(weights)}, one for each of the weights"
            )
    named = {f"weights[{index}]": weight for index, weight in enumerate(weights)}
    offsets = {f"biases[{index}]": bias for index, bias in enumerate(biases or [])}
    check_floating(operator, input=input, **named, **offsets)
    rank = weights[0].dim() - 2
    if rank not in CONVOLUTIONS:
        raise ArgumentError(
            f"{operator}: weights[0] came with {rank + 2} dimensions, {tuple(weights[0].shape)}; wanted 3, 4 or 5: "
            f"(C_out, C_in / groups, *kernel)"
        )
    check_rank(operator, input, rank)
    blocks = groups if isinstance(groups, list | tuple) else [groups] * len(weights)
    for (name, weight), group in zip(named.items(), blocks, strict=True):
        check_weight(operator, name, weight, rank)
        check_groups(operator, name, input.shape[-1 - rank], weight.shape, group)
        windows(operator, tuple(input.shape[-rank:]), tuple(weight.shape[2:]), stride, "same", dilation)
    for (name, bias), weight in zip(offsets.items(), weights, strict=False):
        check_bias(operator, name, bias, weight.shape[:1])
