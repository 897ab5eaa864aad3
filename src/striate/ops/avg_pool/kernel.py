"""Average pooling by the CPU kernels: which calls they take, their shape rule and gradients."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from striate.ops._layout import in_order, memory_format
from striate.ops._library import differentiable, obstacle, plain
from striate.ops._plan import Plan, prepared
from striate.ops._pool import Windows
from striate.ops._pool_kernel import SMALLEST, batch_obstacle, empty_result, lists_of

LARGEST_PICTURE = 1024  # numbers of a channel under one window


def avg_pool_obstacle(input: Tensor, rank: int) -> str:
    """Why the kernels do not take this input; empty when they do."""
    if input.numel() < SMALLEST:
        return "too small: PyTorch's call costs less"
    return batch_obstacle(input, rank) or obstacle(input)


def global_avg_pool_obstacle(input: Tensor, rank: int) -> str:
    """Why the kernels do not take the average of whole pictures; empty when they do."""
    if torch.compiler.is_compiling():
        return "compilers fuse PyTorch's mean with what is around it"
    if prod(input.shape[2:]) > LARGEST_PICTURE:
        return "PyTorch's mean of larger pictures is as fast"
    return avg_pool_obstacle(input, rank)


def avg_pool_plan(input: Tensor, windows: Windows, count_include_pad: bool, divisor: int | None) -> Plan:
    """Means of the windows: sums divided by ``divisor``, or by the taps that count."""
    way, where = _kernel.way(input), lists_of(windows)
    return prepared(lambda x: way(x, *where, count_include_pad, divisor or 0), input, order=in_order)


def _fake(
    input: Tensor, kernel: Any, stride: Any, ends: Any, dilation: Any, size: Any, include: bool, divisor: int
) -> Tensor:
    return empty_result(input, size)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    input, ctx.kernel, ctx.stride, ctx.ends, ctx.dilation, _, ctx.include, ctx.divisor = inputs
    ctx.save_for_backward(input)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    (input,) = ctx.saved_tensors
    arguments = (ctx.kernel, ctx.stride, ctx.ends, ctx.dilation, ctx.include, ctx.divisor)
    found = (
        _Spread.apply(gradient, input, arguments)  # type: ignore[no-untyped-call]
        if torch.is_grad_enabled()
        else _spread(gradient, input, arguments)
    )
    return found, None, None, None, None, None, None, None


def _spread(gradient: Tensor, input: Tensor, arguments: tuple[Any, ...]) -> Tensor:
    gradient = gradient.contiguous(memory_format=memory_format(input))
    return _gradient(gradient, input, *arguments)  # type: ignore[no-any-return]


class _Spread(torch.autograd.Function):
    """The gradient as a linear operator of its own: its gradient is the pooling."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, input: Tensor, arguments: tuple[Any, ...]) -> Tensor:
        ctx.arguments, ctx.size = arguments, tuple(gradient.shape[2:])
        return _spread(gradient, input, arguments)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        kernel, stride, ends, dilation, include, divisor = ctx.arguments
        where = (kernel, stride, ends, dilation, ctx.size)
        return _kernel(in_order(gradient), *where, include, divisor), None, None


def _fake_gradient(
    gradient: Tensor,
    input: Tensor,
    kernel: Any,
    stride: Any,
    ends: Any,
    dilation: Any,
    include: bool,
    divisor: int,
) -> Tensor:
    return torch.empty_like(input)


_kernel = differentiable(
    "avg_pool(Tensor input, int[] kernel, int[] stride, int[] padding, int[] dilation, int[] size,"
    " bool count_include_pad, int divisor) -> Tensor",
    _fake,
    _save,
    _backward,
)
_gradient = plain(
    "avg_pool_backward(Tensor gradient, Tensor input, int[] kernel, int[] stride, int[] padding, int[] dilation,"
    " bool count_include_pad, int divisor) -> Tensor",
    _fake_gradient,
)
