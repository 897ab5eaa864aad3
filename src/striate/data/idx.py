"""IDX files: the format of MNIST and its relatives, plain or gzip-compressed.

An IDX file is two zero bytes, a type code, the number of dimensions, one big-endian 32-bit size per
dimension, and the values in C order, big-endian (Y. LeCun, C. Cortes, C. Burges, *The MNIST database
of handwritten digits*).
"""

from __future__ import annotations

import gzip
import math
import re
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from striate.data.naming import SPLITS, natural_key, shown, split_of
from striate.data.source import Source
from striate.errors import DataError, UsageError

TYPES: dict[int, np.dtype[Any]] = {
    0x08: np.dtype("u1"),
    0x09: np.dtype("i1"),
    0x0B: np.dtype(">i2"),
    0x0C: np.dtype(">i4"),
    0x0D: np.dtype(">f4"),
    0x0E: np.dtype(">f8"),
}
MAX_BYTES = 4 << 30  # of one file once unpacked: 80 times MNIST; stops a compressed bomb
MAX_DIMENSIONS = 32
_LONGEST_HEADER = 4 + 4 * MAX_DIMENSIONS
_CHUNK = 1 << 20
_DEFLATE_RATIO = 1032  # no deflate stream unpacks to more than this many times its size


def read_idx(path: Path) -> NDArray[Any]:
    """The array in an IDX file, plain or gzip, in the machine's byte order.

    The declared size is checked against the file before anything of that size is allocated.

    Args:
        path: the file; whether it is compressed is told by its content, not its name.

    Returns:
        uint8, int8, int16, int32, float32 or float64 array of the declared shape.

    Raises:
        DataError: wrong magic number, unknown type, too few or too many bytes, or unreadable.
    """
    with _unpacked(path) as (stream, most):
        head = stream.read(_LONGEST_HEADER)
        dtype, shape, start = _header(head, shown(path))
        declared = start + math.prod(shape) * dtype.itemsize
        if declared > most:
            raise DataError(
                f"{shown(path)}: truncated: it declares {declared:,} bytes and can hold {most:,} at most; get it again"
            )
        if declared > MAX_BYTES:
            raise DataError(f"{shown(path)}: declares {declared:,} bytes; at most {MAX_BYTES:,} are accepted")
        data = b"".join([head, *_chunks(stream, declared + 1 - len(head))])
    return parse_idx(data, shown(path))


def parse_idx(data: bytes, name: str) -> NDArray[Any]:
    """The array in the bytes of an IDX file; ``name`` is for messages.

    >>> parse_idx(bytes([0, 0, 8, 1, 0, 0, 0, 3, 5, 0, 4]), "labels")
    array([5, 0, 4], dtype=uint8)

    Raises:
        DataError: as :func:`read_idx`.
    """
    dtype, shape, start = _header(data, name)
    wanted = start + math.prod(shape) * dtype.itemsize
    if len(data) != wanted:
        what = f"truncated: {len(data):,} bytes" if len(data) < wanted else "bytes left over at its end"
        raise DataError(
            f"{name}: {what}; {' × '.join(map(str, shape))} values make a file of {wanted:,} bytes; get it again"
        )
    try:
        array = np.frombuffer(data, dtype, offset=start).reshape(shape)
    except ValueError as error:  # no values, in a shape that numpy cannot express
        raise DataError(f"{name}: impossible shape {shape}") from error
    return array.astype(dtype.newbyteorder("="), copy=False)


def read_bytes(path: Path, limit: int) -> bytes:
    """The unpacked content of a plain or gzip file, the one told from the other by its first bytes.

    Args:
        path: the file.
        limit: most bytes to accept; no more than ``limit + 1`` are ever unpacked.

    Raises:
        DataError: it cannot be read, is a broken gzip stream, or holds more than ``limit`` bytes.
    """
    with _unpacked(path) as (stream, _):
        data = b"".join(_chunks(stream, limit + 1))
    if len(data) > limit:
        raise DataError(f"{shown(path)}: holds more than the {limit:,} bytes that it should")
    return data


