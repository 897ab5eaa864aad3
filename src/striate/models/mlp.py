"""The feed-forward network on flattened pixels: the lecture's "about 2 % error on MNIST"."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import nn

from striate.models.recipe import Recipe

RECIPE = Recipe(
    optimizer="adamw",
    learning_rate=2e-3,
    weight_decay=0.05,
    batch_size=128,
    epochs=20,
    steps=1500,
    label_smoothing=0.05,
)


class MLP(nn.Module):
    """Flatten, then linear → ReLU → dropout twice, then linear; no pixel knows its neighbours.

    Args:
        in_channels: channels of a picture.
        image_size: its height and width in pixels.
        num_classes: number of classes.
        hidden: widths of the hidden layers.
        dropout: share of hidden units silenced while training.

    >>> MLP(1, (28, 28), 10)(torch.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        in_channels: int,
        image_size: tuple[int, int],
        num_classes: int,
        *,
        hidden: tuple[int, ...] = (512, 256),
        dropout: float = 0.25,
    ) -> None:
        super().__init__()
        widths = (in_channels * image_size[0] * image_size[1], *hidden)
        layers: list[nn.Module] = [nn.Flatten()]
        for narrow, wide in pairwise(widths):
            layers += [nn.Linear(narrow, wide), nn.ReLU(), nn.Dropout(dropout)]
        self.layers = nn.Sequential(*layers, nn.Linear(widths[-1], num_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits ``(N, num_classes)`` of pictures ``(N, in_channels, H, W)``."""
        logits: torch.Tensor = self.layers(x)
        return logits
