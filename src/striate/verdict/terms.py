"""On what equal terms the learners were compared, in words."""

from __future__ import annotations

from collections.abc import Sequence

from striate.train.config import LearnConfig, TrainConfig
from striate.train.schedule import parse_duration
from striate.verdict.results import LearnerResult
from striate.verdict.units import duration, listing

UNSPENT = 0.8  # of the budget
OVERSPENT = 1.1


def terms(config: LearnConfig, learners: Sequence[LearnerResult]) -> str:
    """The terms that were asked for, and who did not come out at them.

    Args:
        config: budget and epochs as the user gave them.
        learners: the finished rows.
    """
    rows = [row for row in learners if row.train_seconds is not None]
    if isinstance(config, TrainConfig):
        return "".join(_alone(row, config) for row in rows)
    if config.epochs is None and config.budget is None:
        passes = listing([f"{row.name} {row.epochs}" for row in rows if row.epochs is not None])
        own = f" ({passes})" if passes else ""
        return (
            f"Same split for all; every network made its own default number of passes over the training "
            f"pictures{own}. For equal terms give --epochs or --budget."
        )
    parts = []
    if config.epochs is not None:
        plural = "pass" if config.epochs == 1 else "passes"
        limit = "at most " if config.budget is not None else ""
        parts.append(f"every network made {limit}{config.epochs} {plural} over the training pictures")
    if config.budget is not None:
        parts.append(
            f"every learner had {duration(parse_duration(config.budget))} to train{_spent(config.budget, rows)}"
        )
    return f"Equal terms: same split, and {' and '.join(parts)}."


def _alone(row: LearnerResult, config: TrainConfig) -> str:
    passes = f"{row.epochs} pass{'' if row.epochs == 1 else 'es'} over the training pictures in "
    budget = f" of {duration(parse_duration(config.budget))} allowed" if config.budget else ""
    return f"{row.name} was trained for {passes if row.epochs else ''}{duration(row.train_seconds or 0)}{budget}."


def _spent(budget: str, rows: list[LearnerResult]) -> str:
    seconds = parse_duration(budget)
    under = [row for row in rows if (row.train_seconds or 0) < UNSPENT * seconds]
    over = [row for row in rows if (row.train_seconds or 0) > OVERSPENT * seconds]
    said = []
    if under:
        said.append("less was used by " + _times(under))
    if over:
        said.append("more by " + _times(over))
    return f" ({'; '.join(said)})" if said else ""


def _times(rows: list[LearnerResult]) -> str:
    return listing([f"{row.name}, {duration(row.train_seconds or 0)}" for row in rows])
