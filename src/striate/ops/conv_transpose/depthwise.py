"""Depthwise transposed convolution by the CPU kernels: a depthwise convolution's gradient, and its gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops._layout import dense, memory_format
from striate.ops._library import differentiable
from striate.ops._plan import Plan, prepared
from striate.ops.conv.depthwise import convolve, weight_gradient


def depthwise_transpose_plan(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    size: tuple[int, ...],
) -> Plan:
    """``conv_transpose`` of a batch with ``groups = C_in = C_out`` to ``size``, with ``output_padding`` below ``stride``."""
    ends = [p for p in padding for _ in range(2)]
    way = _kernel.way(input, weight, bias)
    return prepared(lambda x, w, b: way(x, w, b, stride, ends, dilation, size), input, weight, bias)


def _fake(
    input: Tensor, weight: Tensor, bias: Any, stride: Any, ends: Any, dilation: Any, size: Any
) -> Tensor:
    form = memory_format(input)
    return torch.empty((*input.shape[:2], *size), dtype=input.dtype, device=input.device, memory_format=form)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    input, weight, bias, *ctx.window, ctx.size = inputs
    ctx.has_bias = bias is not None
    ctx.save_for_backward(input, weight)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    input, weight = ctx.saved_tensors
    stride, ends, dilation = ctx.window
    of_input = of_weight = of_bias = None
    gradient = dense(gradient, input)
    if ctx.needs_input_grad[0]:  # the transpose's transpose
        of_input = convolve(gradient, weight, None, stride, ends, dilation)
    if ctx.needs_input_grad[1]:
        if torch.is_grad_enabled():  # create_graph=True: it must have gradients of its own
            of_weight = _by_pytorch(gradient, input, weight, stride, ends, dilation, ctx.size)
        else:
            of_weight = weight_gradient(input, gradient, weight, stride, ends, dilation)
    if ctx.has_bias and ctx.needs_input_grad[2]:
        of_bias = gradient.sum((0, *range(2, gradient.dim())))
    return of_input, of_weight, of_bias, None, None, None, None


def _by_pytorch(
    gradient: Tensor, input: Tensor, weight: Tensor, stride: Any, ends: Any, dilation: Any, size: Any
) -> Tensor:
    rank = input.dim() - 2
    transpose: Any = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[rank]
    padding = tuple(ends[::2])
    least = transpose(
        torch.empty(1, 1, *input.shape[2:], device="meta"),
        torch.empty(1, 1, *weight.shape[2:], device="meta"),
        stride=tuple(stride),
        padding=padding,
        dilation=tuple(dilation),
    ).shape[2:]
    extra = tuple(a - b for a, b in zip(size, least, strict=True))
    output = transpose(input, weight, None, tuple(stride), padding, extra, weight.shape[0], tuple(dilation))
    (found,) = torch.autograd.grad(output, weight, gradient, create_graph=True)
    return found


_kernel = differentiable(
    "depthwise_conv_transpose(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] dilation,"
    " int[] size) -> Tensor",
    _fake,
    _save,
    _backward,
)
