"""The inspection: what it finds, what it must not find, and how it is told."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from picture_files import COLOUR, encoded, photo
from PIL import Image, ImageEnhance
from skimage import data
from sklearn.datasets import load_digits

from striate.cli import main
from striate.data.duplicates import ALIKE, GRID, exact_groups, near_pairs, signatures
from striate.data.findings import EXAMPLES, LISTED, Finding
from striate.data.inspect import Findings, inspect, inspect_source
from striate.data.pictures import Preprocessing
from striate.data.source import Source
from striate.data.store import decode_all
from striate.errors import DataError, UsageError
from striate.train.config import DataConfig
from striate.train.monitor import Monitor


def crops(count: int, side: int = 64, seed: int = 0) -> list[Image.Image]:
    """Different pieces of different photos."""
    photos = [data.astronaut(), data.coffee(), COLOUR, data.rocket()]
    random = np.random.default_rng(seed)
    pieces = []
    for i in range(count):
        source = photos[i % len(photos)]
        size = int(random.integers(80, 200))
        top, left = (int(random.integers(0, limit - size)) for limit in source.shape[:2])
        piece = Image.fromarray(source[top : top + size, left : left + size])
        pieces.append(piece.resize((side, side), Image.Resampling.LANCZOS))
    return pieces


def write(root: Path, name: str, content: bytes | Image.Image) -> None:
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else encoded(content, "PNG"))


@pytest.fixture
def clean(tmp_path: Path) -> Path:
    """20 + 20 different pictures in two classes."""
    root = tmp_path / "set"
    for i, picture in enumerate(crops(40)):
        write(root, f"{'cat' if i % 2 else 'dog'}/{i:02}.png", picture)
    return root


def found(root: Path, **settings: object) -> Findings:
    config = DataConfig.model_validate({"source": str(root), **settings})
    return inspect_source(config, Monitor()).findings


# --- a clean set -------------------------------------------------------------------------------------


def test_a_clean_set_has_nothing_wrong(clean: Path) -> None:
    findings = found(clean)
    assert findings.problems == findings.warnings == findings.told == []
    assert findings.classes == ["cat", "dog"] and findings.pictures == 40
    assert sum(findings.per_class) == 40 and list(findings.counts) == ["train", "val", "test"]
    assert findings.counts["test"] == [4, 4] and findings.imbalance == 1.0
    assert findings.width is not None and findings.height is not None
    assert (findings.width.min, findings.width.median, findings.height.max) == (64, 64.0, 64)


def test_findings_are_plain_json(clean: Path) -> None:
    write(clean, "cat/bad.jpg", b"")
    values = found(clean).to_dict()
    assert json.loads(json.dumps(values)) == json.loads(json.dumps(values, default=list))
    assert values["unreadable"] == [("cat/bad.jpg", "an empty file")]
    assert values["told"][0]["severity"] == "problem" and values["totals"]["unreadable"] == 1


# --- files -------------------------------------------------------------------------------------------


def test_bad_files_are_listed_with_their_reasons(clean: Path) -> None:
    good = encoded(photo(), "JPEG")
    bad = {
        "cat/cut.jpg": (good[:500], "truncated JPEG"),
        "cat/empty.png": (b"", "an empty file"),
        "dog/notes.png": (b"some notes\n", "text, not a picture"),
    }
    for name, (content, _) in bad.items():
        write(clean, name, content)
    findings = found(clean)
    assert [name for name, _ in findings.unreadable] == sorted(bad)
    for name, reason in findings.unreadable:
        assert reason.startswith(bad[name][1])
    (problem,) = findings.problems
    assert problem.startswith("3 of 43 pictures cannot be read: cat/cut.jpg (truncated JPEG")
    assert sum(findings.per_class) == 40


def test_ignored_files_are_noted_and_nothing_more(clean: Path) -> None:
    write(clean, "readme.txt", b"hello")
    findings = found(clean)
    assert findings.ignored and not findings.problems and not findings.warnings
    assert [told.severity for told in findings.told] == ["note"]


def test_all_files_bad(tmp_path: Path) -> None:
    for name in ("a/1.png", "a/2.png", "b/1.png"):
        write(tmp_path, name, b"no picture")
    findings = found(tmp_path)
    assert findings.totals["unreadable"] == 3 and findings.width is None and findings.imbalance is None
    assert findings.problems[0].startswith("3 of 3 pictures cannot be read")
    assert findings.problems[1] == "classes without a readable picture: a, b"
    assert findings.near_duplicates == [] and findings.per_class == [0, 0]


def test_a_class_whose_files_are_all_bad(clean: Path) -> None:
    write(clean, "eel/1.png", b"no picture")
    findings = found(clean)
    assert "classes without a readable picture: eel" in findings.problems
    assert sum(findings.per_class) == 40 and findings.per_class[2] == 0


def test_one_class(tmp_path: Path) -> None:
    for i, picture in enumerate(crops(12)):
        write(tmp_path, f"only/{i}.png", picture)
    assert found(tmp_path).problems == ["only one class, only; wanted two or more"]


def test_too_few_pictures_to_split(tmp_path: Path) -> None:
    for i, picture in enumerate(crops(8)):
        write(tmp_path, f"{'few' if i < 2 else 'many'}/{i}.png", picture)
    findings = found(tmp_path)
    (problem,) = findings.problems
    assert "few has 2" in problem and findings.counts == {"unsplit": [2, 6]}


def test_a_class_missing_from_a_split_is_named(tmp_path: Path) -> None:
    for i, picture in enumerate(crops(12)):
        write(tmp_path, f"train/{'cat' if i % 2 else 'dog'}/{i}.png", picture)
    write(tmp_path, "test/cat/1.png", crops(1, seed=9)[0])
    findings = found(tmp_path)
    assert findings.missing == [("dog", "test")]
    assert "class missing from a split: dog from test" in findings.problems


# --- copies ------------------------------------------------------------------------------------------


def split_set(root: Path) -> Path:
    """Pictures in declared splits: 12 to train on, 4 to test on."""
    for i, picture in enumerate(crops(16)):
        write(root, f"{'train' if i < 12 else 'test'}/{'cat' if i % 2 else 'dog'}/{i:02}.png", picture)
    return root


def test_exact_copies_are_grouped_by_pixels_not_bytes(clean: Path) -> None:
    picture = Image.open(clean / "cat/01.png")
    write(clean, "cat/same.bmp", encoded(picture, "BMP"))
    write(clean, "cat/same.tif", encoded(picture, "TIFF"))
    findings = found(clean)
    assert findings.duplicates == [["cat/01.png", "cat/same.bmp", "cat/same.tif"]]
    assert findings.totals["copies"] == 2 and not findings.problems
    assert findings.warnings == [
        "2 pictures are an exact copy of another: cat/01.png = cat/same.bmp = 1 more"
    ]
    assert findings.leakage == []  # a split of our own keeps copies together


def test_one_picture_under_two_classes(clean: Path) -> None:
    write(clean, "dog/same.png", Image.open(clean / "cat/01.png"))
    findings = found(clean)
    assert findings.conflicts == [[("cat/01.png", "cat"), ("dog/same.png", "dog")]]
    assert findings.problems == ["1 picture under more than one class: cat/01.png (cat) = dog/same.png (dog)"]


def test_exact_leakage_between_declared_splits(tmp_path: Path) -> None:
    root = split_set(tmp_path)
    write(root, "test/cat/leak.png", Image.open(root / "train/cat/01.png"))
    findings = found(root, val_fraction=0.01)
    (leak,) = findings.leakage
    assert (leak.name, leak.split, leak.copy) == ("test/cat/leak.png", "test", "train/cat/01.png")
    assert leak.likeness == 1
    (problem,) = findings.problems
    assert problem.startswith(
        "1 picture of one split also in another: test/cat/leak.png (test) = train/cat/01.png"
    )


def test_near_leakage_between_declared_splits(tmp_path: Path) -> None:
    root = split_set(tmp_path)
    write(root, "test/cat/leak.jpg", encoded(Image.open(root / "train/cat/01.png"), "JPEG", quality=60))
    findings = found(root)
    (leak,) = findings.near_leakage
    assert (leak.name, leak.copy) == ("test/cat/leak.jpg", "train/cat/01.png") and ALIKE <= leak.likeness < 1
    assert findings.problems == [] and "≈ train/cat/01.png" in findings.warnings[0]


def test_many_copies_in_one_split_do_not_hide_the_leak(tmp_path: Path) -> None:
    """More near copies within train than partners that are looked for."""
    root = split_set(tmp_path)
    picture = Image.open(root / "train/cat/01.png")
    for quality in range(60, 90, 2):
        write(root, f"train/cat/copy{quality}.jpg", encoded(picture, "JPEG", quality=quality))
    write(root, "test/cat/leak.jpg", encoded(picture, "JPEG", quality=50))
    findings = found(root)
    assert "test/cat/leak.jpg" in {leak.name for leak in findings.near_leakage}


def same_content(picture: Image.Image) -> dict[str, Image.Image | bytes]:
    """What people and web sites do to a picture without making it another."""
    half = picture.resize((picture.width // 2, picture.height // 2), Image.Resampling.BILINEAR)
    noise = np.random.default_rng(1).normal(0, 5, (*picture.size[::-1], 3))
    return {
        "jpeg 90": encoded(picture, "JPEG", quality=90),
        "jpeg 50": encoded(picture, "JPEG", quality=50),
        "webp": encoded(picture, "WEBP", quality=70),
        "half": half,
        "lighter": ImageEnhance.Brightness(picture).enhance(1.08),
        "flatter": ImageEnhance.Contrast(picture).enhance(0.85),
        "noisy": Image.fromarray((np.asarray(picture) + noise).clip(0, 255).astype(np.uint8)),
    }


def test_near_copies_are_found_and_other_pictures_are_not(tmp_path: Path) -> None:
    pictures = crops(24, side=128)
    for i, picture in enumerate(pictures):
        write(tmp_path, f"a/{i:02}.png", picture)
        write(tmp_path, f"b/other{i:02}.png", picture.transpose(Image.Transpose.FLIP_LEFT_RIGHT))
    changed = same_content(pictures[0])
    for i, picture in enumerate(pictures):
        for j, (name, content) in enumerate(same_content(picture).items()):
            if j == i % len(changed):
                write(
                    tmp_path,
                    f"a/{i:02} {name}.{'png' if isinstance(content, Image.Image) else 'jpg'}",
                    content,
                )
    findings = found(tmp_path)
    pairs = {frozenset(pair[:2]) for pair in findings.near_duplicates}
    pairs |= {frozenset((leak.name, leak.copy)) for leak in findings.near_leakage}
    right = {pair for pair in pairs if len({name[:4] for name in pair}) == 1}
    assert pairs == right and len(right) >= 22  # of 24


def test_handwritten_digits_are_not_copies() -> None:
    """The closest of 1,797 real digits are by different strokes of the pen."""
    pixels = (load_digits().images * 15.9375).astype(np.uint8)[:, None]
    assert near_pairs(signatures(pixels), pixels, [np.arange(1797)]) == []


def test_shapes_of_other_colours_and_levels_are_not_copies() -> None:
    rows, columns = np.mgrid[:48, :48]
    disc = (rows - 24) ** 2 + (columns - 24) ** 2 < 200
    colours = [(255, 0, 0), (0, 0, 255), (0, 255, 0), (90, 90, 90), (255, 255, 255)]
    pixels = np.stack([(disc * np.array(colour)[:, None, None]).astype(np.uint8) for colour in colours])
    assert near_pairs(signatures(pixels), pixels, [np.arange(len(pixels))]) == []


def test_blank_pictures_are_not_near_copies() -> None:
    random = np.random.default_rng(0)
    pixels = (128 + random.integers(-1, 2, (50, 3, 32, 32))).astype(np.uint8)
    assert near_pairs(signatures(pixels), pixels, [np.arange(50)]) == []


def test_a_thousand_frames_of_one_scene_give_thousands_of_pairs_at_most() -> None:
    frame = np.asarray(photo(32, 32)).transpose(2, 0, 1)
    noise = np.random.default_rng(0).integers(0, 3, (1000, 3, 32, 32))
    pixels = (frame // 2 + noise).astype(np.uint8)
    pairs = near_pairs(signatures(pixels), pixels, [np.arange(800), np.arange(800, 1000)])
    assert {late for _, late, _ in pairs} >= set(range(800, 1000)) and len(pairs) < 20_000


@given(
    arrays(
        np.uint8,
        st.tuples(st.integers(1, 3), st.sampled_from([1, 3]), st.integers(1, 40), st.integers(1, 40)),
    )
)
def test_signature_is_the_mean_luma_of_its_cell(pixels: np.ndarray) -> None:
    marks = signatures(pixels)
    assert marks.shape == (len(pixels), GRID * GRID)
    weights = [1.0] if pixels.shape[1] == 1 else [0.299, 0.587, 0.114]
    luma = np.tensordot(pixels.astype(float), weights, axes=(1, 0))
    fine = luma.repeat(GRID, 1).repeat(GRID, 2)  # cells are whole numbers of these
    height, width = pixels.shape[2:]
    cells = fine.reshape(len(pixels), GRID, height, GRID, width).mean(axis=(2, 4))
    assert np.abs(marks - cells.reshape(len(pixels), -1)).max() <= 0.5 + 1e-6


def test_near_pairs_of_nothing() -> None:
    empty = np.zeros((0, 3, 8, 8), np.uint8)
    assert near_pairs(signatures(empty), empty, []) == []
    one = np.zeros((1, 3, 8, 8), np.uint8)
    assert near_pairs(signatures(one), one, [np.arange(1), np.arange(0)]) == []
    assert exact_groups([]) == []


# --- balance and words -------------------------------------------------------------------------------


def test_imbalance_is_told_with_what_to_do(tmp_path: Path) -> None:
    for i, picture in enumerate(crops(44)):
        write(tmp_path, f"{'rare' if i < 4 else 'common'}/{i}.png", picture)
    findings = found(tmp_path)
    assert findings.imbalance == 10
    assert findings.warnings == ["unequal classes: 40 pictures of common, 4 of rare; consider --balance"]


def test_long_lists_are_cut_and_counted() -> None:
    count = LISTED + 50
    pixels = np.zeros((count, 1, 8, 8), np.uint8)
    names = [f"{i:04}" for i in range(count)]
    source = Source("x", "idx", ("a", "b"), np.arange(count) % 2, [None] * count, names, pixels=pixels)
    store = decode_all(source, Preprocessing(8, 8, 1), monitor=Monitor())
    findings = inspect(source, store, ["train"] * 2 + ["test"] * (count - 2))
    assert len(findings.leakage) == LISTED and findings.totals["leakage"] == count - 2
    assert findings.totals["copies"] == count - 1
    assert f"and {count - 2 - EXAMPLES:,} more" in findings.problems[-1]


def test_sentences_name_a_few() -> None:
    assert Finding("note", "found", tuple("abcde"), 9).sentence() == "found: a, b, c and 6 more"


# --- the command -------------------------------------------------------------------------------------


def test_command_exit_codes_and_text(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "inspect", str(clean), "--quiet"]) == 0
    out = capsys.readouterr().out
    assert "Nothing wrong was found." in out and "40 pictures of 2 classes" in out
    write(clean, "cat/<b>[red]bad.png", b"notes")
    assert main(["data", "inspect", str(clean), "--quiet"]) == DataError.exit_code == 3
    captured = capsys.readouterr()
    assert "cat/<b>[red]bad.png (text, not a picture)" in captured.out and "1 problem." in captured.out
    assert captured.err == ""


def test_command_as_json(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(clean, "cat/bad.png", b"notes")
    assert main(["data", "inspect", str(clean), "--json", "--image-size", "32"]) == 3
    values = json.loads(capsys.readouterr().out)
    assert values["unreadable"] == [["cat/bad.png", "text, not a picture"]]
    assert values["preprocessing"]["width"] == 32 and values["kind"] == "folder"
    assert sum(map(sum, values["counts"].values())) == 40


def test_command_lists_ten_and_counts_the_rest(clean: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for i in range(14):
        write(clean, f"cat/bad{i:02}.png", b"notes")
    assert main(["data", "inspect", str(clean), "--quiet"]) == 3
    out = capsys.readouterr().out
    assert "bad09.png" in out and "bad10.png" not in out and "and 4 more; --json lists them" in out


def test_command_works_where_all_files_are_bad(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("a/1.png", "b/1.png"):
        write(tmp_path, name, b"")
    assert main(["data", "inspect", str(tmp_path), "--quiet"]) == 3
    assert "2 of 2 pictures cannot be read" in capsys.readouterr().out


def test_command_on_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "inspect", str(tmp_path / "none")]) == UsageError.exit_code == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1


def test_command_on_the_embedded_set(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "inspect", "digits", "--quiet"]) == 0
    assert "1,797 pictures of 10 classes; all 8×8 pixels; read as 8×8 grey" in capsys.readouterr().out


def test_command_help_states_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["data", "inspect", "--help"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "Exit code 0: no problem. 3: files that cannot be read" in out
