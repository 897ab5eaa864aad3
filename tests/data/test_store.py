"""The store: one decode pass, its cache, and everything that may go wrong with a disk."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from picture_files import encoded, photo
from PIL import Image

from striate.data import cache as cache_module
from striate.data import store as store_module
from striate.data.cache import Cache, Entry, cache_folder
from striate.data.decode import DECODER_VERSION, decode
from striate.data.duplicates import signatures
from striate.data.load import decode_files
from striate.data.pictures import Preprocessing
from striate.data.source import Source
from striate.data.store import Store, choose_preprocessing, decode_all
from striate.errors import StriateError, UnreadablePictureError
from striate.train.config import DataConfig
from striate.train.monitor import Monitor

SMALL = Preprocessing(24, 24, 3)


class Watcher(Monitor):
    """Writes down what it is told."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.titles: list[str] = []
        self.done: list[int] = []

    def begin(self, title: str, total: int, unit: str = "pictures") -> None:
        self.titles.append(f"{title} {total} {unit}")

    def advance(self, done: int, **figures: float) -> None:
        self.done.append(done)

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def folder_source(root: Path, files: dict[str, bytes]) -> Source:
    paths = []
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        paths.append(path)
    count = len(paths)
    return Source(
        str(root), "folder", ("a",), np.zeros(count, np.int64), [None] * count, list(files), paths=paths
    )


def array_source(pixels: np.ndarray) -> Source:
    count = len(pixels)
    names = [f"{i:03}" for i in range(count)]
    return Source("arrays", "idx", ("a",), np.zeros(count, np.int64), [None] * count, names, pixels=pixels)


def some_files(count: int = 70) -> dict[str, bytes]:
    kinds = [("jpg", "JPEG"), ("png", "PNG"), ("webp", "WEBP")]
    files = {}
    for i in range(count):
        ending, name = kinds[i % 3]
        files[f"a/{i:03}.{ending}"] = encoded(photo(30 + i, 40).rotate(i), name)
    files["a/bad.jpg"] = files["a/000.jpg"][:300]
    return files


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    return some_files()


@pytest.fixture
def source(tmp_path: Path, files: dict[str, bytes]) -> Source:
    return folder_source(tmp_path / "set", files)


def same(one: Store, other: Store) -> bool:
    return (
        torch.equal(one.pixels, other.pixels)
        and np.array_equal(one.signatures, other.signatures)
        and (one.hashes, one.errors) == (other.hashes, other.errors)
        and np.array_equal(one.widths, other.widths)
        and np.array_equal(one.heights, other.heights)
    )


def entries() -> list[Path]:
    return sorted(path for path in cache_folder().glob("*") if not path.name.startswith("tmp-"))


def unfinished() -> list[Path]:
    return list(cache_folder().glob("tmp-*"))


# --- decoding ----------------------------------------------------------------------------------------


def test_store_holds_what_the_decoder_gives(source: Source, files: dict[str, bytes]) -> None:
    watcher = Watcher()
    store = decode_all(source, SMALL, monitor=watcher)
    assert store.pixels.shape == (71, 3, 24, 24) and store.pixels.dtype == torch.uint8
    for i, data in enumerate(files.values()):
        if i in store.errors:
            continue
        assert np.array_equal(store.pixels[i].numpy(), decode(data, SMALL))
        assert np.array_equal(store.signatures[i], signatures(store.pixels[[i]].numpy())[0])
        assert (store.widths[i], store.heights[i]) == (30 + i, 40)
    assert store.errors == {70: "truncated JPEG header"}
    assert (
        store.hashes[70] == "" and not store.pixels[70].any() and store.widths[70] == store.heights[70] == 0
    )
    assert store.readable.tolist() == list(range(70))
    assert watcher.titles == ["decoding 71 pictures"] and watcher.done[-1] == 71 and not watcher.warnings


def test_training_and_prediction_see_the_same_bits(source: Source) -> None:
    store = decode_all(source, SMALL, monitor=Monitor(), threads=3)
    decoded = list(decode_files(source.paths or [], SMALL))
    assert [path for path, _ in decoded] == source.paths and len(decoded) == len(store.hashes)
    for i, (_, pixels) in enumerate(decoded):
        if isinstance(pixels, UnreadablePictureError):
            assert str(pixels) == store.errors[i]
        else:
            assert i not in store.errors and np.array_equal(store.pixels[i].numpy(), pixels)


