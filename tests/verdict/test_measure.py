"""Probabilities are checked, one picture is timed alone, big sets are read in pieces."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
import torch
from verdict_helpers import NearestMean, bars

from striate.errors import StriateError
from striate.train.config import LearnConfig
from striate.train.monitor import Monitor
from striate.verdict import measure
from striate.verdict.measure import chunks, disk_bytes, milliseconds_per_picture, probabilities


@pytest.fixture
def learner() -> NearestMean:
    fitted, pictures = NearestMean(), bars(20)
    fitted.fit(pictures, pictures, LearnConfig(source="bars"), monitor=Monitor())
    return fitted


def test_pieces_cover_everything_once(learner: NearestMean, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = bars(20).pixels
    whole = probabilities(learner, pixels, 2)
    monkeypatch.setattr(measure, "CHUNK_BYTES", 7 * 144 + 3)  # seven pictures of 12×12
    assert [(c.start, c.stop) for c in chunks(pixels)] == [(0, 7), (7, 14), (14, 20)]
    assert torch.equal(probabilities(learner, pixels, 2), whole)
    monkeypatch.setattr(measure, "CHUNK_BYTES", 1)  # one picture is the least
    assert len(list(chunks(pixels))) == 20


def test_no_pictures_give_no_probabilities(learner: NearestMean) -> None:
    assert probabilities(learner, bars(0).pixels, 2).shape == (0, 2)


def test_answers_that_are_no_probabilities_are_refused(learner: NearestMean) -> None:
    assert learner.means is not None
    with pytest.raises(StriateError, match=r"answered \(20, 2\) for 20 pictures of 3 classes"):
        probabilities(learner, bars(20).pixels, 3)
    learner.means[0, 0] = float("nan")
    with pytest.raises(StriateError, match="not finite"):
        probabilities(learner, bars(20).pixels, 2)


def test_one_picture_is_timed_alone(learner: NearestMean) -> None:
    learner.asked.clear()
    took = milliseconds_per_picture(learner, bars(20).pixels)
    assert 0 < took < 100
    assert learner.asked == [1] * 33  # three to warm up, thirty measured


def test_a_slow_learner_does_not_hold_everybody_up(learner: NearestMean) -> None:
    class Slow(NearestMean):
        def predict(self, pixels: torch.Tensor) -> torch.Tensor:
            time.sleep(0.02)
            return super().predict(pixels)

    slow = Slow(means=learner.means)
    took = milliseconds_per_picture(slow, bars(1).pixels, seconds=0.05)
    assert 20 <= took < 200
    assert 6 <= len(slow.asked) <= 8


def test_size_is_that_of_the_model_alone(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(b"x" * 700)
    (tmp_path / "model.json").write_bytes(b"x" * 77)
    (tmp_path / "log.jsonl").write_bytes(b"x" * 9999)
    assert disk_bytes(tmp_path) == 777
