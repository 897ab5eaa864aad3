"""The sieve before the search for near duplicates: it lets none of them through, whatever the set is like."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from striate.data import duplicates, partners
from striate.data.duplicates import ALIKE, near_pairs, signatures
from striate.data.partners import with_partner

Pixels = NDArray[np.uint8]


def really(marks: Pixels) -> NDArray[np.bool_]:
    """Which have a partner, by every correlation there is."""
    unit = marks - marks.mean(axis=1, keepdims=True)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    likeness = unit @ unit.T
    np.fill_diagonal(likeness, -1)
    found: NDArray[np.bool_] = likeness.max(axis=1) >= ALIKE
    return found


def clusters(count: int) -> Pixels:
    """Copies with noise that makes some of them near duplicates and others not quite."""
    random = np.random.default_rng(count)
    originals = random.integers(0, 256, (max(1, count // 7), 1, 16, 16))
    noise = random.normal(0, 1, (count, 1, 16, 16)) * random.choice([0, 1, 2, 4, 5, 6, 8], (count, 1, 1, 1))
    return as_pixels(originals[random.integers(0, len(originals), count)] + noise)


def path(count: int) -> Pixels:
    """From one picture to another: every one is near the next, and the ends are far apart."""
    start, end = np.random.default_rng(1).integers(0, 256, (2, 1, 16, 16))
    return as_pixels(start + (end - start) * np.linspace(0, 1, count)[:, None, None, None])


def scene(count: int) -> Pixels:
    """One picture with a little noise: everything is near everything."""
    random = np.random.default_rng(2)
    return as_pixels(random.integers(0, 128, (1, 16, 16)) + random.integers(0, 3, (count, 1, 16, 16)))


def edge(count: int) -> Pixels:
    """One picture with noise of such strength that pairs lie around the limit."""
    random = np.random.default_rng(3)
    return as_pixels(random.integers(0, 128, (1, 16, 16)) + random.normal(0, 1.65, (count, 1, 16, 16)))


def faint(count: int) -> Pixels:
    """Hardly any contrast, on all levels of grey."""
    random = np.random.default_rng(4)
    waves = np.sin(np.arange(256).reshape(16, 16) * random.uniform(0, 3, (count // 2, 1, 1))) * 6
    return as_pixels(np.concatenate([waves + 8, waves + 240])[:, None])


def opposite(count: int) -> Pixels:
    """A pattern and its negative: one line through the origin."""
    pattern = np.cos(np.arange(256).reshape(1, 16, 16)) * 60
    random = np.random.default_rng(5)
    return as_pixels(
        128 + pattern * random.choice([-1, 1], (count, 1, 1, 1)) + random.normal(0, 2, (count, 1, 16, 16))
    )


def unlike(count: int) -> Pixels:
    return as_pixels(np.random.default_rng(6).integers(0, 256, (count, 1, 16, 16)))


def as_pixels(values: NDArray[np.floating] | NDArray[np.integer]) -> Pixels:
    return np.rint(values).clip(0, 255).astype(np.uint8)


SETS = pytest.mark.parametrize("make", [clusters, path, scene, edge, faint, opposite, unlike])


@SETS
@pytest.mark.parametrize("count", [2, 3, 40, 700, 1500])
def test_whoever_has_a_partner_is_found(make, count):
    marks = signatures(make(count))
    found, true = with_partner(marks, ALIKE), really(marks)
    assert found[true].all()
    if make is unlike:
        assert not found.any()


@SETS
@pytest.mark.parametrize("most", ["_MOST", "_PAIRS", "_ROWS"])
def test_also_where_there_are_too_many_to_compare(make, most, monkeypatch):
    monkeypatch.setattr(partners, most, 5)
    marks = signatures(make(300))
    assert with_partner(marks, ALIKE)[really(marks)].all()


@SETS
def test_only_those_who_have_one_are_found_in_a_set_of_many_kinds(make):
    marks = signatures(np.concatenate([unlike(500), make(30)]))
    found, true = with_partner(marks, ALIKE), really(marks)
    close = with_partner(marks, ALIKE + 2 * partners._SLACK)
    assert not (close & ~true).any() and found[true].all()


@SETS
def test_the_pairs_are_those_of_the_whole_search(make, monkeypatch):
    pixels = np.concatenate([make(400), unlike(100)])
    marks = signatures(pixels)
    places = np.random.default_rng(0).permutation(500)
    parts = [np.sort(part) for part in np.split(places, [300, 350])]
    sieved = near_pairs(marks, pixels, parts)
    monkeypatch.setattr(duplicates, "with_partner", lambda marks, alike: np.ones(len(marks), np.bool_))
    assert sieved == near_pairs(marks, pixels, parts)
    if make in (clusters, scene, path, opposite):
        assert sieved


def test_nobody_has_a_partner_alone():
    assert with_partner(np.empty((0, 256), np.uint8), ALIKE).tolist() == []
    assert with_partner(signatures(unlike(1)), ALIKE).tolist() == [False]


def test_equal_signatures_are_partners():
    marks = signatures(unlike(50))
    marks[17], marks[3] = marks[40], marks[41]
    assert np.flatnonzero(with_partner(marks, ALIKE)).tolist() == [3, 17, 40, 41]
