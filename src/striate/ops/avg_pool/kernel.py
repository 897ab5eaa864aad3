"""Average pooling by the CPU kernels: which calls they take, their shape rule and gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from striate.ops._layout import memory_format
from striate.ops._library import differentiable, obstacle, plain
from striate.ops._pool import Windows

SMALLEST = 4096  # numbers


def avg_pool_obstacle(input: Tensor, rank: int) -> str:
    """Why the kernels do not take this input; empty when they do."""
    if input.dim() != rank + 2 or input.numel() < SMALLEST:
        return "too small: PyTorch's call costs less"
    if rank == 3 and not input.is_contiguous():
        return "PyTorch's result would be contiguous"
    return obstacle(input)


def avg_pool(input: Tensor, windows: Windows, count_include_pad: bool, divisor: int | None) -> Tensor:
    """Means of the windows: sums divided by ``divisor``, or by the taps that count."""
    if not input.is_contiguous(memory_format=memory_format(input)):
        input = input.contiguous()
    ends = [end for pair in windows.padding for end in pair]
    return _kernel(  # type: ignore[no-any-return]
        input,
        windows.kernel,
        windows.stride,
        ends,
        windows.dilation,
        windows.output,
        count_include_pad,
        divisor or 0,
    )


def _fake(
    input: Tensor, kernel: Any, stride: Any, ends: Any, dilation: Any, size: Any, include: bool, divisor: int
) -> Tensor:
    return torch.empty(
        (*input.shape[:2], *size),
        dtype=input.dtype,
        device=input.device,
        memory_format=memory_format(input),
    )


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
        if not gradient.is_contiguous(memory_format=memory_format(gradient)):
            gradient = gradient.contiguous()
        return _kernel(gradient, kernel, stride, ends, dilation, ctx.size, include, divisor), None, None


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
