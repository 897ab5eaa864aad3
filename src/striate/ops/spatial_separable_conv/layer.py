"""Layers of spatially separable convolution."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from striate.geometry.arguments import Pads, Whole
from striate.ops._layer import WindowLayer, draw, parameter
from striate.ops.conv.layer import check_channels
from striate.ops.spatial_separable_conv.op import (
    WEIGHTS,
    spatial_separable_conv2d,
    spatial_separable_conv3d,
)

FUNCTIONS: dict[int, Any] = {2: spatial_separable_conv2d, 3: spatial_separable_conv3d}


class _SpatialSeparableConv(WindowLayer):
    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Whole,
        stride: Whole = 1,
        padding: Pads = 0,
        dilation: Whole = 1,
        groups: int = 1,
        bias: bool = True,
        mid_channels: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        self.mid_channels = out_channels if mid_channels is None else mid_channels
        check_channels(type(self).__name__, self.mid_channels, out_channels, groups)
        channels = in_channels
        for axis, name in enumerate(WEIGHTS[self.rank]):
            last = axis == self.rank - 1
            taps = [1] * self.rank
            taps[axis] = self.kernel_size[axis]
            after = out_channels if last else self.mid_channels
            self.register_parameter(name, parameter((after, channels // groups, *taps), device, dtype))
            channels = after
        if bias:
            self.bias = parameter((out_channels,), device, dtype)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Each step starts as a ``torch.nn.Conv2d`` of its shape does: uniform in ±1/√fan_in."""
        for weight in self._weights():
            fan_in = weight[0].numel()
            draw(weight, fan_in)
        draw(self.bias, fan_in)

    def forward(self, input: Tensor) -> Tensor:
        return FUNCTIONS[self.rank](  # type: ignore[no-any-return]
            input, *self._weights(), self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        text = super().extra_repr()
        if self.mid_channels != self.out_channels:
            text += f", mid_channels={self.mid_channels}"
        return text if self.bias is not None else text + ", bias=False"

    def _weights(self) -> list[Tensor]:
        return [getattr(self, name) for name in WEIGHTS[self.rank]]


class SpatialSeparableConv2d(_SpatialSeparableConv):
    """A k×1 convolution, then a 1×k one: a drop-in for ``torch.nn.Conv2d`` with fewer weights.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: taps; one number or ``(kH, kW)``.
        stride, padding, dilation, groups: see :func:`striate.functional.spatial_separable_conv2d`.
        bias: whether a bias is learned; it is added at the end.
        mid_channels: channels between the steps; ``out_channels`` if not given.
        device: where the parameters live.
        dtype: of the parameters.

    Attributes:
        vertical_weight: ``(C_mid, C_in / groups, kH, 1)``.
        horizontal_weight: ``(C_out, C_mid / groups, 1, kW)``.
        bias: ``(C_out,)`` or ``None``.

    Source:
        Szegedy et al., arXiv 1512.00567 (Inception v3), section 3.2.

    >>> layer = SpatialSeparableConv2d(64, 64, 5, padding=2, bias=False)
    >>> sum(p.numel() for p in layer.parameters())  # 2 · 5 · 64 · 64; a full convolution has 102400
    40960
    """

    rank = 2


class SpatialSeparableConv3d(_SpatialSeparableConv):
    """Depth, height and width one after the other; see :class:`SpatialSeparableConv2d`.

    The weights are ``depth_weight``, ``vertical_weight`` and ``horizontal_weight``.

    >>> SpatialSeparableConv3d(2, 4, (3, 1, 3), padding="same")(torch.zeros(2, 4, 5, 6)).shape
    torch.Size([4, 4, 5, 6])
    """

    rank = 3
