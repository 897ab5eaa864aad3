"""The one decoder: bytes of a picture file in, the pixels that a learner sees out.

Training, prediction and serving all call :func:`decode`, so they see the same bits. The rules:

* **What is read.** JPEG, PNG, WebP, GIF, BMP, TIFF and the PNM family, told by content and not by
  name. Everything else is refused, by its name where it is known. Of an animation the first frame
  is read, of a multi-page file the first page.
* **Strictness.** Truncated and damaged files are refused, never filled with grey: JPEG by
  libjpeg-turbo in strict mode, PNG by the checksum of every chunk, the others by their decoders.
* **Size.** More than :data:`MAX_PIXELS` are refused from the header, before memory is taken.
* **Orientation.** All eight EXIF orientations are applied, in every format that has them.
* **Samples.** 16-bit samples are scaled by 1/256 (exact for those that came from 8 bits), never
  clipped; float samples must lie in 0…1; 32-bit integers, which have no defined white, are refused.
* **Colour.** Transparency is composited on ``Preprocessing.background``; CMYK and YCCK follow
  Adobe's convention; grey is the luma of ITU-R BT.601; embedded colour profiles are not applied.
* **Fitting.** One antialiased bicubic resampling of exactly the region that is kept. A JPEG is
  first scaled in the DCT domain to no less than twice the wanted size, which is 2.5 times faster and
  moves a grey level by 0.25 on average (``benchmarks/jpeg_loading.py`` measures both).
"""

from __future__ import annotations

import io
import stat
import struct
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import simplejpeg
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from striate.data.fit import dct_eighths, fit, from_array, to_array
from striate.data.pictures import Preprocessing
from striate.data.signatures import FORMATS, sniff
from striate.data.strict import STRICT
from striate.errors import UnreadablePictureError

DECODER_VERSION = 1
"""Grows whenever any file could decode to other bits; saved in every model and cache."""

MAX_PIXELS = 50_000_000
"""Larger pictures are refused from the header (Pillow only warns up to 179 million)."""

LARGEST_FILE = 512_000_000
"""Bytes; :data:`MAX_PIXELS` of 16-bit colour and alpha take 400 million uncompressed."""

MAX_JPEG_SCANS = 500
"""A progressive JPEG of more scans is refused: each costs a pass over the whole picture."""

NO_MEMORY = "not enough memory"
"""How the one reason begins that is not the file's fault, and so is never cached."""

_ENDINGS = (
    ("jpg", "jpeg", "jpe", "jfif"),
    ("png", "apng", "webp", "gif", "bmp", "dib", "tif", "tiff"),
    ("ppm", "pgm", "pbm", "pnm", "pfm"),
)
EXTENSIONS = frozenset(f".{ending}" for group in _ENDINGS for ending in group)
"""Lower-case file endings that count as a picture (what is inside is told by content)."""

__all__ = [
    "DECODER_VERSION",
    "EXTENSIONS",
    "FORMATS",
    "MAX_PIXELS",
    "PictureInfo",
    "decode",
    "decode_with_info",
    "probe",
    "read_file",
]

_TURN = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_SIDEWAYS = (5, 6, 7, 8)


@dataclass(frozen=True)
class PictureInfo:
    """What the header tells.

    Attributes:
        width, height: size in pixels after orientation.
        channels: 1 if the file can only hold grey, else 3.
        format: one of :data:`FORMATS`.
    """

    width: int
    height: int
    channels: int
    format: str


def probe(data: bytes) -> PictureInfo:
    """Size, channels and format, from the header alone.

    Raises:
        UnreadablePictureError: no picture, an unsupported format, or too large.

    >>> probe(b"P5 3 2 255 " + bytes(6))
    PictureInfo(width=3, height=2, channels=1, format='PPM')
    """
    with STRICT:
        return _info(_open(data), data)


def read_file(path: Path) -> bytes:
    """The bytes of a picture file.

    Raises:
        UnreadablePictureError: it cannot be opened, is not a regular file, or is absurdly large.
    """
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UnreadablePictureError("not a regular file")
        if status.st_size > LARGEST_FILE:
            raise UnreadablePictureError(
                f"{status.st_size / 1e6:,.0f} MB, more than the {LARGEST_FILE / 1e6:.0f} MB that are read"
            )
        return path.read_bytes()
    except OSError as error:
        raise UnreadablePictureError(f"cannot be opened: {error.strerror or error}") from None


def decode(data: bytes, preprocessing: Preprocessing) -> np.ndarray:
    """The pixels of one picture file, uint8 ``(C, H, W)``, as ``preprocessing`` wants them.

    Raises:
        UnreadablePictureError: the reason, without the file's name.

    >>> decode(b"P5 2 1 255 " + bytes([0, 255]), Preprocessing(height=1, width=2, channels=1))
    array([[[  0, 255]]], dtype=uint8)
    """
    return decode_with_info(data, preprocessing)[0]


