"""What bad input gets: one plain line with what to do, the right exit code, nothing lost, no traceback."""

from __future__ import annotations

import contextlib
import resource
import socket
import struct
import subprocess
import time
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_helpers import QUICK, Done, Striate
from PIL import Image

FAILURE, USAGE, DATA = 1, 2, 3


def refused(done: Done, code: int, *words: str) -> None:
    """The command failed with ``code``, without a result, and one line of error that holds ``words``."""
    assert done.code == code, done.err
    assert done.out == ""
    assert len(done.errors) == 1, done.err
    assert done.err.splitlines()[-1] == done.errors[0], "the error comes last"
    for word in words:
        assert word in done.errors[0]


def nothing_left(place: Path) -> bool:
    """No run folder was begun."""
    return not (place / "runs").exists() or not any((place / "runs").iterdir())


@pytest.mark.parametrize("verb", ["train", "compare"])
def test_empty_folder(verb: str, striate: Striate, place: Path):
    (place / "empty").mkdir()
    refused(striate(verb, "empty"), DATA, "empty")
    assert nothing_left(place)


@pytest.mark.parametrize("verb", ["train", "compare"])
def test_one_class(verb: str, striate: Striate, pictures: Path, place: Path):
    for label in (1, 2):
        for file in (pictures / f"class {label}").iterdir():
            file.unlink()
        (pictures / f"class {label}").rmdir()
    refused(striate(verb, "pictures"), DATA, "class 0")
    assert nothing_left(place)


def test_one_picture_per_class(striate: Striate, pictures: Path, place: Path):
    for file in pictures.glob("*/*.png"):
        if file.name != "0.png":
            file.unlink()
    refused(striate("train", "pictures"), DATA, "class 0 has 1", "at least 3 are needed")
    assert nothing_left(place)


def test_mixed_sizes_and_modes_work(striate: Striate, pictures: Path):
    for number, file in enumerate(sorted(pictures.glob("*/*.png"))):
        picture = Image.open(file).resize((20 + number, 50 - number))
        picture.convert(("L", "RGB", "RGBA", "P", "1")[number % 5]).save(file)
    assert striate("train", "pictures", *QUICK, "--quiet").code == 0


BROKEN = {
    "zero-byte": b"",
    "text": b"these are words, not a picture\n" * 20,
    "html": b"<!doctype html><title>404</title>",
    "truncated": b"",  # filled in below, from a real file
}


