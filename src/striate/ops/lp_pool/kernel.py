"""Lp pooling by the CPU kernels: which calls they take, their shape rule and gradients."""

from __future__ import annotations

from math import inf
from typing import Any

import torch
from torch import Tensor

from striate.ops._layout import in_order, memory_format
from striate.ops._library import differentiable, obstacle, plain
from striate.ops._plan import Plan, prepared
from striate.ops._pool import Windows
from striate.ops._pool_kernel import batch_obstacle, empty_result, lists_of, windows_of
from striate.ops.lp_pool.composed import norms_of_windows


def lp_pool_obstacle(input: Tensor, p: float | Tensor, rank: int) -> str:
    """Why the kernels do not take this input and p; empty when they do."""
    if isinstance(p, Tensor):
        return "p is a tensor"
    if p == inf:
        return "p = ∞ is max pooling of |x|"
    if misfit := batch_obstacle(input, rank):
        return misfit
    return obstacle(input)


def lp_pool_plan(input: Tensor, p: float, windows: Windows, mean: bool) -> Plan:
    """The norm of every window."""
    way, where = _kernel.way(input), lists_of(windows)
    return prepared(lambda x: way(x, p, *where, mean), input, order=in_order)


def _fake(
    input: Tensor, p: float, kernel: Any, stride: Any, ends: Any, dilation: Any, size: Any, mean: bool
) -> Tensor:
    return empty_result(input, size)


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
    x = input.to(torch.promote_types(input.dtype, torch.float32))
    pooled = norms_of_windows(x, ctx.p, windows_of(ctx.windows), ctx.mean).to(input.dtype)
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
