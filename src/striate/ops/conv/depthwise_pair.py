"""A depthwise k×1 convolution followed by a 1×k one, in one pass: which calls the kernel takes, shape rule, gradients.

What lies between the two never leaves the cache of a core, in either layout.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.ops._layout import is_channels_last, memory_format
from striate.ops._library import differentiable, gradients_of, obstacle, plain
from striate.ops._plan import Plan, prepared

TAPS = (3, 5, 7)
LOWEST = 4  # rows and columns of all three pictures
LEAST, MOST = 64, 2**14  # numbers of a picture's channel, of which several copies fit a cache


def pair_obstacle(
    input: Tensor, weights: tuple[Tensor, ...], biases: tuple[Tensor | None, ...], pairs: Any, groups: int
) -> str:
    """Why the kernel does not take this call, with strides and dilations of one; empty when it does."""
    down, along = weights
    if not input.dim() == down.dim() == along.dim() == 4:
        return "not a batch of pictures"
    channels, taps = input.shape[1], down.shape[2]
    if groups != channels or taps not in TAPS:
        return "not depthwise with 3, 5 or 7 taps"
    if down.shape != (channels, 1, taps, 1) or along.shape != (channels, 1, 1, taps):
        return "shapes that do not fit together"
    if input.shape[0] < 1 or not LEAST <= input.shape[2] * input.shape[3] <= MOST:
        return "pictures that are too small or too large for a cache"
    for size, pair in zip(input.shape[2:], pairs, strict=True):
        if max(pair) >= taps or size < max(taps, LOWEST) or size + sum(pair) - taps + 1 < LOWEST:
            return "windows that reach beyond the picture"
    for bias in biases:
        if bias is not None and bias.shape != (channels,):
            return "shapes that do not fit together"
    last = not input.is_contiguous()
    if last and not (is_channels_last(input) and input.shape[0] > 1 and input.dtype == torch.float32):
        return "neither contiguous nor several pictures in float32 with channels last"
    if input.dtype == torch.float64:
        return "float64"
    if torch.is_autocast_enabled("cpu"):
        return "inside autocast"
    return obstacle(input, *weights, *biases)


def pair_plan(
    input: Tensor, weights: tuple[Tensor, ...], biases: tuple[Tensor | None, ...], pairs: Any
) -> Plan:
    """The two convolutions, padded with zeros by ``(before, after)`` pairs, of ``(input, *weights, *biases)``."""
    ends = [end for pair in pairs for end in pair]
    way = _convolve.way(input, *weights, *biases)

    def compute(x: Tensor, down: Tensor, along: Tensor, down_bias: Any, along_bias: Any) -> Any:
        return way(x, down, down_bias, along, along_bias, ends)

    return prepared(compute, input, *weights, *biases)


def _fake(
    input: Tensor, down: Tensor, down_bias: Any, along: Tensor, along_bias: Any, ends: list[int]
) -> Tensor:
    taps = down.shape[2]
    high, wide = [size + ends[2 * i] + ends[2 * i + 1] - taps + 1 for i, size in enumerate(input.shape[2:])]
    form = memory_format(input)
    return torch.empty(
        (*input.shape[:2], high, wide), dtype=input.dtype, device=input.device, memory_format=form
    )


def _save(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
    *tensors, ctx.ends = inputs
    ctx.save_for_backward(*tensors)


def _backward(ctx: Any, gradient: Tensor) -> tuple[Any, ...]:
    tensors = ctx.saved_tensors
    wanted = list(ctx.needs_input_grad[:5])
    found: Any
    if torch.is_grad_enabled():  # create_graph=True: the gradient must have gradients of its own
        found = gradients_of(_by_pytorch(tensors, ctx.ends), tensors, wanted, gradient)
    else:
        found = _kernel_backward(
            gradient.contiguous(memory_format=memory_format(tensors[0])), *tensors[:4], ctx.ends, wanted
        )
    return *(part if one else None for part, one in zip(found, wanted, strict=True)), None


def _by_pytorch(
    tensors: tuple[Tensor, Tensor, Tensor | None, Tensor, Tensor | None], ends: list[int]
) -> Tensor:
    input, down, down_bias, along, along_bias = tensors
    channels = input.shape[1]
    middle = F.conv2d(F.pad(input, [0, 0, *ends[:2]]), down, down_bias, groups=channels)
    return F.conv2d(F.pad(middle, ends[2:]), along, along_bias, groups=channels)


def _fake_backward(
    gradient: Tensor,
    input: Tensor,
    down: Tensor,
    down_bias: Any,
    along: Tensor,
    ends: list[int],
    wanted: list[bool],
) -> tuple[Tensor, ...]:
    channels = input.shape[1]
    like = (input, down, input.new_empty(channels), along, input.new_empty(channels))
    return tuple(
        torch.empty_like(one) if is_wanted else one.new_empty(0)
        for one, is_wanted in zip(like, wanted, strict=True)
    )


_convolve = differentiable(
    "depthwise_pair_conv(Tensor input, Tensor down, Tensor? down_bias, Tensor along, Tensor? along_bias, int[] padding)"
    " -> Tensor",
    _fake,
    _save,
    _backward,
)
_kernel_backward = plain(
    "depthwise_pair_conv_backward(Tensor gradient, Tensor input, Tensor down, Tensor? down_bias, Tensor along, "
    "int[] padding, bool[] wanted) -> (Tensor, Tensor, Tensor, Tensor, Tensor)",
    _fake_backward,
)
