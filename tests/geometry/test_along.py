"""Dependencies along a dimension, reshapes and fields against brute force."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import prod
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from striate.errors import ArgumentError
from striate.geometry import PICTURE
from striate.geometry.along import (
    All,
    Along,
    Bins,
    Blocks,
    Indices,
    Listed,
    One,
    Resample,
    Transposed,
    Window,
    contains,
    indices,
    union,
)
from striate.geometry.graph import add_box
from striate.geometry.reshape import reshape_box

SIZE = 12
small = st.integers(1, 4)
fractions = st.builds(Fraction, st.integers(1, 6), st.integers(1, 6))
alongs = st.one_of(
    st.builds(Window, small, small, st.integers(-3, 3), small),
    st.builds(Window, st.just(1), st.sampled_from([-1, -2]), st.integers(-SIZE, 0)),
    st.builds(Transposed, small, small, st.integers(0, 3), small),
    st.builds(Bins, st.just(SIZE), st.integers(1, 15)),
    st.builds(Resample, fractions, fractions.map(lambda f: f - 1), st.sampled_from([1, 2, 4])),
    st.builds(All, st.just(SIZE)),
    st.builds(One, st.integers(0, SIZE - 1)),
    st.sampled_from([Blocks(3, 2), Blocks(4, 1), Blocks(1, 3)]),
)
sets = st.one_of(
    st.builds(range, st.integers(0, 4), st.integers(5, 12), st.integers(1, 3)),
    st.lists(st.integers(0, 11), min_size=1).map(indices),
)


@given(along=alongs, outputs=sets)
def test_sources_are_the_taps_inside(along: Along, outputs: Indices):
    if isinstance(along, Blocks | Bins):  # these have so many outputs
        number = along.bins if isinstance(along, Bins) else SIZE // along.inputs * along.outputs
        outputs = indices(o for o in outputs if o < number) or range(1)
    taps = [tap for o in outputs for tap in along.taps(o)]
    if isinstance(along, Resample):
        expected = {min(max(tap, 0), SIZE - 1) for tap in taps}
    else:
        expected = {tap for tap in taps if 0 <= tap < SIZE}
    assert sorted(along.sources(outputs, SIZE)) == sorted(expected)


@given(along=alongs, output=st.integers(0, 20))
def test_the_pattern_repeats(along: Along, output: int):
    moved = [tap + along.shift for tap in along.taps(output)]
    assert sorted(along.taps(output + along.period)) == sorted(moved)


@given(first=sets, second=sets)
def test_sets(first: Indices, second: Indices):
    assert set(union(first, second)) == set(first) | set(second)
    assert contains(first, second) == set(first).issuperset(second)
    assert list(indices(reversed(second))) == list(second)


@given(first=alongs, second=alongs)
def test_fields_are_the_hulls_of_all_paths(first: Along, second: Along):
    middle = PICTURE.through(first)
    field = middle and middle.through(second)
    assert field is not None
    for output in range(30):
        taps = [t for m in second.taps(output) for t in first.taps(m)]
        assert field.at(output) == ((min(taps), max(taps)) if taps else None)


@given(first=alongs, second=alongs)
def test_unions_are_hulls(first: Along, second: Along):
    one, other = PICTURE.through(first), PICTURE.through(second)
    assert one is not None and other is not None
    if one.stride != other.stride:
        with pytest.raises(ArgumentError, match="the branches move by"):
            one.union(other)
        return
    both = one.union(other)
    for output in range(30):
        spans = [span for field in (one, other) if (span := field.at(output)) is not None]
        expected = (min(s[0] for s in spans), max(s[1] for s in spans)) if spans else None
        assert both.at(output) == expected


def test_a_listed_dimension():
    assert Listed((3, 0, 0)).sources(range(1, 3), 4) == range(1)


shapes = st.sampled_from(
    [
        ((2, 3, 4), (24,)),
        ((24,), (2, 3, 4)),
        ((2, 12), (6, 4)),
        ((4, 1, 6), (2, 2, 6)),
        ((3, 4), (3, 2, 2, 1)),
    ]
)


@given(shape=shapes, data=st.data())
def test_reshaped_boxes_hold_the_same_elements(shape: tuple[tuple[int, ...], tuple[int, ...]], data: Any):
    came, target = shape
    box = tuple(
        indices(data.draw(st.sets(st.integers(0, size - 1), min_size=1), label=str(size))) for size in came
    )
    boxes = reshape_box(box, came, target)
    assert _flat([box], came) == _flat(boxes, target)
    assert sum(prod(map(len, part)) for part in boxes) == prod(map(len, box)), "none twice"


@given(boxes=st.lists(st.tuples(sets, sets), min_size=1, max_size=8))
def test_boxes_are_joined_without_losing_elements(boxes: list[tuple[Indices, ...]]):
    kept: list[tuple[Indices, ...]] = []
    for box in boxes:
        add_box(kept, box)
    assert _flat(kept, (12, 12)) == _flat(boxes, (12, 12))
    assert len(kept) <= len(boxes)


def _flat(boxes: list[tuple[Indices, ...]], shape: tuple[int, ...]) -> set[int]:
    places = set()
    for box in boxes:
        for index in product(*box):
            flat = 0
            for i, size in zip(index, shape, strict=True):
                flat = flat * size + i
            places.add(flat)
    return places


class TestKnownFields:
    def test_the_lectures_row_13(self):
        """Two layers of 3: x1 and x5 meet at g3."""
        field = PICTURE.window(3).window(3)
        assert (field.size, field.stride, field.at(0)) == (5, 1, (0, 4))

    def test_dilation_moves_the_centre(self):
        assert PICTURE.window(3).centre(0) == 1
        assert PICTURE.window(3, dilation=2).centre(0) == 2
        assert PICTURE.window(3, dilation=2, padding=2).centre(0) == 0

    def test_uneven_padding(self):
        assert PICTURE.window(4, padding=(1, 2)).at(0) == (-1, 2)

    def test_transposed(self):
        """A kernel of 3 with stride 2: every other output sees two inputs."""
        field = PICTURE.transposed(3, 2)
        assert (field.sizes, field.size, field.stride) == ((2, 1), 2, Fraction(1, 2))
        assert PICTURE.transposed(1, 2).sizes == (1, 0), "every other output sees nothing"

    def test_adaptive_differs_from_position_to_position(self):
        assert PICTURE.adaptive(5, 2).spans == ((0, 2), (2, 4))
        assert PICTURE.adaptive(7, 4).sizes == (2, 3, 3, 2)
        assert PICTURE.adaptive(8, 4) == PICTURE.window(2, 2)
        assert PICTURE.window(3).adaptive(10, 1).size == PICTURE.window(3).everything(10).size == 12

    def test_what_is_undone_is_gone(self):
        """Down by 2 and up again by repetition."""
        again = PICTURE.window(2, 2).transposed(2, 2)
        assert (again.spans, again.advance) == (((0, 1), (0, 1)), 2)
        assert again.window(2, 2) == PICTURE.window(2, 2)

    def test_a_period_too_long(self):
        with pytest.raises(ArgumentError, match="repeats only after"):
            PICTURE.adaptive(10_007, 10_009)

    def test_vgg16_and_alexnet(self):
        """As published: Araujo, Norris, Sim 2019, "Computing receptive fields of CNNs", Distill."""
        vgg = PICTURE
        for convolutions in (2, 2, 3, 3, 3):
            for _ in range(convolutions):
                vgg = vgg.window(3, padding=1)
            vgg = vgg.window(2, 2)
        assert (vgg.size, vgg.stride, vgg.at(0)) == (212, 32, (-90, 121))
        alex = PICTURE.window(11, 4).window(3, 2).window(5, padding=2).window(3, 2)
        alex = alex.window(3, padding=1).window(3, padding=1).window(3, padding=1).window(3, 2)
        assert (alex.size, alex.stride, alex.at(0)) == (195, 32, (-64, 130))
