"""What layers around several kernels, or unshared ones, have in common."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn

from striate.geometry.arguments import Pads, Whole
from striate.ops._checks import per_dimension, settled_padding
from striate.ops.conv.layer import check_channels


class WindowLayer(nn.Module):
    """Settings of a convolution, checked, kept and printed as ``torch.nn.Conv2d`` does."""

    rank: ClassVar[int]

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Whole,
        stride: Whole,
        padding: Pads,
        dilation: Whole,
        groups: int = 1,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        check_channels(name, in_channels, out_channels, groups)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = per_dimension(name, "kernel_size", kernel_size, self.rank)
        self.stride = per_dimension(name, "stride", stride, self.rank)
        self.padding = settled_padding(name, padding, self.rank)
        self.dilation = per_dimension(name, "dilation", dilation, self.rank)
        self.groups = groups

    def extra_repr(self) -> str:
        """The settings that are not the defaults, as ``torch.nn.Conv2d`` prints them."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        )
        if self.padding not in ((0,) * self.rank, "valid"):
            text += f", padding={self.padding!r}"
        if self.dilation != (1,) * self.rank:
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        return text


def parameter(
    shape: tuple[int, ...], device: torch.device | str | None, dtype: torch.dtype | None
) -> nn.Parameter:
    """A parameter whose values are still to be drawn."""
    return nn.Parameter(torch.empty(shape, device=device, dtype=dtype))


def draw(tensor: Tensor | None, fan_in: int) -> None:
    """Uniform values in ±1/√fan_in: what PyTorch's convolutions start with.

    Args:
        tensor: a weight or a bias; ``None`` is left alone.
        fan_in: numbers that one output is a weighted sum of.
    """
    if tensor is not None:
        bound = fan_in**-0.5
        nn.init.uniform_(tensor, -bound, bound)
