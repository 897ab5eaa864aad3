"""The containers that every learner, experiment and report works on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from striate.data.inspect import Findings


@dataclass(frozen=True)
class Preprocessing:
    """How a file becomes the pixels that a learner sees; travels inside every saved model.

    Attributes:
        height, width: size in pixels of every decoded picture.
        channels: 1 (grey) or 3 (red, green, blue).
        fit: how a picture of another size is fitted: ``"crop"`` scales the shorter side and cuts
            the centre out, ``"pad"`` scales the longer side and fills with ``background``,
            ``"stretch"`` ignores the aspect ratio.
        background: grey level 0…255 that transparent pixels and padding are set on.
        decoder_version: version of the decoder that made the training pixels.

    >>> Preprocessing(height=28, width=28, channels=1).shape
    (1, 28, 28)
    """

    height: int
    width: int
    channels: int
    fit: str = "crop"
    background: int = 255
    decoder_version: int = 1

    @property
    def shape(self) -> tuple[int, int, int]:
        """``(channels, height, width)``."""
        return (self.channels, self.height, self.width)

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``Preprocessing(**d)`` restores it."""
        return asdict(self)


@dataclass(frozen=True)
class PictureSet:
    """Decoded labelled pictures.

    Attributes:
        pixels: uint8 tensor ``(N, C, H, W)``; in memory or memory-mapped.
        labels: int64 tensor ``(N,)`` of class indices.
        names: N names: paths relative to the source, or ``"test/00012"`` for pictures from arrays.
        classes: class names; ``labels`` index them.

    >>> pixels = torch.zeros(3, 1, 8, 8, dtype=torch.uint8)
    >>> pictures = PictureSet(pixels, torch.tensor([0, 1, 1]), ("a", "b", "c"), ("cat", "dog"))
    >>> len(pictures), pictures.subset([2]).names, pictures.counts().tolist()
    (3, ('c',), [1, 2])
    """

    pixels: torch.Tensor
    labels: torch.Tensor
    names: Sequence[str]
    classes: tuple[str, ...]

    def __post_init__(self) -> None:
        n = len(self.labels)
        if self.pixels.dtype != torch.uint8 or self.pixels.ndim != 4:
            raise ValueError(
                f"pixels: wanted uint8 (N, C, H, W), got {self.pixels.dtype} {tuple(self.pixels.shape)}"
            )
        if len(self.pixels) != n or len(self.names) != n:
            raise ValueError(
                f"{len(self.pixels)} pictures, {n} labels, {len(self.names)} names: must be equal"
            )

    def __len__(self) -> int:
        return len(self.labels)

    def subset(self, indices: Sequence[int] | torch.Tensor) -> PictureSet:
        """The pictures at ``indices``, in that order (copied)."""
        index = torch.as_tensor(indices, dtype=torch.int64)
        names = tuple(self.names[i] for i in index.tolist())
        return PictureSet(self.pixels[index], self.labels[index], names, self.classes)

    def counts(self) -> torch.Tensor:
        """Pictures per class, int64 ``(K,)``."""
        return torch.bincount(self.labels, minlength=len(self.classes))


@dataclass(frozen=True)
class Dataset:
    """A source after decoding, checking and splitting.

    Attributes:
        train, val, test: disjoint parts; ``test`` is never trained or tuned on.
        preprocessing: how the pixels were made.
        source: what the user asked for (``"mnist"``, a path).
        kind: ``"named"``, ``"folder"``, ``"idx"`` or ``"table"``.
        data_hash: SHA-256 over pixels, labels, names, classes and split.
        flip: whether a mirrored picture keeps its class (never for digits and letters).
        findings: what the inspection found.
        seen: a hash of every picture in ``train`` and ``val``, sorted.
    """

    train: PictureSet
    val: PictureSet
    test: PictureSet
    preprocessing: Preprocessing
    source: str
    kind: str
    data_hash: str
    flip: bool
    findings: Findings
    seen: tuple[str, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names, in label order."""
        return self.train.classes
