"""The translation experiment on pictures and a learner whose answers are known exactly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from verdict_helpers import NearestMean, bars

from striate.data.pictures import PictureSet
from striate.errors import UsageError
from striate.train.config import LearnConfig
from striate.train.monitor import Monitor
from striate.verdict.shift import (
    check_offset,
    default_offset,
    sample_size,
    shift_experiment,
    stratified_sample,
    translate,
)


@given(
    st.integers(1, 3),
    st.integers(1, 9),
    st.integers(1, 9),
    st.integers(-12, 12),
    st.integers(-12, 12),
    st.integers(0, 2**32 - 1),
)
def test_translate_is_numpys_edge_padding(
    channels: int, height: int, width: int, dx: int, dy: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    pixels = random.integers(0, 256, (2, channels, height, width), dtype=np.uint8)
    around = ((0, 0), (0, 0), (abs(dy), abs(dy)), (abs(dx), abs(dx)))
    padded = np.pad(pixels, around, mode="edge")
    top, left = abs(dy) - dy, abs(dx) - dx
    wanted = padded[:, :, top : top + height, left : left + width]
    moved = translate(torch.from_numpy(pixels), dx, dy)
    assert moved.dtype == torch.uint8
    assert (moved.numpy() == wanted).all()


def test_moving_there_and_back_keeps_the_middle() -> None:
    pixels = torch.randint(0, 256, (3, 3, 10, 12), dtype=torch.uint8)
    back = translate(translate(pixels, 3, -2), -3, 2)
    assert (back[:, :, 2:, :-3] == pixels[:, :, 2:, :-3]).all()
    assert (translate(pixels, 0, 0) == pixels).all()


def test_a_learner_of_positions_fails_when_the_bars_change_places() -> None:
    """A left bar moved right by two covers two columns of the right one's place and is called that."""
    pictures = bars(40)
    learner = NearestMean()
    learner.fit(pictures, pictures, LearnConfig(source="bars"), monitor=Monitor())
    learner.asked.clear()
    result = shift_experiment(learner, pictures, 2, seed=0, monitor=Monitor())
    assert result.offsets == [-2, -1, 0, 1, 2]
    assert result.pictures == 40
    assert learner.asked == [40] * 9
    # Sideways one class of the two is lost; up and down nothing changes, the bars reach from edge to edge.
    assert result.accuracy == [0.75, 1, 1, 1, 0.75]
    assert result.consistency == result.accuracy


def test_accuracy_and_consistency_are_kept_apart() -> None:
    """With all labels wrong nothing is ever accurate, yet the learner is as consistent as before."""
    pictures = bars(20)
    learner = NearestMean()
    learner.fit(pictures, pictures, LearnConfig(source="bars"), monitor=Monitor())
    wrong = PictureSet(pictures.pixels, 1 - pictures.labels, pictures.names, pictures.classes)
    result = shift_experiment(learner, wrong, 1, seed=0, monitor=Monitor())
    assert result.accuracy == [0, 0, 0]
    assert result.consistency == [1, 1, 1]


def test_progress_ends_where_it_said() -> None:
    class Watching(Monitor):
        total = done = ended = 0

        def begin(self, title: str, total: int, unit: str = "pictures") -> None:
            self.total = total

        def advance(self, done: int, **figures: float) -> None:
            assert done >= self.done
            self.done = done

        def end(self) -> None:
            self.ended += 1

    pictures, learner, monitor = bars(4), NearestMean(), Watching()
    learner.fit(pictures, pictures, LearnConfig(source="bars"), monitor=monitor)
    shift_experiment(learner, pictures, 3, seed=0, monitor=monitor)
    assert (monitor.total, monitor.done, monitor.ended) == (13, 13, 1)


@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.integers(6, 100), st.integers(0, 99))
def test_the_sample_keeps_proportions(sizes: list[int], limit: int, seed: int) -> None:
    labels = torch.tensor([k for k, size in enumerate(sizes) for _ in range(size)])
    labels = labels[torch.randperm(len(labels), generator=torch.Generator().manual_seed(seed))]
    index = stratified_sample(labels, limit, seed)
    assert len(index) == min(limit, len(labels))
    assert index.tolist() == sorted(set(index.tolist()))
    assert index.tolist() == stratified_sample(labels, limit, seed).tolist()
    chosen = torch.bincount(labels[index], minlength=len(sizes)).numpy()
    assert np.abs(chosen - np.array(sizes) * len(index) / len(labels)).max() < 1


def test_another_seed_takes_other_pictures() -> None:
    labels = torch.arange(5000) % 10
    assert stratified_sample(labels, 1000, 0).tolist() != stratified_sample(labels, 1000, 1).tolist()


def test_defaults_and_limits() -> None:
    assert [default_offset(width) for width in (1, 8, 16, 28, 64, 1024)] == [1, 1, 2, 4, 8, 8]
    assert sample_size(8, 8, 1) == 1000
    assert sample_size(1024, 1024, 8) == 250
    check_offset(7, 8, 9)
    with pytest.raises(UsageError, match=r"shift 8: the pictures are 9×8 pixels, so at most 7"):
        check_offset(8, 8, 9)
