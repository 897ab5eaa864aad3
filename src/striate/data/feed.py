"""Batches for training: order and augmentation are pure functions of (seed, epoch, step)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from striate.data.augment import cutout, permute_pixels, random_crop, random_flip
from striate.data.pictures import PictureSet
from striate.train.schedule import derive_seed


@dataclass(frozen=True)
class Augmentation:
    """What is done to training pictures; lengths in pixels."""

    crop_padding: int = 0
    cutout: int = 0
    flip: bool = False


NONE = Augmentation()


class Feed:
    """Serves uint8 batches of a training set from wherever it lives (memory, device, memory map).

    A pass has ``len(pictures) // batch_size`` steps of equal size; the pictures left over differ
    from pass to pass.

    Args:
        pictures: the training set.
        batch_size: pictures a step; at most ``len(pictures)``.
        seed: with epoch and step it fixes everything.
        augmentation: applied to each batch.
        permutation: rearranges the pixels after the augmentation.
        device: where batches are put.
    """

    def __init__(
        self,
        pictures: PictureSet,
        batch_size: int,
        seed: int,
        augmentation: Augmentation,
        permutation: torch.Tensor | None,
        device: torch.device,
    ) -> None:
        self.pictures = pictures
        self.batch_size = min(batch_size, len(pictures))
        self.steps_per_epoch = len(pictures) // self.batch_size
        self.seed = seed
        self.augmentation = augmentation
        self.permutation = permutation
        self.device = device
        self._epoch = -1
        self._order = torch.empty(0, dtype=torch.int64)

    def indices(self, step: int) -> torch.Tensor:
        """Which pictures step ``step`` (counted from 0 over all epochs) trains on."""
        epoch, position = divmod(step, self.steps_per_epoch)
        if epoch != self._epoch:
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "order", epoch))
            self._order = torch.randperm(len(self.pictures), generator=generator)
            self._epoch = epoch
        return self._order[position * self.batch_size : (position + 1) * self.batch_size]

    def batch(self, step: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Augmented uint8 pictures ``(B, C, H, W)`` and int64 labels ``(B,)`` of a step."""
        index = self.indices(step).to(self.pictures.pixels.device)
        # index_select copies whole pictures, where [index] copies pixel by pixel
        pixels = self.pictures.pixels.index_select(0, index).to(self.device, non_blocking=True)
        labels = self.pictures.labels.index_select(0, index).to(self.device, non_blocking=True)
        if self.augmentation != NONE:
            generator = torch.Generator().manual_seed(derive_seed(self.seed, "augment", step))
            pixels = random_crop(pixels, self.augmentation.crop_padding, generator)
            if self.augmentation.flip:
                pixels = random_flip(pixels, generator)
            pixels = cutout(pixels, self.augmentation.cutout, 0, generator)
        return permute_pixels(pixels, self.permutation), labels
