"""The training loop: it learns, repeats bit for bit, resumes exactly and fails in plain words."""

import os
import signal
from dataclasses import replace

import pytest
import torch
from sklearn.datasets import load_digits

from striate.data.pictures import PictureSet
from striate.errors import InterruptedRunError, StriateError
from striate.models.learner import FitReport
from striate.models.network import NetworkLearner
from striate.train.checkpoint import Checkpoints
from striate.train.config import LearnConfig
from striate.train.monitor import Monitor
from striate.train.run_folder import RunFolder

CLASSES = tuple("0123456789")


@pytest.fixture(scope="module")
def digits():
    raw = load_digits()
    pixels = torch.from_numpy((raw.images * 255 / 16).round().astype("uint8"))[:, None]
    labels = torch.from_numpy(raw.target).long()
    everything = PictureSet(pixels, labels, tuple(f"digit/{i}" for i in range(len(labels))), CLASSES)
    return (
        everything.subset(range(1000)),
        everything.subset(range(1000, 1300)),
        everything.subset(range(1300, 1797)),
    )


def fit(model, digits, *, monitor=None, folder=None, learner=None, permutation=None, **settings):
    learner = learner or NetworkLearner(model, (1, 8, 8), 10, {"width": 8} if model == "cnn" else None)
    config = LearnConfig(source="digits", **settings)
    report = learner.fit(
        digits[0], digits[1], config, monitor=monitor or Monitor(), folder=folder, permutation=permutation
    )
    return learner, report


def equal(a, b):
    mine, other = a.tensors(), b.tensors()
    return mine.keys() == other.keys() and all(torch.equal(t, other[k]) for k, t in mine.items())


class StopAfter(Monitor):
    """Sends this process a signal after so many steps, as a user's Ctrl-C would."""

    def __init__(self, steps, number):
        self.left = steps
        self.number = number

    def advance(self, done, **figures):
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), self.number)


class StopAtEpoch(Monitor):
    """Sends this process a signal when an epoch has ended."""

    def __init__(self, number):
        self.number = number

    def epoch(self, record):
        if record["epoch"] == self.number:
            os.kill(os.getpid(), signal.SIGTERM)


class Records(Monitor):
    def __init__(self):
        self.records = []

    def epoch(self, record):
        self.records.append(record)


def test_it_learns_real_digits_and_tells_each_epoch(digits):
    monitor = Records()
    learner, report = fit("mlp", digits, epochs=8, monitor=monitor)
    accuracy = (learner.predict(digits[2].pixels).argmax(1) == digits[2].labels).float().mean()
    assert accuracy > 0.88
    assert isinstance(report, FitReport) and report.epochs == 8 and len(report.history) == 8
    assert list(report.history) == monitor.records
    losses = [record["train_loss"] for record in monitor.records]
    assert losses[-1] < losses[0] / 2
    assert all(0 <= record["data_wait"] < 1 and record["images_per_second"] > 0 for record in monitor.records)


@pytest.mark.parametrize("model", ["mlp", "lenet", "cnn"])
def test_the_same_seed_gives_the_same_bits_and_another_does_not(digits, model):
    first, _ = fit(model, digits, epochs=1)
    second, _ = fit(model, digits, epochs=1)
    other, _ = fit(model, digits, epochs=1, seed=1)
    assert equal(first, second)
    assert not equal(first, other)


