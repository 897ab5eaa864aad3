"""``striate compare``: which learner to use on these pictures, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from striate.cli.flags import Config, DryRun, Json, Quiet, Resume, SettingsVerb
from striate.cli.progress import watch

if TYPE_CHECKING:
    from striate.train.config import CompareConfig


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(SettingsVerb(compare, _schema))


def compare(
    flags: dict[str, Any],
    config: Config = None,
    resume: Resume = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train several learners on the same split and say which one to use.

    Hand-crafted features, a feed-forward and convolutional networks get the same pictures and the same
    time or epochs. Ends with a leaderboard, a verdict in plain words and a report in one HTML file.

    Examples
      striate compare digits
      striate compare photos/ --budget 60s --models hog,cnn
      striate compare photos/ --config run.yaml --seed 1 --json > result.json
    """
    from striate.cli._settings import settings

    chosen = settings(_schema(), flags, config, resume)
    from striate.cli._results import preview, show_comparison, writing

    if dry_run:
        preview(chosen, chosen.models, as_json, quiet)
        return
    from striate.verdict.compare import compare as run_comparison

    with watch(quiet) as monitor, writing(resume or chosen.out):
        comparison, folder = run_comparison(chosen, monitor, resume)
    show_comparison(comparison, folder, as_json)
    if all(row.accuracy is None for row in comparison.learners):
        raise typer.Exit(1)


def _schema() -> type[CompareConfig]:
    from striate.train.config import CompareConfig

    return CompareConfig
