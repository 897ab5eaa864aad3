"""Named sets: digits (embedded), MNIST and Fashion-MNIST (found on this machine, or downloaded).

Every file is checked against its SHA-256 each time it is read, uncompressed, so that the name of a set
always means the same pictures.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from striate.data.catalogue import SETS, NamedSet, RawFile, named_set
from striate.data.idx import parse_idx, read_bytes
from striate.data.naming import shown
from striate.data.source import Source
from striate.errors import DataError
from striate.train.monitor import Monitor

TIMEOUT = (10.0, 30.0)  # seconds to connect, seconds without a byte
_CHUNK = 1 << 18


def open_named(name: str, data_dir: Path | None, monitor: Monitor) -> Source:
    """The pictures of a named set; MNIST's and Fashion-MNIST's come with their train and test splits.

    Args:
        name: one of ``NAMES``.
        data_dir: looked in first, and downloaded to.
        monitor: is told of a download.

    Raises:
        DataError: not on this machine and not to be downloaded, or a file is not the one of that name.
    """
    key = named_set(name)
    if key == "digits":
        return _digits(name)
    named = SETS[key or name]
    folder = find(named, data_dir) or _fetch(named, data_dir, monitor)
    arrays = [parse_idx(read_verified(folder, file), file.name) for file in named.files]
    return _source(name, named, arrays)


def _fetch(named: NamedSet, data_dir: Path | None, monitor: Monitor) -> Path:
    try:
        return download(named, data_folder(data_dir), monitor)
    except DataError as error:
        looked = ", ".join(shown(place) for place in places(named, data_dir))
        raise DataError(f"{error}; looked in {looked}") from error


def data_folder(data_dir: Path | None = None) -> Path:
    """The folder that holds named sets: ``data_dir``, else ``STRIATE_DATA``, else the platform's cache."""
    return _data_folders(data_dir)[0]


def _data_folders(data_dir: Path | None) -> list[Path]:
    import pooch

    stated = [data_dir] if data_dir else []
    environment = os.environ.get("STRIATE_DATA")
    if environment:
        stated.append(Path(environment))
    folders = [folder.expanduser().absolute() for folder in stated]
    return list(dict.fromkeys([*folders, Path(pooch.os_cache("striate"))]))


def places(named: NamedSet, data_dir: Path | None) -> list[Path]:
    """Folders that the files of a set are looked for in, in that order."""
    inside = [place for folder in _data_folders(data_dir) for place in (folder / named.name, folder)]
    return [*inside, *named.system_folders]


def find(named: NamedSet, data_dir: Path | None) -> Path | None:
    """The first folder with all four files, plain or gzip, or ``None``.

    The sets share their files' names: a folder that holds another known set is passed over.
    """
    for folder in places(named, data_dir):
        if all(_file_in(folder, file) for file in named.files) and not _is_other_set(folder, named):
            return folder
    return None


def _file_in(folder: Path, file: RawFile) -> Path | None:
    for path in (folder / file.name, folder / f"{file.name}.gz"):
        try:
            if path.is_file():
                return path
        except OSError:  # no right to look into the folder: as good as not there
            return None
    return None


def _is_other_set(folder: Path, named: NamedSet) -> bool:
    labels = named.files[3]
    path = _file_in(folder, labels)
    try:
        digest = hashlib.sha256(read_bytes(path, labels.size)).hexdigest() if path else ""
    except DataError:
        return False  # broken rather than another's: reading it will say so
    return any(digest == other.files[3].sha256 for other in SETS.values() if other.name != named.name)


def read_verified(folder: Path, file: RawFile) -> bytes:
    """The uncompressed content of ``file`` in ``folder``, plain or gzip.

    Raises:
        DataError: missing, unreadable, or other content than the SHA-256 says.
    """
    path = _file_in(folder, file)
    if path is None:
        raise DataError(f"{shown(folder / file.name)}: no such file, plain or .gz")
    try:
        data = read_bytes(path, file.size)
        reason = "" if hashlib.sha256(data).hexdigest() == file.sha256 else "its SHA-256 differs"
    except DataError as error:
        reason = str(error).removeprefix(f"{shown(path)}: ")
    if reason:
        raise DataError(
            f"{shown(path)}: not the published {file.name} ({reason}); delete it and run again to get it afresh, "
            f"or give the files as a source of their own: {shown(folder)}"
        )
    return data


def _source(name: str, named: NamedSet, arrays: list[NDArray[Any]]) -> Source:
    images, labels = np.concatenate(arrays[0::2]), np.concatenate(arrays[1::2])
    counts = (("train", len(arrays[0])), ("test", len(arrays[2])))
    return Source(
        source=name,
        kind="named",
        classes=named.classes,
        labels=labels.astype(np.int64),
        splits=[split for split, count in counts for _ in range(count)],
        names=[f"{split}/{i:05d}" for split, count in counts for i in range(count)],
        pixels=images[:, None],
        flip=named.flip,
    )


def _digits(name: str) -> Source:
    """Scikit-learn's 1,797 real digits of 8×8 pixels; 0…16 become 0…255, rounded to the nearest."""
    from sklearn.datasets import load_digits

    data = load_digits()
    pixels = np.rint(data.images * (255 / 16)).astype(np.uint8)
    return Source(
        source=name,
        kind="named",
        classes=tuple("0123456789"),
        labels=data.target.astype(np.int64),
        splits=[None] * len(pixels),
        names=[f"{i:05d}" for i in range(len(pixels))],
        pixels=pixels[:, None],
        flip=False,
    )


