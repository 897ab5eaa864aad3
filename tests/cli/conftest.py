"""A command line to call in this process, small real pictures, and one finished run."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_helpers import QUICK, Done, Striate
from PIL import Image
from sklearn.datasets import load_digits

from striate.cli import main


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, with caches and data of its own."""
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "data"))
    monkeypatch.delenv("STRIATE_DEBUG", raising=False)
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return here


@pytest.fixture
def striate(place: Path, capsys: pytest.CaptureFixture[str]) -> Striate:
    """``striate("train", "digits")`` runs that command here; no traceback may ever be seen."""

    def call(*arguments: str | Path) -> Done:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        assert "bug in Striate" not in err, err
        return Done(code, out, err)

    return call


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """``mlp`` after one pass over the digits; not to be changed."""
    folder = tmp_path_factory.mktemp("finished")
    before = Path.cwd()
    os.chdir(folder)
    patch = pytest.MonkeyPatch()
    patch.setenv("STRIATE_CACHE", str(folder / "cache"))
    try:
        assert main(["train", "digits", *QUICK, "--out", "run", "--quiet"]) == 0
        yield folder / "run"
    finally:
        patch.undo()
        os.chdir(before)


@pytest.fixture
def pictures(place: Path) -> Path:
    """A folder of three classes with twelve real 8×8 pictures each, as PNG."""
    digits = load_digits()
    for label in range(3):
        folder = place / "pictures" / f"class {label}"
        folder.mkdir(parents=True)
        for number, grey in enumerate(digits.images[digits.target == label][:12]):
            Image.fromarray((grey * 15.9).astype("uint8")).save(folder / f"{number}.png")
    return place / "pictures"
