"""The verdict's sentences on many constructed comparisons: right, plain, and never more than is known."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from verdict_helpers import counts, row

from striate.verdict.ranking import best_guess, recommended_of, winner_of
from striate.verdict.results import LearnerResult
from striate.verdict.sentences import verdict
from striate.verdict.statistics import versus_winner

CLASSES = ("cat", "dog")


def said(
    *rows: LearnerResult, test: tuple[int, ...] = (180, 180), pending: tuple[str, ...] = ()
) -> list[str]:
    return verdict(rows, CLASSES, counts(*test), pending)


def recommended(*rows: LearnerResult, test: tuple[int, ...] = (180, 180)) -> str | None:
    taken = recommended_of(rows, best_guess(CLASSES, counts(*test)))
    return taken.name if taken else None


def test_a_clear_winner() -> None:
    rows = (row("hog", 340, 360, 0.004), row("cnn", 354, 360, parameters=9000), row("lbp", 300, 360, 1e-12))
    assert said(*rows) == [
        "cnn scores best: 354 of 360 test pictures right, 98.3% (95% interval 96.4 to 99.2%).",
        "Take cnn: the next best, hog, scores 3.9 points less, and chance alone hardly makes such a "
        "difference (p = 0.004).",
    ]
    assert recommended(*rows) == "cnn"


def test_a_tie_takes_the_smaller() -> None:
    rows = (
        row("cnn", 354, 360, parameters=1_200_000, ms=0.9),
        row("lenet", 350, 360, 0.34, parameters=61_706),
    )
    assert said(*rows)[1] == (
        "The difference to lenet is within the noise (p = 0.34): take the smaller, lenet "
        "(61.7k parameters against 1.20M of cnn)."
    )
    assert recommended(*rows) == "lenet"


@pytest.mark.parametrize(
    ("ms", "words"), [(0.3, "and faster: 0.30 against 0.90"), (9, "though slower: 9.0 against 0.90")]
)
def test_a_tie_tells_what_the_smaller_one_costs(ms: float, words: str) -> None:
    rows = (row("cnn", 354, 360, parameters=9000, ms=0.9), row("hog", 350, 360, 0.34, parameters=900, ms=ms))
    assert words in said(*rows)[1]


def test_a_winner_that_is_tied_and_smallest() -> None:
    rows = (row("cnn", 354, 360, parameters=900), row("mlp", 352, 360, 0.8), row("hog", 348, 360, 0.061))
    assert said(*rows)[1] == (
        "The differences to mlp and hog are within the noise (p ≥ 0.061); cnn is also the smallest "
        "(900 parameters), so take cnn."
    )


def test_the_smallest_of_many_ties() -> None:
    rows = (
        row("cnn", 354, 360, parameters=9000),
        row("mlp", 352, 360, 0.8, parameters=100),
        row("hog", 350, 360, 0.2, parameters=5000),
        row("lbp", 200, 360, 1e-9, parameters=1),
    )
    assert "The differences to mlp and hog are within the noise" in said(*rows)[1]
    assert recommended(*rows) == "mlp"  # lbp is smaller but worse


def test_equal_scores_share_the_first_place() -> None:
    rows = (row("cnn", 354, 360, 1.0, parameters=9000), row("lenet", 354, 360, parameters=800))
    first, second = said(*rows)
    assert first.startswith("lenet and cnn share the best score: 354 of 360")
    assert second.endswith("lenet is also the smaller (800 parameters), so take lenet.")


def test_few_pictures_are_said_to_be_few() -> None:
    rows = (row("cnn", 32, 40, parameters=9000), row("hog", 28, 40, 0.3, parameters=500))
    first, second = said(*rows, test=(20, 20))
    assert "80% (95% interval 65 to 90%: only 40 test pictures, so give or take 12 points)" in first
    assert (
        "scores 10 points less, though, and only more test pictures can show whether that is luck" in second
    )
    assert "only" not in said(row("cnn", 3000, 4000), test=(2000, 2000))[0]


def test_nobody_beats_guessing() -> None:
    rows = (row("cnn", 62, 100, parameters=9000), row("hog", 60, 100, 0.7))
    first, second = said(*rows, test=(60, 40))
    assert first.startswith("cnn scores best: 62 of 100")
    assert second == (
        "No learner is shown to beat always answering “cat”, the largest class, which would get 60.0% right: "
        "rely on none of this yet, but check the labels, add pictures or train longer."
    )
    assert recommended(*rows, test=(60, 40)) is None


def test_guessing_is_learned_from_the_training_pictures() -> None:
    uneven = {"train": [10, 90], "val": [1, 9], "test": [70, 30]}
    assert best_guess(CLASSES, uneven).name == "dog"
    assert best_guess(CLASSES, uneven).share == 0.3


def test_a_small_tied_learner_that_only_guesses_is_not_recommended() -> None:
    rows = (row("cnn", 75, 100, parameters=9000), row("lbp", 62, 100, 0.06, parameters=10))
    second = said(*rows, test=(60, 40))[1]
    assert "cnn is also the smaller of those that beat guessing" in second
    assert recommended(*rows, test=(60, 40)) == "cnn"


def test_one_learner_alone() -> None:
    assert said(row("cnn", 354, 360)) == [
        "cnn gets 354 of 360 test pictures right, 98.3% (95% interval 96.4 to 99.2%).",
        "Always answering “cat”, the largest class, would get 50.0% right.",
    ]
    assert said(row("cnn", 185, 360))[1].startswith("That is not shown to beat always answering “cat”")


def test_one_test_picture_a_class() -> None:
    first, second = said(row("cnn", 2, 2), row("hog", 1, 2, 1.0), test=(1, 1))
    assert "2 of 2 test pictures right, 100% (95% interval 34 to 100%: only 2 test pictures" in first
    assert "No learner is shown to beat" in second


def test_nobody_applies() -> None:
    rows = [LearnerResult("sift", "SIFT", "hand-crafted", reason="no keypoints on 8×8 pictures")]
    assert said(*rows) == [
        "No learner could be judged on these pictures (sift: no keypoints on 8×8 pictures)."
    ]
    assert said() == []
    assert winner_of(rows) is None
    assert recommended(*rows) is None


def test_a_stopped_comparison_says_so() -> None:
    assert said(row("hog", 300, 360), pending=("mlp", "cnn"))[-1] == (
        "This is not the whole comparison: mlp and cnn did not finish."
    )


def test_a_budget_that_was_too_short_is_told() -> None:
    rows = (row("hog", 340, 360, pictures=1440), row("cnn", 200, 360, 1e-9, pictures=128))
    assert said(*rows)[-1] == (
        "The budget let cnn see only part of the training pictures; with a longer one that may do better."
    )
    assert len(said(rows[0], row("cnn", 200, 360, 1e-9, pictures=1440))) == 2


def test_the_experiments_are_told_where_they_tell_something() -> None:
    rows = (
        row("cnn", 3540, 3600, moved=0.95, shuffled=3300, parameters=9000),
        row("mlp", 3440, 3600, 1e-9, moved=0.31, shuffled=3450),
    )
    assert said(*rows, test=(1800, 1800))[2] == (
        "With the pictures moved by 2 pixels, cnn still gets 95.0% right and mlp only 31.0%; with the pixels "
        "of all pictures shuffled alike, mlp hardly changes (95.6% before, 95.8% after) while cnn "
        "loses 6.7 points (98.3% before, 91.7% after)."
    )


def test_the_recommended_one_is_named_among_the_moved() -> None:
    rows = (
        row("cnn", 354, 360, moved=0.95, parameters=9000),
        row("lenet", 352, 360, 0.7, moved=0.8, parameters=100),
        row("mlp", 340, 360, 1e-3, moved=0.3),
    )
    assert said(*rows)[2] == (
        "With the pictures moved by 2 pixels, cnn still gets 95.0% right, lenet 80.0% and mlp only 30.0%."
    )


def test_practice_with_moved_pictures_is_told() -> None:
    practised = row("cnn", 354, 360, moved=0.95, moved_in_training=2)
    rows = (practised, row("mlp", 340, 360, 1e-3, moved=0.3))
    assert said(*rows)[2].endswith(
        "and mlp only 30.0% (cnn saw pictures moved by up to 2 pixels in training)."
    )
    alike = (practised, row("mlp", 340, 360, 1e-3, moved=0.3, moved_in_training=1))
    assert "in training" not in said(*alike)[2]


def test_all_learners_suffer_alike_from_moving() -> None:
    rows = (row("cnn", 354, 360, moved=0.62), row("hog", 330, 360, 1e-4, moved=0.6))
    assert said(*rows)[2] == "With the pictures moved by 2 pixels, cnn falls from 98.3% to 62.0%."


@pytest.mark.parametrize(
    ("shuffled", "words"),
    [
        (
            (354, 340),
            "no learner changes much, so none gains much from knowing which pixels are neighbours",
        ),
        ((200, 320), "every learner loses, hog 5.6 points and cnn 42.8 points"),
        ((353, 200), "cnn hardly changes (98.3% before, 98.1% after) while hog loses 38.9 points"),
    ],
)
def test_shuffling(shuffled: tuple[int, int], words: str) -> None:
    rows = (row("cnn", 354, 360, shuffled=shuffled[0]), row("hog", 340, 360, 0.001, shuffled=shuffled[1]))
    assert words in said(*rows)[2]


def test_what_is_not_notable_is_not_told() -> None:
    assert len(said(row("cnn", 354, 360, moved=0.97), row("hog", 340, 360, 0.01, moved=0.93))) == 2
    useless = row("lbp", 185, 360, 1e-9, shuffled=185)  # at the level of guessing: nothing to lose
    assert len(said(row("cnn", 354, 360), useless)) == 2


scores = st.lists(
    st.tuples(st.lists(st.booleans(), min_size=30, max_size=30), st.integers(1, 10**7), st.floats(0.05, 500)),
    min_size=1,
    max_size=5,
)


@given(scores, st.integers(1, 29))
def test_every_verdict_reads_well(measured: list[tuple[list[bool], int, float]], cats: int) -> None:
    """Whatever the numbers: two or three sentences, no stray marks, only names that exist, p from the data."""
    answers = [right for right, _, _ in measured]
    rows = [row(f"m{i}", sum(right), 30, parameters=n, ms=ms) for i, (right, n, ms) in enumerate(measured)]
    first = winner_of(rows)
    assert first is not None
    for result, p in zip(rows, versus_winner(answers, rows.index(first)), strict=True):
        result.p_value = None if result is first else p
    test = (cats, 30 - cats)
    sentences = said(*rows, test=test)
    assert 2 <= len(sentences) <= 3
    for sentence in sentences:
        assert re.fullmatch(r"[A-Zm].*[^ ]\.", sentence)
        assert not re.search(r"  |\.\.|,,|None|nan| [,;.)]|\( ", sentence)
        assert set(re.findall(r"\bm\d\b", sentence)) <= {result.name for result in rows}
    taken = recommended(*rows, test=test)
    assert (taken is None) == ("rely on none" in sentences[1])
    if taken and len(rows) > 1:
        assert re.search(rf"[Tt]ake (the small\w+( of those that beat guessing)?, )?{taken}\b", sentences[1])
