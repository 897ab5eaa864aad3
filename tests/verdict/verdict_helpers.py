"""A tiny real learner, small pictures and constructed leaderboard rows for the tests of the verdict."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from striate.data.augment import permute_pixels
from striate.data.pictures import PictureSet
from striate.errors import NotApplicableError
from striate.models.learner import FitReport, Kind, Learner
from striate.train.config import LearnConfig
from striate.train.monitor import Monitor
from striate.train.run_folder import RunFolder
from striate.verdict.results import LearnerResult, ShiftResult, ShuffleResult
from striate.verdict.statistics import wilson_interval


class NearestMean(Learner):
    """Takes the class whose mean picture is nearest: position is everything to it."""

    family = "nearest-mean"
    kind: Kind = "your own"

    def __init__(self, name: str = "nearest", means: torch.Tensor | None = None) -> None:
        self.name = name
        self.title = "nearest mean picture"
        self.means = means
        self.asked: list[int] = []

    def fit(
        self,
        train: PictureSet,
        val: PictureSet,
        config: LearnConfig,
        *,
        monitor: Monitor,
        folder: RunFolder | None = None,
        flip: bool = False,
        permutation: torch.Tensor | None = None,
    ) -> FitReport:
        if len(train.classes) > 50:
            raise NotApplicableError("more than 50 classes")
        pixels = permute_pixels(train.pixels, permutation).flatten(1).double()
        self.means = torch.stack([pixels[train.labels == k].mean(0) for k in range(len(train.classes))])
        return FitReport(seconds=0.5, pictures=len(train), epochs=None)

    def predict(self, pixels: torch.Tensor) -> torch.Tensor:
        assert self.means is not None
        self.asked.append(len(pixels))
        return torch.softmax(-torch.cdist(pixels.flatten(1).double(), self.means), 1).float()

    @property
    def parameters(self) -> int:
        return 0 if self.means is None else self.means.numel()

    @property
    def macs(self) -> int | None:
        return None

    def tensors(self) -> dict[str, torch.Tensor]:
        assert self.means is not None
        return {"means": self.means}

    def architecture(self) -> dict[str, Any]:
        return {"name": self.name}

    @classmethod
    def restore(cls, architecture: dict[str, Any], tensors: dict[str, torch.Tensor]) -> NearestMean:
        return cls(architecture["name"], tensors["means"])


def bars(count: int) -> PictureSet:
    """White upright bars on black, 12×12: columns 3–5 for the class "left", 6–8 for "right"."""
    pixels = torch.zeros(count, 1, 12, 12, dtype=torch.uint8)
    labels = torch.arange(count) % 2
    pixels[labels == 0, :, :, 3:6] = 255
    pixels[labels == 1, :, :, 6:9] = 255
    names = tuple(f"bar{i}" for i in range(count))
    return PictureSet(pixels, labels, names, ("left", "right"))


def row(
    name: str,
    correct: int,
    total: int,
    p: float | None = None,
    *,
    parameters: int = 1000,
    ms: float = 1.0,
    moved: float | None = None,
    shuffled: int | None = None,
    **other: Any,
) -> LearnerResult:
    """A judged learner; ``moved`` is its accuracy at offsets −2 and 2, ``shuffled`` what it got right."""
    accuracy = correct / total
    shift = None
    if moved is not None:
        between = (accuracy + moved) / 2
        curve = [moved, between, accuracy, between, moved]
        shift = ShiftResult([-2, -1, 0, 1, 2], curve, [0.9, 0.95, 1.0, 0.95, 0.9], min(total, 1000))
    shuffle = None
    if shuffled is not None:
        shuffle = ShuffleResult(shuffled / total, wilson_interval(shuffled, total), 1.0)
    return LearnerResult(
        name=name,
        title=name.upper(),
        kind="convolutional",
        correct=correct,
        accuracy=accuracy,
        interval=wilson_interval(correct, total),
        p_value=p,
        parameters=parameters,
        ms_per_picture=ms,
        shift=shift,
        shuffle=shuffle,
        **other,
    )


def counts(*test: int) -> dict[str, list[int]]:
    """Pictures per class and split for so many test pictures of each class."""
    return {"train": [4 * n for n in test], "val": list(test), "test": list(test)}


class Diverging(nn.Module):
    """Its answers are no numbers as soon as it trains."""

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(num_classes))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.weight.expand(len(x), -1)
        return logits * float("nan") if self.training else logits


def diverging(num_classes: int) -> nn.Module:
    """A network of the user's own that fails in training."""
    return Diverging(num_classes)


def no_network(num_classes: int) -> int:
    """What a user may name by mistake."""
    return num_classes
