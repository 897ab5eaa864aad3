"""Average pooling as layers: PyTorch's own, with Striate's arguments."""

from __future__ import annotations

from typing import Any, cast

from torch import Tensor, nn

from striate.geometry.arguments import Pads, Whole
from striate.ops.avg_pool.op import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
    avg_pool1d,
    avg_pool2d,
    avg_pool3d,
    global_avg_pool1d,
    global_avg_pool2d,
    global_avg_pool3d,
)


class _Dilated(nn.Module):
    """What the ranks of ``AvgPool`` share: a dilation beyond PyTorch's arguments."""

    dilation: Whole

    def extra_repr(self) -> str:
        """As PyTorch prints it, and the dilation where there is one."""
        told = super().extra_repr()
        return told if self.dilation in (1, (1,), (1, 1), (1, 1, 1)) else f"{told}, dilation={self.dilation}"


class AvgPool1d(_Dilated, nn.AvgPool1d):
    """``torch.nn.AvgPool1d`` on :func:`striate.functional.avg_pool1d`: any padding, and a dilation.

    >>> AvgPool1d(3, stride=2, padding="same", dilation=2)
    AvgPool1d(kernel_size=(3,), stride=(2,), padding=same, dilation=2)
    """

    def __init__(
        self,
        kernel_size: Whole,
        stride: Whole | None = None,
        padding: Pads = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        *,
        dilation: Whole = 1,
    ) -> None:
        arguments = (kernel_size, stride, 0, ceil_mode, count_include_pad)
        super().__init__(*cast(Any, arguments))
        # PyTorch's layer would take words and pairs apart.
        self.padding = cast(
            Any,
            (padding,)
            if isinstance(padding, int)
            else padding
            if isinstance(padding, str)
            else tuple(padding),
        )
        self.dilation = dilation

    def forward(self, input: Tensor) -> Tensor:
        """See :func:`striate.functional.avg_pool1d`."""
        return avg_pool1d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            dilation=self.dilation,
        )


class _Divided(_Dilated):
    """The arguments of ``AvgPool2d`` and ``AvgPool3d``."""

    def __init__(
        self,
        kernel_size: Whole,
        stride: Whole | None = None,
        padding: Pads = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
        *,
        dilation: Whole = 1,
    ) -> None:
        arguments = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override)
        super().__init__(*cast(Any, arguments))
        self.dilation = dilation

    def _arguments(self) -> tuple[Any, ...]:
        names = ("kernel_size", "stride", "padding", "ceil_mode", "count_include_pad", "divisor_override")
        return tuple(getattr(self, name) for name in names)


class AvgPool2d(_Divided, nn.AvgPool2d):
    """``torch.nn.AvgPool2d`` on :func:`striate.functional.avg_pool2d`: any padding, and a dilation.

    >>> import torch
    >>> AvgPool2d(2)(torch.arange(16.0).reshape(1, 4, 4))
    tensor([[[ 2.5000,  4.5000],
             [10.5000, 12.5000]]])
    """

    def forward(self, input: Tensor) -> Tensor:
        """See :func:`striate.functional.avg_pool2d`."""
        return avg_pool2d(input, *self._arguments(), dilation=self.dilation)


class AvgPool3d(_Divided, nn.AvgPool3d):
    """``torch.nn.AvgPool3d`` on :func:`striate.functional.avg_pool3d`: any padding, and a dilation."""

    def forward(self, input: Tensor) -> Tensor:
        """See :func:`striate.functional.avg_pool3d`."""
        return avg_pool3d(input, *self._arguments(), dilation=self.dilation)


class AdaptiveAvgPool1d(nn.AdaptiveAvgPool1d):
    """``torch.nn.AdaptiveAvgPool1d`` on :func:`striate.functional.adaptive_avg_pool1d`."""

    def forward(self, input: Tensor) -> Tensor:
        """See :func:`striate.functional.adaptive_avg_pool1d`."""
        return adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(nn.AdaptiveAvgPool2d):
    """``torch.nn.AdaptiveAvgPool2d`` on :func:`striate.functional.adaptive_avg_pool2d`."""

    def forward(self, input: Tensor) -> Tensor:
        """See :func:`striate.functional.adaptive_avg_pool2d`."""
        return adaptive_avg_pool2d(input, self.output_size)


class AdaptiveAvgPool3d(nn.AdaptiveAvgPool3d):
    """``torch.nn.AdaptiveAvgPool3d`` on :func:`striate.functional.adaptive_avg_pool3d`."""

    def forward(self, input: Tensor) -> Tensor:
        """See :func:`striate.functional.adaptive_avg_pool3d`."""
        return adaptive_avg_pool3d(input, self.output_size)


class GlobalAvgPool1d(nn.Module):
    """The average of each channel, ``(N, C, L)`` to ``(N, C, 1)``."""

    def forward(self, input: Tensor) -> Tensor:
        """See :func:`striate.functional.global_avg_pool1d`."""
        return global_avg_pool1d(input)


class GlobalAvgPool2d(nn.Module):
    """The average of each channel, ``(N, C, H, W)`` to ``(N, C, 1, 1)``."""

    def forward(self, input: Tensor) -> Tensor:
        """See :func:`striate.functional.global_avg_pool2d`."""
        return global_avg_pool2d(input)


class GlobalAvgPool3d(nn.Module):
    """The average of each channel, ``(N, C, D, H, W)`` to ``(N, C, 1, 1, 1)``."""

    def forward(self, input: Tensor) -> Tensor:
        """See :func:`striate.functional.global_avg_pool3d`."""
        return global_avg_pool3d(input)
