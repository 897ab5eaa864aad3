"""Max pooling as layers: PyTorch's own, with Striate's arguments."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from striate.geometry.arguments import Pads, Whole
from striate.ops.max_pool.op import (
    adaptive_max_pool1d,
    adaptive_max_pool2d,
    adaptive_max_pool3d,
    global_max_pool1d,
    global_max_pool2d,
    global_max_pool3d,
    max_pool1d,
    max_pool2d,
    max_pool3d,
)


class _Windows(nn.Module):
    """What the ranks of ``MaxPool`` share: the arguments beyond PyTorch's, and the call."""

    def __init__(
        self,
        kernel_size: Whole,
        stride: Whole | None = None,
        padding: Pads = 0,
        dilation: Whole = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        arguments = (kernel_size, stride, padding, dilation, return_indices, ceil_mode)
        super().__init__(*cast(Any, arguments))

    def _arguments(self) -> tuple[Any, ...]:
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "return_indices")
        return tuple(getattr(self, name) for name in names)


class MaxPool1d(_Windows, nn.MaxPool1d):
    """``torch.nn.MaxPool1d`` on :func:`striate.functional.max_pool1d`: any padding.

    >>> MaxPool1d(3, stride=2, padding="same")
    MaxPool1d(kernel_size=3, stride=2, padding=same, dilation=1, ceil_mode=False)
    """

    def forward(self, input: Tensor) -> Any:
        """See :func:`striate.functional.max_pool1d`."""
        return max_pool1d(input, *self._arguments())


class MaxPool2d(_Windows, nn.MaxPool2d):
    """``torch.nn.MaxPool2d`` on :func:`striate.functional.max_pool2d`: any padding.

    >>> import torch
    >>> MaxPool2d(2)(torch.arange(16.0).reshape(1, 4, 4))
    tensor([[[ 5.,  7.],
             [13., 15.]]])
    """

    def forward(self, input: Tensor) -> Any:
        """See :func:`striate.functional.max_pool2d`."""
        return max_pool2d(input, *self._arguments())


class MaxPool3d(_Windows, nn.MaxPool3d):
    """``torch.nn.MaxPool3d`` on :func:`striate.functional.max_pool3d`: any padding."""

    def forward(self, input: Tensor) -> Any:
        """See :func:`striate.functional.max_pool3d`."""
        return max_pool3d(input, *self._arguments())


class AdaptiveMaxPool1d(nn.AdaptiveMaxPool1d):
    """``torch.nn.AdaptiveMaxPool1d`` on :func:`striate.functional.adaptive_max_pool1d`."""

    def forward(self, input: Tensor) -> Any:
        """See :func:`striate.functional.adaptive_max_pool1d`."""
        return adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(nn.AdaptiveMaxPool2d):
    """``torch.nn.AdaptiveMaxPool2d`` on :func:`striate.functional.adaptive_max_pool2d`."""

    def forward(self, input: Tensor) -> Any:
        """See :func:`striate.functional.adaptive_max_pool2d`."""
        return adaptive_max_pool2d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool3d(nn.AdaptiveMaxPool3d):
    """``torch.nn.AdaptiveMaxPool3d`` on :func:`striate.functional.adaptive_max_pool3d`."""

    def forward(self, input: Tensor) -> Any:
        """See :func:`striate.functional.adaptive_max_pool3d`."""
        return adaptive_max_pool3d(input, self.output_size, self.return_indices)


class GlobalMaxPool1d(nn.Module):
    """The largest number of each channel, ``(N, C, L)`` to ``(N, C, 1)``."""

    def forward(self, input: Tensor) -> Tensor:
        """See :func:`striate.functional.global_max_pool1d`."""
        return global_max_pool1d(input)


class GlobalMaxPool2d(nn.Module):
    """The largest number of each channel, ``(N, C, H, W)`` to ``(N, C, 1, 1)``."""

    def forward(self, input: Tensor) -> Tensor:
        """See :func:`striate.functional.global_max_pool2d`."""
        return global_max_pool2d(input)


class GlobalMaxPool3d(nn.Module):
    """The largest number of each channel, ``(N, C, D, H, W)`` to ``(N, C, 1, 1, 1)``."""

    def forward(self, input: Tensor) -> Tensor:
        """See :func:`striate.functional.global_max_pool3d`."""
        return global_max_pool3d(input)
