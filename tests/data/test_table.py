"""Tables of paths and labels: CSV, TSV, Parquet, in the shapes that people save them in."""

from __future__ import annotations

import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.data.source import Source, open_source
from striate.data.table import SUFFIXES, open_table
from striate.errors import DataError, StriateError, UsageError
from striate.train.config import DataConfig


def opened(path: Path) -> Source:
    return open_source(DataConfig(source=str(path)))


def written(folder: Path, text: str, name: str = "table.csv", encoding: str = "utf-8") -> Path:
    path = folder / name
    path.write_bytes(text.encode(encoding))
    return path


def rows(source: Source) -> list[tuple[str, str, str | None]]:
    labels = [source.classes[label] for label in source.labels.tolist()]
    return list(zip(source.names, labels, source.splits, strict=True))


PLAIN = [("a.png", "cat", None), ("sub/b.jpg", "dog", None)]


@pytest.mark.parametrize("path", ["path", "file", "filename", "image", "File_Name", " PATH ", "filepath"])
@pytest.mark.parametrize("label", ["label", "class", "Target"])
def test_columns_are_found_by_their_names(tmp_path: Path, path: str, label: str) -> None:
    source = opened(written(tmp_path, f"id,{label},{path},x\n1,cat,a.png,\n2,dog,sub/b.jpg,9\n"))
    assert source.kind == "table" and source.classes == ("cat", "dog") and rows(source) == PLAIN
    assert source.paths == [tmp_path / "a.png", tmp_path / "sub/b.jpg"] and source.pixels is None


@pytest.mark.parametrize(
    "text",
    [
        "a.png,cat\nsub/b.jpg,dog\n",
        "path,label\na.png,cat\nsub/b.jpg,dog",
        "path,label\r\na.png,cat\r\n\r\nsub/b.jpg,dog\r\n",
        "path;label\na.png;cat\nsub/b.jpg;dog\n",
        "path\tlabel\na.png\tcat\nsub/b.jpg\tdog\n",
        '"path","label"\n"a.png","cat"\n"sub/b.jpg", "dog"\n',
        "path , label\na.png, cat \nsub/b.jpg,dog\n",
        "path,label,split\na.png,cat,\nsub/b.jpg,dog\n",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_every_common_way_to_write_it_reads_the_same(tmp_path: Path, text: str, encoding: str) -> None:
    assert rows(opened(written(tmp_path, text, encoding=encoding))) == PLAIN


def test_tsv_has_tabs_whatever_else_is_in_it(tmp_path: Path) -> None:
    source = opened(written(tmp_path, "path\tlabel\na,1.png\tcat, wild\nb.png\tdog;\n", "t.TSV"))
    assert rows(source) == [("a,1.png", "cat, wild", None), ("b.png", "dog;", None)]


def test_splits_in_every_spelling(tmp_path: Path) -> None:
    text = "path,label,Split\n1.png,a,train\n2.png,a,VALIDATION\n3.png,a,testing\n4.png,a,\n"
    assert opened(written(tmp_path, text)).splits == ["train", "val", "test", None]
    assert opened(written(tmp_path, "1.png,a,train\n2.png,a,test\n")).splits == ["train", "test"]


def test_classes_are_in_natural_order(tmp_path: Path) -> None:
    source = opened(written(tmp_path, "path,label\n1.png,class 10\n2.png,class 9\n3.png,Class 1\n"))
    assert source.classes == ("Class 1", "class 9", "class 10") and source.labels.tolist() == [2, 1, 0]


def test_paths_are_relative_to_the_table_or_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    written(tmp_path / "in", "path,label\n../x.png,a\n/far/away.png,b\n")
    monkeypatch.chdir(tmp_path)
    source = opened(Path("in/table.csv"))
    assert source.paths == [Path("in/../x.png"), Path("/far/away.png")]
    assert source.names == ["../x.png", "/far/away.png"]


def test_missing_files_are_left_to_the_decoder(tmp_path: Path) -> None:
    assert rows(opened(written(tmp_path, "path,label\nnowhere.png,a\n"))) == [("nowhere.png", "a", None)]


def test_hostile_cells_stay_on_one_line(tmp_path: Path) -> None:
    source = opened(written(tmp_path, 'path,label\n"new\nline.png","<script>\n"\nb.png,=cmd()\n'))
    assert source.names[0] == "new\\nline.png" and source.classes == ("<script>", "=cmd()")
    assert source.paths is not None and source.paths[0].name == "new\nline.png"


# --- errors --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "no pictures listed"),
        ("path,label\n", "no pictures listed"),
        ("name,kind\na.png,cat\n", "its columns are name, kind; wanted a column path"),
        ("path\na.png\n", "its columns are path; wanted"),
        ("path,label\na.png\n", "line 2: 1 cells, too few"),
        ("path,label\na.png,cat\n,dog\n", "line 3: no path"),
        ("path,label\na.png,  \n", "line 2: no label"),
        ("path,label\na\0.png,cat\n", "line 2: a null character in the path"),
        (
            "path,label,split\na.png,cat,holdout\n",
            "line 2: split is holdout; wanted train, val, test or nothing",
        ),
        ('path,label\n"a.png,cat\n', "not a table: line"),
        ("path,label\na.png," + "x" * 200_000 + "\n", "not a table: line"),
    ],
)
def test_a_table_that_cannot_be_read_says_where(tmp_path: Path, text: str, wanted: str) -> None:
    with pytest.raises(DataError, match=wanted) as caught:
        opened(written(tmp_path, text))
    assert "\n" not in str(caught.value) and "table.csv" in str(caught.value) and len(str(caught.value)) < 500


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_told(tmp_path: Path, encoding: str) -> None:
    with pytest.raises(DataError, match=r"not UTF-8 .*save it as UTF-8"):
        opened(written(tmp_path, "path,label\na.png,café\n", encoding=encoding))


