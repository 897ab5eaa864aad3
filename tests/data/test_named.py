"""Named sets: the embedded digits, where files are looked for, their checksums, and downloads that fail."""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from striate.data.catalogue import FASHION_MNIST, MNIST, NAMES, SETS, NamedSet, RawFile, named_set
from striate.data.idx import read_idx
from striate.data.named import (
    data_folder,
    download,
    find,
    keep,
    open_named,
)
from striate.data.source import Source, open_source
from striate.errors import DataError, StriateError, UsageError
from striate.train.config import DataConfig
from striate.train.monitor import Monitor

# --- a small set of the same shape, so that every path through the code runs on real bytes --------------

PARTS = (
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
)


def _content() -> dict[str, bytes]:
    rng = np.random.default_rng(0)
    content = {}
    for images, labels, count in ((PARTS[0], PARTS[1], 12), (PARTS[2], PARTS[3], 6)):
        content[images] = b"\0\0\x08\3" + np.array([count, 5, 4], ">u4").tobytes() + rng.bytes(count * 20)
        content[labels] = (
            b"\0\0\x08\1" + np.array([count], ">u4").tobytes() + bytes(i % 3 for i in range(count))
        )
    return content


CONTENT = _content()
FILES = tuple(RawFile(name, len(CONTENT[name]), hashlib.sha256(CONTENT[name]).hexdigest()) for name in PARTS)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> NamedSet:
    """A named set without mirrors, in a world where only tmp_path is looked in."""
    tiny = NamedSet("mnist", ("a", "b", "c"), False, FILES, (), hint="run `make data`,")  # type: ignore[arg-type]
    monkeypatch.setitem(SETS, "mnist", tiny)
    monkeypatch.delenv("STRIATE_DATA", raising=False)
    monkeypatch.setattr("pooch.os_cache", lambda name: tmp_path / "cache")
    return tiny


def fill(folder: Path, pack: bool = False, content: dict[str, bytes] = CONTENT) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in content.items():
        (folder / f"{name}{'.gz' if pack else ''}").write_bytes(gzip.compress(data) if pack else data)
    return folder


def opened(data_dir: Path | None = None) -> Source:
    return open_named("mnist", data_dir, Monitor())


# --- digits ------------------------------------------------------------------------------------------------


def test_digits_are_the_real_ones_scaled_to_bytes() -> None:
    from sklearn.datasets import load_digits

    source = open_source(DataConfig(source="digits"))
    real = load_digits()
    assert (
        source.pixels is not None
        and source.pixels.shape == (1797, 1, 8, 8)
        and source.pixels.dtype == np.uint8
    )
    assert np.array_equal(np.rint(source.pixels[:, 0] * (16 / 255)), real.images)  # nothing is lost
    assert source.pixels.max() == 255 and source.pixels.min() == 0
    assert np.array_equal(source.labels, real.target) and source.classes == tuple("0123456789")
    assert set(source.splits) == {None} and source.flip is False and len(set(source.names)) == 1797


# --- where files are found --------------------------------------------------------------------------------


@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("place", ["flag/mnist", "flag", "env/mnist", "env", "cache/mnist", "cache"])
def test_files_are_found_plain_or_packed_in_every_place(
    tiny: NamedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, pack: bool
) -> None:
    fill(tmp_path / place, pack)
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "env"))
    source = opened(tmp_path / "flag")
    assert source.classes == ("a", "b", "c") and source.flip is False
    assert source.splits == ["train"] * 12 + ["test"] * 6
    assert source.names[0] == "train/00000" and source.names[-1] == "test/00005"
    assert (
        source.pixels is not None
        and source.pixels.tobytes() == CONTENT[PARTS[0]][16:] + CONTENT[PARTS[2]][16:]
    )


def test_the_flag_comes_before_the_variable_before_the_cache(
    tiny: NamedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "env"))
    for place in ("cache", "env/mnist", "flag"):
        folder = fill(tmp_path / place)
        assert find(tiny, tmp_path / "flag") == folder
    assert data_folder(tmp_path / "flag") == tmp_path / "flag"
    assert data_folder() == tmp_path / "env"
    monkeypatch.setenv("STRIATE_DATA", "")
    assert data_folder() == tmp_path / "cache"


def test_another_known_set_in_the_folder_itself_is_passed_over(tiny: NamedSet, tmp_path: Path) -> None:
    labels = read_idx(fill(tmp_path / "fashion") / PARTS[3])
    other = {**CONTENT, PARTS[3]: CONTENT[PARTS[3]][:8] + bytes(labels[::-1])}
    files = (*FILES[:3], RawFile(PARTS[3], len(other[PARTS[3]]), hashlib.sha256(other[PARTS[3]]).hexdigest()))
    SETS["mnist"] = NamedSet("mnist", tiny.classes, False, files, ())
    fashion = NamedSet("fashion-mnist", tiny.classes, True, FILES, ())  # type: ignore[arg-type]
    before = SETS["fashion-mnist"]
    SETS["fashion-mnist"] = fashion
    try:
        assert find(SETS["mnist"], tmp_path / "fashion") is None
        assert find(fashion, tmp_path / "fashion") == tmp_path / "fashion"
    finally:
        SETS["fashion-mnist"] = before


