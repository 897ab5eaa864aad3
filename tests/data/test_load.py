"""The whole way from a source to a dataset, and what a finished run may be judged on."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from striate.data.catalogue import FASHION_MNIST, MNIST, NamedSet
from striate.data.load import (
    decode_files,
    keeps_class_when_mirrored,
    load_dataset,
    load_evaluation_set,
    split_names,
)
from striate.data.named import find
from striate.data.pictures import Dataset, PictureSet, Preprocessing
from striate.data.source import Source
from striate.errors import DataError, UnreadablePictureError
from striate.train.config import DataConfig, LearnConfig
from striate.train.monitor import Monitor


class Heard(Monitor):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.warnings: list[str] = []
        self.messages: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    def message(self, text: str) -> None:
        self.messages.append(text)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STRIATE_CACHE", str(tmp_path_factory.mktemp("cache")))


def picture(path: Path, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (16, 16, 3), dtype=np.uint8)).save(path)


def pets(
    root: Path, count: int = 20, prefix: str = "", seed: int = 0, classes: tuple[str, ...] = ("cat", "dog")
) -> Path:
    for k, name in enumerate(classes):
        for i in range(count):
            picture(root / prefix / name / f"{i}.png", seed + 1000 * k + i)
    return root


def load(source: Path | str, **changes: object) -> Dataset:
    return load_dataset(DataConfig(source=str(source), **changes), Monitor())  # type: ignore[arg-type]


def same(a: PictureSet, b: PictureSet) -> bool:
    return (
        torch.equal(a.pixels, b.pixels)
        and torch.equal(a.labels, b.labels)
        and tuple(a.names) == tuple(b.names)
    )


# --- datasets --------------------------------------------------------------------------------------


def test_digits_become_a_whole_dataset() -> None:
    data = load("digits")
    assert data.classes == tuple("0123456789") and data.kind == "named" and data.source == "digits"
    assert data.preprocessing.shape == (1, 8, 8) and data.flip is False
    parts = (data.train, data.val, data.test)
    assert sum(map(len, parts)) == 1797 and abs(len(data.test) / 1797 - 0.2) < 0.01
    assert all(part.pixels.dtype == torch.uint8 and part.pixels.shape[1:] == (1, 8, 8) for part in parts)
    assert len({name for part in parts for name in part.names}) == 1797
    assert all(part.classes == data.classes for part in parts)


def test_a_folder_becomes_the_pixels_that_are_in_it(tmp_path: Path) -> None:
    data = load(pets(tmp_path / "pets"))
    assert data.kind == "folder" and data.classes == ("cat", "dog") and data.flip is True
    for part in (data.train, data.val, data.test):
        assert set(part.labels.tolist()) == {0, 1}
        for pixels, label, name in zip(part.pixels, part.labels.tolist(), part.names, strict=True):
            assert data.classes[label] == name.split("/")[0]
            real = np.asarray(Image.open(tmp_path / "pets" / name)).transpose(2, 0, 1)
            assert np.array_equal(pixels.numpy(), real)


def test_the_same_call_gives_the_same_dataset_and_anything_else_another_hash(tmp_path: Path) -> None:
    root = pets(tmp_path / "pets")
    first = load(root)
    for again in (load(root), load_dataset(LearnConfig(source=str(root), threads=1), Monitor())):
        assert again.data_hash == first.data_hash
        for name in ("train", "val", "test"):
            assert same(getattr(first, name), getattr(again, name))
    moved = shutil.copytree(root, tmp_path / "moved")
    hashes = {first.data_hash, load(root, seed=1).data_hash, load(root, image_size=8).data_hash}
    assert len(hashes) == 3 and load(moved).data_hash == first.data_hash
    (moved / "cat" / "0.png").rename(moved / "cat" / "new.png")
    picture(root / "cat" / "0.png", 77)
    hashes |= {load(moved).data_hash, load(root).data_hash}
    (root / "dog").rename(root / "wolf")
    assert len(hashes | {load(root).data_hash}) == 6


def test_declared_splits_are_kept_and_val_is_carved_from_train(tmp_path: Path) -> None:
    root = pets(pets(tmp_path / "s", 20, "train"), 5, "test", seed=500)
    data = load(root)
    assert {name.split("/")[0] for name in (*data.train.names, *data.val.names)} == {"train"}
    assert {name.split("/")[0] for name in data.test.names} == {"test"} and len(data.test) == 10
    assert (len(data.train), len(data.val)) == (36, 4)


def test_exact_duplicates_are_never_on_two_sides(tmp_path: Path) -> None:
    root = pets(tmp_path / "pets", 30)
    for i in range(10):
        shutil.copy(root / "cat" / f"{i}.png", root / "cat" / f"copy{i}.png")
    for seed in range(5):
        names = split_names(load(root, seed=seed))
        where = {name: split for split in ("train", "val", "test") for name in names[split]}
        assert all(where[f"cat/{i}.png"] == where[f"cat/copy{i}.png"] for i in range(10))


def test_a_table_and_the_folder_that_it_lists_are_the_same_pictures(tmp_path: Path) -> None:
    root = pets(tmp_path / "pets")
    rows = [
        f"pets/{path.parent.name}/{path.name},{path.parent.name}" for path in sorted(root.glob("*/*.png"))
    ]
    (tmp_path / "t.csv").write_text("path,label\n" + "\n".join(rows))
    data = load(tmp_path / "t.csv")
    assert data.kind == "table" and data.classes == ("cat", "dog")
    assert data.train.pixels.sum() + data.val.pixels.sum() + data.test.pixels.sum() == sum(
        int(np.asarray(Image.open(path)).sum()) for path in root.glob("*/*.png")
    )


# --- what is refused -------------------------------------------------------------------------------


def refused(source: Path | str, *parts: str, **changes: object) -> None:
    with pytest.raises(DataError) as caught:
        load(source, **changes)
    said = str(caught.value)
    assert "\n" not in said and all(part in said for part in parts), said


def test_unreadable_pictures_are_listed_and_left_out_only_when_told(tmp_path: Path) -> None:
    root = pets(tmp_path / "pets")
    (root / "cat" / "empty.png").touch()
    (root / "cat" / "note.jpg").write_text("milk, eggs")
    whole = (root / "dog" / "0.png").read_bytes()
    (root / "dog" / "cut.png").write_bytes(whole[: len(whole) // 2])
    (root / "dog" / "gone.png").symlink_to("nowhere.png")
    refused(
        root,
        "4 of 44 pictures cannot be read",
        "cat/empty.png (",
        "dog/cut.png (",
        "dog/gone.png",
        "--skip-bad",
    )
    heard = Heard()
    data = load_dataset(DataConfig(source=str(root), skip_bad=True), heard)
    assert len(data.train) + len(data.val) + len(data.test) == 40
    assert any("4 of 44 pictures cannot be read: cat/empty.png" in text for text in heard.warnings)
    for i in range(9):
        (root / "cat" / f"bad{i}.png").touch()
    refused(root, "13 of 53", "and 8 more")


def test_a_class_that_is_all_unreadable_is_named_even_when_skipping(tmp_path: Path) -> None:
    root = pets(tmp_path / "pets")
    (root / "emu").mkdir()
    (root / "emu" / "1.png").touch()
    refused(root, "emu", skip_bad=True)


def test_a_table_with_missing_files(tmp_path: Path) -> None:
    pets(tmp_path / "pets")
    rows = [f"{path},{path.parent.name}" for path in sorted(tmp_path.glob("pets/*/*.png"))]
    (tmp_path / "t.csv").write_text("path,label\n" + "\n".join([*rows, "pets/cat/gone.png,cat", "pets,dog"]))
    refused(tmp_path / "t.csv", "2 of 42", "pets/cat/gone.png", "--skip-bad")
    assert len(load(tmp_path / "t.csv", skip_bad=True).classes) == 2


def test_too_little_of_anything_is_an_error_with_its_name(tmp_path: Path) -> None:
    refused(pets(tmp_path / "one", classes=("cat",)), "only one class, cat", "train/CLASS")
    refused(pets(tmp_path / "few", 1), "class cat has 1, dog has 1", "at least 3")
    refused(pets(tmp_path / "train-only", prefix="train"), "only a train folder", "wanted train and test")
    refused(pets(tmp_path / "test-only", prefix="test"), "only a test folder")
    missing = pets(pets(tmp_path / "missing", prefix="train"), 5, "test", 500, ("cat", "emu"))
    refused(missing, "emu from train", "dog from test")


def test_copies_of_one_picture_are_not_enough_pictures(tmp_path: Path) -> None:
    root = pets(tmp_path / "pets")
    for i in range(1, 20):
        shutil.copy(root / "cat" / "0.png", root / "cat" / f"{i}.png")
    refused(root, "cat has 1 different")


def test_leakage_and_conflicts_are_told(tmp_path: Path) -> None:
    root = pets(pets(tmp_path / "s", 20, "train"), 5, "test", seed=500)
    shutil.copy(root / "train" / "cat" / "0.png", root / "test" / "cat" / "0.png")
    shutil.copy(root / "train" / "cat" / "1.png", root / "train" / "dog" / "1.png")
    heard = Heard()
    data = load_dataset(DataConfig(source=str(root)), heard)
    told = " ".join(heard.warnings)
    assert "test/cat/0.png (test) = train/cat/0.png" in told and "train/dog/1.png (dog)" in told
    assert data.findings.totals["leakage"] == data.findings.totals["conflicts"] == 1


# --- flips -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("classes", "flip"),
    [
        (("cat", "dog"), True),
        (("0", "1"), False),
        (("10", "007"), False),
        (("cat", "b"), False),
        (("turn left", "straight"), False),
        (("TurnRight", "Straight"), False),
        (("arrow_RIGHT", "x-ray"), False),
        (("bright", "leftover", "copyright"), True),
        (("class 1", "class 2"), True),
    ],
)
def test_mirrored_pictures_keep_their_class_unless_names_say_otherwise(
    classes: tuple[str, ...], flip: bool
) -> None:
    source = Source(
        "x", "folder", classes, np.zeros(0, np.int64), [], [], pixels=np.zeros((0, 1, 8, 8), np.uint8)
    )
    assert keeps_class_when_mirrored(source) is flip
    source.flip = not flip
    assert keeps_class_when_mirrored(source) is not flip


# --- judging a finished run ----------------------------------------------------------------------------


def judged(
    source: Path | str, data: Dataset, seen: bool = True, monitor: Monitor | None = None, **changes: object
) -> PictureSet:
    config = DataConfig(source=str(source), **changes)  # type: ignore[arg-type]
    keys = json.loads(json.dumps(split_names(data)))["seen"] if seen else None
    return load_evaluation_set(config, data.classes, data.preprocessing, monitor or Monitor(), keys)


@pytest.mark.parametrize("seen", [True, False])
def test_the_source_of_the_run_is_judged_by_its_test_split(tmp_path: Path, seen: bool) -> None:
    root = pets(tmp_path / "pets")
    data = load(root, seed=3)
    assert same(judged(root, data, seen, seed=3), data.test)
    moved = shutil.copytree(root, tmp_path / "moved")
    assert same(judged(moved, data, seen, seed=3), data.test)


def test_new_pictures_are_all_judged_and_old_ones_among_them_are_not(tmp_path: Path) -> None:
    data = load(pets(tmp_path / "pets"))
    new = pets(tmp_path / "new", 4, seed=300)
    assert len(judged(new, data)) == 8
    shutil.copy(tmp_path / "pets" / data.train.names[0], new / "cat" / "old.png")
    heard = Heard()
    assert "cat/old.png" not in judged(new, data, monitor=heard).names
    assert heard.messages == ["left out 1 of 9 pictures: the run was trained on them"]
    only_old = tmp_path / "old"
    for name in data.train.names:
        (only_old / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(tmp_path / "pets" / name, only_old / name)
    with pytest.raises(DataError, match="the run was trained on all of them"):
        judged(only_old, data)


def test_a_declared_test_split_is_taken_as_it_is(tmp_path: Path) -> None:
    data = load(pets(tmp_path / "pets"))
    other = pets(pets(tmp_path / "other", 5, "train", 400), 3, "test", 600)
    assert {name.split("/")[0] for name in judged(other, data).names} == {"test"}
    shutil.rmtree(other / "train")
    shutil.copy(tmp_path / "pets" / data.train.names[0], other / "test" / "cat" / "old.png")
    heard = Heard()
    assert len(judged(other, data, monitor=heard)) == 7
    assert heard.warnings == [
        "the run was trained on 1 of 7 pictures of this test split: its accuracy flatters"
    ]


def test_labels_go_by_name_and_never_shift(tmp_path: Path) -> None:
    data = load(pets(tmp_path / "pets", classes=("ant", "bee", "cat", "dog")))
    new = pets(tmp_path / "new", 3, seed=300, classes=("dog", "bee"))
    heard = Heard()
    pictures = judged(new, data, monitor=heard)
    assert pictures.classes == data.classes
    for label, name in zip(pictures.labels.tolist(), pictures.names, strict=True):
        assert data.classes[label] == name.split("/")[0]
    assert heard.warnings == ["no pictures of class ant, cat: its accuracy stays unknown"]
    pets(new, 1, seed=900, classes=("wolf",))
    with pytest.raises(DataError, match="does not know class wolf; it knows ant, bee, cat, dog"):
        judged(new, data)


def test_unreadable_pictures_stop_an_evaluation_too(tmp_path: Path) -> None:
    data = load(pets(tmp_path / "pets"))
    new = pets(tmp_path / "new", 3, seed=300)
    (new / "cat" / "bad.png").touch()
    with pytest.raises(DataError, match=r"cat/bad\.png.*--skip-bad"):
        judged(new, data)
    assert len(judged(new, data, skip_bad=True)) == 6


# --- files for predict ----------------------------------------------------------------------------------


def test_files_come_back_in_order_with_pixels_or_the_reason(tmp_path: Path) -> None:
    pets(tmp_path, 40)
    paths = sorted(tmp_path.glob("*/*.png"))
    (tmp_path / "empty.png").touch()
    os.mkfifo(tmp_path / "pipe.png")
    paths[3:3] = [tmp_path / "empty.png", tmp_path / "gone.png", tmp_path / "pipe.png", tmp_path]
    results = list(decode_files(iter(paths), Preprocessing(8, 8, 1)))
    assert [path for path, _ in results] == paths
    for i, (_, result) in enumerate(results):
        if 3 <= i < 7:
            assert isinstance(result, UnreadablePictureError) and str(result)
        else:
            assert isinstance(result, np.ndarray) and result.shape == (1, 8, 8) and result.dtype == np.uint8


def test_files_are_read_only_a_few_ahead(tmp_path: Path) -> None:
    asked = 0

    def paths() -> object:
        nonlocal asked
        for _ in range(10_000):
            asked += 1
            yield tmp_path / "gone.png"

    results = decode_files(paths(), Preprocessing(8, 8, 1))  # type: ignore[arg-type]
    next(results)
    assert asked < 1000
    results.close()  # type: ignore[attr-defined]


# --- the real sets ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("named", [MNIST, FASHION_MNIST], ids=lambda named: named.name)
def test_the_real_sets_load_in_seconds(named: NamedSet) -> None:
    if find(named, None) is None:
        if os.environ.get("CI"):
            pytest.fail(f"{named.name} is not in the data folder; run make data")
        pytest.skip(f"{named.name} is not in the data folder; run make data")
    started = time.process_time()
    data = load(named.name)
    assert time.process_time() - started < 60  # a few seconds on an idle machine
    assert (len(data.train), len(data.val), len(data.test)) == (54_000, 6_000, 10_000)
    assert data.preprocessing.shape == (1, 28, 28) and data.flip is named.flip
