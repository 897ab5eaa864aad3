"""Lp pooling by the CPU kernels: which calls they take, their shape rule and gradients."""

from __future__ import annotations

from math import inf, prod
from typing import Any

import torch
from torch import Tensor

from striate.ops._layout import memory_format
from striate.ops._library import differentiable, obstacle, plain
from striate.ops._pool import Windows
from striate.ops.lp_pool.composed import norms_of_windows

SMALLEST = 4096  # numbers
MOST_TAPS = 100
LEAST_COLUMNS = 8  # of a result whose lanes are columns


def lp_pool_obstacle(input: Tensor, p: float | Tensor, rank: int) -> str:
    """Why the kernels do not take this input and p; empty when they do."""
    if isinstance(p, Tensor):
        return "p is a tensor"
    if p == inf:
        return "p = ∞ is max pooling of |x|"
    if input.dim() != rank + 2 or input.numel() < SMALLEST:
        return "too small: PyTorch's calls cost less"
    if rank == 3 and not input.is_contiguous():
        return "PyTorch's result would be contiguous"
    return obstacle(input)


def fits_kernel(windows: Windows, input: Tensor) -> bool:
    """Whether the windows have few enough taps to list them, and there are lanes for enough of them."""
    is_wide = windows.output[-1] >= LEAST_COLUMNS or not input.is_contiguous()
    return prod(windows.kernel) <= MOST_TAPS and is_wide


def lp_pool(input: Tensor, p: float, windows: Windows, mean: bool) -> Tensor:
    """The norm of every window."""
    if not input.is_contiguous(memory_format=memory_format(input)):
        input = input.contiguous()
    ends = [end for pair in windows.padding for end in pair]
    where = (windows.kernel, windows.stride, ends, windows.dilation, windows.output)
    return _kernel(input, p, *where, mean)  # type: ignore[no-any-return]


def _fake(
    input: Tensor, p: float, kernel: Any, stride: Any, ends: Any, dilation: Any, size: Any, mean: bool
) -> Tensor:
    return torch.empty(
        (*input.shape[:2], *size),
        dtype=input.dtype,
        device=input.device,
        memory_format=memory_format(input),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    input, ctx.p, *ctx.windows, ctx.mean = inputs
    ctx.save_for_backward(input, output)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    input, norms = ctx.saved_tensors
    if torch.is_grad_enabled():  # create_graph=True: the gradient must have gradients of its own
        found = _by_pytorch(gradient, input, ctx)
    else:
        form = memory_format(input)
        kernel, stride, ends, dilation, _ = ctx.windows
        arguments = (kernel, stride, ends, dilation, ctx.mean)
        found = _gradient(gradient.contiguous(memory_format=form), input, norms, ctx.p, *arguments)
    return found, *(None,) * 7


def _by_pytorch(gradient: Tensor, input: Tensor, ctx: Any) -> Tensor:
    kernel, stride, ends, dilation, size = map(tuple, ctx.windows)
    padding = tuple(zip(ends[::2], ends[1::2], strict=True))
    x = input.to(torch.promote_types(input.dtype, torch.float32))
    windows = Windows(kernel, stride, padding, dilation, size)
    pooled = norms_of_windows(x, ctx.p, windows, ctx.mean).to(input.dtype)
    (found,) = torch.autograd.grad(pooled, input, gradient, create_graph=True)
    return found


def _fake_gradient(
    gradient: Tensor,
    input: Tensor,
    norms: Tensor,
    p: float,
    kernel: Any,
    stride: Any,
    ends: Any,
    dilation: Any,
    mean: bool,
) -> Tensor:
    return torch.empty_like(input)


_kernel = differentiable(
    "lp_pool(Tensor input, float p, int[] kernel, int[] stride, int[] padding, int[] dilation, int[] size,"
    " bool mean) -> Tensor",
    _fake,
    _save,
    _backward,
)
_gradient = plain(
    "lp_pool_backward(Tensor gradient, Tensor input, Tensor norms, float p, int[] kernel, int[] stride,"
    " int[] padding, int[] dilation, bool mean) -> Tensor",
    _fake_gradient,
)
