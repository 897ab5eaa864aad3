"""Layers of spatial pyramid pooling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor, nn

from striate.ops.pyramid_pool.levels import Kind, checked_levels
from striate.ops.pyramid_pool.op import (
    pyramid_pool1d,
    pyramid_pool2d,
    pyramid_pool3d,
)

FUNCTIONS = {1: pyramid_pool1d, 2: pyramid_pool2d, 3: pyramid_pool3d}


class _PyramidPool(nn.Module):
    rank: ClassVar[int]

    def __init__(
        self, levels: Sequence[int] = (1, 2, 4), kind: Kind = "max", *, norm_type: float | None = None
    ) -> None:
        super().__init__()
        self.levels = checked_levels(type(self).__name__, levels, kind, norm_type)
        self.kind: Kind = kind
        self.norm_type = norm_type

    @property
    def bins(self) -> int:
        """Numbers that each channel becomes: ``Σ b^rank``."""
        return sum(level**self.rank for level in self.levels)

    def forward(self, input: Tensor) -> Tensor:
        return FUNCTIONS[self.rank](input, self.levels, self.kind, norm_type=self.norm_type)

    def extra_repr(self) -> str:
        text = f"levels={self.levels}, kind={self.kind!r}"
        return text if self.norm_type is None else f"{text}, norm_type={self.norm_type}"


class PyramidPool1d(_PyramidPool):
    """Pyramid pooling along one dimension; see :class:`PyramidPool2d`.

    >>> import torch
    >>> PyramidPool1d()(torch.ones(2, 3, 9)).shape
    torch.Size([2, 21])
    """

    rank = 1


class PyramidPool2d(_PyramidPool):
    """Pictures of any size into vectors of one length; see :func:`striate.functional.pyramid_pool2d`.

    Args:
        levels: bins along each dimension, for each level.
        kind: ``"max"``, ``"avg"`` or ``"lp"``.
        norm_type: p, only for ``"lp"``.

    Attributes:
        bins: numbers that each channel becomes; ``channels · bins`` features go into a linear layer.

    >>> import torch
    >>> pool = PyramidPool2d((1, 2, 4))
    >>> classifier = nn.Sequential(nn.Conv2d(3, 8, 3), pool, nn.Linear(8 * pool.bins, 10))
    >>> classifier(torch.ones(1, 3, 30, 41)).shape, classifier(torch.ones(1, 3, 17, 9)).shape
    (torch.Size([1, 10]), torch.Size([1, 10]))
    """

    rank = 2


class PyramidPool3d(_PyramidPool):
    """Pyramid pooling of volumes; see :class:`PyramidPool2d`.

    >>> import torch
    >>> PyramidPool3d((1, 2), "avg")(torch.ones(2, 3, 5, 6, 7)).shape
    torch.Size([2, 27])
    """

    rank = 3
