"""Where labelled pictures come from: one argument, four kinds, one plain record."""

from __future__ import annotations

import difflib
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np

from striate.data.naming import shown
from striate.errors import UsageError
from striate.train.monitor import Monitor

if TYPE_CHECKING:
    from striate.train.config import DataConfig


@dataclass
class Source:
    """Labelled pictures before decoding: files, or arrays of pixels.

    Attributes:
        source: what the user asked for.
        kind: ``"named"``, ``"folder"``, ``"idx"`` or ``"table"``.
        classes: class names; ``labels`` index them.
        labels: int64 ``(N,)``.
        splits: per picture ``"train"``, ``"val"``, ``"test"``, or ``None`` where the source does not say.
        names: per picture a name that is safe to print and to encode.
        paths: files, or ``None`` if the pictures are in ``pixels``.
        pixels: uint8 ``(N, C, H, W)``, or ``None`` if the pictures are files.
        flip: whether a mirrored picture keeps its class, where the source knows.
        ignored: files and folders passed over, each with the reason.
    """

    source: str
    kind: str
    classes: tuple[str, ...]
    labels: np.ndarray
    splits: list[str | None]
    names: list[str]
    paths: list[Path] | None = None
    pixels: np.ndarray | None = None
    flip: bool | None = None
    ignored: list[tuple[str, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        if (self.paths is None) == (self.pixels is None):
            raise ValueError("a source has either paths or pixels")
        pictures = self.paths if self.paths is not None else self.pixels
        lengths = {len(self.labels), len(self.splits), len(self.names), len(pictures)}  # type: ignore[arg-type]
        if len(lengths) != 1:
            raise ValueError(f"labels, splits, names and pictures differ in number: {sorted(lengths)}")

    def __len__(self) -> int:
        return len(self.labels)


def open_source(config: DataConfig, monitor: Monitor | None = None) -> Source:
    """The pictures that ``config.source`` names, not yet decoded.

    A named set comes first: a folder of the same name is meant by ``./digits``.

    Args:
        config: ``source`` and ``data_dir`` are read.
        monitor: is told of a download.

    Raises:
        UsageError: no such set, file or folder, or a file of a kind that is not read.
        DataError: it is there and is not labelled pictures.
    """
    from striate.data.catalogue import named_set
    from striate.data.named import open_named

    if not config.source.strip():
        raise UsageError("no source given; wanted a named set, a folder, an IDX file or a table")
    if named_set(config.source):
        return open_named(config.source, config.data_dir, monitor or Monitor())
    path = Path(config.source).expanduser()
    kind = _kind(path, config.source)
    if kind == "folder":
        from striate.data.folder import open_folder

        return open_folder(path, config.source)
    if kind == "table":
        from striate.data.table import open_table

        return open_table(path, config.source)
    from striate.data.idx import open_idx

    return open_idx(path, config.source)


def _kind(path: Path, source: str) -> Literal["folder", "idx", "table"]:
    """What lies at a path."""
    from striate.data.catalogue import NAMES
    from striate.data.idx import has_idx, is_idx
    from striate.data.table import SUFFIXES

    try:
        if path.is_dir():
            return "idx" if has_idx(path) else "folder"
        if path.is_file():
            if path.suffix.lower() in SUFFIXES:
                return "table"
            if is_idx(path):
                return "idx"
            raise UsageError(
                f"{shown(source)}: not a source; wanted a named set, a folder of class folders, an IDX images "
                f"file, or a table ({', '.join(SUFFIXES)})"
            )
        there = path.exists()
    except OSError as error:
        raise UsageError(f"{shown(source)}: cannot be opened ({error.strerror or error})") from error
    except ValueError as error:  # a null character
        raise UsageError(f"{shown(source)}: not a path ({error})") from error
    if there:
        raise UsageError(f"{shown(source)}: neither a folder nor a regular file")
    raise UsageError(_unknown(source, NAMES))


def _unknown(source: str, names: tuple[str, ...]) -> str:
    """Says what there is instead: the nearest set, or the nearest neighbour of a path."""
    near = difflib.get_close_matches(source.lower(), names, n=1)
    path = Path(source).expanduser()
    looks_like_path = "/" in source or "\\" in source or path.suffix != ""
    if near and not looks_like_path:
        return f"{shown(source)}: no such set; did you mean {near[0]}? Sets: {', '.join(names)}; or a path that exists"
    if not looks_like_path:
        return f"{shown(source)}: no such set, file or folder; sets: {', '.join(names)}"
    return f"{shown(source)}: no such file or folder{_neighbour(path)}"


def _neighbour(path: Path) -> str:
    try:
        siblings = [entry.name for entry in path.parent.iterdir()]
    except OSError:
        return "; its folder cannot be read or is missing too"
    near = difflib.get_close_matches(path.name, siblings, n=1)
    return f"; did you mean {shown(path.parent / near[0])}?" if near else ""
