"""All pictures of a source, decoded once: in memory, or as a map of a file where they do not fit."""

from __future__ import annotations

import os
import shutil
import tempfile
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from striate.data.cache import Cache, Entry, cache_folder, content, free_memory, outline
from striate.data.decode import DECODER_VERSION, NO_MEMORY, decode_with_info, probe, read_file
from striate.data.duplicates import GRID, signatures
from striate.data.fit import fit_pixels
from striate.data.pictures import Preprocessing
from striate.data.strict import STRICT
from striate.errors import StriateError, UnreadablePictureError

if TYPE_CHECKING:
    from striate.data.source import Source
    from striate.train.config import DataConfig
    from striate.train.monitor import Monitor

LARGEST_SIDE = 96  # that is chosen without being asked for
SMALLEST_SIDE = 16
_PROBED = 1000
_CHUNK = 32  # pictures a task; one task for each would cost small ones a quarter more

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Store:
    """A decoded source; everything is in its order.

    Attributes:
        pixels: uint8 ``(N, C, H, W)``; zero where a picture cannot be read. Read only: it may be a
            map of a cached file.
        signatures: what near duplicates are found by, uint8 ``(N, 256)``.
        hashes: SHA-256 of the decoded pixels of every picture; empty where it cannot be read.
        widths, heights: of the files in pixels, after orientation, int64 ``(N,)``; 0 where it cannot be read.
        errors: why a picture cannot be read, by its place; in that order.
    """

    pixels: torch.Tensor
    signatures: NDArray[np.uint8]
    hashes: list[str]
    widths: NDArray[np.int64]
    heights: NDArray[np.int64]
    errors: dict[int, str]

    @property
    def readable(self) -> NDArray[np.int64]:
        """The places of the pictures that can be read."""
        return np.delete(np.arange(len(self.hashes)), list(self.errors))

    def take(self, indices: NDArray[np.int64]) -> torch.Tensor:
        """The pixels at ``indices``, copied; to a nameless file where they take too much memory."""
        count = len(indices) * int(np.prod(self.pixels.shape[1:]))
        if count <= free_memory() // 4:
            return self.pixels.index_select(0, torch.from_numpy(indices))  # [indices] goes pixel by pixel
        with tempfile.TemporaryFile(dir=_folder_with_room(count)) as file:
            for start in range(0, len(indices), 1024):
                rows = self.pixels.index_select(0, torch.from_numpy(indices[start : start + 1024]))
                file.write(rows.numpy().data)
            file.flush()
            return _tensor(np.memmap(file, np.uint8, "r", shape=(len(indices), *self.pixels.shape[1:])))


def choose_preprocessing(source: Source, config: DataConfig) -> Preprocessing:
    """How the pictures of a source become pixels, where the user does not say.

    * Channels: 1 if every readable picture is grey, else 3.
    * Size: the pictures' own if all share one whose sides are 8 to 96; else a square whose side is the
      median of their shorter sides, to the nearest multiple of 8 from 16 to 96.

    Only headers are read, of 1,000 pictures spread over the source; of all of them only where those
    agree, since then the others might not. Unreadable pictures have no say.
    """
    side, channels = config.image_size, config.channels
    shapes = [] if side and channels else _shapes(source)
    if channels is None:
        channels = 1 if shapes and all(shape[2] == 1 for shape in shapes) else 3
    width, height = (side, side) if side else _size(shapes)
    return Preprocessing(height, width, channels, config.fit, config.background, DECODER_VERSION)


def decode_all(
    source: Source, preprocessing: Preprocessing, *, monitor: Monitor, threads: int | None = None
) -> Store:
    """Decode every picture of a source; from files, this is done once and then cached.

    The result does not depend on the number of threads, nor on whether it comes from the cache.

    Args:
        source: files or arrays.
        preprocessing: what they are to become.
        monitor: is told of progress, and warned if the cache cannot be written.
        threads: all cores by default; JPEG, PNG and resizing run outside Python's lock.

    Raises:
        StriateError: the pixels fit neither in memory nor on the cache's disk.
    """
    if source.pixels is not None:
        return _from_arrays(source.pixels, preprocessing)
    paths = source.paths or []
    threads = threads or available_cores()
    shape = (len(paths), *preprocessing.shape)
    cache = Cache(cache_folder())
    start = outline(source.names, [_size_on_disk(path) for path in paths], preprocessing)
    if cache.candidates(start):
        key = f"{start}-{content(list(_in_order(_digest, paths, threads)))}"
        entry = cache.find(key, shape)
        if entry:
            try:
                return _from_entry(entry)
            except (OSError, ValueError, LookupError, TypeError, AttributeError):
                cache.discard(entry)  # damaged, or removed by another process at this moment
    return _decode_files(paths, preprocessing, cache, start, monitor, threads)


