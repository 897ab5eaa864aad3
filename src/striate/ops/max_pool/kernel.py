"""Max pooling by the CPU kernels: which calls they take, their shape rule and gradients."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops._layout import in_order, memory_format
from striate.ops._library import differentiable, obstacle, plain, wants_gradient
from striate.ops._plan import Plan, prepared
from striate.ops._pool import Windows
from striate.ops._pool_kernel import SMALLEST, empty_result

MOST_TAPS = 255  # which one won is kept in a byte


def max_pool_obstacle(input: Tensor, rank: int) -> str:
    """Why the kernels do not take this input; empty when they do."""
    if input.dim() != rank + 2 or input.numel() < SMALLEST:
        return "too small: PyTorch's call costs less"
    return obstacle(input)


def fits_kernel(windows: Windows, sizes: tuple[int, ...]) -> bool:
    """Whether every window has a tap in the input, and few enough taps for a winner to fit a byte."""
    return prod(windows.kernel) <= MOST_TAPS and all(
        before < k and (n - 1) * s < size + before
        for (before, _), k, n, s, size in zip(
            windows.padding, windows.kernel, windows.output, windows.stride, sizes, strict=True
        )
    )


def max_pool_plan(
    input: Tensor,
    kernel: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    size: tuple[int, ...],
) -> Plan:
    """Maxima of windows that start ``padding`` samples before the input, ``size`` of them."""
    if wants_gradient(input):
        way = _kernel.way(input)
        return prepared(lambda x: way(x, kernel, stride, padding, size)[0], input, order=in_order)
    return prepared(lambda x: _values(x, kernel, stride, padding, size), input, order=in_order)


def _fake(input: Tensor, kernel: Any, stride: Any, padding: Any, size: Any) -> tuple[Tensor, Tensor]:
    output = empty_result(input, size)
    return output, torch.empty_like(output, dtype=torch.uint8)


def _fake_values(input: Tensor, kernel: Any, stride: Any, padding: Any, size: Any) -> Tensor:
    return empty_result(input, size)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    input, *ctx.windows, ctx.size = inputs
    ctx.save_for_backward(input, output[1])
    ctx.mark_non_differentiable(output[1])


def _backward(ctx: Any, gradient: Tensor, _: Any) -> tuple[Any, ...]:
    input, winners = ctx.saved_tensors
    if torch.is_grad_enabled():  # create_graph=True: the gradient must have gradients of its own
        found = _by_pytorch(gradient, input, ctx.windows, ctx.size)
    else:
        form = memory_format(input)  # the winners lie as the input does
        found = _gradient(gradient.contiguous(memory_format=form), winners, input, *ctx.windows)
    return found, None, None, None, None


def _by_pytorch(gradient: Tensor, input: Tensor, windows: Any, size: Any) -> Tensor:
    kernel, stride, padding = windows
    rank = len(kernel)
    ends = [
        (p, max(0, (n - 1) * s + k - p - length))
        for n, s, k, p, length in zip(size, stride, kernel, padding, input.shape[2:], strict=True)
    ]
    padded = F.pad(input, [end for pair in reversed(ends) for end in pair], value=float("-inf"))
    pool: Any = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}[rank]
    pooled = pool(padded, tuple(kernel), tuple(stride))[(..., *[slice(n) for n in size])]
    (found,) = torch.autograd.grad(pooled, input, gradient, create_graph=True)
    return found


def _fake_gradient(
    gradient: Tensor, winners: Tensor, input: Tensor, kernel: Any, stride: Any, padding: Any
) -> Tensor:
    return torch.empty_like(input)


_kernel = differentiable(
    "max_pool(Tensor input, int[] kernel, int[] stride, int[] padding, int[] size) -> (Tensor, Tensor)",
    _fake,
    _save,
    _backward,
)
_values = plain(
    "max_pool_values(Tensor input, int[] kernel, int[] stride, int[] padding, int[] size) -> Tensor",
    _fake_values,
)
_gradient = plain(
    "max_pool_backward(Tensor gradient, Tensor winners, Tensor input, int[] kernel, int[] stride, int[] padding)"
    " -> Tensor",
    _fake_gradient,
)
