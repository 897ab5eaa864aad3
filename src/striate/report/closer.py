"""Each learner seen closely: confusion, classes, worst errors, and the pictures behind every cell."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from markupsafe import Markup
from numpy.typing import NDArray

from striate.data.pictures import PictureSet
from striate.report.axis import Axis
from striate.report.pictures import Sheet, affordable, in_order, picture_uri, sheet
from striate.verdict.metrics import ClassScore, Evaluation, evaluation, worst_errors
from striate.verdict.results import LearnerResult

WORST_SHOWN = 12
PAIRS_SHOWN = 8
HARD_SHOWN = 24
CAPS = (24, 16, 12, 8, 6, 4, 3, 2, 1)  # pictures per cell; the largest that fits the file is taken
_RIGHT_CELL = 12  # pictures of a cell on the diagonal

IntArray = NDArray[np.int64]
Cell = tuple[int, int]  # true class, predicted class


@dataclass(frozen=True)
class Shown:
    """A picture with what was said of it."""

    name: str
    uri: str
    true: str
    predicted: str
    probability: float
    true_probability: float


@dataclass(frozen=True)
class Pair:
    """One way to go wrong: ``count`` pictures of class ``true`` were called ``predicted``."""

    true: int
    predicted: int
    count: int


@dataclass
class Closer:
    """One learner's test results in detail.

    Attributes:
        result: its row; ``slot`` chooses its colour.
        scores: accuracy, per-class scores and confusion counts.
        tints: strength 0…1 of the colour of each cell, ``[true][predicted]``: on the diagonal the share
            of the true class, elsewhere the root of that share relative to the largest such share.
        axis: for the intervals of the classes.
        confused_with: per class, the class it is most often taken for, and how often.
        pairs: the most frequent confusions.
        worst: the mistakes it was surest of.
        cells: test pictures in each cell, those that tell most first.
        shown: how many of them the page holds, per cell.
        probabilities: float32 ``(N, K)``.
    """

    result: LearnerResult
    slot: int
    scores: Evaluation
    tints: list[list[float]]
    axis: Axis
    confused_with: list[tuple[int, int] | None]
    pairs: list[Pair]
    worst: list[Shown]
    cells: dict[Cell, list[int]]
    probabilities: torch.Tensor
    shown: dict[Cell, list[int]] = field(default_factory=dict)


def look_closer(
    learners: Sequence[LearnerResult], probabilities: dict[str, torch.Tensor], test: PictureSet
) -> list[Closer]:
    """Details of every learner that predicted, in the order of ``learners``."""
    return [
        _closer(result, slot, probabilities[result.name], test)
        for slot, result in enumerate(learners)
        if result.name in probabilities and len(test)
    ]


def hardest(closers: Sequence[Closer], test: PictureSet) -> tuple[int, list[Shown]]:
    """Pictures that every learner gets wrong: how many, and those that all are surest of.

    Their ``probability`` is the mean of what each learner gave its own wrong answer, ``predicted``
    the answer given most often.
    """
    if len(closers) < 2:
        return 0, []
    labels = test.labels
    answers = torch.stack([closer.probabilities.argmax(1) for closer in closers])
    sureness = torch.stack([closer.probabilities.amax(1) for closer in closers]).mean(0)
    wrong = (answers != labels).all(0).nonzero().squeeze(1)
    order = wrong[torch.argsort(sureness[wrong], descending=True, stable=True)]
    pictures = []
    for i in order[:HARD_SHOWN].tolist():
        usual = int(torch.bincount(answers[:, i]).argmax())
        trust = float(np.mean([float(closer.probabilities[i, labels[i]]) for closer in closers]))
        pictures.append(_shown(test, i, usual, float(sureness[i]), trust))
    return len(wrong), pictures


def assemble_sheet(closers: Sequence[Closer], test: PictureSet) -> tuple[Sheet | None, list[int]]:
    """Choose the pictures behind the cells so that the sheet stays small, and paint it.

    Sets ``shown`` of every closer. Cells with many pictures give way last.

    Returns:
        the sheet and the test index of each of its tiles; no sheet without pictures.
    """
    if not closers or not len(test):
        return None, []
    limit = affordable(test.pixels.numpy()[:: max(1, len(test) // 64)])
    for cap in CAPS:
        for closer in closers:
            closer.shown = {cell: found[: _cap(cell, cap)] for cell, found in closer.cells.items()}
        needed = _needed(closers)
        if len(needed) <= limit:
            break
    if len(needed) > limit:
        _drop_rare(closers, limit)
        needed = _needed(closers)
    tiles = sorted(needed)
    return sheet(test.pixels[tiles].numpy()), tiles


def cell_data(closers: Sequence[Closer], tiles: Sequence[int], test: PictureSet, painted: Sheet) -> Markup:
    """What the page's script needs to open a cell, as JSON that is safe inside ``<script>``.

    Layout: ``classes``; ``sheet`` (columns, rows, sizes, zoom); ``names`` of the tiles; ``cells``
    per learner: ``"true,predicted" → [count, tiles, probability of the prediction, of the truth]``
    with probabilities in tenths of a per cent.
    """
    tile_of = in_order(tiles)
    learners = []
    for closer in closers:
        cells = {}
        for (true, predicted), found in closer.cells.items():
            shown = closer.shown[true, predicted]
            rows = closer.probabilities[shown]
            cells[f"{true},{predicted}"] = [
                len(found),
                [tile_of[i] for i in shown],
                (rows[:, predicted] * 1000).round().int().tolist(),
                (rows[:, true] * 1000).round().int().tolist(),
            ]
        learners.append({"name": closer.result.name, "cells": cells})
    return safe_json(
        {
            "classes": list(test.classes),
            "sheet": {
                "columns": painted.columns,
                "rows": painted.rows,
                "width": painted.width,
                "height": painted.height,
                "pitchX": painted.pitch_x,
                "pitchY": painted.pitch_y,
                "zoom": painted.zoom,
            },
            "names": [test.names[i] for i in tiles],
            "learners": learners,
        }
    )


def safe_json(value: object) -> Markup:
    r"""JSON that can end no ``<script>`` element and start no tag, whatever the strings in it.

    >>> print(safe_json({"name": "</script>"}))
    {"name":"\u003c/script\u003e"}
    """
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"), allow_nan=False)
    for character in "<>&":
        text = text.replace(character, f"\\u{ord(character):04x}")
    return Markup(text)


def _closer(result: LearnerResult, slot: int, probabilities: torch.Tensor, test: PictureSet) -> Closer:
    scores = evaluation(probabilities, test.labels, test.classes)
    matrix = np.array(scores.confusion, dtype=np.int64)
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    worst = [
        _shown(test, error.index, error.predicted, error.probability, error.true_probability)
        for error in worst_errors(probabilities, test.labels, WORST_SHOWN)
    ]
    return Closer(
        result=result,
        slot=slot,
        scores=scores,
        tints=_tints(matrix),
        axis=Axis(bounds for score in scores.per_class for bounds in _intervals(score)),
        confused_with=[(int(row.argmax()), int(row.max())) if row.any() else None for row in wrong],
        pairs=_pairs(wrong),
        worst=worst,
        cells=_cells(probabilities, test.labels),
        probabilities=probabilities,
    )


def _tints(matrix: IntArray) -> list[list[float]]:
    shares = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    right = np.diag(np.diag(shares))
    wrong = shares - right
    faintest = 0.12  # one mistake among thousands must still show
    tints = (wrong > 0) * faintest + (1 - faintest) * np.sqrt(wrong / max(wrong.max(), 1e-12))
    return [[round(float(tint), 3) for tint in row] for row in right + tints]


def _intervals(score: ClassScore) -> Iterator[tuple[float, float]]:
    for bounds in (score.recall_interval, score.precision_interval):
        if bounds:
            yield bounds


def _cells(probabilities: torch.Tensor, labels: torch.Tensor) -> dict[Cell, list[int]]:
    """Pictures by cell: mistakes by falling sureness, right answers by rising sureness."""
    sureness, predictions = probabilities.max(1)
    key = torch.where(predictions == labels, sureness, -sureness)
    cells: dict[Cell, list[int]] = {}
    for i in torch.argsort(key, stable=True).tolist():
        cells.setdefault((int(labels[i]), int(predictions[i])), []).append(i)
    return dict(sorted(cells.items()))


def _pairs(wrong: IntArray) -> list[Pair]:
    order = np.argsort(-wrong, axis=None, kind="stable")[:PAIRS_SHOWN]
    places = (divmod(int(place), len(wrong)) for place in order)
    return [Pair(i, j, int(wrong[i, j])) for i, j in places if wrong[i, j]]


def _cap(cell: Cell, cap: int) -> int:
    return min(cap, _RIGHT_CELL) if cell[0] == cell[1] else cap


def _needed(closers: Sequence[Closer]) -> set[int]:
    return {i for closer in closers for shown in closer.shown.values() for i in shown}


def _drop_rare(closers: Sequence[Closer], limit: int) -> None:
    """Empties cells, those with fewest pictures first, until ``limit`` pictures remain."""
    everything = [(len(c.cells[cell]), k, cell) for k, c in enumerate(closers) for cell in c.cells]
    kept: set[int] = set()
    for _, k, cell in sorted(everything, key=lambda item: (-item[0], item[1], item[2])):
        shown = closers[k].shown[cell]
        if len(kept) + len(set(shown) - kept) > limit:
            closers[k].shown[cell] = []
        else:
            kept.update(shown)


def _shown(test: PictureSet, i: int, predicted: int, probability: float, true_probability: float) -> Shown:
    return Shown(
        name=test.names[i],
        uri=picture_uri(test.pixels[i].numpy()),
        true=test.classes[int(test.labels[i])],
        predicted=test.classes[predicted],
        probability=probability,
        true_probability=true_probability,
    )
