"""LeNet as the lecture draws it: two rounds of convolution and pooling, then three linear layers.

Source: LeCun, Bottou, Bengio, Haffner 1998, "Gradient-based learning applied to document
recognition", section II; the lecture's reading has 5×5 kernels, 6 and 16 of them, no padding.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from striate.models.recipe import Recipe
from striate.nn import ConvPool2d
from striate.ops._library import NATIVE

RECIPE = Recipe(
    optimizer="adamw",
    learning_rate=4e-3,
    weight_decay=0.01,
    batch_size=128,
    epochs=12,
    steps=1500,
    crop_padding=0.07,
)

SMALLEST = 28  # smaller pictures are enlarged: two unpadded 5×5 convolutions need room


class LeNet(nn.Module):
    """conv 5×5 (6) → pool 2 → conv 5×5 (16) → pool 2 → linear 120 → 84 → classes.

    ReLU follows every layer but the last. Each round of convolution and pooling is one operator,
    which never stores the map between the two.

    Args:
        in_channels: channels of a picture.
        image_size: its height and width in pixels; a side below 28 is enlarged to 28.
        num_classes: number of classes.
        bias: whether the convolutions have biases; without, they have the lecture's 150 and
            2,400 weights (for one channel), with biases 156 and 2,416.

    >>> sum(p.numel() for p in LeNet(1, (32, 32), 10).parameters())  # LeNet-5's 61,706
    61706
    >>> network = LeNet(1, (28, 28), 10, bias=False)
    >>> network.conv1.weight.numel(), network.conv2.weight.numel()
    (150, 2400)
    """

    # The kernels take pictures as they come; without them PyTorch is faster with channels last.
    memory_format = torch.contiguous_format if NATIVE.loaded else torch.channels_last

    def __init__(
        self, in_channels: int, image_size: tuple[int, int], num_classes: int, *, bias: bool = True
    ) -> None:
        super().__init__()
        height, width = (max(side, SMALLEST) for side in image_size)
        self.enlarged = (height, width) if (height, width) != tuple(image_size) else None
        self.conv1 = ConvPool2d(in_channels, 6, 5, bias=bias)
        self.conv2 = ConvPool2d(6, 16, 5, bias=bias)
        features = 16 * ((height - 4) // 2 - 4) // 2 * (((width - 4) // 2 - 4) // 2)
        self.fc1 = nn.Linear(features, 120)
        self.fc2 = nn.Linear(120, 84)
        self.fc3 = nn.Linear(84, num_classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Logits ``(N, num_classes)`` of pictures ``(N, in_channels, H, W)``."""
        if self.enlarged:
            x = F.interpolate(x, self.enlarged, mode="bilinear", align_corners=False)
        x = self.conv2(self.conv1(x))
        x = F.relu(self.fc1(x.flatten(1)))
        logits: torch.Tensor = self.fc3(F.relu(self.fc2(x)))
        return logits
