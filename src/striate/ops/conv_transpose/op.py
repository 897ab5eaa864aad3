"""Transposed convolution in one, two and three dimensions: PyTorch's own, and the size that you want."""

from __future__ import annotations

from typing import Any

from torch import Tensor
from torch.nn import functional as F

from striate.errors import ArgumentError
from striate.geometry.arguments import Whole
from striate.geometry.window import transposed_output_size
from striate.ops._checks import (
    AXES,
    REFUSALS,
    check_addressable,
    check_alike,
    check_bias,
    check_not_empty,
    check_rank,
    check_weight,
    per_dimension,
)
from striate.ops._layout import memory_format
from striate.ops._plan import Plan, planned
from striate.ops.conv.depthwise import depthwise_obstacle
from striate.ops.conv.faults import are_plain, at, is_onednns, is_ordinary
from striate.ops.conv.few_channels import stays_inside
from striate.ops.conv_transpose.depthwise import depthwise_transpose_plan
from striate.ops.conv_transpose.few_channels import (
    few_channels_transpose_obstacle,
    few_channels_transpose_plan,
)

PYTORCHS: dict[int, Any] = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}


def conv_transpose1d(
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
    """Transposed convolution along one dimension; see :func:`conv_transpose2d`.

    Args:
        input: ``(N, C_in, L)`` or ``(C_in, L)``.
        weight: ``(C_in, C_out / groups, k)``.
        bias: ``(C_out,)``.
        stride, padding, output_padding, groups, dilation, output_size: see :func:`conv_transpose2d`.

    Returns:
        ``(N, C_out, L_out)`` or ``(C_out, L_out)``.

    >>> import torch
    >>> signal = torch.tensor([[2.0, 3.0, 0.0, -1.0]])
    >>> conv_transpose1d(signal, torch.tensor([[[1.0, 2.0, -1.0]]]))  # the lecture's
    tensor([[ 2.,  7.,  4., -4., -2.,  1.]])
    """
    return _conv_transpose(
        "conv_transpose1d",
        1,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
        output_size,
    )


def conv_transpose2d(
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
    """Transposed convolution: every input number lays a scaled copy of the kernel on the output.

    ``y[n, o, p · stride + k · dilation − padding] += x[n, c, p] · weight[c, o, k]``

    for all positions ``p``, taps ``k`` and input channels ``c`` of the group of ``o``; then the bias is
    added. It is the transpose (the gradient) of :func:`conv2d` with the same weight, and not its
    inverse, which is why "deconvolution" is a poor name. Where the kernel is not a multiple of the
    stride, outputs are sums of different numbers of copies: the checkerboard.

    What :func:`torch.nn.functional.conv_transpose2d` takes gives the same numbers. Beyond that,
    ``output_size`` says how large the result is to be.

    Args:
        input: ``(N, C_in, H, W)`` or ``(C_in, H, W)``.
        weight: ``(C_in, C_out / groups, kH, kW)``.
        bias: ``(C_out,)``.
        stride: output samples from one copy of the kernel to the next; one number or ``(sH, sW)``.
        padding: output samples cut off at both ends; one number or ``(pH, pW)``.
        output_padding: output samples added at the end, below ``max(stride, dilation)``.
        groups: blocks of channels that do not see each other; divides ``C_in`` and ``C_out``.
        dilation: output samples from one tap to the next; one number or ``(dH, dW)``.
        output_size: the wanted ``(H_out, W_out)``, or one number for both, in place of ``output_padding``:
            several sizes convolve to the same input, and this says which of them it was.

    Returns:
        ``(N, C_out, H_out, W_out)`` or ``(C_out, H_out, W_out)``, with
        ``H_out = (H − 1)sH − 2pH + dH(kH − 1) + output_padding + 1``.

    Raises:
        ArgumentError: shapes, dtypes, devices or sizes that do not fit together, an ``output_size`` out of
            reach, or one beside an ``output_padding``.

    Source:
        Zeiler, Krishnan, Taylor, Fergus, *Deconvolutional networks*, 2010; Dumoulin and Visin, *A guide to
        convolution arithmetic for deep learning*, arXiv 1603.07285, section 4.

    >>> import torch
    >>> small, kernel = torch.ones(1, 1, 2, 2), torch.ones(1, 1, 3, 3)
    >>> conv_transpose2d(small, kernel).shape[2:], conv_transpose2d(small, kernel, stride=2).shape[2:]
    (torch.Size([4, 4]), torch.Size([5, 5]))
    >>> conv_transpose2d(small, kernel, stride=2, output_size=6).shape[2:]
    torch.Size([6, 6])
    """
    return _conv_transpose(
        "conv_transpose2d",
        2,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
        output_size,
    )


def conv_transpose3d(
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
    """Transposed convolution of volumes; see :func:`conv_transpose2d`.

    Args:
        input: ``(N, C_in, D, H, W)`` or ``(C_in, D, H, W)``.
        weight: ``(C_in, C_out / groups, kD, kH, kW)``.
        bias: ``(C_out,)``.
        stride, padding, output_padding, groups, dilation, output_size: see :func:`conv_transpose2d`.

    Returns:
        ``(N, C_out, D_out, H_out, W_out)`` or without the batch.

    >>> import torch
    >>> conv_transpose3d(torch.ones(1, 2, 2, 2), torch.ones(1, 3, 2, 2, 2), stride=2).shape
    torch.Size([3, 4, 4, 4])
    """
    return _conv_transpose(
        "conv_transpose3d",
        3,
        input,
        weight,
        bias,
        stride,
        padding,
        output_padding,
        groups,
        dilation,
        output_size,
    )


def _conv_transpose(
    operator: str,
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Whole,
    padding: Whole,
    output_padding: Whole,
    groups: int,
    dilation: Whole,
    output_size: Whole | None,
) -> Tensor:
    extras = output_padding
    try:
        if output_size is not None:
            if any(per_dimension(operator, "output_padding", output_padding, rank, least=0)):
                raise ArgumentError(
                    f"{operator}: output_size={output_size!r} came beside output_padding={output_padding!r}; "
                    f"wanted one of them: the size decides the padding"
                )
            extras = _extras(operator, rank, input, weight, stride, padding, dilation, output_size)
        plan = _plan((input, weight, bias), operator, rank, stride, padding, extras, groups, dilation)
        result: Tensor = plan(input, weight, bias)
    except REFUSALS as error:
        _check(operator, rank, input, weight, bias, stride, padding, extras, groups, dilation)
        if isinstance(error, NotImplementedError):
            raise ArgumentError(
                f"{operator}: input came as {input.dtype}, for which PyTorch has no transposed convolution on "
                f"{input.device}; wanted floating point: input.float()"
            ) from error
        raise
    if 0 in result.shape[-rank:]:  # some of PyTorch's kernels compute a result of no size, others refuse
        _check(operator, rank, input, weight, bias, stride, padding, extras, groups, dilation)
    return result


@planned
def _plan(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    operator: str,
    rank: int,
    stride: Whole,
    padding: Whole,
    extras: Whole,
    groups: int,
    dilation: Whole,
) -> Plan:
    pytorchs: Any = PYTORCHS[rank]
    if not (
        is_ordinary(stride)
        and is_ordinary(padding)
        and is_ordinary(dilation)
        and are_plain(input, weight, bias)
        and rank < input.dim() <= weight.dim() == rank + 2
    ):
        _check(operator, rank, input, weight, bias, stride, padding, extras, groups, dilation)
    strides = per_dimension(operator, "stride", stride, rank)
    paddings = per_dimension(operator, "padding", padding, rank, least=0)
    additions = per_dimension(operator, "output_padding", extras, rank, least=0)
    dilations = per_dimension(operator, "dilation", dilation, rank)
    if all(extra < step for extra, step in zip(additions, strides, strict=True)):
        sizes, kernel = tuple(input.shape[-rank:]), tuple(weight.shape[2:])
        size = tuple(map(transposed_output_size, sizes, kernel, strides, paddings, additions, dilations))
        if groups != 1 and not depthwise_obstacle(rank, input, weight, bias, groups):
            return depthwise_transpose_plan(input, weight, bias, strides, paddings, dilations, size)
        misfit = few_channels_transpose_obstacle(rank, input, weight, bias, strides, groups)
        if not misfit and stays_inside(size, kernel, [(p, p) for p in paddings], dilations):
            tensors = (input, weight, bias)
            return few_channels_transpose_plan(*tensors, strides, paddings, dilations, size, groups)
    cut = _overhang(rank, input, strides, paddings, additions)
    if cut:
        nothing = (0,) * rank
        return lambda x, w, b: _without_ends(
            pytorchs(x, w, b, strides, nothing, additions, groups, dilations), cut
        )
    return lambda x, w, b: pytorchs(x, w, b, strides, paddings, additions, groups, dilations)


def _overhang(rank: int, input: Tensor, stride: Whole, padding: Whole, extras: Whole) -> tuple[int, ...]:
    """The paddings, if they have to be cut off afterwards: inside, they would meet the fault of ``overhangs``.

    The gradient of a transposed convolution is a convolution of its result. That has
    ``(n − 1)s − 2p + extent + extra`` samples, fewer than ``extent + p`` if ``(n − 1)s + extra < 3p``.
    """
    if padding == 0 or not is_onednns(input):
        return ()
    sizes = input.shape
    for axis in range(-rank, 0):
        if (sizes[axis] - 1) * at(stride, axis) + at(extras, axis) < 3 * at(padding, axis):
            return per_dimension("", "padding", padding, rank, least=0)
    return ()


def _without_ends(result: Tensor, paddings: tuple[int, ...]) -> Tensor:
    form = memory_format(result)
    for dimension, p in enumerate(paddings, start=-len(paddings)):
        result = result.narrow(dimension, p, result.shape[dimension] - 2 * p)
    return result.contiguous(memory_format=form)


def _extras(
    operator: str,
    rank: int,
    input: Tensor,
    weight: Tensor,
    stride: Whole,
    padding: Whole,
    dilation: Whole,
    output_size: Whole,
) -> tuple[int, ...]:
    """The output padding that gives ``output_size``, which may have the batch and channels before it."""
    if isinstance(output_size, tuple | list) and len(output_size) == input.dim() > rank:
        output_size = output_size[-rank:]
    wanted = per_dimension(operator, "output_size", output_size, rank)
    strides = per_dimension(operator, "stride", stride, rank)
    dilations = per_dimension(operator, "dilation", dilation, rank)
    paddings = per_dimension(operator, "padding", padding, rank, least=0)
    sizes, kernel = input.shape[-rank:], weight.shape[2:]
    extras = []
    for axis, size, n, k, s, p, d in zip(
        AXES[rank], wanted, sizes, kernel, strides, paddings, dilations, strict=True
    ):
        least = transposed_output_size(n, k, s, p, 0, d)
        if not least <= size < least + max(s, d):
            raise ArgumentError(
                f"{operator}: {axis}: output_size came as {size}; wanted one from {max(least, 1)} to "
                f"{least + max(s, d) - 1}, ({n} − 1)·{s} − 2·{p} + {d}·({k} − 1) + 1 and up to "
                f"max(stride, dilation) − 1 = {max(s, d) - 1} more"
            )
        extras.append(size - least)
    return tuple(extras)


def _check(
    operator: str,
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Whole,
    padding: Whole,
    output_padding: Whole,
    groups: int,
    dilation: Whole,
) -> None:
    """Raise the error that says what is wrong with the arguments, if anything is."""
    check_alike(operator, input=input, weight=weight, bias=bias)
    check_rank(operator, input, rank)
    check_weight(operator, "weight", weight, rank, "C_in, C_out / groups")
    _check_groups(operator, input.shape[-rank - 1], tuple(weight.shape), groups)
    check_bias(operator, "bias", bias, (weight.shape[1] * groups,))
    check_not_empty(operator, input, rank, weight.shape[:2])
    settings = zip(
        AXES[rank],
        input.shape[-rank:],
        per_dimension(operator, "the kernel", tuple(weight.shape[2:]), rank),
        per_dimension(operator, "stride", stride, rank),
        per_dimension(operator, "padding", padding, rank, least=0),
        per_dimension(operator, "output_padding", output_padding, rank, least=0),
        per_dimension(operator, "dilation", dilation, rank),
        strict=True,
    )
    output = []
    for axis, n, k, s, p, extra, d in settings:
        if extra >= max(s, d):
            raise ArgumentError(
                f"{operator}: {axis}: output_padding came as {extra}; wanted less than max(stride, dilation) = "
                f"max({s}, {d}): at most {max(s, d) - 1}"
            )
        output.append(transposed_output_size(n, k, s, p, extra, d))
        if output[-1] < 1:
            raise ArgumentError(
                f"{operator}: {axis}: padding came as {p}, which leaves ({n} − 1)·{s} − 2·{p} + {d}·({k} − 1) + {extra} "
                f"+ 1 = {output[-1]} samples; wanted at most {p + (output[-1] - 1) // 2}"
            )
    out_channels = weight.shape[1] * groups
    check_addressable(operator, (*input.shape[: -rank - 1], out_channels, *output), input.dtype)


def _check_groups(operator: str, in_channels: int, shape: tuple[int, ...], groups: int) -> None:
    """``groups`` divides the input channels, and ``shape`` of the weight, ``(C_in, C_out / groups, …)``, fits."""
    (groups,) = per_dimension(operator, "groups", groups, 1)
    if shape[0] != in_channels:
        raise ArgumentError(
            f"{operator}: input came with {in_channels} channels and weight with shape {shape}; wanted "
            f"(C_in, C_out / groups, …) with C_in = {in_channels} in place of the {shape[0]}, or an input with "
            f"{shape[0]} channels"
        )
    if in_channels % groups:
        raise ArgumentError(
            f"{operator}: groups came as {groups}; wanted a number from 1 that divides the {in_channels} "
            f"channels of the input"
        )