def available_cores() -> int:
    """Cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


# ---------------------------------------------------------------------------------------------
# Choosing


def _shapes(source: Source) -> list[tuple[int, int, int]]:
    """(width, height, channels) of the pictures that were looked at and are readable."""
    if source.pixels is not None:
        count, channels, height, width = source.pixels.shape
        return [(width, height, channels)] * min(count, 1)
    paths = source.paths or []
    step = max(1, len(paths) // _PROBED)
    looked_at = [shape for shape in map(_shape, paths[::step]) if shape]
    sizes = {shape[:2] for shape in looked_at}
    if step > 1 and (len(sizes) < 2 or all(shape[2] == 1 for shape in looked_at)):
        rest = (path for i, path in enumerate(paths) if i % step)
        looked_at += [shape for shape in map(_shape, rest) if shape]
    return looked_at


def _shape(path: Path) -> tuple[int, int, int] | None:
    try:
        info = probe(read_file(path))
    except UnreadablePictureError:
        return None
    return info.width, info.height, info.channels


def _size(shapes: list[tuple[int, int, int]]) -> tuple[int, int]:
    """Width and height for pictures of these shapes."""
    if not shapes:
        return LARGEST_SIDE, LARGEST_SIDE
    sizes = {shape[:2] for shape in shapes}
    width, height = shapes[0][:2]
    if len(sizes) == 1 and min(width, height) >= 8 and max(width, height) <= LARGEST_SIDE:
        return width, height
    median = float(np.median([min(shape[:2]) for shape in shapes]))
    side = min(LARGEST_SIDE, max(SMALLEST_SIDE, 8 * round(median / 8)))
    return side, side


# ---------------------------------------------------------------------------------------------
# Decoding


def _from_arrays(pixels: NDArray[np.uint8], preprocessing: Preprocessing) -> Store:
    count, _, height, width = pixels.shape
    if pixels.shape[1:] == preprocessing.shape:
        fitted = np.ascontiguousarray(pixels)
    else:
        fitted = np.empty((count, *preprocessing.shape), np.uint8)
        for i in range(count):
            fitted[i] = fit_pixels(pixels[i], preprocessing)
    return Store(
        pixels=_tensor(fitted),
        signatures=signatures(fitted),
        hashes=[sha256(row.data).hexdigest() for row in fitted.reshape(count, -1)],
        widths=np.full(count, width),
        heights=np.full(count, height),
        errors={},
    )


def _from_entry(entry: Entry) -> Store:
    facts = entry.facts()
    mapped = int(np.prod(entry.shape, dtype=np.int64)) > free_memory() // 4
    return _store(entry.pixels(mapped), entry.signatures(), facts)


def _store(pixels: NDArray[np.uint8], marks: NDArray[np.uint8], facts: dict[str, Any]) -> Store:
    """From arrays and the other facts, as JSON has them."""
    hashes, count = list(map(str, facts["hashes"])), len(pixels)
    widths, heights = (np.array(facts[key], np.int64) for key in ("widths", "heights"))
    if not len(hashes) == len(widths) == len(heights) == count:
        raise ValueError(f"facts of {len(hashes)} pictures for {count}")
    errors = {int(i): str(reason) for i, reason in facts["errors"].items()}
    return Store(_tensor(pixels), marks, hashes, widths, heights, errors)


def _decode_files(
    paths: Sequence[Path],
    preprocessing: Preprocessing,
    cache: Cache,
    start: str,
    monitor: Monitor,
    threads: int,
) -> Store:
    shape = (len(paths), *preprocessing.shape)
    draft, pixels = _room(cache, shape, monitor)
    try:
        work = partial(_decode_one, paths, preprocessing, pixels)
        decoded: list[_Decoded] = []
        monitor.begin("decoding", len(paths))
        try:
            for one in _in_order(work, range(len(paths)), threads):
                decoded.append(one)
                if len(decoded) % _CHUNK == 0 or len(decoded) == len(paths):
                    monitor.advance(len(decoded))
        finally:
            monitor.end()
        facts, marks = _facts(decoded), np.zeros((len(paths), GRID * GRID), np.uint8)
        for i, one in enumerate(decoded):
            marks[i] = one.mark
        if draft and any(error.startswith(NO_MEMORY) for error in facts["errors"].values()):
            cache.discard(draft)
        elif draft:
            try:
                draft.write(pixels, marks, facts)
                cache.publish(draft, f"{start}-{content([one.digest for one in decoded])}")
            except OSError as error:
                _warn_not_kept(cache, error, monitor)
                cache.discard(draft)
    except BaseException:
        if draft:
            cache.discard(draft)
        raise
    return _store(pixels, marks, facts)


def _room(
    cache: Cache, shape: tuple[int, int, int, int], monitor: Monitor
) -> tuple[Entry | None, NDArray[np.uint8]]:
    """An entry to keep the pixels in, if the cache lets us; and the zeros that become the pixels, in that
    entry's file where they take more than a quarter of the free memory."""
    size, free = int(np.prod(shape, dtype=np.int64)), free_memory()
    draft: Entry | None = None
    try:
        draft = cache.begin(shape)
        if size > free // 4:
            return draft, draft.reserve()
    except OSError as error:
        if draft:
            cache.discard(draft)
        draft = None
        if size > free:
            raise StriateError(
                f"{shape[0]:,} decoded pictures take {size / 1e9:.1f} GB: more than the {free / 1e9:.1f} GB of free "
                f"memory, and {cache.folder} cannot hold them ({error.strerror or error}); set STRIATE_CACHE to a "
                "folder with room, or take a smaller --image-size"
            ) from None
        _warn_not_kept(cache, error, monitor)
    return draft, np.zeros(shape, np.uint8)


