"""Convolution with few channels in a group by the CPU kernels: which calls they take, shape rule and gradients.

Where they are faster than PyTorch in both layouts, measured in ``docs/guide/kernels.md``:

- groups of at most ``FEW`` channels, in and out: everything; in bfloat16 on processors that multiply pairs of it,
  groups of more than ``FEW_PAIRS`` only for gradients without channels last;
- one group that reads at most ``FIRST`` channels, the first layer of a network: with up to ``FEW`` output
  channels everything; with more the input's gradient and, where ``is_first_layers`` says so, the convolution,
  while PyTorch computes the rest.
"""

from __future__ import annotations

from functools import cache
from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops._layout import dense, suggests_channels_last
from striate.ops._library import differentiable, gradients_of, obstacle, plain, wants_gradient
from striate.ops._plan import Plan, prepared
from striate.ops.conv.depthwise import output_sizes

FEW, FIRST = 15, 4  # PyTorch's blocks of 16 channels are as fast
FEW_PAIRS = (
    7  # in bfloat16, where the processor multiplies pairs of such numbers, as PyTorch's blocks then do
)
LEAST = 512  # numbers of a picture: smaller calls take as long as it takes to call
SMALL = f"less than {LEAST} numbers a picture: the call itself is what takes time"
# Bounds of first layers of many channels; beyond them PyTorch is faster.
LEAST_WORK = 2**20  # multiply-adds of a call
LEAST_EACH = 32  # multiply-adds for a sample: it takes a few to part it
MOST_TAPS = 160
LEAST_REACHES = (
    4  # of a window in a picture's height: in smaller ones PyTorch leaves out many taps in the padding
)
LEAST_COLUMNS = 8  # of the result: half a register
PARTED = (1, 2, 4)  # strides along a row whose samples are parted by whole registers
MOST_STRIDE = 8  # as many planes has a tile for each channel and dimension
THEIRS: dict[int, Any] = {1: F.conv1d, 2: F.conv2d}