def decode_with_info(data: bytes, preprocessing: Preprocessing) -> tuple[np.ndarray, PictureInfo]:
    """:func:`decode` and :func:`probe` in one pass."""
    with STRICT:
        opened = _open(data)
        info = _info(opened, data)
        try:
            if info.format == "JPEG":
                picture, scale = _read_jpeg(opened, data, preprocessing)
            else:
                picture, scale = _read_other(opened, data, preprocessing), 1.0
        except UnreadablePictureError:
            raise
        except MemoryError:
            raise UnreadablePictureError(f"{NO_MEMORY} for {info.width} x {info.height} pixels") from None
        except Exception as error:  # Pillow's plugins raise nearly anything on hostile bytes
            raise UnreadablePictureError(_damage(info.format, error)) from error
        fitted = fit(picture, info.width, info.height, scale, preprocessing)
        return to_array(fitted, preprocessing.channels), info


# ---------------------------------------------------------------------------------------------
# Opening


def _open(data: bytes) -> ImageFile.ImageFile:
    """The picture with its header read and its size checked; no pixel is decoded yet."""
    name = sniff(data)
    if name not in FORMATS:
        raise UnreadablePictureError(name)
    if name == "WEBP":
        _check_size(*_webp_size(data))  # its decoder takes the memory when it is opened
    try:
        opened = Image.open(io.BytesIO(data), formats=[name])
    except UnidentifiedImageError:
        raise UnreadablePictureError(f"{name} of an unsupported kind or with a damaged header") from None
    except Image.DecompressionBombError as error:
        raise UnreadablePictureError(f"too large: {_one_line(error)}") from None
    except Exception as error:  # as above: hostile headers reach into every corner of a plugin
        raise UnreadablePictureError(_damage(f"{name} header", error)) from error
    _check_size(*opened.size)
    return opened


