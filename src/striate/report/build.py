"""Writes the report: one HTML file that needs nothing but a browser."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
import torch
from markupsafe import Markup

from striate.data.pictures import Dataset, PictureSet
from striate.report import facts
from striate.report.axis import Axis
from striate.report.closer import Closer, Shown, assemble_sheet, cell_data, hardest, look_closer
from striate.report.figures import learning_curves, shift_panels
from striate.report.findings import data_view
from striate.report.kernels import first_layers
from striate.report.pictures import picture_uri, zoom_for
from striate.report.svg import SLOTS
from striate.train.checkpoint import write_bytes
from striate.verdict import units
from striate.verdict.leaderboard import Row, rows
from striate.verdict.ranking import best_guess
from striate.verdict.results import Comparison, LearnerResult

REPORT = "report.html"
SPECIMENS = 20  # pictures across the top


def build_report(comparison: Comparison, folder: Path, dataset: Dataset) -> Path:
    """Write ``report.html`` for a comparison, or for one trained learner.

    Everything is inside the file; it asks for nothing from outside, and the same input gives the
    same bytes.

    Args:
        comparison: what was found.
        folder: where ``predictions.safetensors`` and the learners' run folders lie; without
            predictions, and for learners without a folder, the sections that need them are left out.
        dataset: its test split must be the one that was predicted.

    Returns:
        the path of the report.

    Raises:
        ValueError: the predictions are not of this test split.
    """
    path = folder / REPORT
    page = _environment().get_template("template.html.j2").render(_context(comparison, folder, dataset))
    write_bytes(path, page.encode("utf-8"))
    return path


def _context(comparison: Comparison, folder: Path, dataset: Dataset) -> dict[str, Any]:
    learners, test = comparison.learners, dataset.test
    closers = look_closer(learners, _predictions(comparison, folder, test), test)
    sheet, tiles = assemble_sheet(closers, test)
    total = sum(comparison.counts["test"])
    guess = best_guess(comparison.classes, comparison.counts)
    example = _example(closers, test)
    layers, failures = first_layers(learners, folder, test.pixels[example])
    hard_count, hard = hardest(closers, test)
    standing = rows(comparison)
    script = _asset("report.js")
    return {
        "comparison": comparison,
        "title": facts.source_name(comparison.source),
        "total": total,
        "slots": {learner.name: slot % SLOTS for slot, learner in enumerate(learners)},
        "standing": standing,
        "chosen": _chosen(standing),
        "axis": Axis(learner.interval for learner in learners if learner.interval),
        "guess": guess,
        "curves": learning_curves(learners),
        "closers": closers,
        "first": _first(closers, standing),
        "sheet": sheet,
        "cells": cell_data(closers, tiles, test, sheet) if sheet else None,
        "zoom": zoom_for(*test.pixels.shape[2:]),
        "hard_count": hard_count,
        "hard": hard,
        "specimens": _specimens(test),
        "layers": layers,
        "layer_failures": failures,
        "example": _as_shown(test, example),
        "shifts": shift_panels(learners),
        "shift_reading": _shift_reading(learners),
        "shuffled": [learner for learner in learners if learner.shuffle],
        "shuffle_reading": _shuffle_reading(learners, total),
        "data": data_view(comparison, dataset),
        "command": facts.command_words(comparison.config),
        "settings": facts.settings(comparison.config),
        "provenance": facts.provenance_rows(comparison),
        "style": Markup(_asset("report.css")),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }


def _predictions(comparison: Comparison, folder: Path, test: PictureSet) -> dict[str, torch.Tensor]:
    """Test probabilities ``(N, K)`` by learner; empty where none were saved."""
    from safetensors.torch import load_file

    path = folder / "predictions.safetensors"
    if not path.is_file():
        return {}
    tensors = load_file(path)
    labels = tensors.pop("labels")
    if not torch.equal(labels, test.labels):
        raise ValueError(f"{path}: its {len(labels)} labels are not those of the {len(test)} test pictures")
    found = {key.removeprefix("probabilities/"): tensor.float() for key, tensor in tensors.items()}
    return {learner.name: found[learner.name] for learner in comparison.learners if learner.name in found}


def _chosen(standing: Sequence[Row]) -> LearnerResult | None:
    """The learner to present at the top: the recommended one, else the winner."""
    for row in standing:
        if row.recommended:
            return row.result
    return next((row.result for row in standing if row.winner), None)


def _first(closers: Sequence[Closer], standing: Sequence[Row]) -> int:
    """Which learner is looked at closely when the page opens."""
    chosen = _chosen(standing)
    return next((i for i, closer in enumerate(closers) if chosen and closer.result.name == chosen.name), 0)


def _example(closers: Sequence[Closer], test: PictureSet) -> int:
    """The test picture for the feature maps: the first that all learners get right, else the first."""
    right = torch.ones(len(test), dtype=torch.bool)
    for closer in closers:
        right &= closer.probabilities.argmax(1) == test.labels
    return int(right.int().argmax())


def _as_shown(test: PictureSet, index: int) -> Shown:
    name = test.classes[int(test.labels[index])]
    return Shown(test.names[index], picture_uri(test.pixels[index].numpy()), name, name, 1.0, 1.0)


def _specimens(test: PictureSet) -> list[Shown]:
    """One test picture of each class; of evenly spread classes if there are many."""
    firsts: dict[int, int] = {}
    for i, label in enumerate(test.labels.tolist()):
        firsts.setdefault(label, i)
    present = sorted(firsts)
    step = max(1, -(-len(present) // SPECIMENS))
    return [_as_shown(test, firsts[label]) for label in present[::step]]


def _shift_reading(learners: Sequence[LearnerResult]) -> str:
    """What moving the pictures did, in numbers."""
    moved = [(learner, learner.shift) for learner in learners if learner.shift and learner.shift.offsets]
    if not moved:
        return ""
    far = max(moved[0][1].offsets)
    parts = [
        f"{learner.name} {units.percent((shift.consistency[0] + shift.consistency[-1]) / 2, shift.pictures)}"
        for learner, shift in sorted(
            moved, key=lambda item: -(item[1].consistency[0] + item[1].consistency[-1])
        )
    ]
    return f"Answers kept when the picture is moved by {far} pixel{'s' if far != 1 else ''}: {units.listing(parts)}."


def _shuffle_reading(learners: Sequence[LearnerResult], total: int) -> str:
    """What shuffling the pixels did, in numbers."""
    parts = []
    for learner in learners:
        if learner.shuffle and learner.accuracy is not None:
            change = learner.shuffle.accuracy - learner.accuracy
            moved = f"{'loses' if change < 0 else 'gains'} {units.points(change, total)}"
            parts.append(f"{learner.name} {moved if change else 'stays the same'}")
    return f"With shuffled pixels {units.listing(parts)}." if parts else ""


@cache
def _asset(name: str) -> str:
    return files("striate.report").joinpath(name).read_text("utf-8")


@cache
def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("striate.report", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    filters: dict[str, Callable[..., str]] = {
        "percent": units.percent,
        "range": units.percent_range,
        "number": units.count,
        "bytes": units.file_size,
        "ms": units.milliseconds,
        "duration": units.duration,
        "p_value": units.p_value,
        "thousands": lambda value: f"{value:,}",
        "plural": plural,
    }
    environment.filters.update(filters)
    return environment


def plural(count: int, noun: str, many: str = "") -> str:
    """A count and its noun.

    >>> plural(1, "picture"), plural(1200, "picture"), plural(2, "class", "classes")
    ('1 picture', '1,200 pictures', '2 classes')
    """
    return f"{count:,} {noun if count == 1 else many or noun + 's'}"
