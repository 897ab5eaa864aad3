"""Whole comparisons on the embedded digits: saved after every step, resumed to the same result."""

from __future__ import annotations

import json
import os
import shutil
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file

from striate.data.load import load_dataset
from striate.errors import DataError, InterruptedRunError, StriateError, UsageError
from striate.train.config import CompareConfig
from striate.train.monitor import Monitor
from striate.train.run_folder import load_model
from striate.verdict.compare import compare
from striate.verdict.leaderboard import leaderboard_text
from striate.verdict.results import Comparison, LearnerResult

MODELS = ("mlp", "lenet")


def settings(out: Path, **other: Any) -> CompareConfig:
    return CompareConfig(**{"source": "digits", "models": MODELS, "epochs": 1, "out": out, **other})


class Hooked(Monitor):
    """Calls ``hook`` with the number of every event, counted from 1, and its kind."""

    def __init__(self, hook: Callable[[int, str], None]) -> None:
        self.hook = hook
        self.count = 0

    def _event(self, kind: str) -> None:
        self.count += 1
        self.hook(self.count, kind)

    def begin(self, title: str, total: int, unit: str = "pictures") -> None:
        self._event(f"begin {title}")

    def advance(self, done: int, **figures: float) -> None:
        self._event("advance")

    def epoch(self, record: dict[str, Any]) -> None:
        self._event("epoch")

    def message(self, text: str) -> None:
        self._event(f"message {text}")

    def end(self) -> None:
        self._event("end")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Path, list[str]]:
    """An uninterrupted comparison, its folder, and the events it told of."""
    events: list[str] = []
    monitor = Hooked(lambda number, kind: events.append(kind))
    comparison, folder = compare(settings(tmp_path_factory.mktemp("runs") / "whole"), monitor)
    return comparison, folder, events


def without_times(row: LearnerResult) -> LearnerResult:
    timed = ("seconds", "images_per_second", "data_wait")
    history = [{k: v for k, v in record.items() if k not in timed} for record in row.history]
    shuffle = replace(row.shuffle, seconds=0) if row.shuffle else None
    # The saved description holds times as well, so its length may differ by a digit.
    return replace(row, train_seconds=0, ms_per_picture=0, disk_bytes=0, history=history, shuffle=shuffle)


def assert_same(one: Comparison, other: Comparison) -> None:
    assert [without_times(row) for row in one.learners] == [without_times(row) for row in other.learners]
    assert (one.winner, one.recommended, one.terms) == (other.winner, other.recommended, other.terms)


def test_the_folder_holds_everything(whole: tuple[Comparison, Path, list[str]]) -> None:
    comparison, folder, _ = whole
    assert Comparison.from_dict(json.loads((folder / "comparison.json").read_text())) == comparison
    assert (folder / "report.html").stat().st_size > 10_000
    assert CompareConfig(**yaml.safe_load((folder / "config.yaml").read_text())).out == folder
    splits = json.loads((folder / "splits.json").read_text())
    dataset = load_dataset(settings(folder), Monitor())
    assert splits["test"] == list(dataset.test.names)
    saved = load_file(folder / "predictions.safetensors")
    assert torch.equal(saved["labels"], dataset.test.labels)
    for row in comparison.learners:
        assert row.folder is not None
        answers = saved[f"probabilities/{row.name}"]
        assert int((answers.argmax(1) == saved["labels"]).sum()) == row.correct
        assert json.loads((folder / row.folder / "splits.json").read_text()) == splits
        model = load_model(folder / row.folder)
        assert torch.equal(model.learner.predict(dataset.test.pixels), answers)
        assert model.info["scores"]["test"]["correct"] == row.correct
        assert not list((folder / row.folder / "shuffled").glob("checkpoints"))


