"""Depthwise convolution by the CPU kernels: which calls they take, their shape rule and gradients."""

from __future__ import annotations

from functools import cache
from typing import Any

import torch
from torch import Tensor, conv2d
from torch.nn import functional as F

from striate.ops._layout import becomes_channels_last, dense, is_channels_last, memory_format
from striate.ops._library import differentiable, gradients_of, obstacle, plain, wants_gradient
from striate.ops._plan import Plan, prepared

# What oneDNN is faster at with channels last: taps of a kernel, multiply-adds, and numbers of the result.
MOST_TAPS, LEAST_WORK, MOST_NUMBERS = 25, 2**22, 2**21
WIDE, WIDE_IN_ROWS = 32, 24  # columns of a picture, channel by channel, from which the kernel is faster


def depthwise_obstacle(rank: int, input: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> str:
    """Why the kernels do not take this call (one kernel for each channel, batched); empty when they do."""
    if not input.dim() == weight.dim() == rank + 2 or not input.shape[1] == weight.shape[0] == groups:
        return "not depthwise"
    if weight.shape[1] != 1 or (bias is not None and bias.shape != weight.shape[:1]):
        return "shapes that do not fit together"
    if min(input.shape) < 1:
        return "nothing to compute"
    if torch.is_autocast_enabled("cpu"):
        return "inside autocast"
    if rank == 3 and is_channels_last(input) and not _stays_last(input, weight):
        return "PyTorch makes the result contiguous"
    return obstacle(input, weight, bias)


def _stays_last(input: Tensor, weight: Tensor) -> bool:
    """Whether PyTorch keeps the channels of this volume last: where oneDNN convolves it, however many threads."""
    return (
        torch._C._get_mkldnn_enabled()
        and input.dtype in _onednn_dtypes()
        and weight.shape[-2:].numel() > 1  # a column of taps goes to oneDNN only with several threads
    )


@cache
def _onednn_dtypes() -> tuple[torch.dtype, ...]:
    both = torch.ops.mkldnn._is_mkldnn_bf16_supported()
    return (torch.float32, torch.bfloat16) if both else (torch.float32,)


def depthwise_plan(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    pairs: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
) -> Plan:
    """``conv`` of a batch with ``groups = C_in = C_out``, padded with zeros by ``(before, after)`` pairs."""
    ends = [end for pair in pairs for end in pair]
    if _is_onednns(input, weight, bias, stride, pairs, dilation):
        theirs = (stride, ends[::2], dilation, input.shape[1])
        return prepared(lambda x, w, b: conv2d(x, w, b, *theirs), input, weight, bias)
    way = convolve.way(input, weight, bias)
    return prepared(lambda x, w, b: way(x, w, b, stride, ends, dilation), input, weight, bias)


def _is_onednns(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    pairs: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
) -> bool:
    """Whether oneDNN is faster than the kernels.

    In float32 with channels last it takes 0.6 to 0.95 of the time, if the pictures are of middle size: smaller
    ones take as long as the call, larger ones as long as new pages. With more taps and with gradients the kernel
    is as fast or faster. In the other layout it is so for small kernels and wide pictures; of 5×5 to 9×9 taps over
    narrow ones oneDNN takes 0.4 to 0.95 of the time, although it turns both pictures.
    """
    if input.dim() != 4 or input.dtype != torch.float32 or torch.compiler.is_compiling():
        return False
    for before, after in pairs:
        if before != after:
            return False
    numbers, taps = input.numel() // (stride[0] * stride[1]), weight.shape[2] * weight.shape[3]
    if becomes_channels_last(input):
        fits = taps <= MOST_TAPS
    else:
        kernel = tuple(weight.shape[2:])
        in_rows = kernel == (7, 7) and stride == (1, 1)  # conv/_depthwise_rows.h
        fits = 5 <= min(kernel) <= max(kernel) <= 9 and input.shape[3] < (WIDE_IN_ROWS if in_rows else WIDE)
    return (
        fits
        and not wants_gradient(input, weight, bias)
        and numbers * taps >= LEAST_WORK
        and numbers < MOST_NUMBERS
        and max(dilation) == 1
        and torch._C._get_mkldnn_enabled()
    )


def output_sizes(input: Tensor, weight: Tensor, stride: Any, ends: Any, dilation: Any) -> list[int]:
    """Of a convolution padded by ``ends``: b₀, a₀, b₁, a₁, …; for whole numbers and for those of a graph."""
    return [
        (size + ends[2 * i] + ends[2 * i + 1] - dilation[i] * (weight.shape[2 + i] - 1) - 1) // stride[i] + 1
        for i, size in enumerate(input.shape[2:])
    ]


def _fake(input: Tensor, weight: Tensor, bias: Any, stride: Any, ends: Any, dilation: Any) -> Tensor:
    sizes = output_sizes(input, weight, stride, ends, dilation)
    form = memory_format(input)
    return torch.empty((*input.shape[:2], *sizes), dtype=input.dtype, device=input.device, memory_format=form)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    input, weight, bias, ctx.stride, ctx.ends, ctx.dilation = inputs
    ctx.save_for_backward(input, weight, bias)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    input, weight, bias = ctx.saved_tensors
    wanted = list(ctx.needs_input_grad[:3])
    if torch.is_grad_enabled():  # create_graph=True: the gradient must have gradients of its own
        found = _by_pytorch(ctx, gradient, (input, weight, bias), wanted)
    else:
        found = _kernel_backward(
            dense(gradient, input), input, weight, ctx.stride, ctx.ends, ctx.dilation, wanted
        )
    return *(part if one else None for part, one in zip(found, wanted, strict=True)), None, None, None


def _by_pytorch(
    ctx: Any, gradient: Tensor, tensors: tuple[Tensor, Tensor, Tensor | None], wanted: list[bool]
) -> list[Tensor | None]:
    input, weight, bias = tensors
    rank = input.dim() - 2
    theirs: Any = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}[rank]
    padded = F.pad(input, [end for i in reversed(range(rank)) for end in ctx.ends[2 * i : 2 * i + 2]])
    output = theirs(padded, weight, bias, ctx.stride, 0, ctx.dilation, weight.shape[0])
    return gradients_of(output, tensors, wanted, gradient)


def weight_gradient(
    gradient: Tensor, input: Tensor, weight: Tensor, stride: Any, ends: Any, dilation: Any
) -> Tensor:
    """Of the weight alone, without gradients of its own."""
    return _kernel_backward(gradient, input, weight, stride, ends, dilation, [False, True, False])[1]  # type: ignore[no-any-return]


def _fake_backward(
    gradient: Tensor, input: Tensor, weight: Tensor, stride: Any, ends: Any, dilation: Any, wanted: list[bool]
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.empty_like(input) if wanted[0] else input.new_empty(0),
        torch.empty_like(weight) if wanted[1] else weight.new_empty(0),
        weight.new_empty(weight.shape[0] if wanted[2] else 0),
    )


convolve = differentiable(
    "depthwise_conv(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] dilation) -> Tensor",
    _fake,
    _save,
    _backward,
)
_kernel_backward = plain(
    "depthwise_conv_backward(Tensor gradient, Tensor input, Tensor weight, int[] stride, int[] padding, "
    "int[] dilation, bool[] wanted) -> (Tensor, Tensor, Tensor)",
    _fake_backward,
)
