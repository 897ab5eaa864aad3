"""Pyramid pooling by the CPU kernels: which calls they take, their shape rules and gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from striate.ops._layout import dense
from striate.ops._library import differentiable, obstacle, plain, wants_gradient
from striate.ops._plan import Plan, prepared

MOST_BINS = 1024  # of all levels together


def pyramid_obstacle(input: Tensor, rank: int, bins: int) -> str:
    """Why the kernels do not take this input; empty when they do. ``bins`` are those of all levels."""
    if rank == 3 or input.dim() != rank + 2:
        return "not a batch of signals or pictures"
    if torch.compiler.is_exporting():
        return "sizes may be open in an exported graph"
    if any(size < 1 for size in input.shape):
        return "nothing to pool"
    if bins > MOST_BINS:
        return f"more than {MOST_BINS} bins"
    return obstacle(input)


def pyramid_plan(input: Tensor, levels: tuple[int, ...], largest: bool) -> Plan:
    """The largest number or the average of every bin of every level, (N, C · bins)."""
    if input.dim() == 3:
        as_pictures = _of_pictures(input.unsqueeze(2), (1,) * len(levels), levels, largest)
        return lambda x: as_pictures(x.unsqueeze(2))
    return _of_pictures(input, levels, levels, largest)


def _of_pictures(input: Tensor, rows: tuple[int, ...], columns: tuple[int, ...], largest: bool) -> Plan:
    if not largest:
        averages = _averages.way(input)
        return prepared(lambda x: averages(x, rows, columns), input)
    if wants_gradient(input):
        way = _largest.way(input)
        return prepared(lambda x: way(x, rows, columns)[0], input)
    return prepared(lambda x: _values(x, rows, columns), input)


def _bins(rows: Sequence[int], columns: Sequence[int]) -> list[int]:
    return [high * wide for high, wide in zip(rows, columns, strict=True)]


def _fake_values(input: Tensor, rows: Any, columns: Any) -> Tensor:
    return input.new_empty((input.shape[0], input.shape[1] * sum(_bins(rows, columns))))


def _fake_gradient(gradient: Tensor, input: Tensor, rows: Any, columns: Any) -> Tensor:
    return torch.empty_like(input)


# Averages: linear, so the gradient's gradient is the pooling.


def _save_averages(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    input, ctx.rows, ctx.columns = inputs
    ctx.save_for_backward(input)


def _backward_of_averages(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    (input,) = ctx.saved_tensors
    if torch.is_grad_enabled():
        found = _Spread.apply(gradient, input, ctx.rows, ctx.columns)  # type: ignore[no-untyped-call]
    else:
        found = _spread(gradient.contiguous(), input, ctx.rows, ctx.columns)
    return found, None, None


class _Spread(torch.autograd.Function):
    """The gradient as a linear operator of its own."""

    @staticmethod
    def forward(ctx: Any, gradient: Tensor, input: Tensor, rows: Any, columns: Any) -> Tensor:
        ctx.rows, ctx.columns = rows, columns
        return _spread(gradient.contiguous(), input, rows, columns)  # type: ignore[no-any-return]

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
        return _averages(dense(gradient), ctx.rows, ctx.columns), None, None, None


_averages = differentiable(
    "pyramid_avg(Tensor input, int[] rows, int[] columns) -> Tensor",
    _fake_values,
    _save_averages,
    _backward_of_averages,
)
_spread = plain(
    "pyramid_avg_backward(Tensor gradient, Tensor input, int[] rows, int[] columns) -> Tensor",
    _fake_gradient,
)

# Largest numbers: the winners' places are kept.


def _fake_largest(input: Tensor, rows: Any, columns: Any) -> tuple[Tensor, Tensor]:
    winners = (input.shape[0], sum(_bins(rows, columns)), input.shape[1])
    return _fake_values(input, rows, columns), input.new_empty(winners, dtype=torch.int32)


def _save_largest(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    input, ctx.rows, ctx.columns = inputs
    ctx.save_for_backward(input, output[1])
    ctx.mark_non_differentiable(output[1])


def _backward_of_largest(ctx: Any, gradient: Tensor, _: Any) -> tuple[Any, ...]:
    input, winners = ctx.saved_tensors
    if torch.is_grad_enabled():  # create_graph=True: the gradient must have gradients of its own
        found = _by_pytorch(gradient, winners, input, _bins(ctx.rows, ctx.columns))
    else:
        found = _gradient(gradient.contiguous(), winners, input, ctx.rows, ctx.columns)
    return found, None, None


def _by_pytorch(gradient: Tensor, winners: Tensor, input: Tensor, bins: list[int]) -> Tensor:
    images, channels, *size = input.shape
    levels = torch.split(gradient, [channels * count for count in bins], dim=1)
    shares = torch.cat([level.reshape(images, channels, -1) for level in levels], dim=-1)
    zeros = gradient.new_zeros((images, channels, size[0] * size[1]))
    return zeros.scatter_add(-1, winners.transpose(1, 2).long(), shares).reshape(input.shape)


def _fake_gradient_of_largest(
    gradient: Tensor, winners: Tensor, input: Tensor, rows: Any, columns: Any
) -> Tensor:
    return torch.empty_like(input)


_largest = differentiable(
    "pyramid_max(Tensor input, int[] rows, int[] columns) -> (Tensor, Tensor)",
    _fake_largest,
    _save_largest,
    _backward_of_largest,
)
_values = plain("pyramid_max_values(Tensor input, int[] rows, int[] columns) -> Tensor", _fake_values)
_gradient = plain(
    "pyramid_max_backward(Tensor gradient, Tensor winners, Tensor input, int[] rows, int[] columns) -> Tensor",
    _fake_gradient_of_largest,
)
