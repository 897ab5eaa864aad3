"""What the classifiers on hand-crafted features share: samples, terms, standardisation, calibration."""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, ClassVar

import torch
from torch.nn import functional as F

from striate.train.config import LearnConfig
from striate.train.monitor import Monitor
from striate.train.run_folder import RunFolder

BLOCK = 4096  # rows taken at once
RARE = 0.2  # of its range is what a column's spread counts for at least
HOTTEST, COLDEST = 0.05, 20.0  # bounds of the factor on logits


@dataclass(frozen=True)
class Samples:
    """Features float32 ``(N, D)`` and labels int64 ``(N,)``."""

    features: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True)
class Terms:
    """On which terms a classifier is fitted.

    Attributes:
        classes: number of classes.
        config: the settings.
        monitor: is told of progress.
        deadline: when to stop, on the clock of :func:`time.perf_counter`; ``None`` for never.
        folder: whose log gets a line per pass, if the classifier learns in passes.
    """

    classes: int
    config: LearnConfig
    monitor: Monitor = field(default_factory=Monitor)
    deadline: float | None = None
    folder: RunFolder | None = None

    def seconds_left(self) -> float:
        """Until the deadline; infinite without one."""
        return math.inf if self.deadline is None else self.deadline - time.perf_counter()

    def weights(self, labels: torch.Tensor) -> torch.Tensor:
        """Weight float32 of each sample, 1 on average: inverse to its class's frequency if asked for."""
        if not self.config.balance:
            return torch.ones(len(labels))
        counts = torch.bincount(labels, minlength=self.classes)
        present = int((counts > 0).sum())
        return (len(labels) / (present * counts.clamp(min=1).float()))[labels]


@dataclass(frozen=True)
class Fitted:
    """A classifier and how it came about: settings, passes (if it learns in such) and remarks."""

    classifier: Classifier
    settings: dict[str, Any]
    epochs: int | None = None
    history: tuple[dict[str, Any], ...] = ()
    notes: tuple[str, ...] = ()


class Classifier(ABC):
    """Class probabilities from features; nothing but tensors inside."""

    name: ClassVar[str]
    title: ClassVar[str]

    @abstractmethod
    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """Logarithms of probabilities up to a constant, ``(N, K)``, of features ``(N, D)``."""

    @abstractmethod
    def tensors(self) -> dict[str, torch.Tensor]:
        """All that was learned; ``Class(**tensors)`` restores the classifier."""

    def probabilities(self, features: torch.Tensor) -> torch.Tensor:
        """Float32 ``(N, K)``, rows summing to 1, of features float32 ``(N, D)``."""
        with torch.inference_mode():
            blocks = [
                self.logits(block).double().softmax(1).float() for block in torch.split(features, BLOCK)
            ]
            return torch.cat(blocks)

    @property
    def parameters(self) -> int:
        """How many numbers it keeps."""
        return sum(tensor.numel() for tensor in self.tensors().values())


def standardise_(features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Centre and scale the columns **in place** to a spread of about 1; returns mean and scale, float64 ``(D,)``.

    The scale is √(σ² + (r/5)²) with r the column's range: a column that is almost always the same (a
    rare pattern, a corner that is nearly always blank) would otherwise be blown up to the weight of the
    others, and its accidents with it. Columns may have different units; constant ones become 0.
    """
    n, width = features.shape
    mean = torch.zeros(width, dtype=torch.float64)
    for block in torch.split(features, BLOCK):
        mean += block.sum(0, dtype=torch.float64)
    mean /= n
    variance = torch.zeros(width, dtype=torch.float64)
    for block in torch.split(features, BLOCK):
        variance += (block.double() - mean).square_().sum(0)
    variance /= n
    spread = (features.amax(0) - features.amin(0)).double()
    scale = (variance + (RARE * spread).square_()).sqrt_()
    scale[scale == 0] = 1.0
    for block in torch.split(features, BLOCK):
        block -= mean.float()
        block /= scale.float()
    return mean, scale


def standardised(features: torch.Tensor, mean: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Other features, moved and scaled as :func:`standardise_` did."""
    return (features - mean.float()).div_(scale.float())


def calibrated_loss(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> float:
    """Weighted mean of −log p(label), in nats, after the best factor on the logits."""
    exact = logits.double() * calibrating_factor(logits, labels, weights)
    losses = F.cross_entropy(exact, labels, reduction="none")
    return float((losses * weights).sum() / weights.sum())


def calibrating_factor(logits: torch.Tensor, labels: torch.Tensor, weights: torch.Tensor) -> float:
    """The factor on the logits (1 / temperature) with the least log-loss on held-out samples.

    Targets are smoothed by one sample per class, as in Platt's method, so that a held-out set
    without a mistake does not claim certainty.

    Source: Guo et al. 2017 (arXiv 1706.04599); Platt 1999.

    >>> z = torch.tensor([[4.0, 0.0], [0.0, 4.0], [0.0, 4.0]])
    >>> calibrating_factor(z, torch.tensor([0, 1, 0]), torch.ones(3)) < 0.5  # one of three is wrong
    True
    """
    from scipy.optimize import minimize_scalar

    n, classes = logits.shape
    smoothing = classes / (n + classes)
    exact = logits.double()

    def loss(log_factor: float) -> float:
        losses = F.cross_entropy(
            exact * math.exp(log_factor), labels, reduction="none", label_smoothing=smoothing
        )
        return float((losses * weights).sum())

    found = minimize_scalar(loss, bounds=(math.log(HOTTEST), math.log(COLDEST)), method="bounded")
    return math.exp(found.x)
