"""Who won, who is tied with the winner, and which one to take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from striate.verdict.results import LearnerResult
from striate.verdict.statistics import SIGNIFICANCE


@dataclass(frozen=True)
class Guess:
    """The answer of a learner that never looks: always the class with most training pictures.

    Attributes:
        name: of that class.
        share: how much of the test split that gets right.
    """

    name: str
    share: float


def best_guess(classes: Sequence[str], counts: dict[str, list[int]]) -> Guess:
    """The guess that a learner must beat to be of any use.

    Args:
        classes: class names, in label order.
        counts: split → pictures per class.

    >>> best_guess(["cat", "dog"], {"train": [90, 10], "test": [6, 2]})
    Guess(name='cat', share=0.75)
    """
    largest = max(range(len(classes)), key=lambda i: counts["train"][i])
    return Guess(classes[largest], counts["test"][largest] / sum(counts["test"]))


def judged(learners: Sequence[LearnerResult]) -> list[LearnerResult]:
    """The learners that were measured, best first; equal scores put the smaller one first."""
    measured = [row for row in learners if row.correct is not None]
    return sorted(measured, key=lambda row: (-(row.correct or 0), size(row)))


def ranked(learners: Sequence[LearnerResult]) -> list[LearnerResult]:
    """All rows of a leaderboard: the judged ones best first, then those that could not be."""
    return judged(learners) + [row for row in learners if row.correct is None]


def winner_of(learners: Sequence[LearnerResult]) -> LearnerResult | None:
    """The learner with most test pictures right; of equals the smallest."""
    rows = judged(learners)
    return rows[0] if rows else None


def tied_with_winner(learners: Sequence[LearnerResult]) -> list[LearnerResult]:
    """The learners whose difference to the winner may be luck, best first; without the winner."""
    return [row for row in judged(learners)[1:] if row.p_value is None or row.p_value >= SIGNIFICANCE]


def beats_guessing(row: LearnerResult, guess: Guess) -> bool:
    """Whether the whole 95 % interval lies above the guess."""
    return row.interval is not None and row.interval[0] > guess.share


def recommended_of(learners: Sequence[LearnerResult], guess: Guess) -> LearnerResult | None:
    """The smallest of the winner and those tied with it, if it beats guessing.

    Size is the number of learned parameters. It is the same on every machine and in every run, which
    milliseconds are not, and every learner has it, which multiply-adds (undefined for a histogram of
    gradients) are not; and of two explanations that fit equally well, the one with fewer free numbers
    has less room for luck.
    """
    winner = winner_of(learners)
    if winner is None or not beats_guessing(winner, guess):
        return None
    candidates = [winner, *tied_with_winner(learners)]
    return min((row for row in candidates if beats_guessing(row, guess)), key=size)


def size(row: LearnerResult) -> int:
    """Learned parameters of a judged learner."""
    return row.parameters or 0
