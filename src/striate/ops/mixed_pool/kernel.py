"""Mixed pooling by the CPU kernels: which calls they take, their shape rule and gradients."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from striate.ops._layout import in_order, memory_format
from striate.ops._library import differentiable, gradients_of, obstacle, plain
from striate.ops._plan import Plan, prepared
from striate.ops._pool import Windows
from striate.ops._pool_kernel import SMALLEST, batch_obstacle, empty_result, lists_of, windows_of
from striate.ops.mixed_pool.composed import mixed


def mixed_pool_obstacle(input: Tensor, weights: Tensor | None, rank: int) -> str:
    """Why the kernels do not take this input with these tensors for shares or gate; empty when they do."""
    if input.numel() < SMALLEST:
        return "too small: PyTorch's calls cost less"
    if misfit := batch_obstacle(input, rank):
        return misfit
    if torch.is_autocast_enabled("cpu"):
        return "autocast decides what the parts are computed in"
    return obstacle(input, weights)


def mixed_pool_plan(
    input: Tensor,
    weights: Tensor | None,
    share: float,
    is_gated: bool,
    windows: Windows,
    count_include_pad: bool,
) -> Plan:
    """Mixed with a share for all or each channel, or with a gate for all or each channel."""
    channels, dtype = input.shape[1], torch.promote_types(input.dtype, torch.float32)
    way, taps, where = _kernel.way(input, weights), prod(windows.kernel), lists_of(windows)

    def compute(x: Tensor, w: Tensor | None) -> Any:
        if w is None:
            table = torch.full((1, channels), share, dtype=dtype)
        else:
            rows = w.reshape(-1, taps).t() if is_gated else w.reshape(1, -1)
            table = rows.to(dtype).expand(-1, channels).contiguous()
        return way(x, table, is_gated, *where, count_include_pad)

    return prepared(compute, input, order=in_order)


def _fake(
    input: Tensor,
    weights: Tensor,
    gated: bool,
    kernel: Any,
    stride: Any,
    ends: Any,
    dilation: Any,
    size: Any,
    include: bool,
) -> Tensor:
    return empty_result(input, size)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    input, weights, ctx.gated, *ctx.windows, ctx.include = inputs
    ctx.save_for_backward(input, weights)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    input, weights = ctx.saved_tensors
    found: Any
    if torch.is_grad_enabled():  # create_graph=True: the gradients must have gradients of their own
        found = _by_pytorch(gradient, input, weights, ctx)
    else:
        kernel, stride, ends, dilation, _ = ctx.windows
        of_weights = ctx.needs_input_grad[1]
        gradient = gradient.contiguous(memory_format=memory_format(input))
        of_input, of_table = _gradient(
            gradient, input, weights, ctx.gated, kernel, stride, ends, dilation, ctx.include, of_weights
        )
        found = (of_input, of_table if of_weights else None)
    return *found, *(None,) * 7


def _by_pytorch(gradient: Tensor, input: Tensor, weights: Tensor, ctx: Any) -> list[Tensor | None]:
    pooled = mixed(input, weights, ctx.gated, windows_of(ctx.windows), ctx.include)
    return gradients_of(pooled, (input, weights), ctx.needs_input_grad[:2], gradient)


def _fake_gradient(
    gradient: Tensor,
    input: Tensor,
    weights: Tensor,
    gated: bool,
    kernel: Any,
    stride: Any,
    ends: Any,
    dilation: Any,
    include: bool,
    of_weights: bool,
) -> tuple[Tensor, Tensor]:
    return torch.empty_like(input), weights.new_empty((weights.shape[0] if of_weights else 0, input.shape[1]))


_kernel = differentiable(
    "mixed_pool(Tensor input, Tensor weights, bool gated, int[] kernel, int[] stride, int[] padding,"
    " int[] dilation, int[] size, bool count_include_pad) -> Tensor",
    _fake,
    _save,
    _backward,
)
_gradient = plain(
    "mixed_pool_backward(Tensor gradient, Tensor input, Tensor weights, bool gated, int[] kernel, int[] stride,"
    " int[] padding, int[] dilation, bool count_include_pad, bool of_weights) -> (Tensor, Tensor)",
    _fake_gradient,
)
