"""How a network is trained when the user does not say otherwise; stands beside each network."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Recipe:
    """Defaults of one network.

    Attributes:
        optimizer: ``"adamw"`` or ``"sgd"`` (Nesterov momentum 0.9); weight decay is decoupled and
            spares biases and normalisation.
        learning_rate: peak of the one-cycle schedule.
        weight_decay: decoupled decay.
        batch_size: pictures a step (fewer when there are few pictures).
        epochs: passes over a large set; a small set gets more, until ``steps`` are made.
        steps: the least number of steps worth making.
        label_smoothing: share of the target spread over all classes.
        crop_padding: random crop after padding by this share of the side.
        cutout: side of the blanked square as a share of the side.
        flip: whether mirroring helps this network (used only where classes survive it).
        weight_averaging: judge and save the moving average of the weights.
        bfloat16: autocast was measured faster where the processor has the instructions.
    """

    optimizer: Literal["adamw", "sgd"]
    learning_rate: float
    weight_decay: float
    batch_size: int
    epochs: int
    steps: int
    label_smoothing: float = 0.0
    crop_padding: float = 0.0
    cutout: float = 0.0
    flip: bool = False
    weight_averaging: bool = False
    bfloat16: bool = False
