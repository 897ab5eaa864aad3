"""Flattened convolution step by step, each by the definition of convolution."""

from __future__ import annotations

from torch import Tensor

from striate.geometry.arguments import Pads, Whole
from striate.ops.conv.reference import conv


def flattened_conv2d(
    input: Tensor,
    channel_weight: Tensor,
    vertical_weight: Tensor,
    horizontal_weight: Tensor,
    channel_bias: Tensor | None = None,
    vertical_bias: Tensor | None = None,
    horizontal_bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
) -> Tensor:
    """What the function of this name means."""
    across = conv(input, channel_weight, channel_bias)
    down = _along(0, across, vertical_weight, vertical_bias, stride, padding, dilation)
    return _along(1, down, horizontal_weight, horizontal_bias, stride, padding, dilation)


def flattened_conv3d(
    input: Tensor,
    channel_weight: Tensor,
    vertical_weight: Tensor,
    horizontal_weight: Tensor,
    depth_weight: Tensor,
    channel_bias: Tensor | None = None,
    vertical_bias: Tensor | None = None,
    horizontal_bias: Tensor | None = None,
    depth_bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
) -> Tensor:
    """What the function of this name means."""
    across = conv(input, channel_weight, channel_bias)
    down = _along(1, across, vertical_weight, vertical_bias, stride, padding, dilation)
    along = _along(2, down, horizontal_weight, horizontal_bias, stride, padding, dilation)
    return _along(0, along, depth_weight, depth_bias, stride, padding, dilation)


def _along(
    axis: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Whole,
    padding: Pads,
    dilation: Whole,
) -> Tensor:
    """Each channel with its own taps along one axis; strides and paddings of the others wait."""
    rank = weight.dim() - 2

    def only(value: Whole, rest: int) -> tuple[int, ...]:
        each = (value,) * rank if isinstance(value, int) else tuple(value) * (rank // len(value))
        return tuple(each[i] if i == axis else rest for i in range(rank))

    pads = padding if isinstance(padding, str) else only(padding, 0)  # type: ignore[arg-type]
    return conv(input, weight, bias, only(stride, 1), pads, only(dilation, 1), groups=len(weight))
