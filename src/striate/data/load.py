"""From what the user typed to decoded, checked and split pictures."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from striate.data.decode import decode, read_file
from striate.data.folder import LAYOUTS
from striate.data.inspect import inspect
from striate.data.naming import SPLITS, listed, shown
from striate.data.pictures import Dataset, PictureSet, Preprocessing
from striate.data.source import Source, open_source
from striate.data.split import assign_splits
from striate.data.store import Store, available_cores, choose_preprocessing, decode_all
from striate.errors import DataError, UnreadablePictureError
from striate.train.config import DataConfig
from striate.train.monitor import Monitor

_WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def load_dataset(config: DataConfig, monitor: Monitor) -> Dataset:
    """Opens, decodes, checks and splits the pictures of ``config.source``.

    Args:
        config: which pictures, and how they become pixels and splits.
        monitor: is told of progress, and of findings that the user should act on.

    Raises:
        UsageError: no such source.
        DataError: unreadable pictures (unless ``config.skip_bad``), fewer than two classes, a class
            that is missing from a split, or whatever else keeps the source from being learned from.
    """
    source = open_source(config, monitor)
    _check_learnable(source)
    preprocessing = choose_preprocessing(source, config)
    store = decode_all(source, preprocessing, monitor=monitor, threads=_threads(config))
    good, _ = _readable(source, store, config)
    splits = np.full(len(source), "", dtype="<U5")
    splits[good] = _split(source, store, good, config)
    findings = inspect(source, store, splits)
    for finding in (*findings.problems, *findings.warnings):
        monitor.warn(finding)
    parts = {name: np.flatnonzero(splits == name) for name in SPLITS}
    train, val, test = (_pictures(source, store, parts[name]) for name in SPLITS)
    seen = {_seen_key(store.hashes[i]) for name in ("train", "val") for i in parts[name].tolist()}
    return Dataset(
        train=train,
        val=val,
        test=test,
        preprocessing=preprocessing,
        source=source.source,
        kind=source.kind,
        data_hash=_data_hash(source, store, splits),
        flip=keeps_class_when_mirrored(source),
        findings=findings,
        seen=tuple(sorted(seen)),
    )


def split_names(dataset: Dataset) -> dict[str, list[str]]:
    """What ``splits.json`` saves: the names in every split, and under ``seen`` a hash of every picture that
    was trained or tuned on, by which :func:`load_evaluation_set` knows it again wherever it lies.

    Returns:
        ``{"train": names, "val": names, "test": names, "seen": hashes}``.
    """
    names = {name: list(getattr(dataset, name).names) for name in SPLITS}
    return {**names, "seen": list(dataset.seen)}


def _seen_key(content_hash: str) -> str:
    return content_hash[:16]  # 64 bits tell any number of pictures apart that a run can hold


def load_evaluation_set(
    config: DataConfig,
    classes: Sequence[str],
    preprocessing: Preprocessing,
    monitor: Monitor,
    seen: Collection[str] | None = None,
) -> PictureSet:
    """The pictures of a source that a finished run may be judged on.

    The test split that the source declares; else, if ``seen`` is given, every picture that is not
    among those (which of the run's own source leaves exactly its test split, and of any other all that
    is new); else the test split that the same seed makes of it.

    Labels are matched by the classes' names and never shift: a class that the source lacks is told, one
    that the run does not know is refused.

    Args:
        config: the source, with the seed and fractions of the run.
        classes: the run's classes; labels of the result index them.
        preprocessing: the run's.
        monitor: is told what is left out.
        seen: ``"seen"`` of the run's ``splits.json``.

    Raises:
        DataError: unreadable pictures (unless ``config.skip_bad``), an unknown class, or nothing left.
    """
    source = open_source(config, monitor)
    unknown = [name for name in source.classes if name not in classes]
    if unknown:
        raise DataError(
            f"{shown(config.source)}: the run does not know class {listed(unknown)}; it knows {listed(classes)}"
        )
    store = decode_all(source, preprocessing, monitor=monitor, threads=_threads(config))
    good, left_out = _readable(source, store, config)
    if left_out:
        monitor.warn(left_out)
    chosen = _to_judge(source, store, good, config, monitor, seen)
    if not len(chosen):
        raise DataError(
            f"{shown(config.source)}: no pictures to judge by; the run was trained on all of them"
        )
    pictures = _pictures(source, store, chosen)
    counts = pictures.counts().tolist()
    there = {name for name, count in zip(source.classes, counts, strict=True) if count}
    missing = [name for name in classes if name not in there]
    if missing:
        monitor.warn(f"no pictures of class {listed(missing)}: its accuracy stays unknown")
    places = torch.tensor([list(classes).index(name) for name in source.classes], dtype=torch.int64)
    return PictureSet(pictures.pixels, places[pictures.labels], pictures.names, tuple(classes))


def _to_judge(
    source: Source,
    store: Store,
    good: NDArray[np.int64],
    config: DataConfig,
    monitor: Monitor,
    seen: Collection[str] | None,
) -> NDArray[np.int64]:
    declared = np.array([source.splits[i] == "test" for i in good.tolist()], dtype=bool)
    known = frozenset(seen or ())
    old = np.array([_seen_key(store.hashes[i]) in known for i in good.tolist()], dtype=bool)
    if declared.any():
        judged = declared
        if (old & declared).any():
            some = f"{(old & declared).sum():,} of {declared.sum():,} pictures"
            monitor.warn(f"the run was trained on {some} of this test split: its accuracy flatters")
    elif seen is None:
        judged = _split(source, store, good, config) == "test"
    else:
        judged = ~old
        if old.any():
            monitor.message(f"left out {old.sum():,} of {len(old):,} pictures: the run was trained on them")
    chosen: NDArray[np.int64] = good[judged]
    return chosen


def decode_files(
    paths: Iterable[Path], preprocessing: Preprocessing
) -> Iterator[tuple[Path, NDArray[np.uint8] | UnreadablePictureError]]:
    """Decodes files on all cores, in their order, a few ahead of what is asked for.

    Yields:
        the path with its pixels, uint8 ``(C, H, W)``, or with the reason why there are none.
    """
    threads = available_cores()
    ahead: deque[tuple[Path, Future[NDArray[np.uint8] | UnreadablePictureError]]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for path in paths:
            ahead.append((path, pool.submit(_decode_file, path, preprocessing)))
            if len(ahead) > 4 * threads:
                first, job = ahead.popleft()
                yield first, job.result()
        for path, job in ahead:
            yield path, job.result()


def _decode_file(path: Path, preprocessing: Preprocessing) -> NDArray[np.uint8] | UnreadablePictureError:
    try:
        return decode(read_file(path), preprocessing)
    except UnreadablePictureError as error:
        return error


def keeps_class_when_mirrored(source: Source) -> bool:
    """Whether flipping pictures left to right is safe: what the source knows, else by its classes' names.

    Not safe if any class is a single character or a number (digits and letters change when mirrored) or
    has "left" or "right" as a word in it.
    """
    if source.flip is not None:
        return source.flip
    return not any(map(_has_sides, source.classes))


def _has_sides(name: str) -> bool:
    words = {word.lower() for word in _WORD.findall(name)}
    return len(name) == 1 or name.isdigit() or bool(words & {"left", "right"})


def _threads(config: DataConfig) -> int | None:
    threads: int | None = getattr(config, "threads", None)  # a learner's setting; inspecting has none
    return threads


def _check_learnable(source: Source) -> None:
    """More than one class; in a folder, more than one split or none."""
    name = shown(source.source)
    wanted = f"; wanted {LAYOUTS}" if source.kind == "folder" else ""
    if len(source.classes) < 2:
        raise DataError(f"{name}: only one class, {shown(source.classes[0])}; wanted two or more{wanted}")
    splits = set(source.splits)
    if source.kind == "folder" and len(splits) == 1 and None not in splits:
        raise DataError(
            f"{name}: only a {source.splits[0]} folder; wanted train and test, or give the folder inside it, and "
            "Striate holds a test split out"
        )


def _readable(source: Source, store: Store, config: DataConfig) -> tuple[NDArray[np.int64], str]:
    """The indices of the pictures that decoded, and a sentence about the others, if there are any."""
    if not store.errors:
        return store.readable, ""
    some = listed([f"{source.names[i]} ({error})" for i, error in store.errors.items()])
    told = f"{len(store.errors):,} of {len(source):,} pictures cannot be read: {some}"
    if not config.skip_bad:
        raise DataError(f"{told}; repair or remove them, or leave them out with --skip-bad")
    return store.readable, told


def _split(source: Source, store: Store, good: NDArray[np.int64], config: DataConfig) -> NDArray[np.str_]:
    indices = good.tolist()
    return assign_splits(
        source.labels[good],
        [source.splits[i] for i in indices],
        val_fraction=config.val_fraction,
        test_fraction=config.test_fraction,
        seed=config.seed,
        classes=source.classes,
        groups=[store.hashes[i] for i in indices],
    )


def _pictures(source: Source, store: Store, indices: NDArray[np.int64]) -> PictureSet:
    names = tuple(source.names[i] for i in indices.tolist())
    labels = torch.from_numpy(source.labels[indices])
    return PictureSet(store.take(indices), labels, names, source.classes)


def _data_hash(source: Source, store: Store, splits: NDArray[np.str_]) -> str:
    """SHA-256 over the shape and classes, then name, label, split and pixels of every picture that is used."""
    digest = sha256(json.dumps([*store.pixels.shape[1:], *source.classes]).encode())
    rows = zip(source.names, source.labels.tolist(), splits.tolist(), store.hashes, strict=True)
    for name, label, split, content_hash in rows:
        if split:
            digest.update(f"{name}\0{label}\0{split}\0{content_hash}\n".encode())
    return digest.hexdigest()
