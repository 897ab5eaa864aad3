"""Layers of spectral pooling."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from striate.geometry.arguments import Whole
from striate.ops._checks import per_dimension
from striate.ops.spectral_pool.op import spectral_pool1d, spectral_pool2d, spectral_pool3d

FUNCTIONS = {1: spectral_pool1d, 2: spectral_pool2d, 3: spectral_pool3d}


class _SpectralPool(nn.Module):
    rank: ClassVar[int]

    def __init__(self, output_size: Whole) -> None:
        super().__init__()
        per_dimension(type(self).__name__, "output_size", output_size, self.rank)
        self.output_size = output_size

    def forward(self, input: Tensor) -> Tensor:
        return FUNCTIONS[self.rank](input, self.output_size)

    def extra_repr(self) -> str:
        return f"output_size={self.output_size}"


class SpectralPool1d(_SpectralPool):
    """Spectral pooling along one dimension; see :func:`striate.functional.spectral_pool1d`.

    >>> import torch
    >>> SpectralPool1d(5)(torch.ones(2, 3, 9)).shape
    torch.Size([2, 3, 5])
    """

    rank = 1


class SpectralPool2d(_SpectralPool):
    """The lowest frequencies of pictures; see :func:`striate.functional.spectral_pool2d`.

    Args:
        output_size: ``(H_out, W_out)``, or one number for both, whatever the size of the input.

    >>> import torch
    >>> SpectralPool2d((16, 12))(torch.ones(2, 3, 28, 28)).shape
    torch.Size([2, 3, 16, 12])
    """

    rank = 2


class SpectralPool3d(_SpectralPool):
    """Spectral pooling of volumes; see :func:`striate.functional.spectral_pool3d`.

    >>> import torch
    >>> SpectralPool3d(4)(torch.ones(2, 3, 8, 7, 6)).shape
    torch.Size([2, 3, 4, 4, 4])
    """

    rank = 3
