"""Datasets and comparisons for the report's tests: real digits, real small learners, hostile names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.datasets import load_digits

from striate.data.pictures import Dataset, PictureSet, Preprocessing
from striate.train.checkpoint import write_tensors
from striate.train.config import CompareConfig
from striate.verdict.metrics import evaluation
from striate.verdict.ranking import best_guess, recommended_of, winner_of
from striate.verdict.results import Comparison, LearnerResult
from striate.verdict.sentences import verdict
from striate.verdict.statistics import versus_winner

DIGITS = tuple("0123456789")


def digits(classes: Sequence[str] = DIGITS) -> Dataset:
    """scikit-learn's real digits, under any ten names."""
    bunch = load_digits()
    pixels = torch.from_numpy(np.minimum(255, bunch.images * 16).astype(np.uint8))[:, None]
    labels = torch.from_numpy(bunch.target.astype(np.int64))
    return dataset(pixels, labels, classes, source="digits")


def dataset(
    pixels: torch.Tensor,
    labels: torch.Tensor,
    classes: Sequence[str],
    *,
    source: str = "pictures",
    names: Sequence[str] | None = None,
    test: int | None = None,
) -> Dataset:
    """Pictures cut into train, val and test; the last ``test`` (by default a third) are the test."""
    count = len(labels)
    held = test or count // 3
    given = names or [f"{classes[label]}/{i:05d}.png" for i, label in enumerate(labels.tolist())]
    parts = []
    for start, end in (
        (0, count - held - held // 4),
        (count - held - held // 4, count - held),
        (count - held, count),
    ):
        parts.append(
            PictureSet(pixels[start:end], labels[start:end], tuple(given[start:end]), tuple(classes))
        )
    _, channels, height, width = pixels.shape
    made = Preprocessing(height, width, channels)
    findings: Any = None  # the report reads those of the comparison
    return Dataset(*parts, made, source, "named", "0" * 64, False, findings)


def invented(
    classes: int,
    per_class: int,
    shape: tuple[int, int, int],
    seed: int = 0,
    names: Sequence[str] | None = None,
) -> Dataset:
    """Smooth coloured blotches, one hue and place per class; enough of a picture to be drawn."""
    random = np.random.default_rng(seed)
    channels, height, width = shape
    count = classes * per_class * 3
    labels = torch.arange(count) % classes
    y, x = np.mgrid[0:height, 0:width]
    centre = random.uniform(0.25, 0.75, (classes, 2))[labels.numpy()] + random.normal(0, 0.06, (count, 2))
    distance = ((y / height - centre[:, :1, None]) ** 2 + (x / width - centre[:, 1:, None]) ** 2) / 0.03
    hue = random.uniform(60, 255, (classes, channels))[labels.numpy()]
    pixels = np.exp(-distance)[:, None] * hue[:, :, None, None] + random.normal(
        0, 4, (count, channels, height, width)
    )
    tensor = torch.from_numpy(np.clip(pixels, 0, 255).astype(np.uint8))
    return dataset(tensor, labels, names or [f"class {i}" for i in range(classes)])


def guesses(pictures: PictureSet, accuracy: float, seed: int) -> torch.Tensor:
    """Probabilities right for about ``accuracy`` of ``pictures``, wrong mostly by one class."""
    random = np.random.default_rng(seed)
    count, classes = len(pictures), len(pictures.classes)
    labels = pictures.labels.numpy()
    step = 1 + (random.geometric(0.5, count) - 1) % max(classes - 1, 1)
    answers = np.where(random.random(count) < accuracy, labels, (labels + step) % classes)
    logits = random.normal(0, 0.7, (count, classes))
    logits[np.arange(count), answers] += random.uniform(2.5, 7, count)
    return torch.from_numpy(logits).float().softmax(1)


def row(name: str, probabilities: torch.Tensor, pictures: PictureSet, **more: Any) -> LearnerResult:
    """The leaderboard row of real or made probabilities."""
    scores = evaluation(probabilities, pictures.labels, pictures.classes)
    measured: dict[str, Any] = {
        "title": f"the {name} learner",
        "kind": "hand-crafted",
        "parameters": 1000 + len(name),
        "train_seconds": 1.5,
        "ms_per_picture": 0.25,
        "disk_bytes": 12345,
        **more,
    }
    return LearnerResult(
        name=name, correct=scores.correct, accuracy=scores.accuracy, interval=scores.interval, **measured
    )


def comparison(
    data: Dataset,
    rows: Sequence[LearnerResult],
    answers: dict[str, torch.Tensor],
    folder: Path,
    *,
    findings: dict[str, Any] | None = None,
    **changes: Any,
) -> Comparison:
    """A comparison of ``rows``, with its predictions saved in ``folder``."""
    judged = [r for r in rows if r.correct is not None]
    winner = winner_of(rows)
    if winner:
        right = [(answers[r.name].argmax(1) == data.test.labels).numpy() for r in judged]
        for r, p in zip(judged, versus_winner(right, judged.index(winner)), strict=True):
            r.p_value = None if r is winner else p
    counts = {
        split: pictures.counts().tolist()
        for split, pictures in (("train", data.train), ("val", data.val), ("test", data.test))
    }
    recommended = recommended_of(rows, best_guess(data.classes, counts))
    saved = {f"probabilities/{name}": tensor for name, tensor in answers.items()}
    write_tensors(folder / "predictions.safetensors", {"labels": data.test.labels, **saved})
    config = CompareConfig(source=data.source, epochs=2)
    values: dict[str, Any] = {
        "source": data.source,
        "kind": data.kind,
        "classes": list(data.classes),
        "counts": counts,
        "preprocessing": data.preprocessing.to_dict(),
        "learners": list(rows),
        "winner": winner.name if winner else None,
        "recommended": recommended.name if recommended else None,
        "verdict": verdict(rows, data.classes, counts),
        "terms": "Equal terms: same split, 2 passes over the training pictures.",
        "findings": findings or {},
        "config": config.model_dump(mode="json"),
        "provenance": {
            "striate": "0.1.0",
            "python": "3.11.7",
            "libraries": {"torch": "2.13.0"},
            "system": "Linux x86_64",
            "processor": "a processor",
            "gpu": None,
            "threads": 2,
            "seed": 0,
            "data_hash": data.data_hash,
            "command": ["compare", "digits"],
            "started": "2026-01-02T03:04:05+0000",
            "seconds": 61.2,
        },
        **changes,
    }
    return Comparison(**values)