def test_the_figures_fit_together(whole: tuple[Comparison, Path, list[str]]) -> None:
    comparison, _, _ = whole
    total = sum(comparison.counts["test"])
    for row in comparison.learners:
        assert row.accuracy == pytest.approx((row.correct or 0) / total)
        assert row.epochs == 1
        assert row.unfinished == []
        assert row.shift is not None
        assert row.shift.offsets == [-1, 0, 1]
        assert row.shift.pictures == total
        assert row.shift.accuracy[1] == row.accuracy
        assert row.shift.consistency[1] == 1
        assert row.shuffle is not None
        assert row.shuffle.interval[0] < row.shuffle.accuracy < row.shuffle.interval[1]
        assert (row.ms_per_picture or 0) > 0
        assert (row.disk_bytes or 0) > 4 * (row.parameters or 0)
        assert (row.p_value is None) == (row.name == comparison.winner)
    assert comparison.config["shift"] == 1  # resolved
    assert comparison.provenance["seconds"] > 0
    assert "1 pass over the training pictures" in comparison.terms
    assert 2 <= len(comparison.verdict) <= 3
    assert leaderboard_text(comparison, 80).count("\n") > 4


def stop_at(event: int) -> Hooked:
    def hook(number: int, kind: str) -> None:
        if number == event:
            raise KeyboardInterrupt

    return Hooked(hook)


@pytest.mark.parametrize("moment", ["advance", "message mlp: once more", "begin lenet: moved"])
def test_a_stopped_comparison_ends_the_same(
    whole: tuple[Comparison, Path, list[str]], tmp_path: Path, moment: str
) -> None:
    comparison, _, events = whole
    event = next(i for i, kind in enumerate(events, start=1) if kind.startswith(moment))
    config = settings(tmp_path / "run")
    with pytest.raises(
        InterruptedRunError, match=r"continue with: striate compare --resume .*run"
    ) as stopped:
        compare(config, stop_at(event))
    assert stopped.value.exit_code == 130
    partial = Comparison.from_dict(json.loads((tmp_path / "run" / "comparison.json").read_text()))
    if len(partial.learners) < 2:
        assert "This is not the whole comparison" in " ".join(partial.verdict) or not partial.learners
    resumed, _ = compare(config, Monitor(), resume=tmp_path / "run")
    assert_same(resumed, comparison)


def test_sigterm_saves_and_says_so(whole: tuple[Comparison, Path, list[str]], tmp_path: Path) -> None:
    def hook(number: int, kind: str) -> None:
        if kind == "epoch":
            os.kill(os.getpid(), signal.SIGTERM)

    before = signal.getsignal(signal.SIGTERM)
    config = settings(tmp_path / "run", epochs=2, models=("mlp",), shuffle=False, shift=0)
    with pytest.raises(InterruptedRunError, match="striate compare --resume") as stopped:
        compare(config, Hooked(hook))
    assert stopped.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) == before
    resumed, _ = compare(config, Monitor(), resume=tmp_path / "run")
    assert resumed.learners[0].epochs == 2
    assert resumed.learners[0].shift is None


def test_a_finished_comparison_trains_nothing_again(
    whole: tuple[Comparison, Path, list[str]], tmp_path: Path
) -> None:
    comparison, folder, _ = whole
    copy = tmp_path / "copy"
    shutil.copytree(folder, copy)
    (copy / "report.html").unlink()
    told: list[str] = []
    again, _ = compare(settings(folder), Hooked(lambda number, kind: told.append(kind)), resume=copy)
    assert not any(kind.startswith(("begin training", "epoch")) for kind in told)
    assert again.learners == comparison.learners
    assert (copy / "report.html").exists()


def test_other_pictures_cannot_be_resumed_on(
    whole: tuple[Comparison, Path, list[str]], tmp_path: Path
) -> None:
    _, folder, _ = whole
    shutil.copytree(folder, tmp_path / "copy")
    with pytest.raises(DataError, match="not what it was when"):
        compare(settings(folder, seed=1), Monitor(), resume=tmp_path / "copy")


