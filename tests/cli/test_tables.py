"""Predictions survive every file name, and no spreadsheet runs one."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path

import pytest

from striate.cli._tables import COLUMNS, Prediction, as_csv, as_json, show, write

HOSTILE = [
    "plain.png",
    "with,comma.png",
    'with"quote.png',
    "with;semicolon.png",
    "two\nlines\r.png",
    "=1+1.png",
    "=HYPERLINK(A1).png",
    "+x.png",
    "-x.png",
    "@x.png",
    "\tx.png",
    "grüße 猫.png",
    "caf\udce9.png",  # bytes that are no UTF-8, as Python reads them
    "",
]


def predictions(names: list[str]) -> list[Prediction]:
    return [Prediction(name, "cat", 0.75, "dog", 0.2) for name in names]


def read(text: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline="")))


def test_every_name_comes_back_and_none_is_a_formula():
    heading, *rows = read(as_csv(predictions(HOSTILE)))
    assert tuple(heading) == COLUMNS == ("path", "label", "probability", "runner_up", "runner_up_probability")
    for name, row in zip(HOSTILE, rows, strict=True):
        assert row[0] in (name, f"./{name}")
        assert not row[0].startswith(("=", "+", "-", "@", "\t", "\r"))
        assert row[1:] == ["cat", "0.750000", "dog", "0.200000"]


def test_no_cell_starts_a_formula_where_semicolons_or_tabs_separate():
    for name in ("a;=1+1", "a\t=1+1"):
        line = as_csv(predictions([name])).splitlines()[1]
        assert line.startswith(f'"{name}"')


def test_labels_that_are_formulas_are_quoted_and_numbers_are_not():
    rows = [
        Prediction("a.png", label, 0.5, "x", 0.5) for label in ("=1+1", "-1", "+2.5", "-x", "@SUM(A1)", "7")
    ]
    labels = [row[1] for row in read(as_csv(rows))[1:]]
    assert labels == ["'=1+1", "-1", "+2.5", "'-x", "'@SUM(A1)", "7"]


def test_csv_file_keeps_the_bytes_of_the_names(tmp_path: Path):
    out = tmp_path / "x.csv"
    write(out, predictions(["caf\udce9.png"]), [], Path("run"))
    assert b"\ncaf\xe9.png,cat," in out.read_bytes()


def test_json(tmp_path: Path):
    out = tmp_path / "x.JSON"
    write(out, predictions(HOSTILE), [("bad.png", "empty file")], Path("runs/x"))
    document = json.loads(out.read_bytes())
    assert document["run"] == "runs/x"
    assert [row["path"] for row in document["predictions"]] == HOSTILE
    assert document["predictions"][0] == {
        "path": "plain.png",
        "label": "cat",
        "probability": 0.75,
        "runner_up": "dog",
        "runner_up_probability": 0.2,
    }
    assert document["unreadable"] == [{"path": "bad.png", "reason": "empty file"}]


@pytest.mark.parametrize("names", [HOSTILE, []])
def test_parquet(names: list[str], tmp_path: Path):
    parquet = pytest.importorskip("pyarrow.parquet")
    out = tmp_path / "x.parquet"
    write(out, predictions(names), [], Path("run"))
    table = parquet.read_table(out)
    assert tuple(table.column_names) == COLUMNS
    assert [str(field.type) for field in table.schema] == ["string", "string", "double", "string", "double"]
    paths = table["path"].to_pylist()
    assert paths == [name.replace("\udce9", "\\xe9") for name in names]


def test_probabilities_are_rounded_alike_everywhere():
    row = Prediction("a", "x", 0.123456789, "y", 1 / 3)
    assert json.loads(as_json([row], [], Path("r")))["predictions"][0]["probability"] == 0.123457
    assert read(as_csv([row]))[1][2] == "0.123457"


def test_without_a_terminal_csv_is_printed(capsys: pytest.CaptureFixture[str]):
    show(predictions(["a.png"]))
    assert capsys.readouterr().out == as_csv(predictions(["a.png"]))


def test_on_a_terminal_columns_are_printed(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    show(predictions(["a\x1b[31m.png", "longer name.png"]))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["path", "label", "probability", "runner-up", "its", "probability"]
    assert lines[1].split() == ["a\\x1b[31m.png", "cat", "75.0%", "dog", "20.0%"]
    assert len({line.index("%") for line in lines[1:]}) == 1


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out = tmp_path / "x.csv"
    out.write_text("precious")

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError):
        write(out, predictions(["a"]), [], Path("run"))
    assert [path.name for path in tmp_path.iterdir()] == ["x.csv"]
    assert out.read_text() == "precious"
