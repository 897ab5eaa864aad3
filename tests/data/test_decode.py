"""The decoder against what real and hostile files hold."""

from __future__ import annotations

import io
import os
import struct
import subprocess
import sys
import textwrap
import warnings
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random

import numpy as np
import pytest
import simplejpeg
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from picture_files import chunk, encoded, exif, held, photo, png
from PIL import Image, ImageFile

from striate.data import decode as decoder
from striate.data.decode import EXTENSIONS, FORMATS, MAX_PIXELS, decode, probe, read_file
from striate.data.fit import dct_eighths, fit_pixels
from striate.data.pictures import Preprocessing
from striate.errors import UnreadablePictureError

COLOUR = Preprocessing(96, 96, 3)
GREY = Preprocessing(96, 96, 1)
LOSSLESS = {"PNG": {}, "BMP": {}, "TIFF": {}, "PPM": {}, "WEBP": {"lossless": True, "exact": True}}
EVERY = {**LOSSLESS, "JPEG": {"quality": 95}, "GIF": {}}


def same_size(data: bytes, channels: int = 3, background: int = 255) -> np.ndarray:
    """Decoded without any resizing, ``(H, W)`` or ``(H, W, 3)``."""
    info = probe(data)
    pixels = decode(data, Preprocessing(info.height, info.width, channels, background=background))
    return pixels[0] if channels == 1 else pixels.transpose(1, 2, 0)


def reason(data: bytes) -> str:
    with pytest.raises(UnreadablePictureError) as caught:
        decode(data, COLOUR)
    message = str(caught.value)
    assert message and "\n" not in message
    return message


# --- every format ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSLESS)
def test_lossless_formats_keep_every_bit(name: str) -> None:
    picture = photo(61, 47)
    data = encoded(picture, name, **LOSSLESS[name])
    assert probe(data) == decoder.PictureInfo(61, 47, 3, name)
    assert np.array_equal(same_size(data), np.asarray(picture))


@pytest.mark.parametrize("name", EVERY)
def test_every_format_is_told_by_content(name: str) -> None:
    data = encoded(photo(61, 47), name, **EVERY[name])
    info = probe(data)
    assert info.format == name and name in FORMATS and (info.width, info.height) == (61, 47)
    assert decode(data, COLOUR).shape == (3, 96, 96) and decode(data, GREY).dtype == np.uint8
    assert decode(data, COLOUR).flags.c_contiguous


@pytest.mark.parametrize("name", ["JPEG", "PNG", "TIFF", "BMP", "PPM", "GIF"])
def test_grey_files_are_told_from_the_header(name: str) -> None:
    grey = photo(40, 30).convert("L")
    data = encoded(grey, name, **EVERY[name])
    assert probe(data).channels == 1
    assert np.array_equal(*decode(data, COLOUR)[:2])
    if name != "JPEG":
        assert np.array_equal(same_size(data, channels=1), np.asarray(grey))


def test_grey_palettes_are_grey_and_colourful_ones_are_not() -> None:
    grey = photo(40, 30).convert("L")
    palette = grey.copy()
    palette.putpalette([level for level in range(256) for _ in range(3)])
    assert palette.mode == "P" and probe(encoded(palette, "PNG")).channels == 1
    assert np.array_equal(same_size(encoded(palette, "PNG"), channels=1), np.asarray(grey))
    assert probe(encoded(photo(40, 30).quantize(64), "PNG")).channels == 3


