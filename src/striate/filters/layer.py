"""A known kernel as a layer."""

from __future__ import annotations

from torch import Tensor, nn

from striate.errors import ArgumentError
from striate.functional import conv1d, conv2d, conv3d
from striate.ops._checks import check_floating, check_rank
from striate.ops.conv.op import PADDING_MODES

CONVOLUTIONS = (conv1d, conv2d, conv3d)


class Filter(nn.Module):
    """Applies one fixed kernel to every channel; the size stays.

    The kernel is a buffer, ``weight`` of shape ``(channels, 1, *k)``: it moves with ``.to()``, is saved in
    the state dict under the name that a depthwise convolution has, and is never trained.

    Args:
        kernel: ``(k,)``, ``(k, k)`` or ``(k, k, k)``, real floating point; of this module or your own.
        channels: C, of the input and of the output.
        padding_mode: what lies beyond the border: ``"zeros"``, ``"reflect"``, ``"replicate"`` or
            ``"circular"``. An even kernel gets the odd sample at the end.

    Shape: ``(N, C, *size)`` → ``(N, C, *size)``; the batch may be left out.

    Raises:
        ArgumentError: a kernel of another rank, channels below 1, an unknown padding mode.

    >>> from striate.filters import box
    >>> Filter(box(3), channels=2, padding_mode="reflect")
    Filter(2, kernel_size=(3, 3), padding_mode='reflect')
    """

    weight: Tensor

    def __init__(self, kernel: Tensor, channels: int, padding_mode: str = "zeros") -> None:
        super().__init__()
        check_floating("filters.Filter", kernel=kernel)
        if kernel.dim() not in (1, 2, 3) or kernel.numel() == 0:
            raise ArgumentError(
                f"filters.Filter: kernel came with shape {tuple(kernel.shape)}; wanted 1, 2 or 3 dimensions"
                " and a sample at least"
            )
        if not isinstance(channels, int) or channels < 1:
            raise ArgumentError(f"filters.Filter: channels came as {channels!r}; wanted a number from 1")
        if padding_mode not in PADDING_MODES:
            raise ArgumentError(
                f"filters.Filter: padding_mode came as {padding_mode!r}; wanted one of {', '.join(PADDING_MODES)}"
            )
        self.channels = channels
        self.padding_mode = padding_mode
        self.rank = kernel.dim()
        self.register_buffer("weight", kernel.detach().expand(channels, 1, *kernel.shape).clone())

    def forward(self, input: Tensor) -> Tensor:
        """``(N, C, *size)`` → ``(N, C, *size)``."""
        check_rank("filters.Filter", input, self.rank)
        return CONVOLUTIONS[self.rank - 1](
            input, self.weight, padding="same", groups=self.channels, padding_mode=self.padding_mode
        )

    def extra_repr(self) -> str:
        """As printed."""
        size = tuple(self.weight.shape[2:])
        return f"{self.channels}, kernel_size={size}, padding_mode={self.padding_mode!r}"
