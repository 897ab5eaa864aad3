"""Decoded pictures kept on disk, so that a folder is decoded once.

An entry is a folder named after everything that its pixels depend on: the names and sizes of the
files, the preprocessing and the decoder's version, and the SHA-256 of all bytes of all files. It is
made under another name and renamed when it is whole, so that there is never half an entry, and two
processes may make the same one at once.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from striate.data.decode import DECODER_VERSION
from striate.data.pictures import Preprocessing

KEPT_BYTES = 20_000_000_000
"""Entries beyond this total are removed, those unused for longest first."""

LAYOUT = 1  # of the files in an entry
_UNFINISHED = "tmp-"
_ABANDONED_SECONDS = 86_400
_PIXELS, _SIGNATURES, _FACTS = "pixels.raw", "signatures.raw", "facts.json"


def cache_folder() -> Path:
    """Where decoded pictures are kept: ``STRIATE_CACHE``, or the platform's cache folder."""
    chosen = os.environ.get("STRIATE_CACHE")
    if chosen:
        return Path(chosen).expanduser() / "decoded"
    import pooch

    return Path(pooch.os_cache("striate")) / "decoded"


def outline(names: list[str], sizes: list[int], preprocessing: Preprocessing) -> str:
    """The part of an entry's name that is known without reading the files."""
    facts = [LAYOUT, DECODER_VERSION, preprocessing.to_dict(), names, sizes]
    return sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def content(digests: list[bytes]) -> str:
    """The part that is not: one hash over the SHA-256 of every file."""
    return sha256(b"".join(digests)).hexdigest()[:32]


class Entry:
    """One entry, whole or in the making.

    Attributes:
        folder: where its files lie.
        shape: of its pixels, ``(N, C, H, W)``.
    """

    def __init__(self, folder: Path, shape: tuple[int, int, int, int]) -> None:
        self.folder = folder
        self.shape = shape

    def pixels(self, mapped: bool) -> NDArray[np.uint8]:
        """All pixels: read into memory, or as a read-only map of the file."""
        path = self.folder / _PIXELS
        if mapped:
            return np.memmap(path, np.uint8, "r", shape=self.shape)
        return np.fromfile(path, np.uint8).reshape(self.shape)

    def signatures(self) -> NDArray[np.uint8]:
        """uint8 ``(N, 256)``."""
        return np.fromfile(self.folder / _SIGNATURES, np.uint8).reshape(self.shape[0], -1)

    def facts(self) -> dict[str, Any]:
        """What is known about every picture besides its pixels."""
        facts: dict[str, Any] = json.loads((self.folder / _FACTS).read_text())
        return facts

    def is_whole(self) -> bool:
        """Whether the files are there at their full sizes."""
        try:
            return (
                (self.folder / _PIXELS).stat().st_size == int(np.prod(self.shape, dtype=np.int64))
                and (self.folder / _SIGNATURES).stat().st_size % max(1, self.shape[0]) == 0
                and (self.folder / _FACTS).stat().st_size > 0
            )
        except OSError:
            return False

    def reserve(self) -> NDArray[np.uint8]:
        """Its pixels, all zero, as a map of the file that can be written to.

        Raises:
            OSError: no room; found now, because writing to a map that finds none kills the process.
        """
        size = int(np.prod(self.shape, dtype=np.int64))
        with (self.folder / _PIXELS).open("wb") as file:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:
                for start in range(0, size, 1 << 24):
                    file.write(bytes(min(1 << 24, size - start)))
        return np.memmap(self.folder / _PIXELS, np.uint8, "r+", shape=self.shape)

    def write(self, pixels: NDArray[np.uint8], signatures: NDArray[np.uint8], facts: dict[str, Any]) -> None:
        """Write all files and wait until they are on the disk; pixels from :meth:`reserve` are there already.

        Raises:
            OSError: the disk is full or the like.
        """
        if isinstance(pixels, np.memmap):
            pixels.flush()
        else:
            _write(self.folder / _PIXELS, np.ascontiguousarray(pixels).data)
        _write(self.folder / _SIGNATURES, signatures.data)
        _write(self.folder / _FACTS, memoryview(json.dumps(facts).encode()))


class Cache:
    """The folder of entries. Its methods raise OSError where the folder does not let them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def candidates(self, outline: str) -> bool:
        """Whether any entry might fit, so that hashing the files is worth while."""
        try:
            return any(self.folder.glob(f"{outline}-*"))
        except OSError:
            return False

    def find(self, key: str, shape: tuple[int, int, int, int]) -> Entry | None:
        """The entry, marked as used now; a broken one is removed."""
        entry = Entry(self.folder / key, shape)
        if not entry.folder.is_dir():
            return None
        if not entry.is_whole():
            shutil.rmtree(entry.folder, ignore_errors=True)
            return None
        with suppress(OSError):  # a read-only cache serves as well
            os.utime(entry.folder)
        return entry

    def begin(self, shape: tuple[int, int, int, int]) -> Entry:
        """A new entry in the making; :meth:`publish` or :meth:`discard` it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._sweep()
        return Entry(Path(tempfile.mkdtemp(prefix=_UNFINISHED, dir=self.folder)), shape)

    def publish(self, entry: Entry, key: str) -> Entry:
        """Give a written entry its name; if another process was first, its entry is taken instead."""
        final = self.folder / key
        try:
            entry.folder.rename(final)
        except OSError as error:
            if error.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            self.discard(entry)
        self._prune(final)
        return Entry(final, entry.shape)

    def discard(self, entry: Entry) -> None:
        """Remove an entry, in the making or not."""
        shutil.rmtree(entry.folder, ignore_errors=True)

    def _sweep(self) -> None:
        """Remove what killed processes left behind."""
        for folder in self.folder.glob(f"{_UNFINISHED}*"):
            with suppress(OSError):
                changed = max(path.stat().st_mtime for path in (folder, *folder.iterdir()))
                if time.time() - changed > _ABANDONED_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)

    def _prune(self, newest: Path) -> None:
        """Keep the total within bounds. Maps of removed files stay valid in the processes that have them."""
        with suppress(OSError):
            entries = sorted(self._entries(), key=lambda used_size: used_size[1], reverse=True)
            total = 0
            for folder, _, size in sorted(entries, key=lambda entry: entry[0] != newest):
                total += size
                if total > KEPT_BYTES and folder != newest:
                    shutil.rmtree(folder, ignore_errors=True)

    def _entries(self) -> Iterator[tuple[Path, float, int]]:
        """Every entry with the time of its last use and its bytes."""
        for folder in self.folder.iterdir():
            if folder.is_dir() and not folder.name.startswith(_UNFINISHED):
                with suppress(OSError):  # another process is removing it
                    yield (
                        folder,
                        folder.stat().st_mtime,
                        sum(path.stat().st_size for path in folder.iterdir()),
                    )


def free_memory() -> int:
    """Bytes that can be taken without swapping, as far as the system tells; else 4 GB."""
    known = []
    with suppress(OSError, ValueError):
        fields = dict(line.split(":", 1) for line in Path("/proc/meminfo").read_text().splitlines())
        known.append(int(fields["MemAvailable"].split()[0]) * 1024)
    group = Path("/sys/fs/cgroup")
    with suppress(OSError, ValueError):  # "max" where there is no limit
        limit = int((group / "memory.max").read_text())
        known.append(limit - int((group / "memory.current").read_text()))
    return max(0, min(known, default=4_000_000_000))


def _write(path: Path, data: memoryview) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
