"""Judging one fitted learner on pictures it has never seen."""

from __future__ import annotations

from typing import Any

import torch

from striate.data.pictures import Dataset, PictureSet
from striate.models.learner import FitReport, Learner
from striate.train.run_folder import RunFolder
from striate.verdict.measure import disk_bytes, milliseconds_per_picture, probabilities
from striate.verdict.metrics import Evaluation, evaluation
from striate.verdict.results import LearnerResult


def evaluate(learner: Learner, pictures: PictureSet) -> tuple[Evaluation, torch.Tensor]:
    """Scores on labelled pictures, and the probabilities float32 ``(N, K)`` behind them.

    Raises:
        StriateError: the learner's answers are no probabilities.
    """
    answers = probabilities(learner, pictures.pixels, len(pictures.classes))
    return evaluation(answers, pictures.labels, pictures.classes), answers


def judge(
    learner: Learner, dataset: Dataset, report: FitReport, folder: RunFolder, provenance: dict[str, Any]
) -> tuple[LearnerResult, torch.Tensor]:
    """Test a fitted learner, save it with its scores, and measure what it costs.

    Args:
        learner: fitted on ``dataset.train``.
        dataset: its test split decides.
        report: of the fit.
        folder: where ``model.safetensors`` and ``model.json`` go.
        provenance: goes into ``model.json``.

    Returns:
        the row of the leaderboard, without p-value and experiments, and the test probabilities.

    Raises:
        StriateError: the learner's answers are no probabilities.
    """
    scores, answers = evaluate(learner, dataset.test)
    folder.save_model(
        learner,
        classes=dataset.classes,
        preprocessing=dataset.preprocessing,
        scores={
            "test": {
                "pictures": scores.pictures,
                "correct": scores.correct,
                "accuracy": scores.accuracy,
                "interval": list(scores.interval),
                "balanced_accuracy": scores.balanced_accuracy,
                "log_loss": scores.log_loss,
            },
            "training": {"seconds": report.seconds, "epochs": report.epochs, "settings": report.settings},
        },
        provenance=provenance,
    )
    row = LearnerResult(
        name=learner.name,
        title=learner.title,
        kind=learner.kind,
        correct=scores.correct,
        accuracy=scores.accuracy,
        interval=scores.interval,
        parameters=learner.parameters,
        macs=learner.macs,
        train_seconds=report.seconds,
        epochs=report.epochs,
        pictures=report.pictures,
        ms_per_picture=milliseconds_per_picture(learner, dataset.test.pixels),
        disk_bytes=disk_bytes(folder.path),
        history=list(report.history),
        notes=list(report.notes),
        moved_in_training=report.settings.get("crop_padding", 0),
    )
    return row, answers