def download(named: NamedSet, folder: Path, monitor: Monitor, timeout: tuple[float, float] = TIMEOUT) -> Path:
    """Gets the files of a set that are not yet in ``folder/<set>`` from its mirrors.

    A file appears there whole and verified, or not at all.

    Args:
        named: the set.
        folder: the data folder.
        monitor: is told of the bytes.
        timeout: seconds to connect, seconds without a byte.

    Returns:
        ``folder/<set>``.

    Raises:
        DataError: no mirror gave the file, or it cannot be written; says how to get it otherwise.
    """
    target = folder / named.name
    missing = [file for file in named.files if not _is_valid(target, file)]
    monitor.message(f"{named.name} is not on this machine: downloading it to {shown(target)}")
    monitor.begin(f"downloading {named.name}", sum(file.size for file in missing), "bytes")
    done = 0
    try:
        for file in missing:
            # What arrives is compressed and counted as if it were not: the bar jumps, but never back.
            _download(named, file, target, timeout, partial(_advance, monitor, done))
            done += file.size
            monitor.advance(done)
    finally:
        monitor.end()
    return target


def _advance(monitor: Monitor, before: int, some: int) -> None:
    monitor.advance(before + some)


def _is_valid(folder: Path, file: RawFile) -> bool:
    try:
        read_verified(folder, file)
    except DataError:
        return False
    return True


def _download(
    named: NamedSet,
    file: RawFile,
    target: Path,
    timeout: tuple[float, float],
    arrived: Callable[[int], None],
) -> None:
    """One file from the first mirror that gives it."""
    import pooch
    from requests.exceptions import RequestException

    failures = []
    pooch.get_logger().setLevel("WARNING")  # the monitor is told instead
    for mirror in named.mirrors:
        try:
            path = pooch.retrieve(
                f"{mirror}{file.name}.gz",
                known_hash=f"sha256:{file.sha256}",
                fname=file.name,
                path=target,
                downloader=_Unpacking(file, timeout, arrived),
            )
            Path(path).chmod(0o644)  # pooch's are for their owner alone; a data folder may be shared
            return
        except RequestException as error:
            failures.append(f"{urlsplit(mirror).netloc} {_network_reason(error)}")
        except (DataError, ValueError):  # pooch says ValueError where the hash differs
            failures.append(f"{urlsplit(mirror).netloc} gave another file")
        except OSError as error:
            raise DataError(_unwritable(named, target, error)) from error
    raise DataError(
        f"{named.name}: {file.name} is not here and cannot be downloaded ({'; '.join(failures)}); {named.hint} or put "
        f"{', '.join(f.name for f in named.files)} (plain or .gz) in {shown(target)}"
    )


class _Unpacking:
    """Downloads ``<url>`` for pooch and leaves it unpacked, so that pooch checks the hash of what is kept."""

    def __init__(self, file: RawFile, timeout: tuple[float, float], arrived: Callable[[int], None]) -> None:
        self.file = file
        self.timeout = timeout
        self.arrived = arrived

    def __call__(self, url: str, output_file: str, pooch: object) -> None:
        from pooch import HTTPDownloader

        path = Path(output_file)
        with path.open("wb") as packed:
            fetch = HTTPDownloader(chunk_size=_CHUNK, timeout=self.timeout)
            fetch(url, _Capped(packed, self.file.size, self.arrived), pooch)
        path.write_bytes(read_bytes(path, self.file.size))


class _Capped:
    """A file to write a compressed file to: refuses more than twice what that unpacks to, so that no mirror
    can fill the disk."""

    def __init__(self, file: BinaryIO, size: int, arrived: Callable[[int], None]) -> None:
        self.file = file
        self.size = size
        self.arrived = arrived
        self.written = 0

    def write(self, data: bytes) -> None:
        self.written += len(data)
        if self.written > 2 * self.size + _CHUNK:
            raise DataError("more bytes than the file has")
        self.file.write(data)
        self.arrived(min(self.written, self.size))

    def flush(self) -> None:
        self.file.flush()


def _network_reason(error: Exception) -> str:
    from requests.exceptions import HTTPError, Timeout

    if isinstance(error, Timeout):
        return "did not answer in time"
    if isinstance(error, HTTPError) and error.response is not None:
        return f"answered {error.response.status_code}"
    return "cannot be reached"


def _unwritable(named: NamedSet, target: Path, error: OSError) -> str:
    reason = error.strerror or " ".join(str(error).split())
    return (
        f"{named.name}: cannot be written to {shown(target)} ({reason}); "
        "choose another folder with --data-dir or STRIATE_DATA"
    )


def keep(named: NamedSet, file: RawFile, data: bytes, folder: Path) -> Path:
    """Writes a file of a set into ``folder/<set>``, after checking that it is the published one.

    Returns:
        ``folder/<set>/<file>``, which is there whole or not at all.

    Raises:
        DataError: other content than the SHA-256 says, or it cannot be written.
    """
    if hashlib.sha256(data).hexdigest() != file.sha256:
        raise DataError(f"{named.name}: not the published {file.name} (its SHA-256 differs)")
    target = folder / named.name
    try:
        target.mkdir(parents=True, exist_ok=True)
        _write_whole(target / file.name, data)
    except OSError as error:
        raise DataError(_unwritable(named, target, error)) from error
    return target / file.name


def _write_whole(path: Path, data: bytes) -> None:
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    temporary = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.chmod(0o644)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
