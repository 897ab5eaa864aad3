"""Layers of local convolution; the size of the pictures is part of them."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor, nn

from striate.geometry.arguments import Pads, Whole
from striate.ops._checks import per_dimension, windows
from striate.ops._layer import WindowLayer, draw, parameter
from striate.ops.local_conv.op import local_conv1d, local_conv2d, local_conv3d

FUNCTIONS = {1: local_conv1d, 2: local_conv2d, 3: local_conv3d}


class _LocalConv(WindowLayer):
    weight: nn.Parameter
    bias: nn.Parameter | None

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Whole,
        input_size: Whole,
        stride: Whole = 1,
        padding: Pads = 0,
        dilation: Whole = 1,
        groups: int = 1,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        name = type(self).__name__
        self.input_size = per_dimension(name, "input_size", input_size, self.rank)
        *_, self.output_size = windows(
            name, self.input_size, self.kernel_size, self.stride, self.padding, self.dilation
        )
        shape = (out_channels, in_channels // groups, *self.kernel_size, *self.output_size)
        self.weight = parameter(shape, device, dtype)
        if bias:
            self.bias = parameter((out_channels, *self.output_size), device, dtype)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Uniform in ±1/√(C_in / groups · ∏k), as the shared kernels of ``torch.nn.Conv2d`` start."""
        fan_in = self.in_channels // self.groups * prod(self.kernel_size)
        draw(self.weight, fan_in)
        draw(self.bias, fan_in)

    def forward(self, input: Tensor) -> Tensor:
        return FUNCTIONS[self.rank](
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        text = super().extra_repr() + f", input_size={self.input_size}"
        return text if self.bias is not None else text + ", bias=False"


class LocalConv1d(_LocalConv):
    """Convolution along one dimension without weight sharing; see :class:`LocalConv2d`.

    >>> LocalConv1d(2, 4, 3, input_size=10)(torch.zeros(5, 2, 10)).shape
    torch.Size([5, 4, 8])
    """

    rank = 1


class LocalConv2d(_LocalConv):
    """Convolution without weight sharing: every output position has its own kernel and bias.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: taps; one number or ``(kH, kW)``.
        input_size: ``(H, W)`` of every input, or one number for both: it decides how many kernels there are.
        stride, padding, dilation, groups: see :func:`striate.functional.local_conv2d`.
        bias: whether a bias is learned, one for each output position.
        device: where the parameters live.
        dtype: of the parameters.

    Attributes:
        weight: ``(C_out, C_in / groups, kH, kW, H_out, W_out)``.
        bias: ``(C_out, H_out, W_out)`` or ``None``.
        output_size: ``(H_out, W_out)``.

    Source:
        LeCun, *Generalization and network design strategies*, 1989 (Net-3); Keras' ``LocallyConnected2D``.

    >>> layer = LocalConv2d(3, 6, 5, input_size=32)
    >>> layer(torch.zeros(1, 3, 32, 32)).shape, layer.weight.numel()  # shared, the weights would be 450
    (torch.Size([1, 6, 28, 28]), 352800)
    """

    rank = 2


class LocalConv3d(_LocalConv):
    """Convolution of volumes without weight sharing; see :class:`LocalConv2d`.

    >>> LocalConv3d(1, 2, 3, input_size=(4, 5, 6))(torch.zeros(1, 4, 5, 6)).shape
    torch.Size([2, 2, 3, 4])
    """

    rank = 3
