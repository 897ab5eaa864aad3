"""`cnn` with parallel branches in its stages: 1×1, 3×3, 5×5 and pooling side by side, concatenated.

Source: Szegedy et al. 2014, "Going deeper with convolutions", arXiv 1409.4842, figure 2b; with batch
normalisation within the branches as in Ioffe and Szegedy 2015, arXiv 1502.03167.
"""

from __future__ import annotations

from torch import nn

from striate.models import cnn
from striate.nn import Conv2d, MaxPool2d, ParallelConv

RECIPE = cnn.RECIPE


def inception(in_channels: int, image_size: tuple[int, int], num_classes: int, *, width: int = 16) -> cnn.CNN:
    """The network; arguments as for :class:`striate.models.cnn.CNN`, the width a multiple of 4.

    >>> sum(p.numel() for p in inception(1, (28, 28), 10).parameters())  # `cnn` has 292,666
    92074
    """
    return cnn.CNN(in_channels, image_size, num_classes, width=width, stage=_stage)


def _stage(number: int, in_channels: int, channels: int) -> nn.Module:
    return cnn.Stage(_branches(in_channels, channels), _branches(channels, channels), channels)


def _branches(in_channels: int, channels: int) -> ParallelConv:
    """A quarter of the channels from 1×1, half from 3×3, an eighth each from 5×5 and from pooling."""
    quarter, eighth = channels // 4, channels // 8
    return ParallelConv(
        Conv2d(in_channels, quarter, 1, bias=False),
        _reduced(in_channels, quarter, 2 * quarter, 3),
        _reduced(in_channels, eighth, eighth, 5),
        nn.Sequential(MaxPool2d(3, stride=1, padding=1), Conv2d(in_channels, eighth, 1, bias=False)),
    )


def _reduced(in_channels: int, between: int, channels: int, kernel: int) -> nn.Sequential:
    """1×1 to fewer channels, then the large kernel."""
    return nn.Sequential(
        Conv2d(in_channels, between, 1, bias=False),
        nn.BatchNorm2d(between),
        nn.ReLU(),
        Conv2d(between, channels, kernel, padding=kernel // 2, bias=False),
    )
