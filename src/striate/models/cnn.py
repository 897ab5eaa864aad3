"""The default for users: a small convolutional network that follows the pictures it is given.

Each stage pools directly after its first convolution, so that normalisation and activation work
on a quarter of the numbers (K. Jordan 2024, "94% on CIFAR-10 in 3.29 seconds", arXiv 2404.00498);
the second convolution has a shortcut around it (He et al. 2015, arXiv 1512.03385).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from itertools import pairwise

import torch
from torch import nn
from torch.nn import functional as F

from striate.functional import max_pool2d
from striate.geometry.tracing import trace
from striate.models.recipe import Recipe
from striate.nn import Conv2d
from striate.train.config import LearnConfig
from striate.train.schedule import parse_duration
from striate.train.settings import choose_device

WIDTHS = (8, 16, 24, 32, 48)
DEFAULT_WIDTH = {"cpu": 16, "cuda": 32}
PASSES = 12  # that a width must be expected to make within a budget
EXPECTED_MACS_PER_SECOND = {"cpu": 8e10, "cuda": 5e12}  # orders of magnitude, to choose a width only

RECIPE = Recipe(
    optimizer="sgd",
    learning_rate=0.1,
    weight_decay=5e-4,
    batch_size=128,
    epochs=10,
    steps=1200,
    label_smoothing=0.1,
    crop_padding=0.08,
    cutout=0.25,
    flip=True,
    bfloat16=True,
)


class Stage(nn.Module):
    """Convolution → max-pool 2 → norm → ReLU, then convolution → norm → ReLU with a shortcut.

    Args:
        conv1: ``(N, in_channels, H, W)`` → ``(N, channels, H, W)``.
        conv2: ``(N, channels, H, W)`` → the same.
        channels: of the result.
        pool: whether the size is halved.
    """

    def __init__(self, conv1: nn.Module, conv2: nn.Module, channels: int, *, pool: bool = True) -> None:
        super().__init__()
        self.conv1 = conv1
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = conv2
        self.norm2 = nn.BatchNorm2d(channels)
        self.pool = pool

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """``(N, in_channels, H, W)`` → ``(N, channels, H//2, W//2)``, or ``H, W`` without the pooling."""
        x = self.conv1(x)
        if self.pool:
            x = max_pool2d(x, 2)
        x = F.relu(self.norm1(x))
        return x + F.relu(self.norm2(self.conv2(x)))


def dense_stage(number: int, in_channels: int, channels: int) -> nn.Module:
    """The stage of ``cnn``: two standard 3×3 convolutions."""
    conv1 = Conv2d(in_channels, channels, 3, padding=1, bias=False)
    conv2 = Conv2d(channels, channels, 3, padding=1, bias=False)
    return Stage(conv1, conv2, channels)


class CNN(nn.Module):
    """Stem, stages that halve the size and double the width, global max-pool, linear.

    Args:
        in_channels: channels of a picture.
        image_size: its height and width in pixels.
        num_classes: number of classes.
        width: channels of the stem; stage i, from 1, has ``width * 2**min(i, 3)``.
        stage: makes a stage of its number from 0, its input and its output channels.

    The stem keeps the size of pictures up to 48 pixels and halves larger ones; stages follow until
    the shorter side is below 8 pixels.

    >>> CNN(3, (64, 48), 5, width=8)(torch.zeros(2, 3, 64, 48)).shape
    torch.Size([2, 5])
    """

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        num_classes: int,
        *,
        width: int = 16,
        stage: Callable[[int, int, int], nn.Module] = dense_stage,
    ) -> None:
        super().__init__()
        stride = 2 if min(image_size) > 48 else 1
        self.stem = Conv2d(in_channels, width, 3 if stride == 1 else 5, stride, stride, bias=False)
        self.norm = nn.BatchNorm2d(width)
        depth = max(1, math.ceil(math.log2(min(image_size) / stride / 8)) + 1)
        widths = [width * 2 ** min(i, 3) for i in range(depth + 1)]
        self.stages = nn.Sequential(*(stage(i, a, b) for i, (a, b) in enumerate(pairwise(widths))))
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits ``(N, num_classes)`` of pictures ``(N, in_channels, H, W)``."""
        x = self.stages(F.relu(self.norm(self.stem(x))))
        logits: torch.Tensor = self.head(x.amax((2, 3)))
        return logits


def choose_width(shape: tuple[int, int, int], train_size: int, config: LearnConfig) -> int:
    """Width for such pictures: what their number supports and the time lets learn.

    Without a budget it is 16 (32 on a GPU), which took Fashion-MNIST above 93 % in five minutes on
    two cores. With one it is the widest of 8…48 that is expected to make twelve passes in time. Few
    pictures cannot teach a wide network anything that a narrow one misses: below 2,000 it is at most 16.

    >>> from striate.train.config import LearnConfig
    >>> choose_width((1, 28, 28), 54_000, LearnConfig(source="mnist", device="cpu"))
    16
    >>> choose_width((1, 28, 28), 54_000, LearnConfig(source="mnist", device="cpu", budget="1m"))
    8
    """
    kind = choose_device(config.device).type
    widths = [width for width in WIDTHS if train_size >= 2_000 or width <= 16]
    if config.budget is None:
        return min(DEFAULT_WIDTH[kind], widths[-1])
    affordable = parse_duration(config.budget) * EXPECTED_MACS_PER_SECOND[kind]
    fitting = [w for w in widths if PASSES * train_size * training_macs(shape, w) <= affordable]
    return fitting[-1] if fitting else widths[0]


def training_macs(shape: tuple[int, int, int], width: int) -> int:
    """Multiply-adds of a training step for one picture: forward, and twice as many backward."""
    channels, *size = shape
    return 3 * trace(CNN(channels, (size[0], size[1]), 10, width=width), shape).macs
