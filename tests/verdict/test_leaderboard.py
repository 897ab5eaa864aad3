"""The table: order, marks, widths, and learners that could not be judged."""

from __future__ import annotations

import io
from typing import Any

import pytest
from rich.console import Console
from verdict_helpers import counts, row

from striate.verdict.leaderboard import Leaderboard, leaderboard_text, rows
from striate.verdict.results import Comparison, LearnerResult

COSTS: dict[str, Any] = {"macs": 12_345_678, "train_seconds": 723.0, "epochs": 120, "disk_bytes": 250_123}
SIFT = LearnerResult(
    "sift",
    "SIFT + linear",
    "hand-crafted",
    reason="SIFT found nothing on 398 of 400 pictures of 8×8 pixels, so there is nothing to classify",
)


def comparison(*learners: LearnerResult, total: int = 10_000, winner: str | None = "cnn") -> Comparison:
    return Comparison(
        source="digits",
        kind="named",
        classes=["a", "b"],
        counts=counts(total // 2, total // 2),
        preprocessing={},
        learners=list(learners),
        winner=winner,
        recommended="lenet" if winner else None,
        verdict=[],
        terms="Equal terms: same split, and every network made 120 passes over the training pictures.",
        findings={},
        config={},
        provenance={},
    )


FULL = comparison(
    SIFT,
    row("hog", 9722, 10_000, 1e-9, ms=12, train_seconds=3.21),
    row("cnn", 9941, 10_000, parameters=1_200_000, ms=0.9, **COSTS),
    row("lenet", 9850, 10_000, 0.34, parameters=61_706, **COSTS),
)


def test_rows_are_ranked_and_marked() -> None:
    table = rows(FULL)
    assert [(r.rank, r.result.name) for r in table] == [(1, "cnn"), (2, "lenet"), (3, "hog"), (None, "sift")]
    assert [(r.winner, r.tied, r.recommended) for r in table] == [
        (True, False, False),
        (False, True, True),
        (False, False, False),
        (False, False, False),
    ]


def test_the_text_holds_every_figure() -> None:
    lines = leaderboard_text(FULL, 80).splitlines()
    assert lines[0].split() == [
        "#",
        "learner",
        "accuracy",
        "(95%)",
        "vs",
        "best",
        "params",
        "MACs",
        "train",
        "epochs",
        "ms/pic",
        "size",
    ]
    assert lines[2].split() == [
        "1",
        "cnn",
        "99.41%",
        "(99.24–99.54)",
        "best",
        "1.20M",
        "12.3M",
        "12m03s",
        "120",
        "0.90",
        "250",
        "kB",
    ]
    assert lines[3].split()[:5] == ["2*", "lenet", "98.50%", "(98.24–98.72)", "p=0.34"]
    assert lines[4].split() == [
        "3",
        "hog",
        "97.22%",
        "(96.88–97.52)",
        "p<0.001",
        "1.00k",
        "–",
        "3.2s",
        "–",
        "12.0",
        "–",
    ]
    assert lines[5].split()[:4] == ["–", "sift", "not", "judged:"]
    whole = " ".join(" ".join(lines).split())
    assert str(SIFT.reason) in whole
    assert FULL.terms in whole


@pytest.mark.parametrize("width", [80, 100, 120])
@pytest.mark.parametrize("name", ["cnn", "my_company.vision.networks:make_a_big_network"])
def test_no_line_is_too_wide(width: int, name: str) -> None:
    board = comparison(
        SIFT,
        row(name, 9941, 10_000, parameters=1_200_000, ms=0.9, **COSTS),
        row("lenet", 9850, 10_000, 0.0123, **COSTS),
        winner=name,
    )
    lines = leaderboard_text(board, width).splitlines()
    assert max(map(len, lines)) <= width
    starts = {line.index("99.41%") for line in lines if "99.41%" in line} | {lines[0].index("accuracy")}
    assert len(starts) == 1  # cells stand under their heading


def test_the_terminal_gets_the_same_lines_in_colour() -> None:
    out = io.StringIO()
    Console(file=out, width=90, force_terminal=True, color_system="standard").print(Leaderboard(FULL))
    assert "\x1b[1;32m2*  lenet" in out.getvalue()
    plain = io.StringIO()
    Console(file=plain, width=90, color_system=None).print(Leaderboard(FULL))
    assert plain.getvalue().rstrip("\n") == leaderboard_text(FULL, 90)
    assert str(Leaderboard(FULL)) == leaderboard_text(FULL, 100)


def test_names_are_no_markup() -> None:
    board = comparison(row("[red]x[/red]:f", 50, 100), total=100, winner="[red]x[/red]:f")
    out = io.StringIO()
    Console(file=out, width=90).print(Leaderboard(board))
    assert "[red]x[/red]:f" in out.getvalue()


def test_nobody_judged() -> None:
    text = leaderboard_text(comparison(SIFT, winner=None), 80)
    assert "not judged: SIFT found nothing" in text
    assert "Wilson" not in text


def test_one_learner_needs_no_legend_of_comparing() -> None:
    text = leaderboard_text(comparison(row("cnn", 50, 100), total=100))
    assert "Wilson" in text
    assert "McNemar" not in text