def test_equal_pixels_have_equal_hashes(tmp_path: Path) -> None:
    picture = photo(24, 24)
    source = folder_source(
        tmp_path,
        {
            "1.png": encoded(picture, "PNG"),
            "2.bmp": encoded(picture, "BMP"),
            "3.png": encoded(photo(), "PNG"),
        },
    )
    one, other, third = decode_all(source, SMALL, monitor=Monitor()).hashes
    assert one == other != third and len(one) == 64


def test_number_of_threads_changes_nothing(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = []
    for threads in (1, 2, 4, None):
        monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / f"cache{threads}"))
        stores.append(decode_all(source, SMALL, monitor=Monitor(), threads=threads))
    assert all(same(stores[0], store) for store in stores[1:])


def test_arrays_need_no_decoding() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (300, 1, 10, 12), dtype=np.uint8)
    store = decode_all(array_source(pixels), Preprocessing(10, 12, 1), monitor=Monitor())
    assert np.array_equal(store.pixels.numpy(), pixels) and not entries()
    assert len(set(store.hashes)) == len(store.hashes) == 300
    fitted = decode_all(array_source(pixels), Preprocessing(20, 20, 3), monitor=Monitor())
    assert fitted.pixels.shape == (300, 3, 20, 20)
    assert (fitted.widths[0], fitted.heights[0]) == (12, 10)


def test_read_only_arrays_are_taken_without_a_warning() -> None:
    pixels = np.zeros((2, 1, 8, 8), np.uint8)
    pixels.flags.writeable = False
    assert decode_all(array_source(pixels), Preprocessing(8, 8, 1), monitor=Monitor()).pixels.shape == (
        2,
        1,
        8,
        8,
    )


