"""Transposed convolution with few channels in a group by the CPU kernels: a convolution's gradient, and its own."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops._layout import dense
from striate.ops._library import differentiable, obstacle
from striate.ops._plan import Plan, prepared
from striate.ops.conv.few_channels import (
    FEW,
    FIRST,
    LEAST,
    MOST_STRIDE,
    convolve,
    goes_on_last,
    holds,
    kernel_backward,
)

THEIRS: dict[int, Any] = {1: F.conv_transpose1d, 2: F.conv_transpose2d}


def few_channels_transpose_obstacle(
    rank: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, groups: int
) -> str:
    """Why the kernels do not take this call; empty when they do."""
    if rank == 3:
        return "volumes: there is no kernel for groups of channels"
    if not input.dim() == weight.dim() == rank + 2:
        return "without a batch"
    channels, outputs = weight.shape[:2]
    if groups < 1 or input.shape[1] != channels or channels % groups:
        return "shapes that do not fit together"
    if groups == 1 and outputs > FIRST:
        return "dense: PyTorch is as fast"
    if groups > 1 and max(channels // groups, outputs) > FEW:
        return f"more than {FEW} channels in a group: PyTorch is as fast"
    if bias is not None and bias.shape != (outputs * groups,):
        return "shapes that do not fit together"
    if input.shape[0] < 1 or min(weight.shape) < 1:
        return "nothing to compute"
    if not holds(prod(input.shape[1:]) >= LEAST):
        return f"less than {LEAST} numbers a picture: the call itself is what takes time"
    if (max(stride, default=1) if isinstance(stride, tuple | list) else stride) > MOST_STRIDE:
        return f"a stride above {MOST_STRIDE}"
    if torch.is_autocast_enabled("cpu"):
        return "inside autocast"
    return obstacle(input, weight, bias)


def few_channels_transpose_plan(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    size: tuple[int, ...],
    groups: int,
) -> Plan:
    """``conv_transpose`` of a batch to ``size``, with ``output_padding`` below ``stride``."""
    ends = [p for p in padding for _ in range(2)]
    way, window = _kernel.way(input, weight, bias), (stride, ends, dilation, size, groups)
    last = goes_on_last(input, weight)
    return prepared(lambda x, w, b: way(x, w, b, *window, last), input, weight, bias)


def _fake(
    input: Tensor,
    weight: Tensor,
    bias: Any,
    stride: Any,
    ends: Any,
    dilation: Any,
    size: Any,
    groups: int,
    last: bool,
) -> Tensor:
    form = torch.channels_last if last else torch.contiguous_format
    shape = (input.shape[0], weight.shape[1] * groups, *size)
    return torch.empty(shape, dtype=input.dtype, device=input.device, memory_format=form)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    input, weight, bias, *ctx.window, ctx.size, ctx.groups, _ = inputs
    ctx.has_bias = bias is not None
    ctx.save_for_backward(input, weight)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    input, weight = ctx.saved_tensors
    stride, ends, dilation = ctx.window
    of_input = of_weight = of_bias = None
    gradient = dense(gradient, input)
    if ctx.needs_input_grad[0]:  # the transpose's transpose
        of_input = convolve(
            gradient, weight, None, stride, ends, dilation, ctx.groups, goes_on_last(input, weight)
        )
    if ctx.needs_input_grad[1]:
        if torch.is_grad_enabled():  # create_graph=True: it must have gradients of its own
            of_weight = _by_pytorch(gradient, input, weight, stride, ends, dilation, ctx.size, ctx.groups)
        else:
            window = (stride, ends, dilation, ctx.groups)
            of_weight = kernel_backward(input, gradient, weight, *window, [False, True, False])[1]
    if ctx.has_bias and ctx.needs_input_grad[2]:
        of_bias = gradient.sum((0, *range(2, gradient.dim())))
    return of_input, of_weight, of_bias, *(None,) * 6


def _by_pytorch(
    gradient: Tensor,
    input: Tensor,
    weight: Tensor,
    stride: Any,
    ends: Any,
    dilation: Any,
    size: Any,
    groups: int,
) -> Tensor:
    extra = tuple(
        size[i] - ((n - 1) * stride[i] - 2 * ends[2 * i] + dilation[i] * (weight.shape[2 + i] - 1) + 1)
        for i, n in enumerate(input.shape[2:])
    )
    transpose = THEIRS[input.dim() - 2]
    output = transpose(input, weight, None, tuple(stride), tuple(ends[::2]), extra, groups, tuple(dilation))
    (found,) = torch.autograd.grad(output, weight, gradient, create_graph=True)
    return found


_kernel = differentiable(
    "few_channels_conv_transpose(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding,"
    " int[] dilation, int[] size, int groups, bool channels_last) -> Tensor",
    _fake,
    _save,
    _backward,
)
