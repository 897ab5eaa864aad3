"""Local convolution by the CPU kernels: which calls they take, their shape rule and gradients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from striate.ops._checks import Pairs
from striate.ops._layout import in_order, memory_format
from striate.ops._library import differentiable, gradients_of, obstacle, plain
from striate.ops._plan import Plan, prepared
from striate.ops.local_conv.composed import local_conv_composed


def local_conv_obstacle(input: Tensor, weight: Tensor, bias: Tensor | None) -> str:
    """Why the kernels do not take this batch; empty when they do."""
    if input.shape[0] == 0:
        return "nothing to compute"
    if torch.is_autocast_enabled("cpu"):
        return "inside autocast"
    return obstacle(input, weight, bias)


def local_conv_plan(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    pairs: Pairs,
    dilation: Sequence[int],
) -> Plan:
    """The operator for a batch whose arguments have been checked, padded by ``(before, after)`` pairs."""
    ends = [end for pair in pairs for end in pair]
    way, window = _kernel.way(input, weight, bias), (stride, ends, dilation)
    return prepared(lambda x, w, b: way(x, w, b, *window), input, weight, bias, order=in_order)


def _fake(input: Tensor, weight: Tensor, bias: Any, stride: Any, ends: Any, dilation: Any) -> Tensor:
    shape = (input.shape[0], weight.shape[0], *weight.shape[input.dim() :])
    return torch.empty(shape, dtype=input.dtype, device=input.device, memory_format=memory_format(input))


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    input, weight, bias, ctx.stride, ctx.ends, ctx.dilation = inputs
    ctx.save_for_backward(input, weight, bias)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    input, weight, bias = ctx.saved_tensors
    wanted = list(ctx.needs_input_grad[:3])
    if torch.is_grad_enabled():  # create_graph=True: the gradient must have gradients of its own
        found = _composed_gradients(ctx, gradient, (input, weight, bias), wanted)
    else:
        gradient = in_order(gradient)
        arguments = (gradient, input, weight, ctx.stride, ctx.ends, ctx.dilation, wanted[:2])
        found = [None, None] if not any(wanted[:2]) else list(_kernel_backward(*arguments))
        found.append(gradient.sum(0) if wanted[2] else None)
    return *(part if one else None for part, one in zip(found, wanted, strict=True)), None, None, None


def _composed_gradients(
    ctx: Any, gradient: Tensor, tensors: tuple[Tensor, Tensor, Tensor | None], wanted: list[bool]
) -> list[Tensor | None]:
    pairs = tuple(zip(ctx.ends[::2], ctx.ends[1::2], strict=True))
    output = local_conv_composed(*tensors, ctx.stride, pairs, ctx.dilation)
    return gradients_of(output, tensors, wanted, gradient)


def _fake_backward(
    gradient: Tensor, input: Tensor, weight: Tensor, stride: Any, ends: Any, dilation: Any, wanted: list[bool]
) -> tuple[Tensor, Tensor]:
    return (
        torch.empty_like(input) if wanted[0] else input.new_empty(0),
        torch.empty_like(weight) if wanted[1] else weight.new_empty(0),
    )


_kernel = differentiable(
    "local_conv(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] dilation) -> Tensor",
    _fake,
    _save,
    _backward,
)
_kernel_backward = plain(
    "local_conv_backward(Tensor gradient, Tensor input, Tensor weight, int[] stride, int[] padding, "
    "int[] dilation, bool[] wanted) -> (Tensor, Tensor)",
    _fake_backward,
)