def _check_size(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise UnreadablePictureError(
            f"{width} x {height} pixels are more than the {MAX_PIXELS // 1_000_000} million that are read"
        )
    if width < 1 or height < 1:
        raise UnreadablePictureError(f"no pixels: {width} x {height}")


def _webp_size(data: bytes) -> tuple[int, int]:
    """Canvas width and height of a WebP file (RFC 9649, section 2)."""
    try:
        kind = data[12:16]
        if kind == b"VP8X":
            return (
                int.from_bytes(data[24:27], "little") + 1,
                int.from_bytes(data[27:30], "little") + 1,
            )
        if kind == b"VP8L":
            (bits,) = struct.unpack_from("<I", data, 21)
            return (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    except struct.error:
        raise UnreadablePictureError("truncated WEBP header") from None


def _info(opened: ImageFile.ImageFile, data: bytes) -> PictureInfo:
    width, height = opened.size
    if _orientation(opened, data) in _SIDEWAYS:
        width, height = height, width
    name = "JPEG" if opened.format == "MPO" else str(opened.format)
    return PictureInfo(width, height, 1 if _is_grey(opened) else 3, name)


def _orientation(opened: ImageFile.ImageFile, data: bytes) -> int:
    """EXIF orientation 1…8 that is still to be applied."""
    if opened.format == "TIFF":
        return 1  # Pillow turns these itself, and gives the size after it
    if opened.format == "PNG" and b"eXIf" not in data and b"XML:com.adobe.xmp" not in data:
        return 1  # spares Pillow's search behind the pixels, which would decode them
    try:
        value = opened.getexif().get(ExifTags.Base.Orientation, 1)
    except Exception:  # broken metadata does not make the pixels unreadable
        return 1
    return value if isinstance(value, int) and value in _TURN else 1


def _is_grey(opened: ImageFile.ImageFile) -> bool:
    palette = opened.palette
    if opened.mode == "P" and palette is not None and (palette.rawmode or palette.mode) == "RGB":
        red, green, blue = (bytes(palette.palette)[i::3] for i in range(3))
        return red == green == blue
    return (
        opened.mode in ("1", "L", "LA", "La", "I", "F")
        or opened.mode.startswith("I;16")
        or (_raw_mode(opened) == "LA;16B")
    )


def _raw_mode(opened: ImageFile.ImageFile) -> str:
    """How samples lie in the file, in Pillow's words, such as ``"RGB;16B"``."""
    arguments = opened.tile[0].args if opened.tile else ""
    first = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return first if isinstance(first, str) else ""


# ---------------------------------------------------------------------------------------------
# Reading pixels


def _read_jpeg(
    opened: ImageFile.ImageFile, data: bytes, preprocessing: Preprocessing
) -> tuple[Image.Image, float]:
    """The upright picture (mode L or RGB), scaled in the DCT domain, and by how much."""
    if opened.info.get("progressive") and data.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise UnreadablePictureError(f"JPEG of more than {MAX_JPEG_SCANS} scans")
    width, height = opened.size
    orientation = _orientation(opened, data)
    upright_size = (height, width) if orientation in _SIDEWAYS else (width, height)
    eighths = dct_eighths(*upright_size, preprocessing)
    if opened.mode == "CMYK":
        space = "CMYK"
    else:
        space = "GRAY" if opened.mode == "L" or preprocessing.channels == 1 else "RGB"
    pixels = simplejpeg.decode_jpeg(
        data,
        space,
        min_height=-(-height * eighths // 8) if eighths < 8 else 0,
        min_width=-(-width * eighths // 8) if eighths < 8 else 0,
    )
    if space == "CMYK":
        picture = Image.frombuffer("CMYK", pixels.shape[1::-1], pixels, "raw", "CMYK;I", 0, 1).convert("RGB")
    else:
        picture = from_array(pixels)
    return _upright(picture, orientation), eighths / 8


def _read_other(opened: ImageFile.ImageFile, data: bytes, preprocessing: Preprocessing) -> Image.Image:
    """The upright picture, mode L or RGB, at its full size."""
    if opened.format == "PNG":
        _check_png(data)
    raw_mode = _raw_mode(opened)  # gone once the pixels are loaded
    opened.load()
    orientation = _orientation(opened, data)
    if opened.mode in ("I", "F") or opened.mode.startswith("I;16"):
        picture = _from_deep(opened, raw_mode, preprocessing.background)
    else:
        picture = _flatten(opened, raw_mode, preprocessing.background)
    return _upright(picture, orientation)


def _check_png(data: bytes) -> None:
    """Every chunk's checksum, and the end chunk (Pillow checks neither the pixels' nor the end)."""
    view, offset = memoryview(data), 8
    while offset + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, offset)
        end = offset + 12 + length
        if end > len(data):
            break
        if zlib.crc32(view[offset + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
            raise UnreadablePictureError(f"damaged PNG: wrong checksum at byte {offset}")
        if kind == b"IEND":
            return
        offset = end
    raise UnreadablePictureError(f"truncated PNG: ends at byte {len(data)}, inside the picture")


def _from_deep(opened: ImageFile.ImageFile, raw_mode: str, background: int) -> Image.Image:
    """A grey picture of 12-bit, 16-bit or float samples, scaled to 8 bits."""
    samples = np.asarray(opened)
    if opened.mode == "F":
        low, high = float(samples.min()), float(samples.max())
        if not (low >= -1e-3 and high <= 1 + 1e-3):  # so written, NaN fails too
            raise UnreadablePictureError(
                f"float samples from {low:g} to {high:g}; wanted 0 (black) to 1 (white)"
            )
        grey = (samples.clip(0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
    elif opened.mode == "I" and opened.format != "PPM":
        raise UnreadablePictureError(
            "signed or 32-bit whole-number samples, for which white is not defined; save as 8 or 16 bits"
        )
    else:
        grey = (samples >> (4 if raw_mode == "I;12" else 8)).astype(np.uint8)
    if opened.format == "TIFF" and getattr(opened, "tag_v2", {}).get(262) == 0:
        grey = 255 - grey  # "white is zero", which Pillow applies to 8 bits only
    transparent = opened.info.get("transparency")
    if transparent is not None:
        grey[samples == transparent] = background
    return Image.fromarray(grey)


def _flatten(opened: ImageFile.ImageFile, raw_mode: str, background: int) -> Image.Image:
    """An 8-bit picture of any mode as L or RGB, with transparent pixels set on ``background``."""
    if opened.has_transparency_data:
        transparent = opened.info.get("transparency")
        if raw_mode == "RGB;16B" and isinstance(transparent, tuple):
            opened.info["transparency"] = tuple(value >> 8 for value in transparent)  # as its samples
        colour = opened.convert("RGBA")
        canvas = Image.new("RGB", opened.size, (background,) * 3)
        canvas.paste(colour, mask=colour.getchannel("A"))
        return canvas
    if opened.mode in ("1", "L"):
        return opened.convert("L")
    return opened.convert("RGB")


def _upright(picture: Image.Image, orientation: int) -> Image.Image:
    return picture.transpose(_TURN[orientation]) if orientation in _TURN else picture


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _damage(what: str, error: Exception) -> str:
    message = _one_line(error)
    cut_off = any(word in message.lower() for word in ("truncated", "premature end of jpeg", "end of file"))
    return f"truncated {what}" if cut_off else f"damaged {what}: {message}"