@pytest.mark.parametrize("model", ["mlp", "lenet", "cnn"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_ends_with_the_bits_of_an_uninterrupted_one(digits, model, number, tmp_path):
    settings = {"epochs": 2, "weight_averaging": True, "balance": True, "batch_size": 100}
    whole, whole_report = fit(model, digits, **settings)
    folder = RunFolder(tmp_path)
    for steps in (3, 9):  # within the first epoch, and in the second
        with pytest.raises(InterruptedRunError, match="--resume") as stopped:
            fit(model, digits, folder=folder, monitor=StopAfter(steps, number), **settings)
        assert stopped.value.exit_code == 128 + number
    resumed, report = fit(model, digits, folder=folder, **settings)
    assert equal(whole, resumed)
    timeless = [
        {k: v for k, v in r.items() if k not in ("seconds", "images_per_second", "data_wait")}
        for r in report.history
    ]
    assert timeless == [{k: r[k] for k in timeless[0]} for r in whole_report.history]


def test_a_signal_at_the_very_end_is_heard_and_loses_nothing(digits, tmp_path):
    whole, _ = fit("mlp", digits, epochs=2)
    folder = RunFolder(tmp_path)
    with pytest.raises(InterruptedRunError, match="--resume"):
        fit("mlp", digits, folder=folder, monitor=StopAtEpoch(2), epochs=2)
    resumed, report = fit("mlp", digits, folder=folder, epochs=2)
    assert equal(whole, resumed)
    assert len(report.history) == 2


def test_resuming_a_finished_run_changes_nothing(digits, tmp_path):
    folder = RunFolder(tmp_path)
    first, _ = fit("mlp", digits, folder=folder, epochs=2)
    again, report = fit("mlp", digits, folder=folder, epochs=2)
    assert equal(first, again)
    assert len(report.history) == 2


def test_a_damaged_newest_checkpoint_is_passed_over(digits, tmp_path):
    whole, _ = fit("mlp", digits, epochs=3)
    folder = RunFolder(tmp_path)
    with pytest.raises(InterruptedRunError):
        fit(
            "mlp",
            digits,
            folder=folder,
            epochs=3,
            checkpoint_seconds=0,
            monitor=StopAfter(40, signal.SIGTERM),
        )
    newest = max(folder.checkpoints.glob("last-*.safetensors"))
    newest.write_bytes(newest.read_bytes()[:-7])
    step = Checkpoints(folder.checkpoints).newest().step
    assert step == int(newest.stem.split("-")[1]) - 1
    resumed, _ = fit("mlp", digits, folder=folder, epochs=3)
    assert equal(whole, resumed)


def test_the_last_good_checkpoint_survives_a_loss_that_is_not_finite(digits, tmp_path):
    folder = RunFolder(tmp_path)
    with pytest.raises(
        StriateError, match=r"(?s)step \d+ \(epoch \d+\).*digit/\d+.*--learning-rate below 1e\+30"
    ):
        fit("mlp", digits, folder=folder, epochs=5, learning_rate=1e30, checkpoint_seconds=0)
    checkpoint = Checkpoints(folder.checkpoints).newest()
    if checkpoint is not None:
        assert all(bool(t.isfinite().all()) for n, t in checkpoint.tensors.items() if n.startswith("model/"))


def test_the_best_epoch_is_the_one_kept(digits):
    learner, report = fit("mlp", digits, epochs=6)
    best = max(report.history, key=lambda r: (r["val_accuracy"], -r["val_loss"]))
    predicted = learner.predict(digits[1].pixels).argmax(1)
    assert (predicted == digits[1].labels).float().mean().item() == pytest.approx(best["val_accuracy"])


def test_class_balance_helps_the_rare_class(digits):
    train, val, test = digits
    rare = [i for i, y in enumerate(train.labels.tolist()) if y != 8][:850]
    rare += [i for i, y in enumerate(train.labels.tolist()) if y == 8][:4]
    skewed = (train.subset(rare), val, test)

    def recall(balance):
        learner, _ = fit("mlp", skewed, epochs=6, balance=balance)
        eights = test.labels == 8
        return (learner.predict(test.pixels).argmax(1)[eights] == 8).float().mean().item()

    assert recall(True) > recall(False)


def test_a_feed_forward_net_cannot_tell_shuffled_pixels(digits):
    permutation = torch.randperm(64, generator=torch.Generator().manual_seed(1))
    _, plain = fit("mlp", digits, epochs=5)
    _, shuffled = fit("mlp", digits, epochs=5, permutation=permutation)
    assert shuffled.history[-1]["val_accuracy"] == pytest.approx(plain.history[-1]["val_accuracy"], abs=0.05)


def test_a_budget_sets_the_length_and_a_resumed_run_keeps_it(digits, tmp_path):
    folder = RunFolder(tmp_path)
    with pytest.raises(InterruptedRunError):
        fit("mlp", digits, folder=folder, budget="1s", monitor=StopAfter(2, signal.SIGTERM))
    planned = Checkpoints(folder.checkpoints).newest().values["settings"]["steps"]
    _, report = fit("mlp", digits, folder=folder, budget="100s")
    assert report.settings["steps"] == planned


def test_bfloat16_learns_too(digits):
    learner, report = fit("cnn", digits, epochs=4, precision="bfloat16")
    assert report.settings["precision"] == "bfloat16"
    assert report.history[-1]["val_accuracy"] > 0.5
    assert learner.predict(digits[2].pixels).dtype == torch.float32


def test_predictions_do_not_depend_on_the_batch(digits):
    learner, _ = fit("cnn", digits, epochs=1)
    together = learner.predict(digits[2].pixels[:64])
    alone = torch.cat([learner.predict(digits[2].pixels[i : i + 1]) for i in range(64)])
    torch.testing.assert_close(together, alone, atol=1e-5, rtol=0)


def test_settings_survive_json(digits):
    _, report = fit("mlp", digits, epochs=1)
    from striate.train.settings import Settings

    settings = Settings(**report.settings)
    assert replace(settings) == settings and settings.to_dict() == report.settings
