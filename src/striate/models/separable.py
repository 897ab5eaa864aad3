"""A small MobileNet: `cnn` with depthwise separable convolutions in its stages.

Sources: Howard et al. 2017, "MobileNets", arXiv 1704.04861; nothing stands between the depthwise and
the 1×1 convolution, as in Chollet 2017, "Xception", arXiv 1610.02357.
"""

from __future__ import annotations

from torch import nn

from striate.models import cnn
from striate.nn import SeparableConv2d

RECIPE = cnn.RECIPE


def separable(in_channels: int, image_size: tuple[int, int], num_classes: int, *, width: int = 16) -> cnn.CNN:
    """The network; arguments as for :class:`striate.models.cnn.CNN`.

    >>> sum(p.numel() for p in separable(1, (28, 28), 10).parameters())  # `cnn` has 292,666
    37642
    """
    return cnn.CNN(in_channels, image_size, num_classes, width=width, stage=_stage)


def _stage(number: int, in_channels: int, channels: int) -> nn.Module:
    conv1 = SeparableConv2d(in_channels, channels, 3, padding=1, bias=False)
    conv2 = SeparableConv2d(channels, channels, 3, padding=1, bias=False)
    return cnn.Stage(conv1, conv2, channels)
