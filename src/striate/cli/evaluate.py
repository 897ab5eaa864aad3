"""``striate evaluate``: a finished run on labelled pictures."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import typer

from striate.cli.flags import Json, Quiet, Run, SettingsVerb
from striate.cli.progress import watch

if TYPE_CHECKING:
    from pathlib import Path

    from striate.train.config import DataConfig

OPEN = ("source", "data_dir", "skip_bad")  # everything else was settled when the run was trained
SPLIT = ("seed", "val_fraction", "test_fraction")  # what makes its test split again


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(SettingsVerb(evaluate, _schema, only=OPEN))


def evaluate(flags: dict[str, Any], run: Run, as_json: Json = False, quiet: Quiet = False) -> None:
    """Judge a finished run on labelled pictures.

    Uses the test split, if SOURCE declares one, and otherwise all pictures that the run was not trained
    on. Classes are matched by name.

    Examples
      striate evaluate runs/cnn-digits-20260101-120000 digits
      striate evaluate runs/compare-photos/hog new-photos/ --json
    """
    from striate.cli._settings import settings

    chosen = settings(_schema(), flags)
    from striate.cli._results import show_evaluation
    from striate.data.load import load_evaluation_set
    from striate.train.run_folder import load_model
    from striate.verdict.measure import probabilities
    from striate.verdict.metrics import evaluation

    model = load_model(run)
    chosen = settings(_schema(), {**_split_of(run), **flags})
    with watch(quiet) as monitor:
        seen = _seen_by(run)
        pictures = load_evaluation_set(chosen, model.classes, model.preprocessing, monitor, seen)
        monitor.begin(f"asking {model.learner.name}", len(pictures))
        answers = probabilities(model.learner, pictures.pixels, len(model.classes))
        monitor.advance(len(pictures))
        monitor.end()
    show_evaluation(evaluation(answers, pictures.labels, model.classes), run, chosen.source, as_json)


def _schema() -> type[DataConfig]:
    from striate.train.config import DataConfig

    return DataConfig


def _split_of(run: Path) -> dict[str, Any]:
    """The settings that decided which pictures the run never saw."""
    from striate.cli._settings import read_yaml

    path = run / "config.yaml"
    saved = read_yaml(path) if path.is_file() else {}
    return {key: saved[key] for key in SPLIT if key in saved}


def _seen_by(run: Path) -> list[str] | None:
    """Hashes of the pictures that the run was trained or tuned on; a comparison keeps them for its learners."""
    for folder in (run, run.parent):
        try:
            seen: list[str] = json.loads((folder / "splits.json").read_bytes())["seen"]
            return seen
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return None
