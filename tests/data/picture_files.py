"""Makes the picture files that the data tests read."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from PIL import Image
from skimage import data

COLOUR = data.chelsea()  # 300 x 451, a photo


def photo(width: int = 160, height: int = 120) -> Image.Image:
    """A real photo of any size."""
    return Image.fromarray(COLOUR).resize((width, height), Image.Resampling.LANCZOS)


def encoded(picture: Image.Image, name: str, **options: Any) -> bytes:
    """A picture as a file of Pillow's format ``name``."""
    buffer = io.BytesIO()
    picture.save(buffer, name, **options)
    return buffer.getvalue()


def chunk(kind: bytes, content: bytes) -> bytes:
    """One PNG chunk."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(samples: np.ndarray, colour_type: int, *extra: bytes, bits: int = 16, after: bytes = b"") -> bytes:
    """A PNG written by hand: ``samples`` ``(H, W)`` or ``(H, W, C)``, chunks before and after the pixels."""
    height, width = samples.shape[:2]
    rows = samples.astype(">u2" if bits == 16 else "u1").reshape(height, -1)
    pixels = zlib.compress(b"".join(b"\0" + row.tobytes() for row in rows))
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, bits, colour_type, 0, 0, 0))
    body = b"".join(extra) + chunk(b"IDAT", pixels) + after + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + body


def exif(orientation: int) -> bytes:
    """An EXIF block that says how a picture was held."""
    block = Image.Exif()
    block[0x0112] = orientation
    return block.tobytes()


STORED_AS = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How the pixels of an upright picture lie in a file of each orientation (from the EXIF standard)."""


def held(picture: Image.Image, orientation: int) -> Image.Image:
    """An upright picture as a camera stores it that was held so."""
    turn = STORED_AS[orientation]
    return picture if turn is None else picture.transpose(turn)
