"""`cnn` that keeps its resolution: where `cnn` halves the picture, this doubles the dilation.

The first stage pools, unless the pictures are below 16 pixels; the later ones do not, and what would have
come after their pooling is dilated instead, so that it sees as far but for the windows of the poolings.

Sources: Yu, Koltun, Funkhouser 2017, "Dilated residual networks", arXiv 1705.09914; Yu, Koltun 2016,
"Multi-scale context aggregation by dilated convolutions", arXiv 1511.07122.
"""

from __future__ import annotations

from torch import nn

from striate.models import cnn
from striate.nn import Conv2d

RECIPE = cnn.RECIPE


def dilated(in_channels: int, image_size: tuple[int, int], num_classes: int, *, width: int = 8) -> cnn.CNN:
    """The network; arguments as for :class:`striate.models.cnn.CNN`.

    >>> [m.dilation[0] for m in dilated(1, (28, 28), 10).modules() if isinstance(m, Conv2d)]
    [1, 1, 1, 1, 2, 2, 4]
    """
    pools = min(image_size) >= 16
    kept = 2 if pools else 1

    def stage(number: int, in_channels: int, channels: int) -> nn.Module:
        before = max(1, 2**number // kept)
        after = max(1, 2 ** (number + 1) // kept)
        conv1 = Conv2d(in_channels, channels, 3, padding=before, dilation=before, bias=False)
        conv2 = Conv2d(channels, channels, 3, padding=after, dilation=after, bias=False)
        return cnn.Stage(conv1, conv2, channels, pool=pools and number == 0)

    return cnn.CNN(in_channels, image_size, num_classes, width=width, stage=stage)
