"""Mixed pooling by the CPU kernels: which calls they take, their shape rule and gradients."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor

from striate.ops._layout import memory_format
from striate.ops._library import differentiable, obstacle, plain
from striate.ops._pool import Windows
from striate.ops.mixed_pool.composed import mixed

SMALLEST = 4096  # numbers
MOST_TAPS = 100
LEAST_COLUMNS = 8  # of a result whose lanes are columns


def mixed_pool_obstacle(input: Tensor, weights: Tensor | None, rank: int) -> str:
    """Why the kernels do not take this input with these tensors for shares or gate; empty when they do."""
    if input.dim() != rank + 2 or input.numel() < SMALLEST:
        return "too small: PyTorch's calls cost less"
    if rank == 3 and not input.is_contiguous():
        return "PyTorch's result would be contiguous"
    if torch.is_autocast_enabled("cpu"):
        return "autocast decides what the parts are computed in"
    return obstacle(input, weights)


def fits_kernel(windows: Windows, input: Tensor) -> bool:
    """Whether the windows have few enough taps to list them, and there are lanes for enough of them."""
    is_wide = windows.output[-1] >= LEAST_COLUMNS or not input.is_contiguous()
    return prod(windows.kernel) <= MOST_TAPS and is_wide


def mixed_pool(
    input: Tensor,
    windows: Windows,
    share: float | Tensor,
    gate: Tensor | None,
    count_include_pad: bool,
) -> Tensor:
    """Mixed with a share for all or each channel, or with a gate for all or each channel."""
    if not input.is_contiguous(memory_format=memory_format(input)):
        input = input.contiguous()
    channels, dtype = input.shape[1], torch.promote_types(input.dtype, torch.float32)
    if gate is not None:
        taps = gate.reshape(-1, prod(windows.kernel)).t()
        weights = taps.to(dtype).expand(-1, channels).contiguous()
    elif isinstance(share, Tensor):
        weights = share.reshape(1, -1).to(dtype).expand(1, channels).contiguous()
    else:
        weights = torch.full((1, channels), share, dtype=dtype)
    ends = [end for pair in windows.padding for end in pair]
    where = (windows.kernel, windows.stride, ends, windows.dilation, windows.output)
    return _kernel(input, weights, gate is not None, *where, count_include_pad)  # type: ignore[no-any-return]


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
    return torch.empty(
        (*input.shape[:2], *size),
        dtype=input.dtype,
        device=input.device,
        memory_format=memory_format(input),
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    input, weights, ctx.gated, *ctx.windows, ctx.include = inputs
    ctx.save_for_backward(input, weights)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    input, weights = ctx.saved_tensors
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


def _by_pytorch(
    gradient: Tensor, input: Tensor, weights: Tensor, ctx: Any
) -> tuple[Tensor | None, Tensor | None]:
    kernel, stride, ends, dilation, size = map(tuple, ctx.windows)
    padding = tuple(zip(ends[::2], ends[1::2], strict=True))
    windows = Windows(kernel, stride, padding, dilation, size)
    pooled = mixed(input, weights, ctx.gated, windows, ctx.include)
    wanted = [
        tensor for tensor, is_wanted in zip((input, weights), ctx.needs_input_grad, strict=False) if is_wanted
    ]
    found = iter(torch.autograd.grad(pooled, wanted, gradient, create_graph=True))
    of_input = next(found) if ctx.needs_input_grad[0] else None
    return of_input, next(found) if ctx.needs_input_grad[1] else None


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
