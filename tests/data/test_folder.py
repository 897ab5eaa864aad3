"""Folders of pictures: layouts, what is passed over, hostile names, loops, and what makes an error."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from striate.data.folder import open_folder
from striate.data.naming import natural_key, shown, split_of
from striate.data.source import Source, open_source
from striate.errors import DataError, StriateError, UsageError
from striate.train.config import DataConfig


def touch(root: Path, *names: str) -> Path:
    """Empty files: this module never looks into them."""
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return root


def opened(root: Path) -> Source:
    return open_source(DataConfig(source=str(root)))


def placed(source: Source) -> dict[str, tuple[str | None, str]]:
    """name → (split, class)."""
    rows = zip(source.names, source.splits, source.labels.tolist(), strict=True)
    return {name: (split, source.classes[label]) for name, split, label in rows}


# --- layouts -----------------------------------------------------------------------------------------


def test_class_folders(tmp_path: Path) -> None:
    touch(tmp_path, "dog/2.jpg", "dog/10.PNG", "cat/b.webp", "cat/deep/er/a.bmp")
    source = opened(tmp_path)
    assert source.kind == "folder" and source.classes == ("cat", "dog") and source.labels.dtype == np.int64
    assert source.names == ["cat/b.webp", "cat/deep/er/a.bmp", "dog/2.jpg", "dog/10.PNG"]
    assert source.labels.tolist() == [0, 0, 1, 1] and source.splits == [None] * 4
    assert source.paths == [tmp_path / name for name in source.names] and source.pixels is None
    assert source.flip is None and source.ignored == []


@pytest.mark.parametrize("train", ["train", "Training", "TRAIN"])
@pytest.mark.parametrize("val", [None, "val", "valid", "Validation"])
@pytest.mark.parametrize("test", ["test", "Testing"])
def test_split_folders_in_every_spelling(tmp_path: Path, train: str, val: str | None, test: str) -> None:
    folders = {train: "train", test: "test", **({val: "val"} if val else {})}
    for folder in folders:
        touch(tmp_path, f"{folder}/cat/1.png", f"{folder}/dog/x/1.png")
    source = opened(tmp_path)
    assert source.classes == ("cat", "dog")
    wanted = {
        f"{f}/{name}": (s, name[:3]) for f, s in folders.items() for name in ("cat/1.png", "dog/x/1.png")
    }
    assert placed(source) == wanted
    assert list(dict.fromkeys(source.splits)) == [
        s for s in ("train", "val", "test") if s in folders.values()
    ]


def test_labels_are_of_the_union_of_classes_and_never_shift(tmp_path: Path) -> None:
    touch(tmp_path, "train/b/1.png", "train/c/1.png", "test/a/1.png", "test/c/1.png")
    source = opened(tmp_path)
    assert source.classes == ("a", "b", "c")
    assert placed(source) == {
        "train/b/1.png": ("train", "b"),
        "train/c/1.png": ("train", "c"),
        "test/a/1.png": ("test", "a"),
        "test/c/1.png": ("test", "c"),
    }


def test_a_train_is_a_vehicle_too(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.jpg", "bus/1.jpg", "tram/1.jpg")
    assert opened(tmp_path).classes == ("bus", "train", "tram")


def test_a_folder_beside_the_splits_is_listed(tmp_path: Path) -> None:
    touch(tmp_path, "train/a/1.png", "test/a/1.png", "extra/a/1.png", "stray.png", "train/stray.png")
    source = opened(tmp_path)
    assert set(source.splits) == {"train", "test"} and source.classes == ("a",)
    assert sorted(source.ignored) == [
        ("extra", "beside the split folders"),
        ("stray.png", "in no class folder"),
        ("train/stray.png", "in no class folder"),
    ]


def test_order_is_natural_and_does_not_depend_on_the_file_system(tmp_path: Path) -> None:
    names = [f"class {i}/img{j}.png" for i in (10, 2, 1) for j in (11, 3, 1)]
    touch(tmp_path / "one", *names)
    touch(tmp_path / "two", *reversed(names))
    one, two = opened(tmp_path / "one"), opened(tmp_path / "two")
    assert one.classes == ("class 1", "class 2", "class 10")
    assert one.names == two.names == [f"class {i}/img{j}.png" for i in (1, 2, 10) for j in (1, 3, 11)]


def test_a_relative_folder_gives_the_same_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path / "pets", "cat/1.png", "dog/1.png")
    monkeypatch.chdir(tmp_path / "pets")
    assert opened(Path()).names == opened(tmp_path / "pets").names == ["cat/1.png", "dog/1.png"]


# --- what is passed over -----------------------------------------------------------------------------


def test_hidden_files_litter_and_other_files_are_listed_and_nothing_else(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "dog/1.png", ".git/config", ".DS_Store", "__MACOSX/cat/._1.png", "README.md")
    touch(tmp_path, "cat/Thumbs.db", "cat/.hidden.png", "cat/notes.txt", "cat/.thumbs/1.png", "cat/no_ending")
    source = opened(tmp_path)
    assert source.names == ["cat/1.png", "dog/1.png"]
    assert dict(source.ignored) == {
        ".git": "hidden",
        ".DS_Store": "hidden",
        "__MACOSX": "left by an operating system",
        "README.md": "no picture by its extension",
        "cat/Thumbs.db": "left by an operating system",
        "cat/.hidden.png": "hidden",
        "cat/.thumbs": "hidden",
        "cat/notes.txt": "no picture by its extension",
        "cat/no_ending": "no picture by its extension",
    }


def test_a_text_file_called_png_is_an_entry_for_the_decoder_to_judge(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "dog/1.png")
    (tmp_path / "cat" / "note.png").write_text("milk, eggs")
    assert "cat/note.png" in opened(tmp_path).names


def test_a_pipe_called_png_does_not_hang(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "dog/1.png")
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    source = opened(tmp_path)
    assert source.names == ["cat/1.png", "dog/1.png"]
    assert source.ignored == [("cat/pipe.png", "no regular file")]


# --- links -------------------------------------------------------------------------------------------


def test_loops_of_links_end_and_give_no_picture_twice(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "cat/in/2.png", "dog/1.png")
    (tmp_path / "cat" / "self").symlink_to(tmp_path / "cat")
    (tmp_path / "cat" / "in" / "up").symlink_to("..")
    (tmp_path / "cat" / "root").symlink_to(tmp_path)
    (tmp_path / "cat" / "other").symlink_to(tmp_path / "dog")
    (tmp_path / "cat" / "twice").symlink_to(tmp_path / "cat" / "in")
    source = opened(tmp_path)
    assert source.names == ["cat/1.png", "cat/in/2.png", "dog/1.png"]
    assert {name for name, _ in source.ignored} == {
        "cat/in/up",
        "cat/other",
        "cat/root",
        "cat/self",
        "cat/twice",
    }


def test_links_to_pictures_and_folders_elsewhere_are_followed(tmp_path: Path) -> None:
    touch(tmp_path / "store", "a.png", "more/b.png")
    touch(tmp_path / "set", "dog/1.png")
    (tmp_path / "set" / "cat").mkdir()
    (tmp_path / "set" / "cat" / "a.png").symlink_to(tmp_path / "store" / "a.png")
    (tmp_path / "set" / "cat" / "more").symlink_to(tmp_path / "store" / "more")
    assert opened(tmp_path / "set").names == ["cat/a.png", "cat/more/b.png", "dog/1.png"]


def test_broken_links_are_pictures_that_cannot_be_read(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "dog/1.png")
    (tmp_path / "cat" / "gone.png").symlink_to(tmp_path / "nowhere.png")
    (tmp_path / "cat" / "self.png").symlink_to("self.png")
    assert opened(tmp_path).names == ["cat/1.png", "cat/gone.png", "cat/self.png", "dog/1.png"]


def test_a_split_that_is_a_link_to_another_is_kept_for_the_leakage_check(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.png", "train/dog/1.png")
    (tmp_path / "test").symlink_to("train")
    assert opened(tmp_path).splits == ["train", "train", "test", "test"]


# --- names -------------------------------------------------------------------------------------------


HOSTILE = (
    "<script>alert(1)</script>",
    "new\nline",
    "tab\tbed",
    "Ünï çödé 猫 🐈‍⬛",
    "a;rm -rf ~",
    "-n",
    "[red]",
    "\x1b[31m",
)


@pytest.mark.parametrize("name", [name.replace("/", "∕") for name in HOSTILE])
def test_hostile_names_are_kept_on_one_line(tmp_path: Path, name: str) -> None:
    touch(tmp_path, f"{name}/{name}.png", "other/1.png")
    source = opened(tmp_path)
    assert len(source) == 2 and len(source.classes) == 2
    for text in (*source.classes, *source.names):
        assert "\n" not in text and "\x1b" not in text
        text.encode("utf-8")
    assert source.paths is not None and all(path.exists() for path in source.paths)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has names that are no UTF-8")
def test_names_that_are_no_utf8_are_escaped_and_opened(tmp_path: Path) -> None:
    touch(tmp_path, "dog/1.png")
    folder = os.fsencode(tmp_path) + b"/caf\xe9"
    os.mkdir(folder)  # noqa: PTH102 - pathlib takes no bytes
    with open(folder + b"/\xff.png", "wb"):  # noqa: PTH123 - pathlib takes no bytes
        pass
    source = opened(tmp_path)
    assert source.classes == ("caf\\xe9", "dog") and source.names[0] == "caf\\xe9/\\xff.png"
    assert source.paths is not None and source.paths[0].exists()


def test_one_class_in_two_unicode_spellings_is_one_across_splits_and_an_error_within(tmp_path: Path) -> None:
    composed, decomposed = "caf\u00e9", "cafe\u0301"
    touch(
        tmp_path, f"train/{composed}/1.png", f"test/{decomposed}/1.png", "train/tea/1.png", "test/tea/1.png"
    )
    if len(list((tmp_path / "train").iterdir())) == 2:
        assert opened(tmp_path).classes == (composed, "tea")
    touch(tmp_path, f"train/{decomposed}/2.png")
    if len(list((tmp_path / "train").iterdir())) == 3:  # not on file systems that take them for the same
        with pytest.raises(DataError, match="both called café"):
            opened(tmp_path)


@settings(max_examples=50, deadline=None)
@given(st.text(max_size=30))
def test_a_shown_name_is_one_encodable_line_and_showing_again_changes_nothing(name: str) -> None:
    line = shown(name)
    line.encode("utf-8")
    assert len(line.splitlines()) <= 1 and shown(line) == line


@settings(max_examples=40, deadline=None)
@given(st.lists(st.text("aB0123 é", max_size=8), unique=True), st.randoms(use_true_random=False))
def test_natural_order_is_total(names: list[str], random: Random) -> None:
    shuffled = random.sample(names, len(names))
    assert sorted(shuffled, key=natural_key) == sorted(names, key=natural_key)


def test_natural_order_of_very_long_numbers_and_split_words() -> None:
    assert sorted(["9" * 6000, "1" + "0" * 6000], key=natural_key)[0] == "9" * 6000
    assert [split_of(w) for w in (" Train", "TESTING", "valid", "t", "")] == [
        "train",
        "test",
        "val",
        None,
        None,
    ]


# --- errors ------------------------------------------------------------------------------------------


def refused(root: Path, *parts: str) -> str:
    with pytest.raises(StriateError) as caught:
        opened(root)
    said = str(caught.value)
    assert "\n" not in said
    for part in parts:
        assert part in said, said
    return said


LAYOUT = "CLASS/picture.jpg"


def test_an_empty_folder(tmp_path: Path) -> None:
    refused(tmp_path, str(tmp_path), "nothing to read", LAYOUT, f"train/{LAYOUT}")
    touch(tmp_path, ".hidden", "readme.txt")
    refused(tmp_path, "nothing to read", LAYOUT)


def test_pictures_without_class_folders(tmp_path: Path) -> None:
    touch(tmp_path, "1.png", "2.png")
    refused(tmp_path, "2 pictures and no class folders", LAYOUT)


def test_splits_without_class_folders(tmp_path: Path) -> None:
    touch(tmp_path, "train/1.png", "test/1.png")
    refused(tmp_path, str(tmp_path / "train"), "1 pictures and no class folders", LAYOUT)


def test_an_unlabelled_test_split_is_not_taken_for_a_class(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.png", "train/dog/1.png", "test/1.png")
    refused(tmp_path, str(tmp_path / "test"), "no class folders")


def test_a_mistyped_split_is_not_taken_for_a_class(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.png", "train/dog/1.png", "tset/cat/1.png", "tset/dog/1.png")
    refused(tmp_path, "train holds folders as a split does", "tset, which is no split")


def test_two_folders_for_one_split(tmp_path: Path) -> None:
    touch(tmp_path, "train/cat/1.png", "training/cat/1.png", "test/cat/1.png")
    refused(tmp_path, "train and training both mean train")


def test_folders_without_a_single_picture(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.heic", "dog/readme.txt")
    refused(tmp_path, "no pictures in its folders", LAYOUT, ".jpg")


def test_empty_class_folders_are_named(tmp_path: Path) -> None:
    touch(tmp_path, "cat/1.png", "dog/1.heic", *(f"empty{i}/.keep" for i in range(9)))
    refused(tmp_path, "no pictures in class folder dog, empty0, empty1, empty2, empty3 and 5 more")
    touch(tmp_path / "s", "train/a/1.png", "train/b/1.png", "test/a/1.png", "test/b/.keep")
    refused(tmp_path / "s", "class folder test/b")


def test_a_missing_folder_names_its_neighbour(tmp_path: Path) -> None:
    touch(tmp_path, "pets/cat/1.png")
    said = refused(tmp_path / "petz", "no such file or folder")
    assert f"did you mean {tmp_path / 'pets'}?" in said
    refused(tmp_path / "no" / "pets", "its folder cannot be read or is missing too")


@pytest.mark.parametrize("name", ["x" * 5000, "nul\0character"])
def test_impossible_paths_are_usage_errors(name: str) -> None:
    with pytest.raises(UsageError):
        opened(Path("/", name))


def test_a_file_that_is_no_source(tmp_path: Path) -> None:
    Image.new("L", (8, 8)).save(tmp_path / "one.png")
    refused(tmp_path / "one.png", "not a source", "folder of class folders")
    os.mkfifo(tmp_path / "pipe")
    refused(tmp_path / "pipe", "neither a folder nor a regular file")


@contextmanager
def bound_by_permissions() -> Iterator[None]:
    """Root may read everything: be nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_a_folder_without_the_right_to_read_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    touch(tmp_path, "pets/cat/1.png", "pets/dog/1.png")
    tmp_path.chmod(0o755)
    monkeypatch.chdir(tmp_path)  # nobody may not come here from above
    assert len(opened(Path("pets"))) == 2
    locked = tmp_path / "pets" / "dog"
    locked.chmod(0)
    try:
        with bound_by_permissions():
            refused(Path("pets"), "pets/dog: cannot be read (Permission denied); make it readable")
        locked.chmod(0o755)
        (tmp_path / "pets").chmod(0)
        with bound_by_permissions():
            refused(Path("pets"), "pets: cannot be opened (Permission denied)")
    finally:
        (tmp_path / "pets").chmod(0o755)
        locked.chmod(0o755)


def test_a_folder_that_fails_while_it_is_read_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    touch(tmp_path, "cat/1.png", "dog/1.png")
    scandir = os.scandir

    def failing(folder: Path) -> object:
        if Path(folder).name == "dog":
            raise PermissionError(13, "Permission denied")
        return scandir(folder)

    monkeypatch.setattr("striate.data.folder.os.scandir", failing)
    with pytest.raises(DataError, match=r"dog: cannot be read \(Permission denied\); make it readable"):
        open_folder(tmp_path, "x")


def test_hundreds_of_levels_deep(tmp_path: Path) -> None:
    touch(tmp_path, "cat/" + "d/" * 300 + "1.png", "dog/1.png")
    assert len(opened(tmp_path)) == 2
