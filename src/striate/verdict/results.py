"""What a comparison found: plain records, saved as ``comparison.json`` and read by the report."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

RESULT = "comparison.json"
PREDICTIONS = "predictions.safetensors"


@dataclass(frozen=True)
class ShiftResult:
    """Accuracy and consistency under translation; lists run along ``offsets``.

    Attributes:
        offsets: translations in pixels, −k…k.
        accuracy: share of the pictures classified right at each offset.
        consistency: share of the pictures whose predicted class is the one at offset 0.
        pictures: how many test pictures were moved.
    """

    offsets: list[int]
    accuracy: list[float]
    consistency: list[float]
    pictures: int


@dataclass(frozen=True)
class ShuffleResult:
    """Test accuracy after training and testing on pictures with one fixed pixel permutation."""

    accuracy: float
    interval: tuple[float, float]
    seconds: float


@dataclass
class LearnerResult:
    """One row of the leaderboard.

    ``reason`` is set, and everything measured is ``None``, where the learner could not apply.
    """

    name: str
    title: str
    kind: str
    reason: str | None = None
    folder: str | None = None  # of its run, relative to the comparison's folder
    correct: int | None = None
    accuracy: float | None = None
    interval: tuple[float, float] | None = None  # 95 % Wilson
    p_value: float | None = None  # McNemar against the winner, Holm over all pairs; None for the winner
    parameters: int | None = None
    macs: int | None = None
    train_seconds: float | None = None
    epochs: int | None = None
    pictures: int | None = None  # training pictures used
    ms_per_picture: float | None = None  # median time to classify one decoded picture
    disk_bytes: int | None = None
    history: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    shift: ShiftResult | None = None
    shuffle: ShuffleResult | None = None
    moved_in_training: int = (
        0  # pixels by which training moved pictures at random: it explains much of ``shift``
    )
    unfinished: list[str] = field(default_factory=list)  # experiments still to come in a stopped comparison


@dataclass
class Comparison:
    """Everything about one ``striate compare`` (or ``train``: then one learner, no experiments).

    Test probabilities lie beside it in ``predictions.safetensors``: ``labels`` int64 ``(N,)`` and
    per learner ``probabilities/<name>`` float32 ``(N, K)``, in the order of the test split.
    """

    source: str
    kind: str
    classes: list[str]
    counts: dict[str, list[int]]  # split → pictures per class
    preprocessing: dict[str, Any]
    learners: list[LearnerResult]
    winner: str | None
    recommended: str | None
    verdict: list[str]  # two or three plain sentences
    terms: str  # the equal terms, in words: budget or epochs
    findings: dict[str, Any]
    config: dict[str, Any]
    # versions of striate, python, torch, numpy; machine; threads; seed; data_hash; started; seconds
    provenance: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Comparison:
        """The inverse of :meth:`to_dict`."""
        learners = [_learner(v) for v in values["learners"]]
        return cls(**{**values, "learners": learners})


def _learner(values: dict[str, Any]) -> LearnerResult:
    shift, shuffle, interval = values["shift"], values["shuffle"], values["interval"]
    return LearnerResult(
        **{
            **values,
            "interval": tuple(interval) if interval else None,
            "shift": ShiftResult(**shift) if shift else None,
            "shuffle": _shuffle(shuffle) if shuffle else None,
        }
    )


def _shuffle(values: dict[str, Any]) -> ShuffleResult:
    return ShuffleResult(**{**values, "interval": tuple(values["interval"])})
