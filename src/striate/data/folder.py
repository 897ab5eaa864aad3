"""A folder of class folders, or of train, val and test folders of such.

Two layouts are read (pictures may lie in deeper folders of a class):

    pets/cat/1.jpg            pets/train/cat/1.jpg
    pets/dog/2.png            pets/train/dog/2.png
                              pets/test/cat/3.jpg    and, if you like, pets/val/…
                              pets/test/dog/4.png

``training``, ``valid``, ``validation`` and ``testing`` mean the same, in any case. Classes are the folders'
names in natural order (2 before 10). Hidden files and what operating systems leave behind are passed over.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from striate.data.decode import EXTENSIONS
from striate.data.naming import SPLITS, listed, natural_key, shown, split_of
from striate.data.source import Source
from striate.errors import DataError

LAYOUTS = "CLASS/picture.jpg for every class, or train/CLASS/picture.jpg with test/CLASS/picture.jpg"
_LITTER = frozenset({"__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "@eadir"})


def open_folder(path: Path, source: str) -> Source:
    """The pictures below a folder, labelled by the class folder that they lie in.

    A file counts as a picture by its extension, whatever it holds: a text file named ``cat.jpg`` is
    for the decoder to report, not for this function to lose.

    Args:
        path: the folder.
        source: what the user asked for.

    Raises:
        DataError: no pictures, no class folders, a class folder without pictures, two folders for one
            split or class, or a folder that cannot be read.
    """
    reader = _Reader(path)
    folders: list[tuple[str | None, str, Path]] = []  # split, class, folder
    for split, folder in _split_folders(reader):
        folders += [(split, name, place) for name, place in _class_folders(reader, folder)]
    found = reader.pictures([place for *_, place in folders])
    _check_filled(reader, [place for *_, place in folders], found)
    classes = sorted({name for _, name, _ in folders}, key=natural_key)
    index = {name: i for i, name in enumerate(classes)}
    paths = [picture for pictures in found for picture in pictures]
    rows = [
        (split, name) for (split, name, _), pictures in zip(folders, found, strict=True) for _ in pictures
    ]
    return Source(
        source=source,
        kind="folder",
        classes=tuple(classes),
        labels=np.array([index[name] for _, name in rows], dtype=np.int64),
        splits=[split for split, _ in rows],
        names=[reader.relative(picture) for picture in paths],
        paths=paths,
        ignored=reader.ignored,
    )


@dataclass(frozen=True)
class _Listing:
    folders: list[Path]
    pictures: list[Path]


@dataclass
class _Reader:
    """Lists folders, once each, and notes what it passes over."""

    root: Path
    ignored: list[tuple[str, str]] = field(default_factory=list)
    _listings: dict[Path, _Listing] = field(default_factory=dict)

    def relative(self, path: Path) -> str:
        """The path from the root, fit to be shown."""
        return shown(path.relative_to(self.root).as_posix())

    def ignore(self, path: Path, reason: str) -> None:
        self.ignored.append((self.relative(path), reason))

    def entries(self, folder: Path) -> _Listing:
        """The folders and picture files in ``folder``, in natural order."""
        if folder not in self._listings:
            try:
                with os.scandir(folder) as entries:
                    ordered = sorted(entries, key=lambda entry: natural_key(entry.name))
            except OSError as error:
                raise DataError(
                    f"{shown(folder)}: cannot be read ({error.strerror or error}); make it readable or move it out"
                ) from error
            listing = self._listings[folder] = _Listing([], [])
            for entry in ordered:
                self._sort_in(folder / entry.name, entry, listing)
        return self._listings[folder]

    def _sort_in(self, path: Path, entry: os.DirEntry[str], listing: _Listing) -> None:
        if entry.name.startswith("."):
            self.ignore(path, "hidden")
        elif entry.name.casefold() in _LITTER:
            self.ignore(path, "left by an operating system")
        elif _is(entry.is_dir):
            listing.folders.append(path)
        elif path.suffix.lower() not in EXTENSIONS:
            self.ignore(path, "no picture by its extension")
        elif _is(entry.is_file) or entry.is_symlink():  # a broken link is a picture that cannot be read
            listing.pictures.append(path)
        else:
            self.ignore(path, "no regular file")

    def pictures(self, class_folders: list[Path]) -> list[list[Path]]:
        """The picture files of every class folder, those in deeper folders included.

        Links are followed, but never into a folder that is read for another class or was read already
        for this one, so that loops end and no picture gets a second label.
        """
        identities = {folder: _identity(folder) for folder in class_folders}
        above = {_identity(folder) for folder in (self.root, *(f.parent for f in class_folders))}
        classes = set(identities.values())
        return [self._walk(folder, above | (classes - {identities[folder]})) for folder in class_folders]

    def _walk(self, class_folder: Path, closed: set[tuple[int, int]]) -> list[Path]:
        found: list[Path] = []
        waiting = [class_folder]
        while waiting:
            folder = waiting.pop()
            identity = _identity(folder)
            if identity in closed:
                self.ignore(folder, "a link to a folder that is read elsewhere")
                continue
            closed.add(identity)
            listing = self.entries(folder)
            found += listing.pictures
            waiting += reversed(listing.folders)
        return found


def _is(question: Callable[[], bool]) -> bool:
    try:
        return question()
    except OSError:  # a loop of links
        return False


def _identity(folder: Path) -> tuple[int, int]:
    try:
        status = folder.stat()
    except OSError as error:
        raise DataError(f"{shown(folder)}: cannot be read ({error.strerror or error})") from error
    return status.st_dev, status.st_ino


def _split_folders(reader: _Reader) -> list[tuple[str | None, Path]]:
    """The folders that hold class folders, each with its split; ``[(None, root)]`` if the root itself does.

    A lone ``train`` among other folders with pictures in it is a class: the vehicle.
    """
    top = reader.entries(reader.root)
    named = [(split, folder) for folder in top.folders if (split := split_of(folder.name))]
    others = [folder for folder in top.folders if not split_of(folder.name)]
    if not named or (others and len(named) == 1 and reader.entries(named[0][1]).pictures):
        return [(None, reader.root)]
    if others and len(named) == 1:
        raise DataError(
            f"{shown(reader.root)}: {shown(named[0][1].name)} holds folders as a split does, but beside it lies "
            f"{shown(others[0].name)}, which is no split; wanted {LAYOUTS}"
        )
    by_split: dict[str, Path] = {}
    for split, folder in named:
        if split in by_split:
            raise DataError(
                f"{shown(reader.root)}: {shown(by_split[split].name)} and {shown(folder.name)} both mean {split}; "
                "keep one of them"
            )
        by_split[split] = folder
    for folder in others:
        reader.ignore(folder, "beside the split folders")
    for picture in top.pictures:
        reader.ignore(picture, "in no class folder")
    return [(split, by_split[split]) for split in SPLITS if split in by_split]


def _class_folders(reader: _Reader, folder: Path) -> list[tuple[str, Path]]:
    """The classes in ``folder``, each with its folder."""
    listing = reader.entries(folder)
    if not listing.folders:
        held = (
            f"{len(listing.pictures)} pictures and no class folders"
            if listing.pictures
            else "nothing to read in it"
        )
        raise DataError(f"{shown(folder)}: {held}; wanted {LAYOUTS}")
    for picture in listing.pictures:
        reader.ignore(picture, "in no class folder")
    classes: dict[str, Path] = {}
    for place in listing.folders:
        name = shown(place.name)
        if name in classes:
            raise DataError(f"{shown(folder)}: two class folders are both called {name}; rename one of them")
        classes[name] = place
    return list(classes.items())


def _check_filled(reader: _Reader, folders: list[Path], found: list[list[Path]]) -> None:
    empty = [reader.relative(folder) for folder, pictures in zip(folders, found, strict=True) if not pictures]
    if len(empty) == len(folders):
        raise DataError(
            f"{shown(reader.root)}: no pictures in its folders; wanted {LAYOUTS}, ending in {_endings()}"
        )
    if empty:
        raise DataError(
            f"{shown(reader.root)}: no pictures in class folder {listed(empty)}; fill it or "
            f"remove it (picture files end in {_endings()})"
        )


def _endings() -> str:
    return ", ".join(sorted(EXTENSIONS))
