"""``striate train``: one learner, trained and judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from striate.cli.flags import Config, DryRun, Json, Quiet, Resume, SettingsVerb
from striate.cli.progress import watch

if TYPE_CHECKING:
    from striate.train.config import TrainConfig


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(SettingsVerb(train, _schema))


def train(
    flags: dict[str, Any],
    config: Config = None,
    resume: Resume = None,
    dry_run: DryRun = False,
    as_json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Train one learner and judge it on the test split.

    Examples
      striate train digits
      striate train photos/ --model lenet --epochs 20 --out runs/lenet
      striate train --resume runs/lenet
    """
    from striate.cli._settings import settings

    chosen = settings(_schema(), flags, config, resume)
    from striate.cli._results import preview, show_comparison, writing

    if dry_run:
        preview(chosen, [chosen.model], as_json, quiet)
        return
    from striate.train.fit import train_run

    with watch(quiet) as monitor, writing(resume or chosen.out):
        comparison, folder = train_run(chosen, monitor, resume)
    show_comparison(comparison, folder, as_json)


def _schema() -> type[TrainConfig]:
    from striate.train.config import TrainConfig

    return TrainConfig