def few_channels_obstacle(
    rank: int, input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, groups: int
) -> str:
    """Why the kernels do not take this call; empty when they do."""
    if rank == 3:
        return "volumes: there is no kernel for groups of channels"
    if not torch.compiler.is_compiling() and input.numel() < LEAST:  # first: here every microsecond counts
        return SMALL
    if not input.dim() == weight.dim() == rank + 2:
        return "without a batch"
    outputs, channels = weight.shape[:2]
    if groups < 1 or input.shape[1] != groups * channels or outputs % groups:
        return "shapes that do not fit together"
    if groups == 1 and channels > FIRST:
        return "dense: PyTorch is as fast"
    if groups > 1 and max(channels, outputs // groups) > FEW:
        return f"more than {FEW} channels in a group: PyTorch is as fast"
    if (
        groups > 1
        and input.dtype == torch.bfloat16
        and max(channels, outputs // groups) > FEW_PAIRS
        and _multiplies_pairs()
        and (goes_on_last(input, weight) or not wants_gradient(input, weight, bias))
    ):
        return f"more than {FEW_PAIRS} channels in a group of bfloat16: PyTorch is as fast"
    if (
        groups == 1
        and outputs > FEW
        and not wants_gradient(input)
        and not is_first_layers(input, weight, stride)
    ):
        return f"a first layer of more than {FEW} channels whose input wants no gradient: PyTorch is as fast"
    if bias is not None and bias.shape != weight.shape[:1]:
        return "shapes that do not fit together"
    if input.shape[0] < 1 or min(weight.shape) < 1:
        return "nothing to compute"
    if not holds(prod(input.shape[1:]) >= LEAST):
        return SMALL
    longest = max(stride, default=1) if isinstance(stride, tuple | list) else stride
    if longest > MOST_STRIDE:
        return f"a stride above {MOST_STRIDE}"
    if torch.is_autocast_enabled("cpu"):
        return "inside autocast"
    return obstacle(input, weight, bias)


@cache
def _multiplies_pairs() -> bool:
    """Whether the processor adds products of two pairs of bfloat16 in one instruction."""
    return torch.cpu._is_avx512_bf16_supported()


def holds(condition: Any) -> bool:
    """Whether it does; in a graph for any size, whether it does for all of them."""
    if torch.compiler.is_compiling():
        from torch.fx.experimental.symbolic_shapes import statically_known_true

        return statically_known_true(condition)
    return bool(condition)


def is_first_layers(input: Tensor, weight: Tensor, stride: Any) -> bool:
    """Whether the kernel for first layers is as fast as PyTorch in either layout: pictures of float32 in rows."""
    if input.dim() != 4 or input.dtype != torch.float32 or goes_on_last(input, weight):
        return False
    down, along = stride if isinstance(stride, tuple | list) and len(stride) == 2 else (stride, stride)
    outputs, _, height, width = weight.shape
    if along not in PARTED or down not in range(1, MOST_STRIDE + 1) or height < down or width < along:
        return False  # in the last two cases samples that nobody reads would be parted too
    each = outputs * height * width
    if prod(weight.shape[1:]) > MOST_TAPS or each < LEAST_EACH * down * along:
        return False
    if not holds(input.shape[2] >= LEAST_REACHES * (height - 1)):
        return False
    if not holds(input.shape[3] >= LEAST_COLUMNS * along + width - along):
        return False
    return holds(input.numel() * each >= LEAST_WORK * down * along)


def stays_inside(sizes: Any, kernel: Any, pairs: Any, dilation: tuple[int, ...]) -> bool:
    """Whether a window that starts in the padding always ends within the picture.

    Otherwise most of a tile would be padding; and PyTorch's gradients may be wrong, see ``faults.overhangs``.
    """
    for n, k, pair, d in zip(sizes, kernel, pairs, dilation, strict=True):
        for end in pair:
            if not holds(n > d * (k - 1) + end):
                return False
    return True


def few_channels_plan(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: tuple[int, ...],
    pairs: tuple[tuple[int, int], ...],
    dilation: tuple[int, ...],
    groups: int,
) -> Plan:
    """``conv`` of a batch of signals or pictures, padded with zeros by ``(before, after)`` pairs."""
    ends = [end for pair in pairs for end in pair]
    if groups == 1 and weight.shape[0] > FEW:
        first = first_layer if is_first_layers(input, weight, stride) else first_layer_by_pytorch
        way = first.way(input, weight, bias)
        return prepared(lambda x, w, b: way(x, w, b, stride, ends, dilation), input, weight, bias)
    way, window = convolve.way(input, weight, bias), (stride, ends, dilation, groups)
    last = goes_on_last(input, weight)
    return prepared(lambda x, w, b: way(x, w, b, *window, last), input, weight, bias)


def goes_on_last(*tensors: Tensor) -> bool:
    """Whether PyTorch goes on with channels last after any of these tensors."""
    return any(tensor.dim() == 4 and suggests_channels_last(tensor) for tensor in tensors)


def _fake(
    input: Tensor, weight: Tensor, bias: Any, stride: Any, ends: Any, dilation: Any, groups: int, last: bool
) -> Tensor:
    sizes = output_sizes(input, weight, stride, ends, dilation)
    form = torch.channels_last if last else torch.contiguous_format
    shape = (input.shape[0], weight.shape[0], *sizes)
    return torch.empty(shape, dtype=input.dtype, device=input.device, memory_format=form)


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    input, weight, bias, ctx.stride, ctx.ends, ctx.dilation, ctx.groups, _ = inputs
    ctx.save_for_backward(input, weight, bias)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    input, weight, bias = ctx.saved_tensors
    wanted = list(ctx.needs_input_grad[:3])
    window = (ctx.stride, ctx.ends, ctx.dilation, ctx.groups)
    found: Any
    if torch.is_grad_enabled():  # create_graph=True: the gradient must have gradients of its own
        found = _by_pytorch(gradient, (input, weight, bias), *window, wanted)
    else:
        found = kernel_backward(dense(gradient, input), input, weight, *window, wanted)
    return *(part if one else None for part, one in zip(found, wanted, strict=True)), *(None,) * 5


def _pad_unevenly(input: Tensor, ends: Any) -> tuple[Tensor, list[int]]:
    """``input`` with what one end has more than the other, and the padding that is left for both."""
    pairs = [tuple(ends[2 * i : 2 * i + 2]) for i in range(input.dim() - 2)]
    both = [min(pair) for pair in pairs]
    rest = [end - p for pair, p in zip(reversed(pairs), reversed(both), strict=True) for end in pair]
    return (F.pad(input, rest) if any(rest) else input), both


def _convolve_by_pytorch(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, ends: Any, dilation: Any, groups: int = 1
) -> Tensor:
    padded, both = _pad_unevenly(input, ends)
    return THEIRS[input.dim() - 2](padded, weight, bias, tuple(stride), both, tuple(dilation), groups)  # type: ignore[no-any-return]


def _by_pytorch(
    gradient: Tensor,
    tensors: tuple[Tensor, Tensor, Tensor | None],
    stride: Any,
    ends: Any,
    dilation: Any,
    groups: int,
    wanted: list[bool],
) -> list[Tensor | None]:
    output = _convolve_by_pytorch(*tensors, stride, ends, dilation, groups)
    return gradients_of(output, tensors, wanted, gradient)


def _fake_backward(
    gradient: Tensor,
    input: Tensor,
    weight: Tensor,
    stride: Any,
    ends: Any,
    dilation: Any,
    groups: int,
    wanted: list[bool],
) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.empty_like(input) if wanted[0] else input.new_empty(0),
        torch.empty_like(weight) if wanted[1] else weight.new_empty(0),
        weight.new_empty(weight.shape[0] if wanted[2] else 0),
    )


convolve = differentiable(
    "few_channels_conv(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] dilation,"
    " int groups, bool channels_last) -> Tensor",
    _fake,
    _save,
    _backward,
)
kernel_backward = plain(
    "few_channels_conv_backward(Tensor gradient, Tensor input, Tensor weight, int[] stride, int[] padding, "
    "int[] dilation, int groups, bool[] wanted) -> (Tensor, Tensor, Tensor)",
    _fake_backward,
)


def _fake_first(input: Tensor, weight: Tensor, bias: Any, stride: Any, ends: Any, dilation: Any) -> Tensor:
    return _fake(input, weight, bias, stride, ends, dilation, 1, False)


def _save_first(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    input, weight, bias, ctx.stride, ctx.ends, ctx.dilation = inputs
    ctx.save_for_backward(input, weight, bias)


def _backward_first(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    input, weight, bias = ctx.saved_tensors
    wanted = list(ctx.needs_input_grad[:3])
    stride, ends, dilation = ctx.stride, ctx.ends, ctx.dilation
    found: list[Tensor | None] = [None, None, None]
    if torch.is_grad_enabled():
        found = _by_pytorch(gradient, (input, weight, bias), stride, ends, dilation, 1, wanted)
    else:
        if wanted[1] or wanted[2]:
            padded, both = _pad_unevenly(input, ends)
            sizes = None if bias is None else list(bias.shape)
            window = (list(stride), both, list(dilation), False, [0] * len(both), 1)
            found = list(
                torch.ops.aten.convolution_backward(
                    gradient, padded, weight, sizes, *window, [False, *wanted[1:]]
                )
            )
        if wanted[0]:
            tensors = (dense(gradient, input), dense(input), weight.contiguous())
            found[0] = kernel_backward(*tensors, stride, ends, dilation, 1, [True, False, False])[0]
    return *found, None, None, None


first_layer = differentiable(
    "first_layer_conv(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, int[] dilation) -> Tensor",
    _fake_first,
    _save_first,
    _backward_first,
)
first_layer_by_pytorch = differentiable(
    "first_layer_conv_by_pytorch(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding,"
    " int[] dilation) -> Tensor",
    _convolve_by_pytorch,
    _save_first,
    _backward_first,
    _convolve_by_pytorch,
)
