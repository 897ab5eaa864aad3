"""What a verb prints when it is done: results on stdout, for people or as JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from rich.console import Console

from striate.cli._failures import NO_SPACE
from striate.cli.progress import watch
from striate.errors import NotApplicableError
from striate.verdict.units import count, percent, percent_range

if TYPE_CHECKING:
    from striate.data.pictures import Dataset
    from striate.models.learner import Learner
    from striate.train.config import LearnConfig
    from striate.verdict.metrics import Evaluation
    from striate.verdict.results import Comparison


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    json.dump(value, sys.stdout, indent=1, ensure_ascii=True, default=str)
    print()


@contextmanager
def writing(place: Path | None) -> Iterator[None]:
    """Let an error about a full disk that names no file name ``place``."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE and error.filename is None:
            error.filename = str(place or "runs")
        raise


def show_comparison(comparison: Comparison, folder: Path, as_json: bool) -> None:
    """Leaderboard, verdict and where everything lies."""
    from striate.verdict.leaderboard import Leaderboard, leaderboard_text

    report = folder / "report.html"
    if as_json:
        lies = {"folder": str(folder), "report": str(report) if report.exists() else None}
        print_json({**comparison.to_dict(), **lies})
        return
    if sys.stdout.isatty():
        Console().print(Leaderboard(comparison))
    else:
        print(leaderboard_text(comparison))
    print()
    console = Console(highlight=False, markup=False, soft_wrap=not sys.stdout.isatty())
    console.print(" ".join(comparison.verdict))
    print()
    print(f"Run:    {folder}")
    if report.exists():
        print(f"Report: {report}")


def show_evaluation(result: Evaluation, run: Path, source: str, as_json: bool) -> None:
    """Accuracy with its interval, then every class."""
    if as_json:
        print_json({"run": str(run), "source": source, **result.to_dict()})
        return
    total = result.pictures
    print(
        f"{percent(result.accuracy, total)} of {total:,} pictures right "
        f"(95% interval {percent_range(result.interval, total)}); "
        f"mean over classes {percent(result.balanced_accuracy, total)}, log loss {result.log_loss:.3f}"
    )
    lines: list[tuple[str, ...]] = [("class", "pictures", "right", "recall", "precision", "F1")]
    for score in result.per_class:
        shares = (score.recall, score.precision, score.f1)
        told = ("–" if share is None else f"{share:.1%}" for share in shares)
        lines.append((score.name, f"{score.pictures:,}", f"{score.correct:,}", *told))
    print()
    print_columns(lines)


def print_columns(lines: Sequence[Sequence[str]]) -> None:
    """Lines of cells, the first to the left, the others to the right."""
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for first, *others in lines:
        cells = (cell.rjust(width) for cell, width in zip(others, widths[1:], strict=True))
        print("  ".join([first.ljust(widths[0]), *cells]).rstrip())


def preview(config: LearnConfig, models: Sequence[str], as_json: bool, quiet: bool) -> None:
    """What a run would work on and with, without training."""
    from striate.data.load import load_dataset

    with watch(quiet) as monitor:
        dataset = load_dataset(config, monitor)
    plans = [_plan(name, config, dataset) for name in models]
    counts = {name: len(getattr(dataset, name)) for name in ("train", "val", "test")}
    settings = config.model_dump(mode="json")
    if as_json:
        facts = {"classes": dataset.classes, "preprocessing": dataset.preprocessing.to_dict()}
        print_json({"settings": settings, "pictures": counts, **facts, "models": plans})
        return
    print(yaml.safe_dump(settings, sort_keys=False, allow_unicode=True))
    channels, height, width = dataset.preprocessing.shape
    told = ", ".join(f"{number:,} {name}" for name, number in counts.items())
    print(
        f"{told} pictures of {len(dataset.classes)} classes, {width}×{height} pixels in {'grey' if channels == 1 else 'colour'}\n"
    )
    print_columns(
        [("model", "parameters", "MACs"), *(_plan_line(plan) for plan in plans if "reason" not in plan)]
    )
    for plan in plans:
        if "reason" in plan:
            print(f"{plan['model']}: {plan['reason']}")
    for plan in plans:
        if plan.get("settings"):
            print(
                f"\n{plan['model']}: "
                + ", ".join(f"{key} {value}" for key, value in plan["settings"].items())
            )


def _plan(name: str, config: LearnConfig, dataset: Dataset) -> dict[str, Any]:
    """Sizes of one learner and the settings it would choose."""
    from striate.models.registry import create

    try:
        learner = create(
            name,
            preprocessing=dataset.preprocessing,
            classes=dataset.classes,
            train_size=len(dataset.train),
            config=config,
        )
    except NotApplicableError as error:
        return {"model": name, "reason": str(error)}
    sizes = {"parameters": learner.parameters or None, "macs": learner.macs}
    return {"model": name, **sizes, "settings": _resolved(learner, config, dataset)}


def _resolved(learner: Learner, config: LearnConfig, dataset: Dataset) -> dict[str, Any]:
    from striate.models.network import NetworkLearner
    from striate.train.settings import resolve

    if not isinstance(learner, NetworkLearner):
        return {}
    side = min(dataset.preprocessing.shape[1:])
    return resolve(config, learner.recipe, len(dataset.train), side, dataset.flip).to_dict()


def _plan_line(plan: dict[str, Any]) -> tuple[str, ...]:
    sizes = ("after the fit" if plan[key] is None else count(plan[key]) for key in ("parameters", "macs"))
    return (plan["model"], *sizes)
