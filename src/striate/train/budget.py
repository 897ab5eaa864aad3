"""How many steps fit into a time budget: measured on a throw-away copy before the training."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from striate.data.feed import Feed
from striate.data.pictures import PictureSet
from striate.train.checkpoint import Checkpoints
from striate.train.config import LearnConfig
from striate.train.loop import TrainingState
from striate.train.run_folder import RunFolder
from striate.train.schedule import parse_duration
from striate.train.settings import Settings

WARMUP_STEPS = 3
TIMED_STEPS = 8
MARGIN = 0.95  # of the budget is planned
MOST = 4  # times the recipe's own steps: beyond that a network only learns its pictures by heart


def within_budget(
    settings: Settings,
    config: LearnConfig,
    network: nn.Module,
    normalise: Callable[[torch.Tensor], torch.Tensor],
    train: PictureSet,
    val: PictureSet,
    *,
    folder: RunFolder | None = None,
) -> Settings:
    """The settings with ``steps`` set to what the budget allows; as they are without a budget.

    Epochs asked for by the user are the most that are made.

    A resumed run takes the settings of its checkpoint, so that it ends as it was meant to.
    """
    checkpoint = Checkpoints(folder.checkpoints).newest() if folder else None
    if checkpoint:
        return Settings(**checkpoint.values["settings"])
    if config.budget is None:
        return settings
    started = time.perf_counter()
    feed = Feed(
        train, settings.batch_size, settings.seed, settings.augmentation, None, torch.device(settings.device)
    )
    trial = TrainingState(copy.deepcopy(network), normalise, feed, settings)
    for _ in range(WARMUP_STEPS):
        trial.train_step()
    before = trial.seconds
    for _ in range(TIMED_STEPS):
        trial.train_step()
    step_seconds = (trial.seconds - before) / TIMED_STEPS
    trial.end_epoch(val, None, None)
    judge_seconds = trial.seconds - before - step_seconds * TIMED_STEPS
    left = MARGIN * parse_duration(config.budget) - (time.perf_counter() - started)
    per_epoch = feed.steps_per_epoch
    epochs = int(left // (per_epoch * step_seconds + judge_seconds))
    most = settings.steps if config.epochs else MOST * settings.steps
    if epochs >= 1:
        return replace(settings, steps=min(epochs * per_epoch, most))
    return replace(settings, steps=max(1, min(per_epoch, int((left - judge_seconds) / step_seconds))))
