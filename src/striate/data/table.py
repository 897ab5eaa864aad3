"""A table of paths and labels: CSV, TSV or Parquet.

The columns are found by their names, in any case: the path in ``path``, ``file``, ``filename``, ``filepath`` or
``image``, the label in ``label``, ``class`` or ``target``, and, if there is one, the split in ``split``
(train, val or test; empty where Striate shall choose). Of several the first in this order counts. A CSV
file without a header has them in this order. Paths are relative to the table's folder.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from striate.data.decode import EXTENSIONS
from striate.data.naming import natural_key, shown, split_of
from striate.data.source import Source
from striate.errors import DataError, UsageError

SUFFIXES = (".csv", ".tsv", ".parquet")
_PATHS = ("path", "file", "filename", "filepath", "image")
_LABELS = ("label", "class", "target")
_SPLITS = ("split",)
_WANTED = "wanted a column path (or file, filename, filepath, image) and a column label (or class, target)"

_Row = tuple[str, str, str, str]  # where it stands, path, label, split


def open_table(path: Path, source: str) -> Source:
    """The pictures that a table lists; a file that is missing is for the decoder to report.

    Args:
        path: a ``.csv``, ``.tsv`` or ``.parquet`` file.
        source: what the user asked for.

    Raises:
        UsageError: Parquet, and pyarrow is not installed.
        DataError: no such columns, an empty path or label, an unknown split, or an unreadable table.
    """
    rows = _parquet_rows(path) if path.suffix.lower() == ".parquet" else _text_rows(path)
    paths: list[Path] = []
    words: list[str] = []
    splits: list[str | None] = []
    for where, file, label, split in rows:
        paths.append(path.parent / _checked(file, "path", where, path))
        words.append(shown(_checked(label.strip(), "label", where, path)))
        splits.append(_split(split, where, path))
    if not paths:
        raise DataError(f"{shown(path)}: no pictures listed; {_WANTED}")
    classes = sorted(set(words), key=natural_key)
    index = {name: i for i, name in enumerate(classes)}
    return Source(
        source=source,
        kind="table",
        classes=tuple(classes),
        labels=np.array([index[word] for word in words], dtype=np.int64),
        splits=splits,
        names=[_name(file, path.parent) for file in paths],
        paths=paths,
    )


def _checked(value: str, what: str, where: str, table: Path) -> str:
    if not value or "\0" in value:
        raise DataError(
            f"{shown(table)}: {where}: {'a null character in the' if value else 'no'} {what}; complete the row"
        )
    return value


def _split(value: str, where: str, table: Path) -> str | None:
    split = split_of(value)
    if split is None and value.strip():
        raise DataError(
            f"{shown(table)}: {where}: split is {shown(value)}; wanted train, val, test or nothing"
        )
    return split


def _name(file: Path, folder: Path) -> str:
    return shown(file.relative_to(folder) if file.is_relative_to(folder) else file)


def _text_rows(path: Path) -> Iterator[_Row]:
    """The rows of a CSV or TSV file; commas, semicolons or tabs, told by the first line."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            delimiter = "\t" if path.suffix.lower() == ".tsv" else _delimiter(file.readline())
            file.seek(0)
            reader = csv.reader(file, delimiter=delimiter, skipinitialspace=True, strict=True)
            columns: tuple[int, ...] | None = None
            for cells in reader:
                if not cells or cells == [""]:
                    continue
                if columns is None:
                    columns, is_header = _columns(cells, path)
                    if is_header:
                        continue
                yield _row(cells, columns, f"line {reader.line_num}", path)
    except UnicodeDecodeError as error:
        raise DataError(
            f"{shown(path)}: not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8"
        ) from error
    except csv.Error as error:
        raise DataError(f"{shown(path)}: not a table: line {reader.line_num}: {error}") from error
    except OSError as error:
        raise DataError(f"{shown(path)}: cannot be read ({error.strerror or error})") from error


def _delimiter(line: str) -> str:
    return next((mark for mark in (",", ";", "\t") if mark in line), ",")


def _columns(first: Sequence[str], table: Path) -> tuple[tuple[int, ...], bool]:
    """Where path, label and split stand (split only if there), and whether ``first`` is a header."""
    names = [_plain(cell) for cell in first]
    path, label, split = _find(names, _PATHS), _find(names, _LABELS), _find(names, _SPLITS)
    if path is not None and label is not None:
        return (path, label) if split is None else (path, label, split), True
    if len(first) in (2, 3) and Path(first[0]).suffix.lower() in EXTENSIONS:
        return tuple(range(len(first))), False
    got = ", ".join(shown(cell) for cell in first[:8])
    raise DataError(f"{shown(table)}: its columns are {got or 'none'}; {_WANTED}")


def _plain(name: str) -> str:
    """A column's name without case, spaces, dashes and underscores: ``File_Name`` is ``filename``."""
    return "".join(c for c in name.casefold() if c not in " _-")


def _find(names: Sequence[str], wanted: Sequence[str]) -> int | None:
    return next((names.index(name) for name in wanted if name in names), None)


def _row(cells: Sequence[str], columns: tuple[int, ...], where: str, table: Path) -> _Row:
    if len(cells) <= max(columns[:2]):
        raise DataError(
            f"{shown(table)}: {where}: {len(cells)} cells, too few for a path and a label; complete the row"
        )
    split = cells[columns[2]] if len(columns) > 2 and len(cells) > columns[2] else ""
    return where, cells[columns[0]], cells[columns[1]], split


def _parquet_rows(path: Path) -> Iterator[_Row]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise UsageError(
            f'{shown(path)}: Parquet needs pyarrow: pip install "striate[parquet]", or save the table as .csv'
        ) from error
    try:
        schema = pq.read_schema(path)
        columns, _ = _columns(schema.names, path)
        names = [schema.names[i] for i in columns]
        table = pq.read_table(path, columns=names)
        values = [_texts(table.column(name), name, path) for name in names]
    except (pa.ArrowException, OSError, KeyError) as error:  # KeyError: two columns of one name
        reason = " ".join(str(error).split())[:200]
        raise DataError(f"{shown(path)}: not a readable Parquet file ({reason})") from error
    splits = values[2] if len(values) > 2 else [""] * table.num_rows
    for i, (file, label, split) in enumerate(zip(values[0], values[1], splits, strict=True)):
        yield f"row {i}", file, label, split


def _texts(column: Any, name: str, table: Path) -> list[str]:
    """A column's values as text; ``""`` where there is none."""
    import pyarrow as pa

    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    if pa.types.is_null(kind):
        return [""] * len(column)
    if not (pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)):
        raise DataError(f"{shown(table)}: column {shown(name)} holds {kind}; wanted text or whole numbers")
    return ["" if value is None else str(value) for value in column.to_pylist()]
