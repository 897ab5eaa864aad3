"""`cnn` with flattened convolutions in its stages: across the channels, down, then along.

Source: Jin, Dundar, Culurciello 2014, "Flattened convolutional neural networks for feedforward
acceleration", arXiv 1412.5474; the biases of the steps are left to the normalisation that follows.
"""

from __future__ import annotations

from torch import nn

from striate.models import cnn
from striate.nn import FlattenedConv2d

RECIPE = cnn.RECIPE


def flattened(in_channels: int, image_size: tuple[int, int], num_classes: int, *, width: int = 16) -> cnn.CNN:
    """The network; arguments as for :class:`striate.models.cnn.CNN`.

    >>> sum(p.numel() for p in flattened(1, (28, 28), 10).parameters())  # `cnn` has 292,666
    37306
    """
    return cnn.CNN(in_channels, image_size, num_classes, width=width, stage=_stage)


def _stage(number: int, in_channels: int, channels: int) -> nn.Module:
    conv1 = FlattenedConv2d(in_channels, channels, 3, padding=1, bias=False)
    conv2 = FlattenedConv2d(channels, channels, 3, padding=1, bias=False)
    return cnn.Stage(conv1, conv2, channels)