def test_take_copies_rows(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    store = decode_all(source, SMALL, monitor=Monitor())
    rows = np.array([5, 0, 69], np.int64)
    expected = store.pixels[torch.from_numpy(rows)]
    assert torch.equal(store.take(rows), expected)
    monkeypatch.setattr(store_module, "free_memory", lambda: 0)
    assert torch.equal(store.take(rows), expected)  # from a nameless file
    assert not [path for path in cache_folder().iterdir() if path.is_file()]


# --- the cache ---------------------------------------------------------------------------------------


def decodes(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Grows by one with every picture that is really decoded."""
    seen: list[int] = []
    original = store_module.decode_with_info

    def counted(data: bytes, preprocessing: Preprocessing) -> object:
        seen.append(1)
        return original(data, preprocessing)

    monkeypatch.setattr(store_module, "decode_with_info", counted)
    return seen


@pytest.mark.parametrize("free", [None, 0])
def test_second_time_comes_from_the_cache(
    source: Source, monkeypatch: pytest.MonkeyPatch, free: int | None
) -> None:
    if free is not None:
        monkeypatch.setattr(store_module, "free_memory", lambda: free)
    seen = decodes(monkeypatch)
    first = decode_all(source, SMALL, monitor=Monitor())
    assert len(seen) == 71 and len(entries()) == 1 and not unfinished()
    again = decode_all(source, SMALL, monitor=Monitor())
    assert len(seen) == 71 and same(first, again)


@pytest.mark.parametrize(
    "change", ["content", "same size", "name", "preprocessing", "version", "order", "removed"]
)
def test_whatever_changes_the_pixels_changes_the_entry(
    tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    decode_all(folder_source(tmp_path / "set", files), SMALL, monitor=Monitor())
    seen, preprocessing = decodes(monkeypatch), SMALL
    changed = dict(files)
    if change == "content":
        changed["a/001.png"] = encoded(photo(9, 9), "PNG")
    elif change == "same size":
        data = bytearray(changed["a/000.jpg"])
        data[-200] ^= 1
        changed["a/000.jpg"] = bytes(data)
    elif change == "name":
        changed = {name.replace("a/0", "b/0"): data for name, data in files.items()}
    elif change == "preprocessing":
        preprocessing = Preprocessing(24, 24, 3, background=0)
    elif change == "version":
        monkeypatch.setattr(cache_module, "DECODER_VERSION", DECODER_VERSION + 1)
    elif change == "order":
        changed = dict(reversed(list(files.items())))
    else:
        del changed["a/001.png"]
    shutil.rmtree(tmp_path / "set")
    store = decode_all(folder_source(tmp_path / "set", changed), preprocessing, monitor=Monitor())
    assert len(seen) == len(changed) == len(store.hashes) and len(entries()) == 2


def test_a_moved_copy_of_the_folder_is_known(
    tmp_path: Path, files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = decode_all(folder_source(tmp_path / "here", files), SMALL, monitor=Monitor())
    seen = decodes(monkeypatch)
    assert (
        same(first, decode_all(folder_source(tmp_path / "there", files), SMALL, monitor=Monitor()))
        and not seen
    )


@pytest.mark.parametrize("damage", ["pixels.raw", "signatures.raw", "facts.json", "shorter", "empty"])
def test_a_broken_entry_is_made_anew(source: Source, monkeypatch: pytest.MonkeyPatch, damage: str) -> None:
    first = decode_all(source, SMALL, monitor=Monitor())
    (entry,) = entries()
    if damage == "shorter":
        os.truncate(entry / "pixels.raw", 100)
    elif damage == "empty":
        os.truncate(entry / "facts.json", 0)
    else:
        (entry / damage).unlink()
    seen = decodes(monkeypatch)
    assert same(first, decode_all(source, SMALL, monitor=Monitor())) and len(seen) == 71
    assert Entry(entries()[0], (71, 3, 24, 24)).is_whole()


@pytest.mark.parametrize("content", [b"{", b"[]", b'{"errors": {}}', b"\xff\xff"])
def test_facts_that_make_no_sense_are_made_anew(source: Source, content: bytes) -> None:
    first = decode_all(source, SMALL, monitor=Monitor())
    (entry,) = entries()
    (entry / "facts.json").write_bytes(content)
    assert same(first, decode_all(source, SMALL, monitor=Monitor()))
    assert same(first, decode_all(source, SMALL, monitor=Monitor()))


def test_a_cache_that_cannot_be_written_is_done_without(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reference = decode_all(source, SMALL, monitor=Monitor())
    (tmp_path / "file").write_text("not a folder")
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "file"))
    watcher = Watcher()
    assert same(reference, decode_all(source, SMALL, monitor=watcher))
    (warning,) = watcher.warnings
    assert "STRIATE_CACHE" in warning and "\n" not in warning


def mount_or_skip(folder: Path, size: str) -> None:
    command = ["mount", "-t", "tmpfs", "-o", size, "none", str(folder)]
    if subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not allowed")


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a small disk")
def test_a_full_disk(source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A real file system of 64 kB: neither the pixels in memory nor a reserved file fit on it."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount_or_skip(disk, "size=64k")
    try:
        reference = decode_all(source, SMALL, monitor=Monitor())
        monkeypatch.setenv("STRIATE_CACHE", str(disk))
        for free in (10**9, 4 * reference.pixels.numel() - 4):
            monkeypatch.setattr(store_module, "free_memory", lambda free=free: free)
            watcher = Watcher()
            assert same(reference, decode_all(source, SMALL, monitor=watcher))
            assert "No space left" in watcher.warnings[0] and not unfinished()
        monkeypatch.setattr(store_module, "free_memory", lambda: 1000)
        with pytest.raises(StriateError, match="STRIATE_CACHE"):
            decode_all(source, SMALL, monitor=Monitor())
        assert not unfinished()
        monkeypatch.undo()
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounts a disk")
def test_a_read_only_cache_still_serves(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = tmp_path / "disk"
    disk.mkdir()
    mount_or_skip(disk, "size=9m")
    try:
        monkeypatch.setenv("STRIATE_CACHE", str(disk))
        first = decode_all(source, SMALL, monitor=Monitor())
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        seen, watcher = decodes(monkeypatch), Watcher()
        assert same(first, decode_all(source, SMALL, monitor=watcher)) and not seen and not watcher.warnings
        other = Preprocessing(16, 16, 1)
        decode_all(source, other, monitor=watcher)
        assert len(seen) == 71 and "Read-only file system" in watcher.warnings[0]
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=True)


def test_a_failing_write_leaves_nothing_behind(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(cache_module, "_write", full)
    watcher = Watcher()
    store = decode_all(source, SMALL, monitor=watcher)
    assert (
        store.pixels.any() and "No space left" in watcher.warnings[0] and not entries() and not unfinished()
    )


def test_an_interrupted_pass_leaves_nothing_behind(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    class Impatient(Monitor):
        def advance(self, done: int, **figures: float) -> None:
            raise KeyboardInterrupt

    for free in (10**9, 0):
        monkeypatch.setattr(store_module, "free_memory", lambda free=free: free)
        with pytest.raises(KeyboardInterrupt):
            decode_all(source, SMALL, monitor=Impatient())
        assert not entries() and not unfinished()


def test_memory_errors_are_not_cached(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    original = Image.Image.convert

    def starved(self: Image.Image, *args: object, **options: object) -> Image.Image:
        if self.size == (31, 40):
            raise MemoryError
        return original(self, *args, **options)

    monkeypatch.setattr(Image.Image, "convert", starved)
    store = decode_all(source, SMALL, monitor=Monitor())
    assert store.errors[1] == "not enough memory for 31 x 40 pixels" and not entries() and not unfinished()


SCRIPT = textwrap.dedent("""
    import hashlib, os, random, shutil, signal, sys, time
    from pathlib import Path
    import numpy as np
    from striate.data.cache import cache_folder
    from striate.data.pictures import Preprocessing
    from striate.data.source import Source
    from striate.data.store import decode_all
    from striate.train.monitor import Monitor

    paths = sorted(Path(sys.argv[1]).rglob("*.*"))
    names = [path.name for path in paths]
    source = Source("x", "folder", ("a",), np.zeros(len(paths), np.int64), [None] * len(paths), names, paths=paths)

    def decode():
        store = decode_all(source, Preprocessing(24, 24, 3), monitor=Monitor(), threads=2)
        return hashlib.sha256(store.pixels.numpy().data).hexdigest()

    def child(work):
        pid = os.fork()
        if pid:
            return pid
        try:
            work()
            os._exit(0)
        except BaseException:
            import traceback
            traceback.print_exc()
        os._exit(1)

    def entries():
        return [path for path in cache_folder().glob("*") if not path.name.startswith("tmp-")]

    def remove():
        for path in entries():
            shutil.rmtree(path, ignore_errors=True)

    def over_and_over():
        while True:
            decode()
            remove()

    def agree():
        assert decode() == expected

    expected = decode()
    for _ in range(5):  # two writers of one entry at once
        remove()
        for pid in [child(agree), child(agree)]:
            assert os.waitpid(pid, 0)[1] == 0
        assert len(entries()) == 1 and len(list(cache_folder().iterdir())) == 1

    moments = random.Random(0)
    for _ in range(20):  # a writer killed at any moment
        pid = child(over_and_over)
        time.sleep(moments.uniform(0, 0.3))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        for entry in entries():
            files = sorted(path.name for path in entry.iterdir())
            # a whole entry, or one that was being removed
            assert set(files) <= {"facts.json", "pixels.raw", "signatures.raw"}, files
        assert decode() == expected  # from what is left of the cache, or anew
    print("fine")
""")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_writers_at_once_and_writers_killed_never_break_the_cache(source: Source) -> None:
    command = [sys.executable, "-c", SCRIPT, source.source]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout == "fine\n", done.stderr


def test_leavings_of_killed_processes_are_swept(source: Source) -> None:
    cache_folder().mkdir(parents=True)
    old, young = cache_folder() / "tmp-old", cache_folder() / "tmp-young"
    for folder in (old, young):
        folder.mkdir()
        (folder / "pixels.raw").write_bytes(b"x")
    two_days_ago = time.time() - 2 * 86_400
    for path in (old / "pixels.raw", old):
        os.utime(path, (two_days_ago, two_days_ago))
    decode_all(source, SMALL, monitor=Monitor())
    assert unfinished() == [young]


def test_the_cache_stays_within_bounds(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    def decoded(side: int) -> Path:
        decode_all(source, Preprocessing(side, side, 3), monitor=Monitor())
        newest = max(entries(), key=lambda path: path.stat().st_ctime_ns)
        os.utime(newest, (side, side))
        return newest

    first, second = decoded(16), decoded(17)
    size = sum(path.stat().st_size for path in first.iterdir())
    monkeypatch.setattr(cache_module, "KEPT_BYTES", int(2.9 * size))
    third = decoded(18)
    assert entries() == sorted([second, third])
    monkeypatch.setattr(cache_module, "KEPT_BYTES", 1)
    assert entries() == sorted([second, third])
    fourth = decoded(19)
    assert entries() == [fourth]  # the newest stays, however large


def test_the_cache_folder_follows_the_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine" / "decoded"
    monkeypatch.delenv("STRIATE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().name == "decoded" and "striate" in cache_folder().parts


def test_publishing_second_keeps_the_first(tmp_path: Path) -> None:
    cache = Cache(tmp_path / "cache")
    drafts = [cache.begin((1, 1, 2, 2)) for _ in range(2)]
    for level, draft in enumerate(drafts):
        draft.write(np.full((1, 1, 2, 2), level, np.uint8), np.zeros((1, 256), np.uint8), {"x": 1})
        cache.publish(draft, "key")
    entry = cache.find("key", (1, 1, 2, 2))
    assert entry is not None and not entry.pixels(mapped=False).any()
    assert [path.name for path in cache.folder.iterdir()] == ["key"]


# --- choosing the preprocessing ----------------------------------------------------------------------


def chosen(
    tmp_path: Path, sizes: list[tuple[int, int]], mode: str = "RGB", **settings: object
) -> Preprocessing:
    files = {f"{i}.png": encoded(Image.new(mode, size), "PNG") for i, size in enumerate(sizes)}
    config = DataConfig.model_validate({"source": "x", **settings})
    return choose_preprocessing(folder_source(tmp_path, files), config)


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ([(28, 28)] * 3, (28, 28)),
        ([(40, 24)] * 3, (40, 24)),
        ([(96, 96)] * 2, (96, 96)),
        ([(8, 8)], (8, 8)),
        ([(97, 50)] * 3, (48, 48)),
        ([(1600, 1200)] * 2, (96, 96)),
        ([(30, 60), (31, 29), (90, 33)], (32, 32)),
        ([(4, 4)] * 3, (16, 16)),
        ([(5, 500), (6, 7)], (16, 16)),
    ],
)
def test_size_is_chosen_from_the_pictures(
    tmp_path: Path, sizes: list[tuple[int, int]], expected: tuple[int, int]
) -> None:
    preprocessing = chosen(tmp_path, sizes)
    assert (preprocessing.width, preprocessing.height) == expected and preprocessing.channels == 3
    assert preprocessing.decoder_version == DECODER_VERSION


def test_channels_follow_the_pictures_and_settings_win(tmp_path: Path) -> None:
    assert chosen(tmp_path / "grey", [(20, 20)] * 2, "L").channels == 1
    assert chosen(tmp_path / "colour", [(20, 20)] * 2).channels == 3
    forced = chosen(tmp_path / "forced", [(20, 20)], "L", channels=3, image_size=40, fit="pad", background=9)
    assert forced == Preprocessing(40, 40, 3, "pad", 9, DECODER_VERSION)
    assert chosen(tmp_path / "size", [(20, 20)], "L", image_size=40).channels == 1
    assert chosen(tmp_path / "channels", [(20, 20)], channels=1).width == 20


def test_unreadable_pictures_have_no_say(tmp_path: Path) -> None:
    files = {"bad.png": b"text", "empty.png": b"", "good.png": encoded(Image.new("L", (32, 32)), "PNG")}
    source = folder_source(tmp_path, files)
    assert choose_preprocessing(source, DataConfig(source="x")).shape == (1, 32, 32)
    for path in source.paths or []:
        path.write_bytes(b"no picture")
    assert choose_preprocessing(source, DataConfig(source="x")).shape == (3, 96, 96)


def test_one_colour_picture_among_thousands_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "_PROBED", 5)
    files = {f"{i:02}.png": encoded(Image.new("L", (20, 20)), "PNG") for i in range(40)}
    files["39.png"] = encoded(Image.new("RGB", (20, 20)), "PNG")
    assert choose_preprocessing(folder_source(tmp_path, files), DataConfig(source="x")).shape == (3, 20, 20)


def test_arrays_keep_their_size_if_small() -> None:
    config = DataConfig(source="x")
    assert choose_preprocessing(array_source(np.zeros((5, 1, 28, 28), np.uint8)), config).shape == (1, 28, 28)
    assert choose_preprocessing(array_source(np.zeros((5, 3, 128, 100), np.uint8)), config).shape == (
        3,
        96,
        96,
    )


@given(st.lists(st.tuples(st.integers(1, 400), st.integers(1, 400)), min_size=1, max_size=9))
def test_any_sizes_give_one_that_learners_take(sizes: list[tuple[int, int]]) -> None:
    width, height = store_module._size([(*size, 3) for size in sizes])
    assert 8 <= width <= 96 and 8 <= height <= 96


def test_decoding_into_a_mapped_file_gives_the_same(
    source: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = decode_all(source, SMALL, monitor=Monitor())
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path / "other"))
    monkeypatch.setattr(store_module, "free_memory", lambda: 0)
    assert same(plain, decode_all(source, SMALL, monitor=Monitor()))
    (entry,) = entries()
    assert (entry / "pixels.raw").stat().st_size == plain.pixels.numel()
