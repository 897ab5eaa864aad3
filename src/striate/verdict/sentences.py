"""The verdict in two or three plain sentences; every claim in them is looked up, none is assumed."""

from __future__ import annotations

import math
from collections.abc import Sequence

from striate.verdict.ranking import (
    Guess,
    beats_guessing,
    best_guess,
    judged,
    recommended_of,
    size,
    tied_with_winner,
)
from striate.verdict.results import LearnerResult
from striate.verdict.units import count, listing, milliseconds, p_value, percent, percent_range, points

WIDE = 0.05  # half an interval this wide is worth a warning
GAP = 0.03  # a recommended learner this far behind the winner is worth a warning
NOTABLE = 0.10  # a difference under translation worth a sentence
STEADY = 0.02  # a change by shuffling that is no news
SLOWER = 1.5  # a ratio of times worth mentioning


def verdict(
    learners: Sequence[LearnerResult],
    classes: Sequence[str],
    counts: dict[str, list[int]],
    pending: Sequence[str] = (),
) -> list[str]:
    """What to use, and how sure that is.

    Args:
        learners: the finished rows, with their p-values against the winner filled in.
        classes: class names, in label order.
        counts: split → pictures per class.
        pending: names of learners that are still to come, where a comparison was stopped.
    """
    sentences = _judgement(learners, best_guess(classes, counts), sum(counts["test"]))
    given = sum(counts["train"])
    short = [row.name for row in judged(learners) if row.pictures is not None and row.pictures < given]
    if short:
        sentences.append(
            f"The budget let {listing(short)} see only part of the training pictures; with a longer one "
            f"{'that' if len(short) == 1 else 'those'} may do better."
        )
    if pending:
        sentences.append(f"This is not the whole comparison: {listing(pending)} did not finish.")
    return sentences


def _judgement(learners: Sequence[LearnerResult], guess: Guess, total: int) -> list[str]:
    rows = judged(learners)
    if not rows:
        reasons = "; ".join(f"{row.name}: {row.reason}" for row in learners)
        return [f"No learner could be judged on these pictures ({reasons})."] if learners else []
    winner, recommended = rows[0], recommended_of(learners, guess)
    if recommended is None:
        return [_score(rows, total), _worthless(rows, guess, total)]
    second = _choice(rows, recommended, guess, total) if len(rows) > 1 else _alone(guess, total)
    experiments = [text for text in (_shift(rows, recommended), _shuffle(rows, winner, guess, total)) if text]
    third = "; ".join(experiments)
    return [_score(rows, total), second] + ([f"{third[0].upper()}{third[1:]}."] if third else [])


def _score(rows: list[LearnerResult], total: int) -> str:
    winner = rows[0]
    assert winner.accuracy is not None and winner.interval is not None
    level = [row.name for row in rows[1:] if row.correct == winner.correct]
    if len(rows) == 1:
        subject = f"{winner.name} gets"
    elif level:
        subject = f"{listing([winner.name, *level])} share the best score:"
    else:
        subject = f"{winner.name} scores best:"
    interval = f"95% interval {percent_range(winner.interval, total)}"
    margin = (winner.interval[1] - winner.interval[0]) / 2
    if margin > WIDE:
        pictures = "one test picture" if total == 1 else f"only {total:,} test pictures"
        interval += f": {pictures}, so give or take {100 * margin:.0f} points"
    right = f"{winner.correct:,} of {total:,} test pictures right"
    return f"{subject} {right}, {percent(winner.accuracy, total)} ({interval})."


def _alone(guess: Guess, total: int) -> str:
    return (
        f"Always answering “{guess.name}”, the largest class, would get {percent(guess.share, total)} right."
    )


def _worthless(rows: list[LearnerResult], guess: Guess, total: int) -> str:
    subject = "No learner is" if len(rows) > 1 else "That is not"
    return (
        f"{subject} shown to beat always answering “{guess.name}”, the largest class, which would get "
        f"{percent(guess.share, total)} right: rely on none of this yet, but check the labels, add pictures "
        "or train longer."
    )


def _choice(rows: list[LearnerResult], recommended: LearnerResult, guess: Guess, total: int) -> str:
    winner, tied = rows[0], tied_with_winner(rows)
    if not tied:
        following = rows[1]
        gap = points(_accuracy(winner) - _accuracy(following), total)
        return (
            f"Take {winner.name}: the next best, {following.name}, scores {gap} less, and chance alone hardly "
            f"makes such a difference ({p_value(following.p_value or 0.0)})."
        )
    noise = _within_noise(tied)
    smaller_ones = [row for row in tied if size(row) < size(recommended)]
    of_what = "of those that beat guessing" if any(not beats_guessing(r, guess) for r in smaller_ones) else ""
    superlative = "smaller" if len(tied) == 1 else "smallest"
    if recommended is winner:
        which = f"the {superlative} {of_what}".strip()
        return f"{noise}; {winner.name} is also {which} ({count(size(winner))} parameters), so take {winner.name}."
    which = f"the {superlative} {of_what}".strip()
    sizes = f"{count(size(recommended))} parameters against {count(size(winner))} of {winner.name}"
    return f"{noise}: take {which}, {recommended.name} ({sizes}{_time(recommended, winner)}){_gap(recommended, winner, total)}."


