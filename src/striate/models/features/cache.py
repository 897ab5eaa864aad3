"""Features kept on disk by the content of the pictures and the settings that they were made with.

An entry is a safetensors file written to a temporary name and renamed, with a checksum inside; a
damaged one is as good as none. Whatever fails, the features are computed. The least recently used
entries go when the cache grows beyond its limit.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

LIMIT = 4 * 2**30  # bytes

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True)
class Entry:
    """Arrays by name, and the seconds that it took to compute them."""

    arrays: Arrays
    seconds: float


def folder() -> Path:
    """Where features are kept: under ``STRIATE_CACHE``, or else the platform's cache folder."""
    chosen = os.environ.get("STRIATE_CACHE")
    if chosen:
        return Path(chosen).expanduser() / "features"
    import pooch

    return Path(pooch.os_cache("striate")) / "features"


def key(pixels: NDArray[np.uint8], settings: dict[str, Any]) -> str:
    """The name of the entry for these pictures and settings: a SHA-256 in hexadecimal."""
    digest = hashlib.sha256(json.dumps([pixels.shape, settings], sort_keys=True).encode())
    digest.update(pixels.tobytes())
    return digest.hexdigest()


def read(name: str) -> Entry | None:
    """The entry ``name``; ``None`` if there is none or it is damaged."""
    path = _path(name)
    try:
        with safe_open(path, framework="numpy") as file:
            arrays = {array: file.get_tensor(array) for array in file.keys()}  # noqa: SIM118  (no mapping)
            about = file.metadata() or {}
        if about.get("checksum") != _checksum(arrays):
            return None
        seconds = float(about["seconds"])
    except (OSError, SafetensorError, KeyError, ValueError):
        return None
    with contextlib.suppress(OSError):  # a read-only cache serves as well
        path.touch()
    return Entry(arrays, seconds)


def write(name: str, entry: Entry) -> None:
    """Keep ``entry``; without a word if the folder cannot be written or the disk is full."""
    path = _path(name)
    temporary = path.with_name(f".{name}.{os.getpid()}.tmp")
    about = {"seconds": repr(entry.seconds), "checksum": _checksum(entry.arrays)}
    with contextlib.suppress(OSError, SafetensorError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            save_file(entry.arrays, temporary, metadata=about)
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)
        _shrink(path.parent)


def _path(name: str) -> Path:
    return folder() / f"{name}.safetensors"


def _checksum(arrays: Arrays) -> str:
    digest = hashlib.sha256()
    for name in sorted(arrays):
        digest.update(f"{name} {arrays[name].dtype} {arrays[name].shape}".encode())
        digest.update(arrays[name].tobytes())
    return digest.hexdigest()


def _shrink(where: Path) -> None:
    """Remove the least recently used entries until the rest fits into the limit."""
    entries = [(path.stat(), path) for path in where.glob("*.safetensors")]
    total = sum(status.st_size for status, _ in entries)
    for status, path in sorted(entries, key=lambda entry: entry[0].st_mtime):
        if total <= LIMIT:
            break
        path.unlink(missing_ok=True)
        total -= status.st_size
