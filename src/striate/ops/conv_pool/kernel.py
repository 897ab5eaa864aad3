"""The kernel behind ``conv_pool2d``: which calls it serves, and its gradients."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.geometry.arguments import Pads, Whole
from striate.ops._layout import in_order, is_dense, stays_channels_last
from striate.ops._library import differentiable, gradients_of, obstacle, plain
from striate.ops._plan import Plan

BLOCK = 16  # pictures whose winners lie together; as in cpu.cpp
# Beyond these PyTorch is as fast, or the 16 pictures that are computed at once leave the cache.
LEAST_PICTURES, MOST_CHANNELS, MOST_OUTPUTS, MOST_KERNELS, MOST_TAPS, MOST_PIXELS = 8, 32, 64, 1024, 11, 16384


def kernel_obstacle(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Whole,
    padding: Pads,
    dilation: Whole,
    groups: int,
    activation: str,
    pool: str,
    pool_size: Whole,
    pool_stride: Whole | None,
) -> str:
    """Why PyTorch's operators serve a call and not the kernel; empty when the kernel does.

    The kernel is for small pictures of few channels, such as LeNet's; where PyTorch's convolutions
    have enough channels to be fast, they are not replaced.
    """
    if weight.dim() != 4 or input.dim() not in (3, 4):
        return "not in two dimensions"
    if not (_are(stride, 1) and _are(dilation, 1) and groups == 1):
        return "strides, dilations or groups"
    if not (pool == "max" and _are(pool_size, 2) and (pool_stride is None or _are(pool_stride, 2))):
        return "another pooling than the maximum of 2 × 2"
    if activation not in ("relu", "none"):
        return "an activation other than ReLU"
    sides = _sides(padding, weight.shape[2:])
    if sides is None:
        return "padding that differs between the ends"
    channels, height, width = input.shape[-3:]
    outputs, inputs, kernel_h, kernel_w = weight.shape
    if inputs != channels or (bias is not None and (bias.dim() != 1 or bias.shape[0] != outputs)):
        return "shapes that do not fit together"
    padded_h, padded_w = height + 2 * sides[0], width + 2 * sides[1]
    if not (0 < kernel_h < padded_h and 0 < kernel_w < padded_w and height > 0 and width > 0 and outputs > 0):
        return "windows that do not fit"
    if (
        channels < 1
        or channels > MOST_CHANNELS
        or outputs > MOST_OUTPUTS
        or channels * outputs > MOST_KERNELS
    ):
        return f"more than {MOST_CHANNELS} channels in, {MOST_OUTPUTS} out or {MOST_KERNELS} pairs of them"
    if not torch.compiler.is_compiling() and (input.dim() == 3 or input.shape[0] < LEAST_PICTURES):
        return f"fewer than {LEAST_PICTURES} pictures"
    if channels * padded_h * padded_w > MOST_PIXELS or max(kernel_h, kernel_w) > MOST_TAPS:
        return f"pictures of more than {MOST_PIXELS} numbers or kernels of more than {MOST_TAPS} taps"
    return obstacle(input, weight, bias)


def _are(value: Whole, number: int) -> bool:
    """Whether ``value`` is ``number`` in both dimensions."""
    return value == number if isinstance(value, int) else value in ((number, number), [number, number])


def _sides(padding: Pads, kernel: tuple[int, ...]) -> tuple[int, int] | None:
    """``padding`` as one number for each dimension, if it is so simple."""
    if isinstance(padding, int):
        return (padding, padding) if 0 <= padding <= MOST_TAPS else None
    if padding == "valid":
        return (0, 0)
    if padding == "same":
        return (kernel[0] // 2, kernel[1] // 2) if kernel[0] % 2 and kernel[1] % 2 else None
    if isinstance(padding, tuple | list) and len(padding) == 2:
        first, second = padding
        if isinstance(first, int) and isinstance(second, int) and 0 <= first <= MOST_TAPS >= second >= 0:
            return (first, second)
    return None


def conv_pool_plan(
    input: Tensor, weight: Tensor, bias: Tensor | None, padding: Pads, activation: str
) -> Plan:
    """The operator by its kernel, for a call without an obstacle."""
    sides, relu = _sides(padding, weight.shape[2:]), activation == "relu"
    if input.dim() == 3:
        plan = conv_pool_plan(input.unsqueeze(0), weight, bias, padding, activation)
        return lambda x, w, b: plan(x.unsqueeze(0), w, b).squeeze(0)
    last = input.shape[0] != 0 and (stays_channels_last(input) or stays_channels_last(weight))
    way, settings = _kernel.way(input, weight, bias), (sides, relu, last)
    if is_dense(input) and (bias is None or bias.is_contiguous()):
        return lambda x, w, b: way(x, w, b, *settings)[0]  # the weight may lie as it likes
    return lambda x, w, b: way(in_order(x), w, b if b is None else b.contiguous(), *settings)[0]


def _fake_forward(
    input: Tensor, weight: Tensor, bias: Tensor | None, padding: list[int], relu: bool, channels_last: bool
) -> tuple[Tensor, Tensor]:
    pictures, outputs = input.shape[0], weight.shape[0]
    height, width = (
        (size + 2 * pad - kernel + 1) // 2
        for size, pad, kernel in zip(input.shape[2:], padding, weight.shape[2:], strict=True)
    )
    layout = torch.channels_last if channels_last else torch.contiguous_format
    output = torch.empty(
        (pictures, outputs, height, width), dtype=input.dtype, device=input.device, memory_format=layout
    )
    winners = (pictures + BLOCK - 1) // BLOCK * BLOCK * outputs * height * width
    return output, input.new_empty(winners, dtype=torch.uint8)


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    input, weight, bias, *ctx.settings = inputs
    ctx.save_for_backward(input, weight, bias, output[1])
    ctx.mark_non_differentiable(output[1])
    ctx.set_materialize_grads(False)


def _backward(ctx: Any, gradient: Tensor | None, _: None) -> tuple[Tensor | None, ...]:
    nothing = (None,) * 6
    if gradient is None:
        return nothing
    input, weight, bias, winners = ctx.saved_tensors
    padding, relu, channels_last = ctx.settings
    wanted = list(ctx.needs_input_grad[:3])
    if torch.is_grad_enabled():  # the gradient is to be differentiated again
        found = _gradients_by_pytorch(gradient, (input, weight, bias), wanted, padding, relu)
    else:
        layout = torch.channels_last if channels_last else torch.contiguous_format
        dense = gradient.contiguous(memory_format=layout)
        found = _kernel_backward(dense, winners, input, weight, padding, wanted, channels_last)
    return (*(f if is_wanted else None for f, is_wanted in zip(found, wanted, strict=True)), *nothing[3:])


def _gradients_by_pytorch(
    gradient: Tensor, inputs: tuple[Tensor | None, ...], wanted: list[bool], padding: list[int], relu: bool
) -> list[Tensor | None]:
    input, weight, bias = inputs
    assert input is not None and weight is not None
    convolved = F.conv2d(input, weight, bias, padding=padding)
    output = F.max_pool2d(F.relu(convolved) if relu else convolved, 2)
    return gradients_of(output, inputs, wanted, gradient)


def _fake_backward(
    gradient: Tensor,
    winners: Tensor,
    input: Tensor,
    weight: Tensor,
    padding: list[int],
    wanted: list[bool],
    channels_last: bool,
) -> tuple[Tensor, ...]:
    return (
        torch.empty_like(input) if wanted[0] else input.new_empty(0),
        torch.empty_like(weight) if wanted[1] else input.new_empty(0),
        input.new_empty(weight.shape[0] if wanted[2] else 0),
    )


_kernel = differentiable(
    "conv_pool(Tensor input, Tensor weight, Tensor? bias, SymInt[] padding, bool relu, bool channels_last)"
    " -> (Tensor, Tensor)",
    _fake_forward,
    _save,
    _backward,
)
_kernel_backward = plain(
    "conv_pool_backward(Tensor gradient, Tensor winners, Tensor input, Tensor weight, SymInt[] padding,"
    " bool[] wanted, bool channels_last) -> (Tensor, Tensor, Tensor)",
    _fake_backward,
)