def test_a_damaged_result_is_told(whole: tuple[Comparison, Path, list[str]], tmp_path: Path) -> None:
    _, folder, _ = whole
    shutil.copytree(folder, tmp_path / "copy")
    (tmp_path / "copy" / "comparison.json").write_text('{"learners": 3}')
    with pytest.raises(UsageError, match="cannot be read"):
        compare(settings(folder), Monitor(), resume=tmp_path / "copy")


def test_one_broken_learner_does_not_stop_the_others(tmp_path: Path) -> None:
    class Watching(Monitor):
        def __init__(self) -> None:
            self.warned: list[str] = []

        def warn(self, text: str) -> None:
            self.warned.append(text)

    monitor = Watching()
    config = settings(tmp_path / "run", models=("verdict_helpers:diverging", "mlp"), shuffle=False, shift=0)
    comparison, _ = compare(config, monitor)
    broken, mlp = comparison.learners
    assert str(broken.reason).startswith("training failed: the loss became nan at step 1")
    assert broken.correct is None
    assert mlp.correct is not None
    assert comparison.winner == "mlp"
    assert any("verdict_helpers:diverging is not judged" in text for text in monitor.warned)
    assert "not judged: training failed" in leaderboard_text(comparison)
    resumed, _ = compare(config, Monitor(), resume=tmp_path / "run")
    assert_same(resumed, comparison)


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"models": ("mlp", "lenett")}, "did you mean lenet"),
        ({"models": ("mlp", "verdict_helpers:no_network")}, "wanted a torch.nn.Module"),
        ({"models": ("mlp", "verdict_helpers:absent")}, "has no 'absent'"),
        ({"shift": 8}, "shift 8: the pictures are 8×8 pixels"),
        ({"budget": "soon"}, "wanted a positive time"),
        ({"device": "toaster"}, "wanted auto, cpu"),
    ],
)
def test_what_cannot_work_is_refused_before_any_training(
    tmp_path: Path, other: dict[str, Any], words: str
) -> None:
    def hook(number: int, kind: str) -> None:
        assert not kind.startswith("begin training")

    with pytest.raises(UsageError, match=words):
        compare(settings(tmp_path / "run", **other), Hooked(hook))
    assert not (tmp_path / "run").exists()


def test_nothing_is_overwritten(whole: tuple[Comparison, Path, list[str]]) -> None:
    _, folder, _ = whole
    before = (folder / "comparison.json").read_bytes()
    with pytest.raises(StriateError, match="is not empty"):
        compare(settings(folder), Monitor())
    assert (folder / "comparison.json").read_bytes() == before


def test_a_learner_that_cannot_work_stands_there_with_its_reason(tmp_path: Path) -> None:
    comparison, folder = compare(settings(tmp_path / "run", models=("sift",)), Monitor())
    (sift,) = comparison.learners
    assert sift.accuracy is None
    assert sift.reason
    assert not sift.reason.startswith("training failed")
    assert comparison.winner is comparison.recommended is None
    assert comparison.verdict == [f"No learner could be judged on these pictures (sift: {sift.reason})."]
    assert (folder / "report.html").exists()


def test_a_budget_below_one_pass_is_as_short_for_the_shuffled_fit(tmp_path: Path) -> None:
    """Both fits see as many pictures, and the verdict says that it was not all of them."""
    config = settings(tmp_path / "run", models=("mlp",), epochs=None, budget="0.001s", shift=0)
    comparison, folder = compare(config, Monitor())
    (mlp,) = comparison.learners
    assert mlp.pictures is not None
    assert mlp.pictures < sum(comparison.counts["train"])
    assert "The budget let mlp see only part" in comparison.verdict[-1]
    logs = [folder / "mlp" / "log.jsonl", folder / "mlp" / "shuffled" / "log.jsonl"]
    steps = [json.loads(log.read_text().splitlines()[-1])["step"] for log in logs]
    assert steps[0] == steps[1]
