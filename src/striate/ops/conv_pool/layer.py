"""Layers of convolution and pooling in one."""

from __future__ import annotations

from math import prod, sqrt

import torch
from torch import Tensor, nn

from striate.errors import ArgumentError
from striate.geometry.arguments import Pads, Whole
from striate.ops._checks import per_dimension
from striate.ops._layer import WindowLayer, parameter
from striate.ops.conv_pool.op import ACTIVATIONS, CONVOLUTIONS, POOLS, conv_pool1d, conv_pool2d, conv_pool3d

FUNCTIONS = {1: conv_pool1d, 2: conv_pool2d, 3: conv_pool3d}


class _ConvPool(WindowLayer):
    weight: nn.Parameter
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
        activation: str = "relu",
        pool: str = "max",
        pool_size: Whole = 2,
        pool_stride: Whole | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation, groups)
        name = type(self).__name__
        for argument, value, known in (("activation", activation, ACTIVATIONS), ("pool", pool, POOLS)):
            if value not in known:
                raise ArgumentError(
                    f"{name}: {argument} came as {value!r}; wanted one of {', '.join(map(repr, known))}"
                )
        self.activation = activation
        self.pool = pool
        self.pool_size = per_dimension(name, "pool_size", pool_size, self.rank)
        self.pool_stride = (
            self.pool_size
            if pool_stride is None
            else per_dimension(name, "pool_stride", pool_stride, self.rank)
        )
        self.weight = parameter((out_channels, in_channels // groups, *self.kernel_size), device, dtype)
        if bias:
            self.bias = parameter((out_channels,), device, dtype)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """The very numbers that ``torch.nn.Conv2d`` starts with under the same seed."""
        nn.init.kaiming_uniform_(self.weight, a=sqrt(5))
        if self.bias is not None:
            bound = 1 / sqrt(self.in_channels // self.groups * prod(self.kernel_size))
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor) -> Tensor:
        return FUNCTIONS[self.rank](
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            self.activation,
            self.pool,
            self.pool_size,
            self.pool_stride,
        )

    def convolve(self, input: Tensor) -> Tensor:
        """What the convolution alone answers, before activation and pooling: for looking at."""
        return CONVOLUTIONS[self.rank](
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )

    def extra_repr(self) -> str:
        text = super().extra_repr()
        if self.bias is None:
            text += ", bias=False"
        text += f", activation={self.activation!r}, pool={self.pool!r}, pool_size={self.pool_size}"
        return text if self.pool_stride == self.pool_size else text + f", pool_stride={self.pool_stride}"


class ConvPool1d(_ConvPool):
    """Convolution, activation and pooling along one dimension; see :class:`ConvPool2d`.

    >>> ConvPool1d(2, 4, 3)(torch.zeros(5, 2, 10)).shape
    torch.Size([5, 4, 4])
    """

    rank = 1


class ConvPool2d(_ConvPool):
    """Convolution, bias, activation and pooling: one round of LeNet's alternation.

    The parameters are those of a ``torch.nn.Conv2d``, by name, shape and first values.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: taps; one number or ``(kH, kW)``.
        stride, padding, dilation, groups: see :func:`striate.functional.conv2d`.
        bias: whether a bias is learned.
        activation, pool, pool_size, pool_stride: see :func:`striate.functional.conv_pool2d`.
        device: where the parameters live.
        dtype: of the parameters.

    Attributes:
        weight: ``(C_out, C_in / groups, kH, kW)``.
        bias: ``(C_out,)`` or ``None``.

    Source:
        LeCun, Bottou, Bengio, Haffner, *Gradient-based learning applied to document recognition*, 1998.

    >>> layer = ConvPool2d(1, 6, 5)
    >>> layer
    ConvPool2d(1, 6, kernel_size=(5, 5), stride=(1, 1), activation='relu', pool='max', pool_size=(2, 2))
    >>> layer(torch.zeros(1, 1, 28, 28)).shape
    torch.Size([1, 6, 12, 12])
    """

    rank = 2


class ConvPool3d(_ConvPool):
    """Convolution, activation and pooling of volumes; see :class:`ConvPool2d`.

    >>> ConvPool3d(1, 2, 3, pool="avg")(torch.zeros(1, 4, 5, 6)).shape
    torch.Size([2, 1, 1, 2])
    """

    rank = 3