@pytest.mark.parametrize("kind", BROKEN)
def test_unreadable_files(kind: str, striate: Striate, pictures: Path, place: Path):
    bad = pictures / "class 1" / "bad.png"
    whole = (pictures / "class 1" / "0.png").read_bytes()
    bad.write_bytes(whole[: len(whole) * 2 // 3] if kind == "truncated" else BROKEN[kind])
    refused(striate("train", "pictures", *QUICK), DATA, "bad.png", "--skip-bad")
    assert nothing_left(place)
    skipped = striate("train", "pictures", *QUICK, "--skip-bad")
    assert skipped.code == 0
    assert "bad.png" in skipped.err, "what is skipped is told"


def giant_png(path: Path, side: int) -> None:
    """A valid grey PNG of side² pixels in a few kilobytes."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((side // 8 + 1) * side), 1)
    path.write_bytes(
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")
    )


def test_giant_picture(striate: Striate, pictures: Path, place: Path, finished_run: Path):
    giant = pictures / "class 2" / "giant.png"
    giant_png(giant, 20_000)
    refused(striate("train", "pictures", *QUICK), DATA, "giant.png", "pixels")
    assert nothing_left(place)
    done = striate("predict", finished_run, giant, "--json")
    assert done.code == DATA and "giant.png" in done.err and "pixels" in done.err


class TestUnwritableOutput:
    @pytest.mark.parametrize("out", ["file/run", "/proc/striate-run", "x" * 300])
    def test_run_folder(self, out: str, striate: Striate, place: Path):
        (place / "file").write_text("precious")
        refused(striate("train", "digits", *QUICK, "--out", out), USAGE, out[:60], "--out")
        assert (place / "file").read_text() == "precious"

    def test_run_folder_that_is_not_empty(self, striate: Striate, place: Path):
        (place / "mine").mkdir()
        (place / "mine" / "thesis.txt").write_text("precious")
        refused(striate("train", "digits", *QUICK, "--out", "mine"), USAGE, "mine is not empty", "--out")
        assert [file.name for file in (place / "mine").iterdir()] == ["thesis.txt"]

    @pytest.mark.parametrize(
        ("out", "words"),
        [
            ("x.txt", "wanted a name that ends in .csv, .json, .parquet"),
            ("none/x.csv", "the folder none does not exist"),
            ("file/x.csv", "the folder file does not exist"),
            ("folder.csv", "is a folder"),
            ("old.csv", "exists; choose another name, or --force"),
        ],
    )
    def test_predictions(self, out: str, words: str, striate: Striate, place: Path, finished_run: Path):
        (place / "file").write_text("precious")
        (place / "old.csv").write_text("precious")
        (place / "folder.csv").mkdir()
        refused(striate("predict", finished_run, "file", "--out", out), USAGE, f"--out {out}: ", words)
        assert (place / "old.csv").read_text() == (place / "file").read_text() == "precious"


@contextlib.contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file may grow beyond ``size`` bytes, which the system reports as it does a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


class TestFullDisk:
    def test_train_and_go_on_once_there_is_space(self, striate: Striate, place: Path):
        with disk_of(30_000):
            refused(
                striate("train", "digits", *QUICK, "--out", "run"), FAILURE, "no space left", "run", "--out"
            )
        done = striate("train", "--resume", "run")
        assert done.code == 0, done.err
        assert (place / "run" / "model.json").exists()

    def test_predict_keeps_the_old_file(
        self, striate: Striate, pictures: Path, place: Path, finished_run: Path
    ):
        old = place / "old.csv"
        old.write_text("precious")
        with disk_of(500):
            done = striate("predict", finished_run, "pictures", "--out", "old.csv", "--force", "--quiet")
        refused(done, FAILURE, "no space left", "old.csv")
        assert old.read_text() == "precious"
        assert sorted(file.name for file in place.iterdir()) == ["old.csv", "pictures"]

    def test_a_disk_that_is_truly_full(self, striate: Striate, place: Path):
        disk = place / "disk"
        disk.mkdir()
        mounted = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=64k", "striate-test", disk], capture_output=True, check=False
        )
        if mounted.returncode:
            pytest.skip("only root may make a small disk")
        try:
            done = striate("train", "digits", *QUICK, "--out", "disk/run")
            refused(done, FAILURE, "no space left", "disk/run")
        finally:
            subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("digit", "did you mean digits?"),
        ("imagenet", "no such set"),
        ("./digit", "no such file or folder"),
        ("photos/cats", "no such file or folder"),
        ("a\0b", "a"),
        ("x" * 5000, "x"),
        ("", ""),
    ],
)
def test_unknown_set(source: str, words: str, striate: Striate, place: Path):
    refused(striate("train", source), USAGE, words)
    assert nothing_left(place)


def test_no_network(striate: Striate, place: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        closed = listener.getsockname()[1]
    for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{closed}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(place / "cache"))
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("NO_PROXY", "")
    start = time.monotonic()
    done = striate("train", "mnist")
    assert time.monotonic() - start < 20
    assert done.code in (FAILURE, DATA), done.err
    refused(done, done.code, "mnist", "cannot be reached", "make data", str(place / "cache"))
    assert nothing_left(place)


class TestWrongRunFolder:
    @pytest.mark.parametrize("verb", ["predict", "evaluate"])
    @pytest.mark.parametrize("run", ["none", "empty", "file"])
    def test_no_run_there(self, verb: str, run: str, striate: Striate, place: Path):
        (place / "empty").mkdir()
        (place / "file").write_text("x")
        refused(striate(verb, run, "digits" if verb == "evaluate" else "file"), USAGE, run)

    @pytest.mark.parametrize("verb", ["train", "compare"])
    @pytest.mark.parametrize("run", ["none", "empty", "file"])
    def test_nothing_to_resume(self, verb: str, run: str, striate: Striate, place: Path):
        (place / "empty").mkdir()
        (place / "file").write_text("x")
        refused(striate(verb, "--resume", run), USAGE, run, "name the folder of an interrupted run")

    def test_damaged_model(self, striate: Striate, place: Path, finished_run: Path, pictures: Path):
        (place / "run").mkdir()
        for name in ("model.json", "model.safetensors"):
            (place / "run" / name).write_bytes((finished_run / name).read_bytes())
        weights = place / "run" / "model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x00\x01")
        refused(striate("predict", "run", "pictures"), USAGE, "model.safetensors is damaged")

    def test_classes_that_the_run_does_not_know(self, striate: Striate, pictures: Path, finished_run: Path):
        refused(striate("evaluate", finished_run, "pictures"), DATA, "class 0")


NETWORKS = """
import torch

def colour(num_classes):
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), torch.nn.Linear(4, num_classes)
    )

def fails():
    raise KeyError("no weights")

def gives_a_dictionary():
    return {}

def gives_too_few():
    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(2))

number = 7
"""


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("own_networks_of_test:colour", "channels"),
        ("own_networks_of_test:fails", "KeyError: 'no weights'"),
        ("own_networks_of_test:gives_a_dictionary", "gave a dict, wanted a torch.nn.Module"),
        ("own_networks_of_test:gives_too_few", "wanted logits (2, 10)"),
        ("own_networks_of_test:number", "is a int, wanted a function or class"),
        ("own_networks_of_test:none", "has no 'none'"),
        ("no_such_module_of_test:x", "cannot import 'no_such_module_of_test'"),
        ("broken_module_of_test:x", "broken_module_of_test"),
        ("cn", "did you mean cnn?"),
        (":", "unknown model"),
        ("own_networks_of_test:", "unknown model"),
    ],
)
def test_models_of_the_users_own(
    model: str, words: str, striate: Striate, place: Path, monkeypatch: pytest.MonkeyPatch
):
    (place / "own_networks_of_test.py").write_text(NETWORKS)
    (place / "broken_module_of_test.py").write_text("this is no Python\n")
    monkeypatch.syspath_prepend(place)
    refused(striate("train", "digits", "--model", model, "--epochs", "1"), USAGE, words)
    assert nothing_left(place)