@settings(max_examples=25, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_a_table_or_a_data_error(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    folder = tmp_path_factory.getbasetemp()
    for suffix in SUFFIXES:
        path = folder / f"any{suffix}"
        for content in (data, b"path,label\n" + data):
            path.write_bytes(content)
            try:
                opened(path)
            except StriateError as error:
                assert "\n" not in str(error)


# --- Parquet ---------------------------------------------------------------------------------------------


def parquet(folder: Path, **columns: object) -> Path:
    path = folder / "table.parquet"
    pq.write_table(pa.table(columns), path)
    return path


def test_parquet(tmp_path: Path) -> None:
    path = parquet(
        tmp_path,
        size=[1, 2],
        label=pa.array(["cat", "dog"]).dictionary_encode(),
        file_name=pa.array(["a.png", "sub/b.jpg"], pa.large_string()),
    )
    assert rows(opened(path)) == PLAIN


def test_parquet_with_whole_numbers_and_splits(tmp_path: Path) -> None:
    path = parquet(tmp_path, image=["a.png", "b.png"], target=[10, 9], split=pa.array(["test", None]))
    assert rows(opened(path)) == [("a.png", "10", "test"), ("b.png", "9", None)]
    path = parquet(tmp_path, image=["a.png", "b.png"], target=[10, 9], split=pa.nulls(2))
    assert opened(path).splits == [None, None]


@pytest.mark.parametrize(
    ("columns", "wanted"),
    [
        ({"path": ["a.png"], "label": pa.array([None], pa.string())}, "row 0: no label"),
        ({"path": ["a.png"], "label": [0.5]}, "column label holds double; wanted text or whole numbers"),
        ({"image": [b"\x89PNG"], "label": ["a"]}, "column image holds binary"),
        ({"image": [{"bytes": b"", "path": "a.png"}], "label": ["a"]}, "column image holds struct"),
        ({"x": [1], "y": [2]}, "its columns are x, y"),
        ({"path": pa.array([], pa.string()), "label": pa.array([], pa.string())}, "no pictures listed"),
    ],
)
def test_parquet_that_is_no_table_of_paths(tmp_path: Path, columns: dict[str, object], wanted: str) -> None:
    with pytest.raises(DataError, match=wanted):
        opened(parquet(tmp_path, **columns))


def test_two_columns_of_one_name_and_a_broken_file(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pq.write_table(pa.table([["a.png"], ["b.png"], ["c"]], ["path", "path", "label"]), path)
    with pytest.raises(DataError):
        opened(path)
    path.write_bytes(parquet(tmp_path, path=["a.png"], label=["a"]).read_bytes()[:-7])
    with pytest.raises(DataError, match="not a readable Parquet file"):
        opened(path)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = parquet(tmp_path, path=["a.png"], label=["a"])
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r'pip install "striate\[parquet\]"'):
        open_table(path, "x")
