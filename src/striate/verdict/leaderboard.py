"""The leaderboard: rows as plain values, and one layout for terminals and for plain text."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

from rich.console import Console, ConsoleOptions
from rich.text import Text

from striate.verdict.ranking import ranked, tied_with_winner
from striate.verdict.results import Comparison, LearnerResult
from striate.verdict.units import count, file_size, milliseconds, percent, percent_range

HEADINGS = (
    "#",
    "learner",
    "accuracy (95%)",
    "vs best",
    "params",
    "MACs",
    "train",
    "epochs",
    "ms/pic",
    "size",
)
LEFT = ("learner", "accuracy (95%)")  # the other columns are numbers and stand to the right
NARROWEST = 80

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """One learner's standing.

    Attributes:
        rank: 1, 2, …; ``None`` for a learner that could not be judged.
        result: what was measured, or why nothing was.
        winner: it has the best score.
        tied: it is not the winner, but the difference may be luck.
        recommended: it is the one to take.
    """

    rank: int | None
    result: LearnerResult
    winner: bool
    tied: bool
    recommended: bool


def rows(comparison: Comparison) -> list[Row]:
    """The learners, best first, those that could not be judged last."""
    tied = {row.name for row in tied_with_winner(comparison.learners)}
    return [
        Row(
            rank=None if result.correct is None else place,
            result=result,
            winner=result.name == comparison.winner,
            tied=result.name in tied,
            recommended=result.name == comparison.recommended,
        )
        for place, result in enumerate(ranked(comparison.learners), start=1)
    ]


class Leaderboard:
    """The table as something that rich prints; ``str()`` gives it as plain text 100 columns wide."""

    def __init__(self, comparison: Comparison) -> None:
        self.comparison = comparison

    def __str__(self) -> str:
        return leaderboard_text(self.comparison)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[Text]:
        for line, style in _lines(self.comparison, options.max_width):
            yield Text(line, style=style, no_wrap=True, overflow="ellipsis")


def leaderboard_text(comparison: Comparison, width: int = 100) -> str:
    """The table as plain text of at most ``width`` columns (80 is the least it is laid out for)."""
    return "\n".join(line for line, _ in _lines(comparison, width))


def _lines(comparison: Comparison, width: int) -> Iterator[tuple[str, str]]:
    """Lines and their rich styles."""
    width = max(width, NARROWEST)
    standing = rows(comparison)
    total = sum(comparison.counts["test"])
    table = [HEADINGS, *(_cells(row, total) for row in standing if row.rank)]
    widths = [max(len(cells[i]) for cells in table) for i in range(len(HEADINGS))]
    names = [len(row.result.name) for row in standing]
    widths[1] = max([widths[1], *names])
    gap = 2 if sum(widths) + 2 * (len(widths) - 1) <= width else 1
    excess = sum(widths) + gap * (len(widths) - 1) - width
    widths[1] = max(7, widths[1] - max(0, excess))
    yield _join(HEADINGS, widths, gap), "bold"
    yield "─" * (sum(widths) + gap * (len(widths) - 1)), "dim"
    for row in standing:
        if row.rank:
            style = "bold green" if row.recommended else "bold" if row.winner else ""
            yield _join(_cells(row, total), widths, gap), style
        else:
            yield from ((line, "dim") for line in _reason(row, widths, gap, width))
    yield from ((line, "dim") for line in _legend(comparison, standing, total, width))


def _cells(row: Row, total: int) -> tuple[str, ...]:
    result = row.result
    assert result.accuracy is not None and result.interval is not None
    interval = percent_range(result.interval, total, joint="–").removesuffix("%")
    return (
        f"{row.rank}{'*' if row.recommended else ' '}",
        result.name,
        f"{percent(result.accuracy, total)} ({interval})",
        "best" if row.winner else _p(result.p_value),
        _or_dash(result.parameters, count),
        _or_dash(result.macs, count),
        _or_dash(result.train_seconds, _clock),
        _or_dash(result.epochs, str),
        _or_dash(result.ms_per_picture, milliseconds),
        _or_dash(result.disk_bytes, file_size),
    )


def _join(cells: tuple[str, ...], widths: list[int], gap: int) -> str:
    padded = []
    for heading, cell, width in zip(HEADINGS, cells, widths, strict=True):
        short = cell if len(cell) <= width else f"{cell[: width - 1]}…"
        padded.append(short.ljust(width) if heading in LEFT else short.rjust(width))
    return (" " * gap).join(padded).rstrip()


def _reason(row: Row, widths: list[int], gap: int, width: int) -> Iterator[str]:
    """A learner without a score: its name in its column, the reason over all the others."""
    name = row.result.name if len(row.result.name) <= widths[1] else f"{row.result.name[: widths[1] - 1]}…"
    start = f"{'–':>{widths[0]}}{' ' * gap}{name:<{widths[1]}}{' ' * gap}"
    text = f"not judged: {row.result.reason}"
    for line in textwrap.wrap(text, width - len(start), break_on_hyphens=False):
        yield start + line
        start = " " * len(start)


def _legend(comparison: Comparison, standing: list[Row], total: int, width: int) -> Iterator[str]:
    judged = [row for row in standing if row.rank]
    if not judged:
        return
    parts = [f"Accuracy on {total:,} test pictures with its 95% Wilson interval."]
    if len(judged) > 1:
        parts.append(
            "vs best: McNemar's test on the same pictures, Holm-adjusted; from p = 0.05 up it is a tie."
        )
    if comparison.recommended and len(judged) > 1:
        parts.append("* take this one.")
    parts.append(comparison.terms)
    yield ""
    yield from textwrap.wrap(" ".join(parts), width, break_on_hyphens=False)


def _p(p: float | None) -> str:
    if p is None:
        return "–"
    if p < 0.001:
        return "p<0.001"
    return f"p={p:.2g}" if p < 0.0995 else f"p={p:.2f}"


def _clock(seconds: float) -> str:
    """A short duration: ``0.42s``, ``7.2s``, ``42s``, ``1m15s``, ``1h02m``."""
    if seconds < 0.995:
        return f"{seconds:.2f}s"
    if seconds < 9.95:
        return f"{seconds:.1f}s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    return (
        f"{whole // 60}m{whole % 60:02d}s" if whole < 3600 else f"{whole // 3600}h{whole % 3600 // 60:02d}m"
    )


def _or_dash(value: T | None, show: Callable[[T], str]) -> str:
    return "–" if value is None else show(value)