def test_a_system_folder_is_the_last_place(tiny: NamedSet, tmp_path: Path) -> None:
    system = fill(tmp_path / "system", pack=True)
    SETS["mnist"] = NamedSet("mnist", tiny.classes, False, FILES, (), system_folders=(system,))  # type: ignore[arg-type]
    assert find(SETS["mnist"], None) == system
    assert len(opened()) == 18


# --- checksums ---------------------------------------------------------------------------------------------


def _flip(data: bytes) -> bytes:
    return data[:-1] + bytes([data[-1] ^ 1])


@pytest.mark.parametrize("damage", [_flip, lambda d: d[:-1], lambda d: d + b"\0", lambda d: b""])
@pytest.mark.parametrize("pack", [False, True])
@pytest.mark.parametrize("name", PARTS)
def test_a_file_of_other_content_is_named(
    tiny: NamedSet, tmp_path: Path, name: str, pack: bool, damage: Callable[[bytes], bytes]
) -> None:
    fill(tmp_path / "flag" / "mnist", pack, {**CONTENT, name: damage(CONTENT[name])})
    with pytest.raises(DataError, match=rf"{name}.*: not the published {name}.*delete it") as caught:
        opened(tmp_path / "flag")
    assert "\n" not in str(caught.value)


def test_keep_refuses_other_content_and_leaves_nothing(tiny: NamedSet, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="SHA-256"):
        keep(tiny, FILES[0], b"other", tmp_path / "new")
    assert not (tmp_path / "new").exists()
    path = keep(tiny, FILES[0], CONTENT[PARTS[0]], tmp_path / "new")
    assert path.read_bytes() == CONTENT[PARTS[0]] and path.stat().st_mode & 0o777 == 0o644
    assert [p.name for p in path.parent.iterdir()] == [PARTS[0]]


def test_keep_says_that_it_cannot_write(tiny: NamedSet, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(DataError, match=r"cannot be written to .*--data-dir"):
        keep(tiny, FILES[0], CONTENT[PARTS[0]], tmp_path / "file")


# --- downloads ------------------------------------------------------------------------------------------------


class Mirror:
    """A web server on this machine that answers each file as it is told."""

    def __init__(self) -> None:
        self.answers: dict[str, bytes | int] = {
            f"{name}.gz": gzip.compress(data) for name, data in CONTENT.items()
        }
        self.cut = self.silent = False
        self.asked: list[str] = []
        self.release = threading.Event()
        mirror = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                name = self.path.rsplit("/", 1)[-1]
                mirror.asked.append(name)
                if mirror.silent:
                    mirror.release.wait(20)
                    return
                answer = mirror.answers.get(name, 404)
                if isinstance(answer, int):
                    self.send_error(answer)
                    return
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer) + 10 * mirror.cut))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/set/"
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self.release.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def mirror(monkeypatch: pytest.MonkeyPatch) -> Iterator[Mirror]:
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    mirror = Mirror()
    yield mirror
    mirror.close()


def _unused_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def at(*mirrors: str) -> NamedSet:
    SETS["mnist"] = NamedSet("mnist", ("a", "b", "c"), False, FILES, mirrors, hint="run `make data`,")  # type: ignore[arg-type]
    return SETS["mnist"]


class Log(Monitor):
    def __init__(self) -> None:
        self.events: list[tuple[object, ...]] = []

    def begin(self, title: str, total: int, unit: str = "pictures") -> None:
        self.events.append(("begin", title, total, unit))

    def advance(self, done: int, **figures: float) -> None:
        self.events.append(("advance", done))

    def message(self, text: str) -> None:
        self.events.append(("message", text))

    def end(self) -> None:
        self.events.append(("end",))


def test_a_missing_set_is_downloaded_unpacked_and_kept(
    tiny: NamedSet, mirror: Mirror, tmp_path: Path
) -> None:
    at(mirror.url)
    log = Log()
    source = open_named("mnist", tmp_path / "flag", log)
    assert len(source) == 18
    folder = tmp_path / "flag" / "mnist"
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == CONTENT
    assert all(path.stat().st_mode & 0o777 == 0o644 for path in folder.iterdir())
    total = sum(map(len, CONTENT.values()))
    assert log.events[1] == ("begin", "downloading mnist", total, "bytes")
    assert log.events[-2:] == [("advance", total), ("end",)]
    done = [event[1] for event in log.events if event[0] == "advance"]
    assert done == sorted(done) and len(done) >= 8
    mirror.asked.clear()
    assert len(opened(tmp_path / "flag")) == 18 and mirror.asked == []


def test_only_what_is_missing_or_broken_is_downloaded(tiny: NamedSet, mirror: Mirror, tmp_path: Path) -> None:
    folder = fill(tmp_path / "cache" / "mnist")
    (folder / PARTS[1]).unlink()
    (folder / PARTS[2]).write_bytes(b"broken")
    at(mirror.url)
    assert len(opened()) == 18
    assert mirror.asked == [f"{PARTS[1]}.gz", f"{PARTS[2]}.gz"]


