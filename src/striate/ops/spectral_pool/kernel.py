"""Spectral pooling by the CPU kernels: which calls they take, their shape rule and gradient."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from striate.ops._layout import in_order
from striate.ops._library import differentiable, obstacle
from striate.ops._plan import Plan, prepared
from striate.ops._pool_kernel import SMALLEST, empty_result

LEAST_CHANNELS = 8  # which are lanes
LONGEST = 128  # samples along a dimension: planes of the channels in all lanes stay in the cache


def spectral_pool_obstacle(input: Tensor, size: Sequence[int], rank: int) -> str:
    """Why the kernels do not take this input; empty when they do."""
    if rank != 2 or input.dim() != 4:
        return "not a batch of pictures"
    if torch.compiler.is_exporting():
        return "sizes may be open in an exported graph"
    if input.numel() < SMALLEST or input.shape[1] < LEAST_CHANNELS:
        return "too small: PyTorch's calls cost less"
    if max(*input.shape[2:], *size) > LONGEST:
        return "planes that leave the cache"
    if any(n == m for n, m in zip(input.shape[2:], size, strict=True)):
        return "one product only"
    return obstacle(input)


def spectral_pool_plan(input: Tensor, size: tuple[int, ...]) -> Plan:
    """The lowest frequencies of each channel as pictures of ``size``."""
    way = _kernel.way(input)
    return prepared(lambda x: way(x, size, False), input, order=in_order)


def _fake(input: Tensor, size: Any, transposed: bool) -> Tensor:
    return empty_result(input, size)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    input, _, ctx.transposed = inputs
    ctx.size = input.shape[2:]


def _backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    return _kernel(in_order(gradient), ctx.size, not ctx.transposed), None, None


_kernel = differentiable(
    "spectral_pool(Tensor input, int[] size, bool transposed) -> Tensor", _fake, _save, _backward
)
