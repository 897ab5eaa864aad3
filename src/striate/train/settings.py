"""The settings of one training run with every choice made, from config, recipe and pictures."""

from __future__ import annotations

import math
import re
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import torch

from striate.data.feed import Augmentation
from striate.errors import UsageError
from striate.models.learner import FitReport
from striate.models.recipe import Recipe
from striate.train.config import LearnConfig, TrainConfig

T = TypeVar("T")


@dataclass(frozen=True)
class Settings:
    """Everything that decides the weights, besides the pictures and the first weights.

    ``steps`` is the length of the run; epochs follow from it. Lengths are in pixels.
    """

    optimizer: str
    learning_rate: float
    weight_decay: float
    label_smoothing: float
    batch_size: int
    steps: int
    seed: int
    crop_padding: int
    cutout: int
    flip: bool
    balance: bool
    weight_averaging: bool
    precision: str
    device: str

    @property
    def augmentation(self) -> Augmentation:
        """The part that changes pictures."""
        return Augmentation(self.crop_padding, self.cutout, self.flip)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``Settings(**d)`` restores them."""
        return asdict(self)


def resolve(config: LearnConfig, recipe: Recipe, pictures: int, side: int, flip: bool) -> Settings:
    """Settings for ``pictures`` training pictures whose shorter side is ``side`` pixels.

    Args:
        config: the user's wishes; ``None`` means the recipe's value.
        recipe: the network's own defaults.
        flip: whether a mirrored picture keeps its class.
    """
    batch = config.batch_size or _batch_size(recipe.batch_size, pictures)
    per_epoch = max(1, pictures // min(batch, pictures))
    epochs = config.epochs or max(recipe.epochs, min(100, math.ceil(recipe.steps / per_epoch)))
    device = choose_device(config.device)
    augment = config.augment
    wanted = flip if config.flip is None else config.flip
    return Settings(
        optimizer=recipe.optimizer,
        learning_rate=_first(config.learning_rate, recipe.learning_rate),
        weight_decay=_first(config.weight_decay, recipe.weight_decay),
        label_smoothing=_first(config.label_smoothing, recipe.label_smoothing),
        batch_size=min(batch, pictures),
        steps=epochs * per_epoch,
        seed=config.seed,
        crop_padding=round(recipe.crop_padding * side) if augment else 0,
        cutout=round(recipe.cutout * side) if augment else 0,
        flip=augment and wanted and recipe.flip,
        balance=config.balance,
        weight_averaging=_first(config.weight_averaging, recipe.weight_averaging),
        precision=_precision(config.precision, recipe, device),
        device=str(device),
    )


def as_trained(config: TrainConfig, report: FitReport, pictures: int) -> TrainConfig:
    """The config with every choice that the fit made, which repeats it.

    Args:
        config: the wishes.
        report: of the fit on ``pictures`` training pictures.
    """
    chosen = {key: value for key, value in report.settings.items() if key in type(config).model_fields}
    if report.epochs is not None and report.pictures == pictures:
        chosen |= {"epochs": report.epochs, "budget": None}  # less than a pass only a budget can say
    return config.model_copy(update=chosen)


def choose_device(name: str) -> torch.device:
    """The device called ``name``; ``auto`` takes a GPU if there is one.

    Raises:
        UsageError: there is no such device.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    match = re.fullmatch(r"cpu|cuda(?::([0-9]+))?", name)
    if not match:
        raise UsageError(f"device {name!r}: wanted auto, cpu, cuda or cuda:N")
    if name != "cpu" and int(match[1] or 0) >= torch.cuda.device_count():
        raise UsageError(
            f"device {name!r}: this machine shows {torch.cuda.device_count()} GPUs to PyTorch; use cpu"
        )
    return torch.device(name)


def _first(value: T | None, default: T) -> T:
    return default if value is None else value


def _batch_size(batch: int, pictures: int) -> int:
    """Halve the recipe's batch until a pass has at least 16 steps, but not below 16 pictures."""
    while batch > 16 and pictures // batch < 16:
        batch //= 2
    return batch


def _precision(wanted: str, recipe: Recipe, device: torch.device) -> str:
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        native = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        capabilities = torch.cpu.get_capabilities()
        native = any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return "bfloat16" if recipe.bfloat16 and native else "float32"
