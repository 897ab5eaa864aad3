"""IDX files: every type, every kind of damage, and the partners that make a source."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.data.idx import MAX_BYTES, TYPES, has_idx, is_idx, open_idx, parse_idx, read_bytes, read_idx
from striate.data.source import open_source
from striate.errors import DataError, UsageError
from striate.train.config import DataConfig

CODES = {dtype.newbyteorder("="): code for code, dtype in TYPES.items()}


def idx(array: np.ndarray) -> bytes:
    """``array`` as an IDX file."""
    code = CODES[array.dtype.newbyteorder("=")]
    head = bytes([0, 0, code, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def pictures(count: int, *shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (count, *(shape or (5, 4))), dtype=np.uint8)


def labels(count: int, classes: int = 3) -> np.ndarray:
    return (np.arange(count) % classes).astype(np.uint8)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dtype", list(CODES), ids=str)
@pytest.mark.parametrize("shape", [(7,), (3, 2), (2, 3, 4), (2, 3, 4, 3), (0,), (0, 5)])
def test_every_type_and_rank_comes_back(
    tmp_path: Path, dtype: np.dtype, shape: tuple[int, ...], packed: bool
) -> None:
    array = (np.arange(np.prod(shape)) % 120 - (dtype.kind == "i") * 60).astype(dtype).reshape(shape)
    path = tmp_path / "file"
    path.write_bytes(gzip.compress(idx(array)) if packed else idx(array))
    read = read_idx(path)
    assert read.dtype == dtype and read.dtype.isnative
    assert np.array_equal(read, array) and read.shape == shape


def test_compression_is_told_by_content_not_by_name(tmp_path: Path) -> None:
    plain, packed = tmp_path / "a.gz", tmp_path / "b"
    plain.write_bytes(idx(labels(5)))
    packed.write_bytes(gzip.compress(idx(labels(5))))
    assert read_idx(plain).tolist() == read_idx(packed).tolist() == [0, 1, 2, 0, 1]


GOOD = idx(pictures(4))


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (b"", "an empty file"),
        (b"\0\0", "not an IDX file"),
        (b"hello world", "not an IDX file: .* got 68 65 6c 6c"),
        (b"\0\0\x0a\1" + GOOD[4:], "not an IDX file"),
        (b"\0\1\x08\3" + GOOD[4:], "not an IDX file"),
        (b"\0\0\x08\0", "declares 0 dimensions"),
        (b"\0\0\x08\xff" + bytes(2000), "declares 255 dimensions"),
        (GOOD[:10], "truncated within its header"),
        (GOOD[:-1], "truncated"),
        (GOOD[:16], "truncated"),
        (GOOD + b"\0", "left over at its end"),
        (b"\0\0\x0e\3" + b"\xff" * 12, "truncated: it declares"),
        (b"\0\0\x08\3" + bytes(4) + b"\xff" * 8, "impossible shape"),
    ],
)
@pytest.mark.parametrize("packed", [False, True])
def test_a_damaged_file_says_what_is_wrong(tmp_path: Path, data: bytes, wanted: str, packed: bool) -> None:
    path = tmp_path / "bad\nname"
    path.write_bytes(gzip.compress(data) if packed else data)
    with pytest.raises(DataError, match=wanted) as caught:
        read_idx(path)
    assert "\n" not in str(caught.value) and "bad\\nname" in str(caught.value)


@pytest.mark.parametrize("cut", [3, 12, 30, -9, -1])
def test_a_cut_gzip_file_is_broken_not_short(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "cut.gz"
    path.write_bytes(gzip.compress(GOOD)[:cut])
    with pytest.raises(DataError, match="broken gzip"):
        read_idx(path)


def test_a_flipped_bit_in_a_gzip_file_is_found(tmp_path: Path) -> None:
    data = bytearray(gzip.compress(GOOD))
    data[-6] ^= 1  # of its checksum
    (tmp_path / "flipped").write_bytes(data)
    with pytest.raises(DataError, match="broken gzip"):
        read_idx(tmp_path / "flipped")


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200))
def test_any_bytes_are_an_array_or_a_data_error(data: bytes) -> None:
    for candidate in (data, b"\0\0\x08" + data, GOOD[:8] + data):
        try:
            parse_idx(candidate, "x")
        except DataError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("packed", [False, True])
def test_a_huge_declared_size_is_refused_before_it_is_allocated(tmp_path: Path, packed: bool) -> None:
    data = b"\0\0\x08\3" + struct.pack(">3I", 2_000_000, 40, 40) + bytes(100)  # 3.2 GB in 116 bytes
    path = tmp_path / "huge"
    path.write_bytes(gzip.compress(data) if packed else data)
    tracemalloc.start()
    with pytest.raises(DataError, match="declares 3,200,000,016 bytes"):
        read_idx(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_more_than_the_cap_is_refused_even_if_the_file_could_hold_it(tmp_path: Path) -> None:
    path = tmp_path / "sparse"
    head = b"\0\0\x08\1" + struct.pack(">I", 0xFFFFFFFF)
    with path.open("wb") as file:
        file.write(head)
        file.truncate(len(head) + 0xFFFFFFFF)
    assert len(head) + 0xFFFFFFFF > MAX_BYTES
    with pytest.raises(DataError, match="at most"):
        read_idx(path)


def test_a_gzip_bomb_is_unpacked_no_further_than_declared(tmp_path: Path) -> None:
    path = tmp_path / "bomb"
    packer = zlib.compressobj(9, wbits=31)
    with path.open("wb") as file:
        file.write(packer.compress(idx(labels(10))))
        for _ in range(50):
            file.write(packer.compress(bytes(1 << 20)))
        file.write(packer.flush())
    tracemalloc.start()
    with pytest.raises(DataError, match="left over"):
        read_idx(path)
    with pytest.raises(DataError, match="more than the 1,000 bytes"):
        read_bytes(path, 1000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5_000_000


def test_a_pipe_a_folder_and_a_missing_file_do_not_hang_or_crash(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, wanted in (
        (tmp_path / "pipe", "not a regular file"),
        (tmp_path, "not a regular file"),
        (tmp_path / "no", "no such file"),
    ):
        with pytest.raises(DataError, match=wanted):
            read_idx(path)


# --- sources -------------------------------------------------------------------------------------


def write(folder: Path, name: str, array: np.ndarray) -> Path:
    path = folder / name
    path.write_bytes(gzip.compress(idx(array)) if name.endswith(".gz") else idx(array))
    return path


@pytest.fixture
def mnist_like(tmp_path: Path) -> Path:
    write(tmp_path, "train-images-idx3-ubyte", pictures(9))
    write(tmp_path, "train-labels-idx1-ubyte", labels(9))
    write(tmp_path, "t10k-images-idx3-ubyte.gz", pictures(6, seed=1))
    write(tmp_path, "t10k-labels-idx1-ubyte.gz", labels(6))
    return tmp_path


@pytest.mark.parametrize(
    "given", ["", "train-images-idx3-ubyte", "t10k-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"]
)
def test_partners_and_splits_are_found_from_any_file_and_from_the_folder(
    mnist_like: Path, given: str
) -> None:
    source = open_source(DataConfig(source=str(mnist_like / given)))
    assert source.kind == "idx" and source.classes == ("0", "1", "2")
    assert source.splits == ["train"] * 9 + ["test"] * 6
    assert source.names[0] == "train/00000" and source.names[-1] == "test/00005"
    assert source.pixels is not None and source.paths is None
    assert np.array_equal(source.pixels[:, 0], np.concatenate([pictures(9), pictures(6, seed=1)]))
    assert source.labels.dtype == np.int64 and source.labels.tolist() == [0, 1, 2] * 5


def test_a_set_without_a_split_in_its_name_declares_none(tmp_path: Path) -> None:
    write(tmp_path, "letters-images.idx3-ubyte", pictures(6))
    write(tmp_path, "letters-labels.idx1-ubyte", labels(6).astype(np.int32) + 40)
    source = open_idx(tmp_path, "x")
    assert source.splits == [None] * 6 and source.classes == ("40", "41", "42")
    assert source.names[0] == "letters/00000"


def test_classes_are_in_the_order_of_the_numbers(tmp_path: Path) -> None:
    write(tmp_path, "images-idx3-ubyte", pictures(3))
    write(tmp_path, "labels-idx1-ubyte", np.array([10, 9, 100], np.uint8))
    source = open_idx(tmp_path, "x")
    assert source.classes == ("9", "10", "100") and source.labels.tolist() == [1, 0, 2]


def test_colour_pictures_come_out_channels_first(tmp_path: Path) -> None:
    colour = pictures(4, 6, 5, 3)
    write(tmp_path, "train-images-idx4-ubyte", colour)
    write(tmp_path, "train-labels-idx1-ubyte", labels(4))
    pixels = open_idx(tmp_path, "x").pixels
    assert pixels is not None and pixels.shape == (4, 3, 6, 5)
    assert np.array_equal(pixels.transpose(0, 2, 3, 1), colour)


def test_one_of_several_sets_is_taken_by_its_file_only(tmp_path: Path) -> None:
    for name in ("emnist-letters", "emnist-digits"):
        for split in ("train", "test"):
            write(tmp_path, f"{name}-{split}-images-idx3-ubyte", pictures(4))
            write(tmp_path, f"{name}-{split}-labels-idx1-ubyte", labels(4))
    with pytest.raises(UsageError, match=r"several sets \(emnist-digits, emnist-letters\)"):
        open_idx(tmp_path, "x")
    source = open_idx(tmp_path / "emnist-letters-test-images-idx3-ubyte", "x")
    assert source.splits == ["train"] * 4 + ["test"] * 4


def test_other_files_of_the_folder_are_listed_as_ignored(mnist_like: Path) -> None:
    (mnist_like / "readme.txt").write_text("hello")
    assert open_idx(mnist_like, "x").ignored == [("readme.txt", "not an IDX file of the set")]


@pytest.mark.parametrize(
    ("name", "array", "wanted"),
    [
        ("train-labels-idx1-ubyte", labels(8), "8 labels for 9 pictures"),
        ("train-labels-idx1-ubyte", np.zeros((9, 2), np.uint8), "not labels"),
        ("train-labels-idx1-ubyte", np.zeros(9, np.float32), "not labels"),
        ("train-images-idx3-ubyte", np.zeros((9, 5, 4), np.float32), "not pictures"),
        ("train-images-idx3-ubyte", np.zeros((9, 20), np.uint8), "not pictures"),
        ("train-images-idx3-ubyte", np.zeros((9, 5, 4, 2), np.uint8), "not pictures"),
        ("train-images-idx3-ubyte", np.zeros((9, 0, 4), np.uint8), "no pictures"),
        ("train-images-idx3-ubyte", pictures(9, 7, 7), "different sizes"),
    ],
)
def test_files_that_do_not_fit_together_are_refused(
    mnist_like: Path, name: str, array: np.ndarray, wanted: str
) -> None:
    write(mnist_like, name, array)
    with pytest.raises(DataError, match=wanted):
        open_idx(mnist_like, "x")


def test_a_missing_partner_is_named(mnist_like: Path) -> None:
    (mnist_like / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match=r"t10k-images-idx3-ubyte\.gz: its partner with labels-idx1"):
        open_idx(mnist_like, "x")


def test_an_idx_file_of_another_name_says_which_name_is_wanted(tmp_path: Path) -> None:
    path = write(tmp_path, "pics.bin", pictures(3))
    assert is_idx(path) and not has_idx(tmp_path)
    with pytest.raises(UsageError, match="train-labels-idx1-ubyte"):
        open_source(DataConfig(source=str(path)))