def test_the_next_mirror_is_asked_when_one_fails(tiny: NamedSet, mirror: Mirror, tmp_path: Path) -> None:
    named = at(f"http://127.0.0.1:{_unused_port()}/", mirror.url)
    assert download(named, tmp_path, Monitor()) == tmp_path / "mnist"
    assert len(list((tmp_path / "mnist").iterdir())) == 4


def _wrong(mirror: Mirror) -> None:
    mirror.answers[f"{PARTS[0]}.gz"] = gzip.compress(_flip(CONTENT[PARTS[0]]))


def _page(mirror: Mirror) -> None:
    mirror.answers[f"{PARTS[0]}.gz"] = b"<html>log in to this network first</html>"


def _missing(mirror: Mirror) -> None:
    mirror.answers[f"{PARTS[0]}.gz"] = 404


def _bomb(mirror: Mirror) -> None:
    mirror.answers[f"{PARTS[0]}.gz"] = gzip.compress(bytes(5_000_000))


def _endless(mirror: Mirror) -> None:
    mirror.answers[f"{PARTS[0]}.gz"] = np.random.default_rng(0).bytes(2_000_000)


def _cut(mirror: Mirror) -> None:
    mirror.cut = True


def _silent(mirror: Mirror) -> None:
    mirror.silent = True


@pytest.mark.parametrize(
    ("trouble", "wanted"),
    [
        (_wrong, "gave another file"),
        (_page, "gave another file"),
        (_missing, "answered 404"),
        (_bomb, "gave another file"),
        (_endless, "gave another file"),
        (_cut, "cannot be reached|broke off"),
        (_silent, "did not answer in time"),
    ],
)
def test_a_mirror_in_trouble_leaves_nothing_and_is_named(
    tiny: NamedSet, mirror: Mirror, tmp_path: Path, trouble: Callable[[Mirror], None], wanted: str
) -> None:
    trouble(mirror)
    started = time.monotonic()
    with pytest.raises(DataError, match=rf"127\.0\.0\.1:\d+ ({wanted})") as caught:
        download(at(mirror.url), tmp_path, Monitor(), timeout=(0.5, 0.5))
    assert time.monotonic() - started < 10
    assert "\n" not in str(caught.value) and "make data" in str(caught.value)
    assert list((tmp_path / "mnist").iterdir()) == []


def test_without_a_network_one_line_says_where_it_was_looked_for_and_what_to_do(
    tiny: NamedSet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    at(f"http://127.0.0.1:{_unused_port()}/")
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "env"))
    with pytest.raises(StriateError) as caught:
        opened(tmp_path / "flag")
    said = str(caught.value)
    assert "\n" not in said and "cannot be reached" in said and "make data" in said
    for place in ("flag/mnist", "flag", "env/mnist", "env", "cache/mnist", "cache"):
        assert str(tmp_path / place) in said
    assert all(name in said for name in PARTS)


def test_an_unwritable_data_folder_is_named(tiny: NamedSet, mirror: Mirror, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    at(mirror.url)
    with pytest.raises(DataError, match=r"cannot be written to .*file.*--data-dir or STRIATE_DATA") as caught:
        opened(tmp_path / "file")
    assert "\n" not in str(caught.value)


# --- names ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("mnits", "did you mean mnist"),
        ("fashion", "digits, mnist, fashion-mnist"),
        ("fashon-mnist", "did you mean fashion-mnist"),
        ("digit", "did you mean digits"),
        ("cifar10", "sets: digits, mnist, fashion-mnist"),
        ("", "no source given"),
    ],
)
def test_an_unknown_set_names_the_nearest(
    given: str, wanted: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=wanted) as caught:
        open_source(DataConfig(source=given))
    assert "\n" not in str(caught.value)


def test_a_set_is_known_in_any_spelling_and_comes_before_a_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert named_set("Fashion_MNIST ") == "fashion-mnist" and named_set("digits/") is None
    assert open_source(DataConfig(source="DIGITS")).kind == "named"
    with pytest.raises(DataError, match="class"):
        open_source(DataConfig(source="./digits"))


# --- the real files ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [MNIST, FASHION_MNIST], ids=lambda named: named.name)
def test_the_real_sets_are_whole(named: NamedSet) -> None:
    if find(named, None) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{named.name} is not in the data folder; run make data")
        pytest.skip(f"{named.name} is not in the data folder; run make data")
    started = time.monotonic()
    source = open_source(DataConfig(source=named.name))
    assert time.monotonic() - started < 10
    assert source.pixels is not None and source.pixels.shape == (70_000, 1, 28, 28)
    assert source.splits.count("train") == 60_000 and source.splits.count("test") == 10_000
    assert source.flip is named.flip and source.classes == named.classes
    per_class = np.bincount(source.labels[60_000:])
    expected = (
        [1000] * 10 if named is FASHION_MNIST else [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    )
    assert per_class.tolist() == expected


def test_every_name_is_known() -> None:
    assert NAMES == ("digits", "mnist", "fashion-mnist") and set(SETS) == set(NAMES[1:])
