"""The equal terms in words."""

from __future__ import annotations

from verdict_helpers import row

from striate.train.config import CompareConfig, TrainConfig
from striate.verdict.terms import terms

ROWS = [
    row("hog", 90, 100, train_seconds=3.0),
    row("cnn", 95, 100, train_seconds=58.0, epochs=12),
    row("mlp", 92, 100, train_seconds=70.0, epochs=40),
]


def test_without_a_wish_each_networks_own_length_is_told() -> None:
    assert terms(CompareConfig(source="digits"), ROWS) == (
        "Same split for all; every network made its own default number of passes over the training pictures "
        "(cnn 12 and mlp 40). For equal terms give --epochs or --budget."
    )


def test_epochs() -> None:
    assert terms(CompareConfig(source="digits", epochs=1), ROWS) == (
        "Equal terms: same split, and every network made 1 pass over the training pictures."
    )


def test_a_budget_tells_who_left_some_and_who_took_more() -> None:
    assert terms(CompareConfig(source="digits", budget="1m"), ROWS) == (
        "Equal terms: same split, and every learner had 1 min 00 s to train "
        "(less was used by hog, 3.0 s; more by mlp, 1 min 10 s)."
    )


def test_both() -> None:
    assert "made at most 9 passes over the training pictures and every learner had 2 min" in terms(
        CompareConfig(source="digits", budget="2m", epochs=9), []
    )


def test_one_learner_alone() -> None:
    assert terms(TrainConfig(source="digits"), ROWS[1:2]) == (
        "cnn was trained for 12 passes over the training pictures in 58 s."
    )
    assert terms(TrainConfig(source="digits", model="hog", budget="60s"), ROWS[:1]) == (
        "hog was trained for 3.0 s of 1 min 00 s allowed."
    )
