"""The :class:`Comparison` of the rows there are: winner, recommendation, verdict, terms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from striate.data.pictures import Dataset
from striate.train.config import LearnConfig
from striate.verdict.ranking import best_guess, recommended_of, winner_of
from striate.verdict.results import Comparison, LearnerResult
from striate.verdict.sentences import verdict
from striate.verdict.statistics import versus_winner
from striate.verdict.terms import terms


def summarise(
    config: LearnConfig,
    dataset: Dataset,
    rows: list[LearnerResult],
    answers: dict[str, torch.Tensor],
    provenance: dict[str, Any],
    pending: Sequence[str] = (),
) -> Comparison:
    """Reach the verdict on ``rows``, and set their p-values.

    Args:
        config: the settings.
        dataset: its test split decides.
        rows: one per finished learner.
        answers: test probabilities float32 ``(N, K)`` of every judged learner, by name.
        provenance: of the whole comparison.
        pending: names of learners that are not finished.
    """
    splits = (("train", dataset.train), ("val", dataset.val), ("test", dataset.test))
    counts = {name: pictures.counts().tolist() for name, pictures in splits}
    winner = winner_of(rows)
    if winner:
        _set_p_values(rows, winner, answers, dataset.test.labels)
    recommended = recommended_of(rows, best_guess(dataset.classes, counts))
    return Comparison(
        source=dataset.source,
        kind=dataset.kind,
        classes=list(dataset.classes),
        counts=counts,
        preprocessing=dataset.preprocessing.to_dict(),
        learners=rows,
        winner=winner.name if winner else None,
        recommended=recommended.name if recommended else None,
        verdict=verdict(rows, dataset.classes, counts, pending),
        terms=terms(config, rows),
        findings=dataset.findings.to_dict(),
        config=config.model_dump(mode="json"),
        provenance=provenance,
    )


def _set_p_values(
    rows: list[LearnerResult], winner: LearnerResult, answers: dict[str, torch.Tensor], labels: torch.Tensor
) -> None:
    judged = [row for row in rows if row.correct is not None]
    right = [(answers[row.name].argmax(1) == labels).numpy() for row in judged]
    for row, p in zip(judged, versus_winner(right, judged.index(winner)), strict=True):
        row.p_value = None if row is winner else p
