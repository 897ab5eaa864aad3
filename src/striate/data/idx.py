"""IDX files: the format of MNIST and its relatives, plain or gzip-compressed.

An IDX file is two zero bytes, a type code, the number of dimensions, one big-endian 32-bit size per
dimension, and the values in C order, big-endian (Y. LeCun, C. Cortes, C. Burges, *The MNIST database
of handwritten digits*).
"""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from striate.data.naming import shown
from striate.errors import DataError

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
