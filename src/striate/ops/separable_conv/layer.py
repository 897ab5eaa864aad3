"""Layers of depthwise separable convolution."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from striate.geometry.arguments import Pads, Whole
from striate.ops._checks import per_dimension
from striate.ops._layer import WindowLayer, draw, parameter
from striate.ops.separable_conv.op import separable_conv1d, separable_conv2d, separable_conv3d

FUNCTIONS = {1: separable_conv1d, 2: separable_conv2d, 3: separable_conv3d}


class _SeparableConv(WindowLayer):
    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Whole,
        stride: Whole = 1,
        padding: Pads = 0,
        dilation: Whole = 1,
        depth_multiplier: int = 1,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation)
        per_dimension(type(self).__name__, "depth_multiplier", depth_multiplier, 1)
        self.depth_multiplier = depth_multiplier
        between = in_channels * depth_multiplier
        self.depthwise_weight = parameter((between, 1, *self.kernel_size), device, dtype)
        self.pointwise_weight = parameter((out_channels, between, *(1,) * self.rank), device, dtype)
        if bias:
            self.bias = parameter((out_channels,), device, dtype)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Each step starts as a ``torch.nn.Conv2d`` of its shape does: uniform in ±1/√fan_in."""
        draw(self.depthwise_weight, prod(self.kernel_size))
        draw(self.pointwise_weight, self.in_channels * self.depth_multiplier)
        draw(self.bias, self.in_channels * self.depth_multiplier)

    def forward(self, input: Tensor) -> Tensor:
        return FUNCTIONS[self.rank](
            input,
            self.depthwise_weight,
            self.pointwise_weight,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
        )

    def extra_repr(self) -> str:
        text = super().extra_repr()
        if self.depth_multiplier != 1:
            text += f", depth_multiplier={self.depth_multiplier}"
        return text if self.bias is not None else text + ", bias=False"


class SeparableConv1d(_SeparableConv):
    """Depthwise separable convolution along one dimension; see :class:`SeparableConv2d`.

    >>> SeparableConv1d(4, 6, 3)(torch.zeros(5, 4, 10)).shape
    torch.Size([5, 6, 8])
    """

    rank = 1


class SeparableConv2d(_SeparableConv):
    """Depthwise separable convolution: a drop-in for ``torch.nn.Conv2d`` with far fewer weights.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: taps of the depthwise step; one number or ``(kH, kW)``.
        stride, padding, dilation: see :func:`striate.functional.separable_conv2d`.
        depth_multiplier: kernels for each input channel.
        bias: whether a bias is learned; it is added at the end.
        device: where the parameters live.
        dtype: of the parameters.

    Attributes:
        depthwise_weight: ``(C_in · m, 1, kH, kW)``.
        pointwise_weight: ``(C_out, C_in · m, 1, 1)``.
        bias: ``(C_out,)`` or ``None``.

    Source:
        Chollet, arXiv 1610.02357 (Xception); Howard et al., arXiv 1704.04861 (MobileNets).

    >>> layer = SeparableConv2d(32, 64, 3, padding=1, bias=False)
    >>> sum(p.numel() for p in layer.parameters())  # 9·32 + 32·64; a full convolution has 18432
    2336
    """

    rank = 2


class SeparableConv3d(_SeparableConv):
    """Depthwise separable convolution of volumes; see :class:`SeparableConv2d`.

    >>> SeparableConv3d(2, 4, (1, 3, 3), padding="same")(torch.zeros(2, 4, 5, 6)).shape
    torch.Size([4, 4, 5, 6])
    """

    rank = 3
