"""Pure measures of a finished prediction: accuracy, confusion, per-class scores, worst errors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from striate.verdict.statistics import wilson_interval

IntArray = NDArray[np.int64]
Labels = torch.Tensor | NDArray[np.int64] | Sequence[int]


@dataclass(frozen=True)
class ClassScore:
    """How one class fared.

    Attributes:
        name: of the class.
        pictures: pictures that truly are of it.
        predicted: pictures that were called it.
        correct: pictures of it that were called it.
        recall: correct / pictures, with its 95 % Wilson interval; ``None`` without pictures.
        precision: correct / predicted, with its interval; ``None`` if the class was never predicted.
        f1: harmonic mean of both; ``None`` where the class neither occurs nor is predicted.
    """

    name: str
    pictures: int
    predicted: int
    correct: int
    recall: float | None
    recall_interval: tuple[float, float] | None
    precision: float | None
    precision_interval: tuple[float, float] | None
    f1: float | None


@dataclass(frozen=True)
class WorstError:
    """A wrong answer: picture ``index`` of ``true`` class was called ``predicted``.

    ``probability`` is what the learner gave its wrong answer, ``true_probability`` the right one.
    """

    index: int
    true: int
    predicted: int
    probability: float
    true_probability: float


@dataclass(frozen=True)
class Evaluation:
    """One learner on one labelled set.

    Attributes:
        pictures, correct, accuracy, interval: the share classified right, 95 % Wilson interval.
        balanced_accuracy: mean recall of the classes that occur; equals accuracy for equal counts.
        log_loss: mean −ln of the probability given to the true class (floored at 1e-7).
        per_class: one record per class, in label order.
        confusion: ``[true][predicted]`` counts.
    """

    pictures: int
    correct: int
    accuracy: float
    interval: tuple[float, float]
    balanced_accuracy: float
    log_loss: float
    per_class: list[ClassScore]
    confusion: list[list[int]]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def confusion_matrix(labels: Labels, predictions: Labels, classes: int) -> IntArray:
    """Counts int64 ``(K, K)``: rows are the true class, columns the predicted one.

    Args:
        labels, predictions: ``(N,)`` class indices in 0…K−1.
        classes: K.

    Raises:
        ValueError: lengths differ or an index lies outside 0…K−1.

    >>> confusion_matrix([0, 0, 1], [0, 1, 1], 2).tolist()
    [[1, 1], [0, 1]]
    """
    true, called = np.asarray(labels, dtype=np.int64), np.asarray(predictions, dtype=np.int64)
    if true.shape != called.shape or true.ndim != 1:
        raise ValueError(
            f"labels, predictions: wanted two vectors of one length, got {true.shape} and {called.shape}"
        )
    for name, values in (("labels", true), ("predictions", called)):
        if values.size and not (values.min() >= 0 and values.max() < classes):
            raise ValueError(f"{name}: wanted 0 to {classes - 1}, got {values.min()} to {values.max()}")
    return np.bincount(true * classes + called, minlength=classes * classes).reshape(classes, classes)


def per_class(labels: Labels, predictions: Labels, classes: Sequence[str]) -> list[ClassScore]:
    """Recall, precision and F1 of every class, the shares with 95 % Wilson intervals.

    Args:
        labels, predictions: ``(N,)`` class indices.
        classes: class names, in label order.

    >>> cat, dog = per_class([0, 0, 1], [0, 1, 1], ["cat", "dog"])
    >>> cat.recall, cat.precision, dog.recall, dog.precision
    (0.5, 1.0, 1.0, 0.5)
    """
    matrix = confusion_matrix(labels, predictions, len(classes))
    return [_class_score(name, matrix, i) for i, name in enumerate(classes)]


def evaluation(probabilities: torch.Tensor, labels: Labels, classes: Sequence[str]) -> Evaluation:
    """Everything that is measured of probabilities ``(N, K)`` against labels ``(N,)``, N ≥ 1.

    >>> result = evaluation(torch.tensor([[0.9, 0.1], [0.6, 0.4]]), [0, 1], ["cat", "dog"])
    >>> result.accuracy, result.balanced_accuracy, result.confusion
    (0.5, 0.5, [[1, 0], [1, 0]])
    """
    truth = torch.as_tensor(np.asarray(labels, dtype=np.int64))
    predictions = probabilities.argmax(1)
    matrix = confusion_matrix(truth, predictions, len(classes))
    total, correct = int(matrix.sum()), int(matrix.trace())
    scores = per_class(truth, predictions, classes)
    recalls = [score.recall for score in scores if score.recall is not None]
    given = probabilities.gather(1, truth[:, None]).squeeze(1).double().clamp_min(1e-7)
    return Evaluation(
        pictures=total,
        correct=correct,
        accuracy=correct / total,
        interval=wilson_interval(correct, total),
        balanced_accuracy=sum(recalls) / len(recalls),
        log_loss=float(-given.log().mean()),
        per_class=scores,
        confusion=matrix.tolist(),
    )


def worst_errors(probabilities: torch.Tensor, labels: Labels, limit: int) -> list[WorstError]:
    """The wrong answers that the learner was surest of, surest first; ties by index.

    >>> worst_errors(torch.tensor([[0.9, 0.1], [0.75, 0.25]]), [0, 1], 5)
    [WorstError(index=1, true=1, predicted=0, probability=0.75, true_probability=0.25)]
    """
    truth = torch.as_tensor(np.asarray(labels, dtype=np.int64))
    sureness, predictions = probabilities.max(1)
    wrong = (predictions != truth).nonzero().squeeze(1)
    order = wrong[torch.argsort(sureness[wrong], descending=True, stable=True)][:limit]
    return [
        WorstError(
            i, int(truth[i]), int(predictions[i]), float(sureness[i]), float(probabilities[i, truth[i]])
        )
        for i in order.tolist()
    ]


def _class_score(name: str, matrix: IntArray, i: int) -> ClassScore:
    correct, pictures, predicted = int(matrix[i, i]), int(matrix[i].sum()), int(matrix[:, i].sum())
    return ClassScore(
        name=name,
        pictures=pictures,
        predicted=predicted,
        correct=correct,
        recall=correct / pictures if pictures else None,
        recall_interval=wilson_interval(correct, pictures) if pictures else None,
        precision=correct / predicted if predicted else None,
        precision_interval=wilson_interval(correct, predicted) if predicted else None,
        f1=2 * correct / (pictures + predicted) if pictures + predicted else None,
    )
