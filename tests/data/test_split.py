"""Splits: disjoint, complete, stratified, reproducible, and honest about classes that cannot be split."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.data.split import assign_splits
from striate.errors import DataError

FRACTIONS = {"val_fraction": 0.1, "test_fraction": 0.2}


def split(labels: list[int], declared: list[str | None] | None = None, **changes: object) -> list[str]:
    arguments = {**FRACTIONS, "seed": 0, **changes}
    return assign_splits(np.array(labels, np.int64), declared or [None] * len(labels), **arguments).tolist()  # type: ignore[arg-type]


@st.composite
def labelled(draw: st.DrawFn) -> list[int]:
    """Labels of 1 to 5 classes with 3 to 60 pictures each, shuffled."""
    counts = draw(st.lists(st.integers(3, 60), min_size=1, max_size=5))
    return draw(st.permutations([label for label, n in enumerate(counts) for _ in range(n)]))


fractions = st.floats(0.01, 0.99)
seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=150, deadline=None)
@given(labelled(), fractions, fractions, seeds)
def test_every_class_is_split_by_the_share_to_within_one(
    labels: list[int], val: float, test: float, seed: int
) -> None:
    splits = split(labels, val_fraction=val, test_fraction=test, seed=seed)
    assert len(splits) == len(labels) and set(splits) == {"train", "val", "test"}
    for label, n in Counter(labels).items():
        got = Counter(s for s, y in zip(splits, labels, strict=True) if y == label)
        wanted_test = min(max(1, test * n), n - 2)
        assert abs(got["test"] - wanted_test) <= 1
        rest = n - got["test"]
        assert abs(got["val"] - min(max(1, val * rest), rest - 1)) <= 1
        assert got["train"] >= 1


@settings(max_examples=50, deadline=None)
@given(labelled(), seeds)
def test_the_same_seed_gives_the_same_split_in_any_thread(labels: list[int], seed: int) -> None:
    first = split(labels, seed=seed)
    results: list[list[str]] = []
    threads = [threading.Thread(target=lambda: results.append(split(labels, seed=seed))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == [first] * 4


def test_the_split_is_a_promise_across_versions_and_processes() -> None:
    known = "train train train test val train test train train train val test test train train train train train train train"
    assert split([0] * 10 + [1] * 10, seed=7) == known.split()
    code = (
        "import numpy as np; from striate.data.split import assign_splits as a;"
        "print(*a(np.array([0] * 10 + [1] * 10), [None] * 20, val_fraction=0.1, test_fraction=0.2, seed=7))"
    )
    for hash_seed in ("0", "1"):
        run = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert run.stdout.split() == known.split()


def test_the_split_of_copies_is_a_promise_too() -> None:
    keys = list("abcadefbaghijklmnopq")
    known = "test train train test train test train train test train val train test val train train train train train test"
    assert split([0, 1] * 10, groups=keys, seed=3, test_fraction=0.3) == known.split()


def test_another_seed_gives_another_split() -> None:
    assert len({tuple(split([0, 1] * 50, seed=seed)) for seed in range(10)}) == 10


def test_one_order_draws_test_and_val_so_that_a_larger_val_share_leaves_test_alone() -> None:
    small, large = split([0, 1] * 50), split([0, 1] * 50, val_fraction=0.5)
    assert [s == "test" for s in small] == [s == "test" for s in large]


# --- what the source declares ------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    labelled(),
    st.sampled_from([("train", "test"), ("train", "val"), (None, "test"), ("train", "val", "test")]),
    seeds,
)
def test_what_is_declared_stays(labels: list[int], kinds: tuple[str | None, ...], seed: int) -> None:
    seen: Counter[int] = Counter()
    declared: list[str | None] = []
    for label in labels:  # every class gets every kind, the first kind most
        declared.append(kinds[seen[label]] if seen[label] < len(kinds) else kinds[0])
        seen[label] += 1
    extra = [label for label in seen for _ in range(3)]
    labels, declared = labels + extra, declared + [kinds[0]] * len(extra)
    splits = split(labels, declared, seed=seed)
    for before, after in zip(declared, splits, strict=True):
        if before in ("val", "test"):
            assert after == before
        elif before == "train" or before is None:
            assert after in {"train", *({"val", "test"} - set(declared))}
    assert set(splits) == {"train", "val", "test"}


def test_all_declared_is_returned_as_it_is() -> None:
    declared: list[str | None] = ["train", "val", "test"] * 4
    assert split([0] * 6 + [1] * 6, declared) == declared


def test_test_pictures_alone_cannot_train() -> None:
    with pytest.raises(DataError, match="no training pictures: the source has test only"):
        split([0, 1], ["test", "test"])
    with pytest.raises(DataError, match="no training pictures"):
        split([])


def test_a_class_missing_from_a_declared_split_is_named() -> None:
    declared: list[str | None] = ["train"] * 9 + ["test"] * 3
    labels = [0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 2, 3]
    with pytest.raises(DataError, match="dog from test") as caught:
        split(labels, declared, classes=["cat", "dog", "emu", "fox\n"])
    assert "fox\\n from train" in str(caught.value) and "\n" not in str(caught.value)


def test_too_few_pictures_of_a_class_are_counted() -> None:
    with pytest.raises(DataError, match=r"class b has 2; at least 3 are needed, for train, val, test"):
        split([0] * 9 + [1] * 2, classes=["a", "b"])
    with pytest.raises(DataError, match=r"class a has 1, b has 1; at least 2 are needed, for train, val$"):
        split([0, 1, 0, 1], ["train", "train", "test", "test"], classes=["a", "b"])
    assert Counter(split([0] * 3 + [1] * 3)) == {"train": 2, "val": 2, "test": 2}


def test_a_class_that_lost_all_its_pictures_is_named() -> None:
    with pytest.raises(DataError, match="b from train"):
        split([0, 0, 0, 0], classes=["a", "b"], declared=["train", "train", "train", "test"])


def test_many_classes_make_a_short_message() -> None:
    with pytest.raises(DataError, match="and 95 more"):
        split(list(range(100)))


# --- duplicates ---------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 30)), min_size=40, max_size=150), seeds)
def test_exact_duplicates_stay_together_whatever_their_class(pairs: list[tuple[int, int]], seed: int) -> None:
    pairs += [(label, 100 + 10 * label + i) for label in range(3) for i in range(3)]
    labels, groups = [p[0] for p in pairs], [str(p[1]) for p in pairs]
    splits = split(labels, groups=groups, seed=seed)
    where = defaultdict(set)
    for group, name in zip(groups, splits, strict=True):
        where[group].add(name)
    assert all(len(names) == 1 for names in where.values())
    for label in range(3):
        assert {s for s, y in zip(splits, labels, strict=True) if y == label} == {"train", "val", "test"}


@settings(max_examples=100, deadline=None)
@given(labelled(), st.integers(1, 4), seeds)
def test_with_small_groups_the_share_is_missed_by_less_than_a_group(
    labels: list[int], size: int, seed: int
) -> None:
    labels = sorted(labels * 3)
    position: Counter[int] = Counter()
    groups = []
    for label in labels:
        groups.append(f"{label}-{position[label] // size}")
        position[label] += 1
    splits = split(labels, groups=groups, seed=seed)
    for label, n in Counter(labels).items():
        got = sum(s == "test" for s, y in zip(splits, labels, strict=True) if y == label)
        assert abs(got - max(1, 0.2 * n)) < size + 0.5


def test_copies_of_one_picture_do_not_make_a_class() -> None:
    with pytest.raises(DataError, match="class b has 2 different; at least 3"):
        split(
            [0] * 9 + [1] * 9, groups=[str(i) for i in range(9)] + ["x"] * 5 + ["y"] * 4, classes=["a", "b"]
        )


def test_duplicates_in_a_declared_split_do_not_move() -> None:
    declared: list[str | None] = ["train"] * 8 + ["test"] * 2
    splits = split([0, 1] * 5, declared, groups=["same", "b", "c", "d", "e", "f", "g", "h", "same", "i"])
    assert splits[8:] == ["test", "test"] and "test" not in splits[:8]


def test_fifty_thousand_pictures_take_a_moment() -> None:
    labels = np.arange(50_000) % 100
    groups = [str(i // 2) if i % 50 == 0 else f"u{i}" for i in range(len(labels))]
    started = time.process_time()
    splits = assign_splits(labels, [None] * len(labels), seed=1, groups=groups, **FRACTIONS)
    assert time.process_time() - started < 5
    assert (splits == "test").sum() == 10_000