def test_jpeg_decodes_as_pillow_does() -> None:
    for options in ({}, {"progressive": True}, {"subsampling": 0}, {"restart_marker_blocks": 3}):
        data = encoded(photo(), "JPEG", quality=90, **options)
        assert np.array_equal(same_size(data), np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


def test_cmyk_jpeg_follows_adobe() -> None:
    data = encoded(photo().convert("CMYK"), "JPEG", quality=95)
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert simplejpeg.decode_jpeg_header(data)[2] == "CMYK" and probe(data).channels == 3
    assert np.array_equal(same_size(data), expected)
    assert np.abs(same_size(data).astype(int) - np.asarray(photo())).mean() < 3
    grey = np.asarray(Image.fromarray(expected).convert("L"))
    assert np.array_equal(same_size(data, channels=1), grey)


def test_ycck_jpeg() -> None:
    """The same samples, marked as YCCK by Adobe's transform flag, are converted before the ink is applied."""
    data = bytearray(encoded(photo().convert("CMYK"), "JPEG", quality=95))
    flag = data.index(b"Adobe") + 11
    assert data[flag] == 0
    data[flag] = 2
    assert simplejpeg.decode_jpeg_header(bytes(data))[2] == "YCCK"
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.array_equal(same_size(bytes(data)), expected)


@pytest.mark.parametrize("name", ["GIF", "PNG", "WEBP", "TIFF"])
def test_of_an_animation_the_first_frame_is_read(name: str) -> None:
    frames = [photo(40, 30), photo(40, 30).transpose(Image.Transpose.ROTATE_180), Image.new("RGB", (40, 30))]
    options = {**EVERY[name], "save_all": True, "append_images": frames[1:]}
    still, moving = encoded(frames[0], name, **EVERY[name]), encoded(frames[0], name, **options)
    assert Image.open(io.BytesIO(moving)).n_frames == 3
    assert np.array_equal(decode(moving, COLOUR), decode(still, COLOUR))


def test_multi_picture_jpeg_of_a_phone() -> None:
    data = encoded(photo(), "MPO", save_all=True, append_images=[Image.new("RGB", (160, 120))])
    assert Image.open(io.BytesIO(data)).format == "MPO" and probe(data).format == "JPEG"
    assert np.array_equal(same_size(data), simplejpeg.decode_jpeg(data))


# --- samples -----------------------------------------------------------------------------------------

RAMP = (np.arange(256, dtype=np.uint16) * 257).reshape(16, 16)  # every 8-bit level in 16 bits
LEVELS = np.arange(256, dtype=np.uint8).reshape(16, 16)


def tiff(samples: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, samples, **options)
    return buffer.getvalue()


def test_16_bit_samples_are_scaled_not_clipped() -> None:
    for data in (
        png(RAMP, 0),
        encoded(Image.fromarray(RAMP), "PNG"),
        tiff(RAMP),
        tiff(RAMP, byteorder=">"),
        b"P5 16 16 65535 " + RAMP.astype(">u2").tobytes(),
    ):
        assert probe(data).channels == 1
        assert np.array_equal(same_size(data, channels=1), LEVELS)
    for data in (png(np.stack([RAMP] * 3, -1), 2), tiff(np.stack([RAMP] * 3, -1), photometric="rgb")):
        assert probe(data).channels == 3
        assert np.array_equal(same_size(data)[..., 0], LEVELS)


def test_12_bit_tiff() -> None:
    samples = np.arange(16, dtype=np.uint16) * 273  # 0 … 4095
    packed = int("".join(f"{value:012b}" for value in samples), 2).to_bytes(24, "big")
    tags = [
        (256, 3, 16),
        (257, 3, 1),
        (258, 3, 12),
        (259, 3, 1),
        (262, 3, 1),
        (273, 4, 8),
        (277, 3, 1),
        (279, 4, 24),
    ]
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    data = b"II*\0" + struct.pack("<I", 32) + packed + struct.pack("<H", len(tags)) + entries + bytes(4)
    assert same_size(data, channels=1)[0].tolist() == [17 * i for i in range(16)]


def test_white_is_zero_in_some_tiffs() -> None:
    assert np.array_equal(same_size(tiff(RAMP, photometric="miniswhite"), channels=1), 255 - LEVELS)
    assert np.array_equal(same_size(tiff(LEVELS, photometric="miniswhite"), channels=1), 255 - LEVELS)


def test_float_samples() -> None:
    unit = (LEVELS / np.float32(255)).astype(np.float32)
    for data in (tiff(unit), encoded(Image.fromarray(unit), "TIFF")):
        assert probe(data).channels == 1
        assert np.array_equal(same_size(data, channels=1), LEVELS)
    assert "0 (black) to 1 (white)" in reason(tiff(unit * 255))
    assert "nan" in reason(tiff(np.full((4, 4), np.nan, np.float32)))
    assert "inf" in reason(tiff(np.full((4, 4), np.inf, np.float32)))


def test_samples_without_a_defined_white_are_refused() -> None:
    for kind in (np.int32, np.uint32, np.int16):
        assert "white is not defined" in reason(tiff(LEVELS.astype(kind)))
    for kind in (np.float64, np.float16, np.uint64):
        assert "unsupported kind" in reason(tiff(LEVELS.astype(kind)))


def test_one_bit() -> None:
    bits = photo(40, 30).convert("1")
    for name in ("PNG", "BMP", "TIFF", "PPM"):
        data = encoded(bits, name)
        assert probe(data).channels == 1
        assert np.array_equal(same_size(data, channels=1), np.asarray(bits.convert("L")))


# --- transparency ------------------------------------------------------------------------------------


@pytest.mark.parametrize("background", [0, 37, 255])
def test_transparency_is_set_on_the_background(background: int) -> None:
    colour = np.asarray(photo(32, 24))
    alpha = np.linspace(0, 255, colour[..., 0].size).round().astype(np.uint8).reshape(colour.shape[:2])
    share = alpha[..., None] / 255
    expected = colour * share + background * (1 - share)
    picture = Image.fromarray(np.dstack([colour, alpha]))
    for name in ("PNG", "TIFF", "WEBP"):
        data = encoded(picture, name, **LOSSLESS[name])
        assert np.abs(same_size(data, background=background) - expected).max() <= 1
    grey = Image.fromarray(colour).convert("L")
    grey.putalpha(Image.fromarray(alpha))
    expected = np.asarray(grey)[..., 0] * share[..., 0] + background * (1 - share[..., 0])
    data = encoded(grey, "PNG")
    assert probe(data).channels == 1
    assert np.abs(same_size(data, channels=1, background=background) - expected).max() <= 1
    deep = png(
        np.dstack([np.asarray(grey)[..., 0].astype(np.uint16) * 257, alpha.astype(np.uint16) * 257]), 4
    )
    assert probe(deep).channels == 1
    assert np.array_equal(
        same_size(deep, channels=1, background=background), same_size(data, channels=1, background=background)
    )


def test_transparent_colours_of_palettes_and_keys() -> None:
    palette = photo(32, 24).quantize(16)
    colours, indices = np.asarray(palette.convert("RGB")), np.asarray(palette)
    expected = np.where((indices == 3)[..., None], 9, colours)
    for name, key in (("PNG", 3), ("GIF", 3), ("PNG", bytes([255, 255, 255, 0]))):
        assert np.array_equal(same_size(encoded(palette, name, transparency=key), background=9), expected)
    grey = png(LEVELS, 0, chunk(b"tRNS", struct.pack(">H", 7)), bits=8)
    assert np.array_equal(same_size(grey, 1, background=99), np.where(LEVELS == 7, 99, LEVELS))
    deep = png(RAMP, 0, chunk(b"tRNS", struct.pack(">H", 7 * 257)))
    assert np.array_equal(same_size(deep, 1, background=99), np.where(LEVELS == 7, 99, LEVELS))
    colour = png(np.stack([RAMP] * 3, -1), 2, chunk(b"tRNS", struct.pack(">HHH", *[7 * 257] * 3)))
    assert np.array_equal(same_size(colour, background=99)[..., 1], np.where(LEVELS == 7, 99, LEVELS))


def test_premultiplied_tiff() -> None:
    colour = np.full((4, 4, 4), [100, 50, 0, 128], np.uint8)
    data = tiff(colour, photometric="rgb", extrasamples=["assocalpha"])
    assert np.abs(same_size(data, background=0)[0, 0].astype(int) - [100, 50, 0]).max() <= 1
    straight = tiff(colour, photometric="rgb", extrasamples=["unassalpha"])
    assert np.abs(same_size(straight, background=0)[0, 0].astype(int) - [50, 25, 0]).max() <= 1


# --- orientation -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
def test_every_orientation_comes_out_upright(name: str, orientation: int, fit: str) -> None:
    upright = photo(80, 56)  # whole blocks of 8 x 8, so that JPEG's blocks turn with the picture
    options = {"quality": 100, "subsampling": 0} if name == "JPEG" else LOSSLESS[name]
    preprocessing = Preprocessing(24, 32, 3, fit=fit)
    data = encoded(held(upright, orientation), name, exif=exif(orientation), **options)
    info = probe(data)
    assert (info.width, info.height) == (80, 56)
    result = decode(data, preprocessing)
    expected = decode(encoded(upright, name, **options), preprocessing)
    if name == "JPEG":
        assert np.abs(result.astype(int) - expected).max() <= 3
    else:
        assert np.array_equal(result, expected)


def test_scaled_jpegs_are_turned_too() -> None:
    upright = photo(1200, 800)
    expected = decode(encoded(upright, "JPEG", quality=95), Preprocessing(40, 64, 3))
    for orientation in range(1, 9):
        data = encoded(held(upright, orientation), "JPEG", quality=95, exif=exif(orientation))
        result = decode(data, Preprocessing(40, 64, 3))
        assert np.abs(result.astype(int) - expected).mean() < 1


def test_orientation_behind_the_pixels_of_a_png() -> None:
    block = chunk(b"eXIf", exif(6).removeprefix(b"Exif\0\0"))
    stored = np.asarray(held(photo(20, 12), 6))
    for data in (png(stored, 2, block, bits=8), png(stored, 2, bits=8, after=block)):
        assert (probe(data).width, probe(data).height) == (20, 12)
        assert np.array_equal(same_size(data), np.asarray(photo(20, 12)))


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_senseless_orientations_are_passed_over(value: int) -> None:
    data = encoded(photo(32, 24), "JPEG", exif=exif(value))
    assert np.array_equal(same_size(data), simplejpeg.decode_jpeg(data))


@given(st.binary(max_size=200), st.integers(0, 60))
def test_no_exif_block_stops_a_good_picture(noise: bytes, keep: int) -> None:
    for name in ("JPEG", "PNG", "WEBP"):
        block = b"Exif\0\0" + exif(6).removeprefix(b"Exif\0\0")[:keep] + noise
        data = encoded(photo(16, 12), name, exif=block)
        assert decode(data, GREY).shape == (1, 96, 96)


# --- fitting -----------------------------------------------------------------------------------------


def test_crop_keeps_the_centre_pad_keeps_all_stretch_fills() -> None:
    stripes = np.zeros((20, 60, 3), np.uint8)
    stripes[:, :20, 0], stripes[:, 20:40, 1], stripes[:, 40:, 2] = 255, 255, 255
    data = encoded(Image.fromarray(stripes), "PNG")
    crop = decode(data, Preprocessing(20, 20, 3, fit="crop"))
    assert (crop[1] == 255).all() and not crop[[0, 2]].any()
    pad = decode(data, Preprocessing(30, 30, 3, fit="pad", background=7))
    assert (pad[:, :10] == 7).all() and (pad[:, 20:] == 7).all() and pad[0, 10:20, :5].min() > 200
    stretch = decode(data, Preprocessing(30, 30, 3, fit="stretch"))
    assert stretch[0, :, 0].min() > 200 and stretch[1, :, 15].min() > 200 and stretch[2, :, -1].min() > 200


def test_scaling_in_the_dct_domain_stays_close_to_the_whole_picture() -> None:
    picture = photo(1601, 1203)
    data = encoded(picture, "JPEG", quality=90)
    whole = encoded(Image.fromarray(simplejpeg.decode_jpeg(data)), "BMP")
    for side in (48, 96, 224):
        for fit in ("crop", "pad", "stretch"):
            preprocessing = Preprocessing(side, side, 3, fit=fit)
            assert dct_eighths(1601, 1203, preprocessing) <= 4
            difference = np.abs(decode(data, preprocessing).astype(int) - decode(whole, preprocessing))
            assert difference.mean() < 0.6 and difference.max() <= 12


@given(
    st.integers(1, 300),
    st.integers(1, 300),
    st.integers(1, 64),
    st.integers(1, 64),
    st.sampled_from(["crop", "pad", "stretch"]),
    st.sampled_from(["JPEG", "PNG"]),
)
def test_any_size_fits(width: int, height: int, wide: int, high: int, fit: str, name: str) -> None:
    data = encoded(Image.new("RGB", (width, height), (10, 200, 90)), name)
    pixels = decode(data, Preprocessing(high, wide, 3, fit=fit, background=200))
    assert pixels.shape == (3, high, wide)
    if fit != "pad":
        assert np.abs(pixels.astype(int) - np.array([10, 200, 90])[:, None, None]).max() <= 3
    eighths = dct_eighths(width, height, Preprocessing(high, wide, 3, fit=fit))
    if name == "JPEG" and eighths < 8:
        low, across = -(-height * eighths // 8), -(-width * eighths // 8)
        scaled = simplejpeg.decode_jpeg_header(data, min_height=low, min_width=across)
        assert scaled[:2] == (low, across)  # libjpeg-turbo takes the very scale that was meant


@pytest.mark.parametrize("size", [(1, 5000), (5000, 1), (1, 1), (2, 30000)])
@pytest.mark.parametrize("fit", ["crop", "pad", "stretch"])
@pytest.mark.parametrize("name", ["JPEG", "PNG"])
def test_extreme_shapes(size: tuple[int, int], fit: str, name: str) -> None:
    data = encoded(Image.new("L", size, 60), name)
    pixels = decode(data, Preprocessing(96, 96, 1, fit=fit, background=200))
    assert set(np.unique(pixels)) <= ({60, 200} if fit == "pad" else {60}) and (pixels == 60).any()


def test_arrays_fit_as_files_do() -> None:
    pixels = np.asarray(photo(130, 90))
    for fit in ("crop", "pad", "stretch"):
        for channels in (1, 3):
            preprocessing = Preprocessing(32, 48, channels, fit=fit)
            data = encoded(Image.fromarray(pixels), "PNG")
            assert np.array_equal(
                fit_pixels(pixels.transpose(2, 0, 1), preprocessing), decode(data, preprocessing)
            )


# --- damage ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [("JPEG", {}), ("JPEG", {"progressive": True}), ("PNG", {})], ids=str)
def test_64_truncations(options: tuple[str, dict[str, bool]]) -> None:
    data = encoded(photo(), options[0], **options[1])
    for kept in {*(len(data) * i // 64 for i in range(64)), len(data) - 1, len(data) - 2}:
        assert any(word in reason(data[:kept]) for word in ("truncated", "damaged", "empty", "no known"))


@pytest.mark.parametrize("name", ["WEBP", "BMP", "TIFF", "PPM", "GIF"])
def test_truncations_of_the_others(name: str) -> None:
    data = encoded(photo(64, 48), name, **EVERY[name])
    last = 2 if name == "GIF" else 0  # only the end mark, all pixels being there
    for kept in {*(len(data) * i // 32 for i in range(32)), len(data) - 1 - last}:
        reason(data[:kept])


def test_pillow_cannot_be_told_to_load_truncated_files(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    for name in ("PNG", "BMP", "TIFF", "GIF", "JPEG"):
        data = encoded(photo(64, 48), name)
        assert reason(data[: len(data) // 2])
    assert ImageFile.LOAD_TRUNCATED_IMAGES is True  # whoever set it has it back


def test_bytes_zeroed_inside_a_jpeg() -> None:
    """JPEG has no checksum: short runs of zeros can decode to a valid picture; a lost block never does."""
    data = encoded(photo(640, 480), "JPEG", quality=92)
    random = Random(0)
    for _ in range(32):
        start = random.randrange(700, len(data) - 4096)
        assert reason(data[:start] + bytes(4096) + data[start + 4096 :])


@given(st.data())
def test_any_changed_byte_of_a_png_is_found(draw: st.DataObject) -> None:
    data = encoded(photo(40, 30), "PNG", compress_level=draw.draw(st.sampled_from([0, 6])))
    place = draw.draw(st.integers(0, len(data) - 1))
    value = draw.draw(st.integers(0, 255).filter(lambda v: v != data[place]))
    assert reason(data[:place] + bytes([value]) + data[place + 1 :])


@given(st.sampled_from(sorted(EVERY)), st.data())
def test_hostile_bytes_give_a_picture_or_a_reason(name: str, draw: st.DataObject) -> None:
    data = bytearray(encoded(photo(24, 16), name, **EVERY[name]))
    for _ in range(draw.draw(st.integers(1, 12))):
        data[draw.draw(st.integers(0, min(len(data), 600) - 1))] = draw.draw(st.integers(0, 255))
    try:
        assert decode(bytes(data), GREY).shape == (1, 96, 96)
    except UnreadablePictureError as error:
        assert str(error) and "\n" not in str(error)


@given(st.binary(max_size=300))
def test_noise_is_refused(noise: bytes) -> None:
    for start in (
        b"",
        b"\xff\xd8\xff",
        b"II*\0",
        b"RIFF\0\0\0\0WEBPVP8 ",
        b"GIF89a",
        b"P6 ",
        b"BM",
        b"\x89PNG\r\n\x1a\n",
    ):
        for read in (probe, lambda data: decode(data, GREY)):
            try:
                read(start + noise)
            except UnreadablePictureError as error:
                assert "\n" not in str(error)


# --- what is no picture ------------------------------------------------------------------------------


def test_unsupported_content_is_named() -> None:
    avif = encoded(photo(16, 16), "AVIF")
    jpeg2000 = encoded(photo(16, 16), "JPEG2000")
    for data, name in [
        (b"", "empty file"),
        (b"Dear diary,\ntoday I renamed a text file\n", "text, not a picture"),
        ("Ä".encode() * 400, "text, not a picture"),
        (bytes(5000), "zero bytes"),
        (bytes(600) + b"x", "starts with zeros"),
        (b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>', "SVG"),
        (b"<!DOCTYPE html><html>404 Not Found", "HTML"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC picture: convert"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "video"),
        (avif, "AVIF picture: convert"),
        (jpeg2000, "JPEG 2000 picture: convert"),
        (b"%PDF-1.7\n", "PDF"),
        (b"PK\3\4....", "ZIP"),
        (bytes(128) + b"DICM" + bytes(50), "DICOM"),
        (b"\x93NUMPY\1\0", "NumPy"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "git lfs pull"),
        (bytes([7, 200, 1, 250] * 20), "no known picture format (starts with 07 c8 01 fa)"),
        (b"RIFF\0\0\0\0WAVEfmt ", "sound or video"),
    ]:
        assert name in reason(data)


def test_files_that_are_not_there_or_no_files(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    (tmp_path / "huge.png").touch()
    os.truncate(tmp_path / "huge.png", decoder.LARGEST_FILE + 1)
    for name, said in (
        ("none.png", "No such file"),
        ("pipe.png", "not a regular file"),
        ("huge.png", "512 MB"),
    ):
        with pytest.raises(UnreadablePictureError, match=said):
            read_file(tmp_path / name)
    with pytest.raises(UnreadablePictureError, match="not a regular file"):
        read_file(tmp_path)


def test_extensions_are_lower_case_and_of_read_formats() -> None:
    Image.init()
    theirs = {ending for ending, name in Image.registered_extensions().items() if name in (*FORMATS, "DIB")}
    assert (
        theirs >= EXTENSIONS
        and {".jpg", ".jpeg", ".png", ".webp", ".tif", ".tiff", ".bmp", ".gif"} <= EXTENSIONS
    )


# --- size --------------------------------------------------------------------------------------------


def huge_png(side: int) -> bytes:
    """A black square as a PNG that compresses 1,000 to 1, with true checksums."""
    rows = 100  # compressed once and repeated, which takes no time
    packer = zlib.compressobj(9, wbits=-15)
    block = packer.compress(bytes(rows * (side + 1))) + packer.flush(zlib.Z_FULL_FLUSH)
    checksum = side * (side + 1) % 65521 << 16 | 1
    pixels = b"\x78\xda" + block * (side // rows) + b"\3\0" + struct.pack(">I", checksum)
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def test_too_large_is_told_from_the_header() -> None:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 9600, 9600, 8, 2, 0, 0, 0))
    between = b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", b"") + chunk(b"IEND", b"")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert "9600 x 9600 pixels are more than the 50 million" in reason(between)
        gif = bytearray(encoded(Image.new("L", (8, 8)), "GIF"))
        gif[6:10] = struct.pack("<HH", 65535, 65535)
        assert "too large" in reason(bytes(gif))
        webp = bytearray(encoded(Image.new("RGBA", (8, 8)), "WEBP", lossless=True))
        assert webp[12:16] == b"VP8L"
        webp[21:25] = struct.pack("<I", 0x0FFFFFFF)
        assert "16384 x 16384" in reason(bytes(webp))
        jpeg = bytearray(encoded(photo(16, 16), "JPEG"))
        place = jpeg.index(b"\xff\xc0") + 5
        jpeg[place : place + 4] = struct.pack(">HH", 65535, 65535)
        assert "too large" in reason(bytes(jpeg))
    assert not caught
    assert 2 * MAX_PIXELS <= 2 * Image.MAX_IMAGE_PIXELS


def test_a_jpeg_of_endless_scans_is_refused() -> None:
    data = encoded(photo(64, 48), "JPEG", progressive=True)
    scan = data.rindex(b"\xff\xda")
    bomb = data[:scan] + data[scan:-2] * 600 + data[-2:]
    assert "scans" in reason(bomb)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="measures memory in Linux's way")
def test_memory_that_a_bomb_takes(tmp_path: Path) -> None:
    """A 400-megapixel PNG is refused without its 400 MB; one just allowed takes no more than a few copies."""
    (tmp_path / "bomb.png").write_bytes(huge_png(20000))
    (tmp_path / "large.png").write_bytes(huge_png(7000))
    script = textwrap.dedent("""
        import resource, sys
        from pathlib import Path
        from striate.data.decode import decode, read_file
        from striate.data.pictures import Preprocessing
        from striate.errors import UnreadablePictureError
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        start = peak()
        try:
            decode(read_file(Path(sys.argv[1])), Preprocessing(96, 96, 3))
        except UnreadablePictureError as error:
            assert "20000 x 20000" in str(error) or "too large" in str(error), error
        else:
            raise SystemExit("decoded a bomb")
        bomb = peak() - start
        decode(read_file(Path(sys.argv[2])), Preprocessing(96, 96, 3))
        print(bomb, peak() - start)
    """)
    command = [sys.executable, "-c", script, str(tmp_path / "bomb.png"), str(tmp_path / "large.png")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    bomb, large = map(float, done.stdout.split())
    assert bomb < 20 and large < 300  # MiB


# --- the same bits everywhere ------------------------------------------------------------------------


def test_threads_and_repeats_give_the_same_bits() -> None:
    files = [encoded(photo(200 + i, 150), name, **EVERY[name]) for i in range(6) for name in EVERY]
    alone = [decode(data, COLOUR) for data in files]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda data: decode(data, COLOUR), files))
    assert all(np.array_equal(one, other) for one, other in zip(alone, together, strict=True))


def test_warnings_of_pillow_stay_inside_and_filters_are_restored() -> None:
    block = exif(6)[:-4] + b"\xff\xff\xff\xff"
    broken = encoded(photo(16, 12), "TIFF")[:-20]
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        decode(encoded(photo(16, 12), "JPEG", exif=block), COLOUR)
        reason(broken)
    assert not caught and list(warnings.filters) == before