@contextmanager
def _unpacked(path: Path) -> Iterator[tuple[BinaryIO, int]]:
    """The unpacked stream of a file, and the most bytes that it can hold."""
    try:
        if not path.is_file():  # opening a pipe would wait for ever
            raise DataError(f"{shown(path)}: {'not a regular' if path.exists() else 'no such'} file")
        with path.open("rb") as file:
            packed = file.read(2) == b"\x1f\x8b"
            file.seek(0)
            stored = path.stat().st_size
            if packed:
                with gzip.GzipFile(fileobj=file) as stream:
                    yield cast(BinaryIO, stream), stored * _DEFLATE_RATIO
            else:
                yield file, stored
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{shown(path)}: broken gzip file ({error}); get it again") from error
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read ({error.strerror or error})") from error


def _chunks(stream: BinaryIO, wanted: int) -> Iterator[bytes]:
    """``wanted`` bytes, or as many as there are; memory grows with what arrives, not with what was promised."""
    while wanted > 0 and (chunk := stream.read(min(_CHUNK, wanted))):
        wanted -= len(chunk)
        yield chunk


def _header(data: bytes, name: str) -> tuple[np.dtype[Any], tuple[int, ...], int]:
    """Type, shape and offset of the first value."""
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in TYPES:
        raise DataError(
            f"{name}: not an IDX file: wanted 00 00, a type (08, 09, 0b to 0e) and the number of dimensions, "
            f"got {data[:4].hex(' ') or 'an empty file'}"
        )
    dimensions = data[3]
    if not 1 <= dimensions <= MAX_DIMENSIONS:
        raise DataError(f"{name}: declares {dimensions} dimensions; wanted 1 to {MAX_DIMENSIONS}")
    start = 4 + 4 * dimensions
    if len(data) < start:
        raise DataError(f"{name}: truncated within its header; get it again")
    return TYPES[data[2]], struct.unpack(f">{dimensions}I", data[4:start]), start


_NAME = re.compile(r"(?P<stem>.*?)(?P<what>images|labels)[-._]idx\d(?:[-._]ubyte)?(?:\.gz)?", re.IGNORECASE)


@dataclass(frozen=True)
class _Pair:
    """An images file with its labels file."""

    set: str
    split: str | None
    images: Path
    labels: Path


def is_idx(path: Path) -> bool:
    """Whether a file's unpacked content starts as an IDX file does.

    Raises:
        DataError: the file cannot be read.
    """
    with _unpacked(path) as (stream, _):
        head = stream.read(4)
    return len(head) == 4 and head[:2] == b"\0\0" and head[2] in TYPES


def has_idx(folder: Path) -> bool:
    """Whether a folder holds files named as IDX images and labels are."""
    return any(_parts(path) and path.is_file() for path in folder.iterdir())


def open_idx(path: Path, source: str) -> Source:
    """The pictures of an IDX images file, with its partners, or of a folder of such files.

    ``train-images-idx3-ubyte`` has its labels in ``train-labels-idx1-ubyte``; ``train`` and ``t10k`` or ``test``
    files of one set are its splits. Colour pictures are four-dimensional: (N, H, W, 3). Classes are the
    labels' values, in order.

    Args:
        path: an images or labels file, plain or .gz, or a folder with one set.
        source: what the user asked for.

    Raises:
        UsageError: a folder with several sets, or a file whose name does not tell its partner.
        DataError: a partner is missing, numbers or sizes differ, or a file is broken.
    """
    folder = path if path.is_dir() else path.parent
    pairs = _pairs(folder, path)
    arrays = [(pair, read_idx(pair.images), read_idx(pair.labels)) for pair in pairs]
    pixels = [_pixels(images, pair.images) for pair, images, _ in arrays]
    for pair, images, labels in arrays:
        _check_labels(labels, len(images), pair.labels)
    shapes = {part.shape[1:] for part in pixels}
    if len(shapes) > 1:
        raise DataError(f"{shown(source)}: splits of different sizes: {', '.join(map(str, sorted(shapes)))}")
    values, labels = np.unique(np.concatenate([labels for *_, labels in arrays]), return_inverse=True)
    return Source(
        source=source,
        kind="idx",
        classes=tuple(str(value) for value in values.tolist()),
        labels=labels.astype(np.int64).reshape(-1),
        splits=[pair.split for pair, images, _ in arrays for _ in range(len(images))],
        names=[
            f"{pair.split or pair.set or 'all'}/{i:05d}"
            for pair, images, _ in arrays
            for i in range(len(images))
        ],
        pixels=np.concatenate(pixels),
        ignored=_strangers(folder, pairs) if path.is_dir() else [],
    )