def _within_noise(tied: list[LearnerResult]) -> str:
    least = min(row.p_value if row.p_value is not None else 1.0 for row in tied)
    relation = p_value(least) if least >= 1 or len(tied) == 1 else p_value(least).replace("=", "≥")
    names = listing([row.name for row in tied])
    differences = "The difference to {} is" if len(tied) == 1 else "The differences to {} are"
    return f"{differences.format(names)} within the noise ({relation})"


def _time(recommended: LearnerResult, winner: LearnerResult) -> str:
    mine, theirs = recommended.ms_per_picture, winner.ms_per_picture
    if mine is None or theirs is None or 1 / SLOWER < mine / theirs < SLOWER or abs(mine - theirs) < 0.5:
        return ""
    joint = ", though slower:" if mine > theirs else ", and faster:"
    return f"{joint} {milliseconds(mine)} against {milliseconds(theirs)} ms a picture"


def _gap(recommended: LearnerResult, winner: LearnerResult, total: int) -> str:
    gap = _accuracy(winner) - _accuracy(recommended)
    if gap < GAP:
        return ""
    return f"; it scores {points(gap, total)} less, though, and only more test pictures can show whether that is luck"


def _shift(rows: list[LearnerResult], recommended: LearnerResult) -> str | None:
    """What moving the pictures as far as was tried does, if it tells the learners apart or hurts."""
    moved = {row.name: (row.shift.accuracy[0] + row.shift.accuracy[-1]) / 2 for row in rows if row.shift}
    shift = recommended.shift
    if shift is None or len(shift.offsets) < 3:
        return None
    order = sorted(moved, key=lambda name: -moved[name])
    best, worst = order[0], order[-1]
    pixels = shift.offsets[-1]
    by = f"with the pictures moved by {pixels} pixel{'s' if pixels > 1 else ''}"
    share = {name: percent(value, shift.pictures) for name, value in moved.items()}
    if moved[best] - moved[worst] >= NOTABLE:
        middle = (
            f", {recommended.name} {share[recommended.name]}" if recommended.name not in (best, worst) else ""
        )
        told = f"{by}, {best} still gets {share[best]} right{middle} and {worst} only {share[worst]}"
        return told + _practice([row for row in rows if row.name in (best, recommended.name, worst)])
    if shift.accuracy[pixels] - moved[recommended.name] >= NOTABLE:
        still = percent(shift.accuracy[pixels], shift.pictures)
        return f"{by}, {recommended.name} falls from {still} to {share[recommended.name]}"
    return None


def _practice(rows: list[LearnerResult]) -> str:
    """Whoever saw moved pictures in training had an advantage that is not its architecture's."""
    practised = [row for row in rows if row.moved_in_training]
    if not practised or len(practised) == len(rows):
        return ""
    far = max(row.moved_in_training for row in practised)
    names = listing([row.name for row in practised])
    return f" ({names} saw pictures moved by up to {far} pixel{'s' if far > 1 else ''} in training)"


def _shuffle(rows: list[LearnerResult], winner: LearnerResult, guess: Guess, total: int) -> str | None:
    """Who needs to know which pixels are neighbours."""
    useful = [row for row in rows if row.shuffle and beats_guessing(row, guess)]
    fallen = sorted((row for row in useful if _falls(row, total)), key=_loss)
    steady = [row for row in useful if row not in fallen and abs(_loss(row)) < STEADY]
    by = "with the pixels of all pictures shuffled alike"
    if fallen and steady:
        example = winner if winner in fallen else fallen[-1]
        return f"{by}, {steady[0].name} hardly changes ({_change(steady[0], total)}) while {_fall(example, total)}"
    if len(fallen) > 1 and len(fallen) == len(useful):
        least, most = (f"{row.name} {points(_loss(row), total)}" for row in (fallen[0], fallen[-1]))
        return f"{by}, every learner loses, {least} and {most}"
    if fallen:
        return f"{by}, {_fall(winner if winner in fallen else fallen[-1], total)}"
    if len(steady) > 1 and len(steady) == len(useful):
        return f"{by}, no learner changes much, so none gains much from knowing which pixels are neighbours"
    return None


def _falls(row: LearnerResult, total: int) -> bool:
    """A point or more, and more than two samples of so many pictures would differ by luck (z > 1.96).

    Both scores are of the same pictures, which makes the test cautious.
    """
    assert row.shuffle is not None
    before, after = _accuracy(row), row.shuffle.accuracy
    spread = math.sqrt((before * (1 - before) + after * (1 - after)) / total)
    return _loss(row) >= 0.01 and _loss(row) > 1.96 * spread


def _fall(row: LearnerResult, total: int) -> str:
    return f"{row.name} loses {points(_loss(row), total)} ({_change(row, total)})"


def _loss(row: LearnerResult) -> float:
    assert row.shuffle is not None
    return _accuracy(row) - row.shuffle.accuracy


def _change(row: LearnerResult, total: int) -> str:
    assert row.shuffle is not None
    return f"{percent(_accuracy(row), total)} before, {percent(row.shuffle.accuracy, total)} after"


def _accuracy(row: LearnerResult) -> float:
    assert row.accuracy is not None
    return row.accuracy
