"""One real comparison on the digits, and one Chromium, for all tests of the report."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from playwright.sync_api import Browser, sync_playwright
from report_helpers import comparison, digits, row
from sklearn.linear_model import LogisticRegression
from sklearn.naive_bayes import GaussianNB

from striate.data.pictures import Dataset
from striate.models.network import NetworkLearner
from striate.report.build import build_report
from striate.train.run_folder import RunFolder
from striate.verdict.results import Comparison, LearnerResult, ShiftResult, ShuffleResult

CHROMIUM_FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium")
    if executable is None:
        if os.environ.get("CI"):
            pytest.fail("no chromium on the PATH: the report's tests need it; install the package chromium")
        pytest.skip("no chromium on the PATH")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable, args=CHROMIUM_FLAGS)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def digits_comparison(tmp_path_factory: pytest.TempPathFactory) -> tuple[Comparison, Path, Dataset]:
    """Two scikit-learn classifiers, two fresh networks and a learner that cannot apply."""
    folder = tmp_path_factory.mktemp("digits")
    data = digits()
    train, test = data.train, data.test
    rows: list[LearnerResult] = []
    answers: dict[str, torch.Tensor] = {}
    for name, classifier in (
        ("hog", LogisticRegression(max_iter=2000)),
        ("lbp", GaussianNB(var_smoothing=0.02)),
    ):
        classifier.fit(train.pixels.flatten(1).numpy() / 255.0, train.labels.numpy())
        answers[name] = torch.from_numpy(
            classifier.predict_proba(test.pixels.flatten(1).numpy() / 255.0)
        ).float()
        rows.append(row(name, answers[name], test))
    reason = "SIFT finds no keypoints in pictures of 8×8 pixels"
    rows.append(LearnerResult("sift", "SIFT + linear classifier", "hand-crafted", reason=reason))
    for name, kind in (("mlp", "feed-forward"), ("lenet", "convolutional")):
        learner = NetworkLearner(name, (1, 8, 8), 10)
        run = RunFolder(folder / name)
        run.path.mkdir()
        run.save_model(
            learner, classes=data.classes, preprocessing=data.preprocessing, scores={}, provenance={}
        )
        answers[name] = learner.predict(test.pixels)
        history = [
            {
                "epoch": e,
                "train_loss": 2 / e,
                "val_loss": 1.5 / e,
                "train_accuracy": 1 - 0.5 / e,
                "val_accuracy": 1 - 0.3 / e,
            }
            for e in range(1, 6)
        ]
        rows.append(
            row(
                name,
                answers[name],
                test,
                kind=kind,
                folder=name,
                epochs=5,
                macs=1000,
                history=history,
                notes=["A note."],
            )
        )
    for r in rows:
        if r.accuracy is not None and r.interval is not None:
            r.shift = ShiftResult(
                [-1, 0, 1], [r.accuracy * 0.5, r.accuracy, r.accuracy * 0.6], [0.4, 1.0, 0.5], len(test)
            )
            r.shuffle = ShuffleResult(r.accuracy * 0.7, (r.interval[0] * 0.7, r.interval[1] * 0.7), 1.0)
    return comparison(data, rows, answers, folder), folder, data


@pytest.fixture(scope="session")
def digits_report(digits_comparison: tuple[Comparison, Path, Dataset]) -> Path:
    return build_report(*digits_comparison)
