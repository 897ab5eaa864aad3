"""The one interface of everything that learns to classify pictures."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch

if TYPE_CHECKING:
    from striate.data.pictures import PictureSet
    from striate.train.config import LearnConfig
    from striate.train.monitor import Monitor
    from striate.train.run_folder import RunFolder

Kind = Literal["hand-crafted", "feed-forward", "convolutional", "your own"]


@dataclass(frozen=True)
class FitReport:
    """What a fit took.

    Attributes:
        seconds: wall-clock time of the fit, resumed parts included.
        pictures: training pictures used (fewer than given only if the budget did not allow all).
        epochs: passes over them; ``None`` for a learner that is not trained in passes.
        history: one record per epoch: epoch, train_loss, train_accuracy, val_loss, val_accuracy,
            learning_rate, images_per_second, data_wait, seconds.
        settings: the settings in force, with every ``None`` of the config resolved.
        notes: what a reader of the result must know.
    """

    seconds: float
    pictures: int
    epochs: int | None
    history: tuple[dict[str, Any], ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


class Learner(ABC):
    """Fits labelled pictures and gives class probabilities.

    Attributes:
        name: what the user types (``"hog"``, ``"cnn"``, ``"package.module:factory"``).
        title: a few words for tables, such as ``"HOG + linear classifier"``.
        kind: which of the lecture's families it belongs to.
    """

    family: ClassVar[str]  # key of the class in the registry, saved in model.json
    name: str
    title: str
    kind: Kind

    @abstractmethod
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
        """Learn from ``train``; ``val`` only chooses.

        Args:
            train, val: uint8 pictures of one shape.
            config: the settings; ``None`` values are the learner's to choose.
            monitor: is told of progress.
            folder: where checkpoints and the log go; without one nothing is written.
            flip: whether a mirrored picture keeps its class.
            permutation: int64 ``(H*W,)``; pixels are rearranged by it as the last step before the
                learner sees them, after any augmentation (the shuffle experiment).

        Raises:
            NotApplicableError: the learner cannot work on such pictures.
        """

    @abstractmethod
    def predict(self, pixels: torch.Tensor) -> torch.Tensor:
        """Class probabilities, float32 ``(N, K)`` on the CPU, of uint8 pictures ``(N, C, H, W)``."""

    @property
    @abstractmethod
    def parameters(self) -> int:
        """Learned numbers: weights, biases, stored vectors."""

    @property
    @abstractmethod
    def macs(self) -> int | None:
        """Multiply-adds for one picture; ``None`` where no exact count exists."""

    @abstractmethod
    def tensors(self) -> dict[str, torch.Tensor]:
        """Everything learned, for ``model.safetensors``."""

    @abstractmethod
    def architecture(self) -> dict[str, Any]:
        """JSON values from which :meth:`restore` rebuilds the learner around its tensors."""

    @classmethod
    @abstractmethod
    def restore(cls, architecture: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Learner:
        """The learner that gave ``architecture`` and ``tensors``."""