def _warn_not_kept(cache: Cache, error: OSError, monitor: Monitor) -> None:
    monitor.warn(
        f"decoded pictures are not kept for the next time: {cache.folder}: {error.strerror or error}; set "
        "STRIATE_CACHE to a folder that can be written to"
    )


class _Decoded(NamedTuple):
    """One picture besides its pixels: what :class:`Store` has of it, and the digest of its file."""

    error: str
    width: int
    height: int
    content_hash: str
    mark: NDArray[np.uint8] | int
    digest: bytes


def _decode_one(
    paths: Sequence[Path], preprocessing: Preprocessing, pixels: NDArray[np.uint8], index: int
) -> _Decoded:
    """Decode one picture into its row."""
    digest = b""
    try:
        data = read_file(paths[index])
        digest = sha256(data).digest()
        picture, info = decode_with_info(data, preprocessing)
    except UnreadablePictureError as error:
        return _Decoded(str(error), 0, 0, "", 0, digest or _unread(error))
    pixels[index] = picture
    content_hash = sha256(picture.data).hexdigest()
    return _Decoded("", info.width, info.height, content_hash, signatures(picture[None])[0], digest)


def _digest(path: Path) -> bytes:
    """SHA-256 of a file, as :func:`_decode_one` has it."""
    try:
        return sha256(read_file(path)).digest()
    except UnreadablePictureError as error:
        return _unread(error)


def _unread(error: UnreadablePictureError) -> bytes:
    return sha256(f"unread: {error}".encode()).digest()


def _in_order(work: Callable[[Item], Result], items: Iterable[Item], threads: int) -> Iterator[Result]:
    """``work`` on every item by several threads, a few chunks ahead; results in the items' order."""
    waiting: deque[Future[list[Result]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="striate-decode")
    try:
        with STRICT:
            for chunk in _chunks(items):
                waiting.append(pool.submit(_work_through, work, chunk))
                if len(waiting) > 2 * threads:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
    finally:  # also where the caller stops early
        pool.shutdown(cancel_futures=True)


def _work_through(work: Callable[[Item], Result], chunk: list[Item]) -> list[Result]:
    return [work(item) for item in chunk]


def _chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    waiting = iter(items)
    while chunk := list(islice(waiting, _CHUNK)):
        yield chunk


def _facts(decoded: list[_Decoded]) -> dict[str, Any]:
    return {
        "errors": {i: one.error for i, one in enumerate(decoded) if one.error},
        "widths": [one.width for one in decoded],
        "heights": [one.height for one in decoded],
        "hashes": [one.content_hash for one in decoded],
    }


def _tensor(pixels: NDArray[np.uint8]) -> torch.Tensor:
    with warnings.catch_warnings():
        # A map of a cached file cannot be written to, and nobody does: Store.pixels says so.
        warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
        return torch.from_numpy(pixels)


def _size_on_disk(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return -1


def _folder_with_room(size: int) -> Path:
    for folder in (cache_folder(), Path(tempfile.gettempdir())):
        with suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
            if os.access(folder, os.W_OK) and shutil.disk_usage(folder).free > size:
                return folder
    raise StriateError(
        f"the pictures take {size / 1e9:.1f} GB: too much for memory and for {cache_folder()}; set STRIATE_CACHE "
        "to a folder with room, or take a smaller --image-size"
    )
