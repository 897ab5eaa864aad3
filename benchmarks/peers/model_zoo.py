"""Whole models with random weights: Hugging Face's where it has them, else in ``torch.nn`` as published."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn


class Logits(nn.Module):
    """A classifier of Hugging Face that returns its logits."""

    def __init__(self, kind: str, **options: Any) -> None:
        super().__init__()
        import transformers

        config = getattr(transformers, f"{kind}Config")(num_labels=1000, **options)
        self.model = getattr(transformers, f"{kind}ForImageClassification")(config)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x).logits  # type: ignore[no-any-return]


class Block(nn.Module):
    """1×1, grouped 3×3, 1×1, around a shortcut (Xie et al., arXiv 1611.05431, figure 3c)."""

    def __init__(self, inputs: int, width: int, outputs: int, stride: int, groups: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(inputs, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU(inplace=True),
            nn.Conv2d(width, width, 3, stride, 1, groups=groups, bias=False), nn.BatchNorm2d(width),
            nn.ReLU(inplace=True), nn.Conv2d(width, outputs, 1, bias=False), nn.BatchNorm2d(outputs),
        )  # fmt: skip
        self.shortcut = (
            nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            if stride > 1 or inputs != outputs
            else nn.Identity()
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.body(x) + self.shortcut(x))


def resnext50() -> nn.Module:
    """ResNeXt-50 (32×4d)."""
    layers: list[nn.Module] = [
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2, 1),
    ]  # fmt: skip
    inputs = 64
    for stage, depth in enumerate((3, 4, 6, 3)):
        outputs = 256 * 2**stage
        for number in range(depth):
            layers.append(Block(inputs, outputs // 2, outputs, 2 if stage and not number else 1, 32))
            inputs = outputs
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, 1000))


def lenet() -> nn.Module:
    """LeNet-5 with ReLU and max-pooling."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "LeNet": (lenet, (128, 1, 28, 28)),
    "MobileNetV2": (lambda: Logits("MobileNetV2"), (4, 3, 160, 160)),
    "EfficientNet-B0": (
        lambda: Logits("EfficientNet", width_coefficient=1.0, depth_coefficient=1.0, hidden_dim=1280),
        (4, 3, 160, 160),
    ),
    "ConvNeXt-T": (lambda: Logits("ConvNext"), (2, 3, 160, 160)),
    "ResNeXt-50": (resnext50, (2, 3, 160, 160)),
    "ResNet-50": (lambda: Logits("ResNet"), (2, 3, 160, 160)),
}