def _parts(path: Path) -> tuple[str, str | None, str] | None:
    """Set, split and ``"images"`` or ``"labels"`` that a file's name tells; ``None`` for other names."""
    match = _NAME.fullmatch(path.name)
    if not match or path.name.startswith("."):
        return None
    *rest, word = re.split(r"[-._]", match["stem"].rstrip("-._"))
    split = "test" if word.casefold() == "t10k" else split_of(word)
    return "-".join(rest if split else [*rest, word]), split, match["what"].lower()


def _pairs(folder: Path, wanted: Path) -> list[_Pair]:
    """The set that ``wanted`` belongs to, or the only one in the folder; train first, then val, then test."""
    found: dict[tuple[str, str | None], dict[str, Path]] = {}
    names = sorted(
        folder.iterdir(), key=lambda path: (path != wanted, path.suffix == ".gz", natural_key(path.name))
    )
    for path in names:
        if (parts := _parts(path)) and path.is_file():
            found.setdefault(parts[:2], {}).setdefault(parts[2], path)
    sets = sorted({key[0] for key in found})
    if wanted != folder:
        chosen = _parts(wanted)
        if chosen is None:
            raise UsageError(
                f"{shown(wanted)}: its name does not tell where its labels are; wanted a name like "
                "train-images-idx3-ubyte, beside train-labels-idx1-ubyte"
            )
        sets = [chosen[0]]
    if len(sets) > 1:
        raise UsageError(
            f"{shown(folder)}: holds several sets ({', '.join(map(shown, sets))}); give one's images file"
        )
    keys = sorted(
        (key for key in found if key[0] == sets[0]), key=lambda key: SPLITS.index(key[1] or "train")
    )
    return [_pair(key, found[key], folder) for key in keys]


def _pair(key: tuple[str, str | None], files: dict[str, Path], folder: Path) -> _Pair:
    if len(files) == 1:
        what, path = next(iter(files.items()))
        other = "labels-idx1" if what == "images" else "images-idx3"
        raise DataError(
            f"{shown(path)}: its partner with {other} in its name (plain or .gz) is missing from {shown(folder)}"
        )
    return _Pair(*key, files["images"], files["labels"])


def _pixels(images: NDArray[Any], path: Path) -> NDArray[np.uint8]:
    """(N, H, W) or (N, H, W, C) as (N, C, H, W)."""
    grey, colour = images.ndim == 3, images.ndim == 4 and images.shape[3] in (1, 3)
    if images.dtype != np.uint8 or not (grey or colour):
        raise DataError(
            f"{shown(path)}: not pictures: wanted unsigned bytes (N, height, width) or (N, height, width, 3), "
            f"got {images.dtype} {images.shape}"
        )
    if 0 in images.shape:
        raise DataError(f"{shown(path)}: holds no pictures: {images.shape}")
    return images[:, None] if grey else np.ascontiguousarray(images.transpose(0, 3, 1, 2))


def _check_labels(labels: NDArray[Any], pictures: int, path: Path) -> None:
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        raise DataError(
            f"{shown(path)}: not labels: wanted whole numbers (N,), got {labels.dtype} {labels.shape}"
        )
    if len(labels) != pictures:
        raise DataError(f"{shown(path)}: {len(labels):,} labels for {pictures:,} pictures")


def _strangers(folder: Path, pairs: list[_Pair]) -> list[tuple[str, str]]:
    used = {path for pair in pairs for path in (pair.images, pair.labels)}
    names = sorted((path.name for path in folder.iterdir() if path not in used), key=natural_key)
    return [(shown(name), "not an IDX file of the set") for name in names]
