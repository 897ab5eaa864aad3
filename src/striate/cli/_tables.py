"""Predictions as a table: on the terminal, as CSV, JSON or Parquet."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from striate.cli._results import print_columns
from striate.data.naming import shown
from striate.errors import UsageError

FORMATS = (".csv", ".json", ".parquet")
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet may run what follows

BadFiles = Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Prediction:
    """One row; probabilities are rounded to six decimals."""

    path: str
    label: str
    probability: float
    runner_up: str
    runner_up_probability: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "probability", round(self.probability, 6))
        object.__setattr__(self, "runner_up_probability", round(self.runner_up_probability, 6))


COLUMNS = tuple(field.name for field in fields(Prediction))


def show(predictions: Sequence[Prediction]) -> None:
    """Columns for a person on a terminal, CSV for the program behind a pipe."""
    if not sys.stdout.isatty():
        sys.stdout.write(as_csv(predictions))
        return
    if predictions:
        cells = [
            (
                shown(p.path),
                shown(p.label),
                f"{p.probability:.1%}",
                shown(p.runner_up),
                f"{p.runner_up_probability:.1%}",
            )
            for p in predictions
        ]
        print_columns([("path", "label", "probability", "runner-up", "its probability"), *cells])


def write(out: Path, predictions: Sequence[Prediction], bad: BadFiles, run: Path) -> None:
    """Write the file whole or not at all, in the format that its name ends in.

    Raises:
        UsageError: pyarrow is missing for Parquet.
        OSError: the disk is full or the like; a file that was there is untouched.
    """
    from striate.train.checkpoint import write_bytes

    ending = out.suffix.lower()
    if ending == ".csv":
        data = as_csv(predictions).encode("utf-8", "surrogateescape")
    elif ending == ".json":
        data = as_json(predictions, bad, run).encode() + b"\n"
    else:
        data = as_parquet(predictions)
    write_bytes(out, data)


def as_csv(predictions: Sequence[Prediction]) -> str:
    """A heading and a line per picture, safe to open in a spreadsheet.

    A path that a spreadsheet would take for a formula gets ``./`` before it, which names the same
    file; a label gets an apostrophe, which spreadsheets hide.
    """
    lines = [",".join(COLUMNS)]
    for p in predictions:
        row = (
            _safe_path(p.path),
            _safe_label(p.label),
            p.probability,
            _safe_label(p.runner_up),
            p.runner_up_probability,
        )
        lines.append(",".join(_cell(value) for value in row))
    return "\n".join(lines) + "\n"


def as_json(predictions: Sequence[Prediction], bad: BadFiles, run: Path) -> str:
    """One document: the run, its predictions and the files that could not be read."""
    unreadable = [{"path": path, "reason": reason} for path, reason in bad]
    document = {"run": str(run), "predictions": [asdict(p) for p in predictions], "unreadable": unreadable}
    return json.dumps(document, indent=1)


def as_parquet(predictions: Sequence[Prediction]) -> bytes:
    """The columns as Parquet; bytes of a path that are no UTF-8 become backslash escapes.

    Raises:
        UsageError: pyarrow is missing.
    """
    pyarrow, parquet = import_pyarrow()
    types = {"str": pyarrow.string(), "float": pyarrow.float64()}
    schema = pyarrow.schema([(field.name, types[str(field.type)]) for field in fields(Prediction)])
    columns = {name: [_utf8(getattr(p, name)) for p in predictions] for name in COLUMNS}
    table = pyarrow.table(columns, schema=schema)
    data = io.BytesIO()
    parquet.write_table(table, data)
    return data.getvalue()


def import_pyarrow() -> tuple[Any, Any]:
    """pyarrow and its Parquet part.

    Raises:
        UsageError: it is not installed.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise UsageError(
            "Parquet needs pyarrow: pip install 'striate[parquet]', or take .csv or .json"
        ) from None
    return pyarrow, parquet


def _safe_path(path: str) -> str:
    return f".{os.sep}{path}" if path.startswith(FORMULA_STARTS) else path


def _safe_label(label: str) -> str:
    if not label.startswith(FORMULA_STARTS):
        return label
    try:
        float(label)
    except ValueError:
        return f"'{label}"
    return label  # a number such as -1 is no formula


def _cell(value: str | float) -> str:
    if isinstance(value, float):
        return f"{value:.6f}"
    # semicolons and tabs too: in some countries they separate a spreadsheet's cells
    return '"' + value.replace('"', '""') + '"' if any(c in value for c in ',;"\t\r\n') else value


def _utf8(value: Any) -> Any:
    return os.fsencode(value).decode("utf-8", "backslashreplace") if isinstance(value, str) else value
