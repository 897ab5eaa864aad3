"""Pictures inside the page: ``data:`` addresses, and one sheet for the many that a click may open."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Pixels = NDArray[np.uint8]

SHEET_BYTES = 1_000_000  # the sheet's size before base64
_GREY_LOSSLESS = 64  # grey pictures up to this side stay PNG: small, and every pixel counts
_COLOUR_LOSSLESS = 16
_QUALITY = 88
_BLOCK = 8  # JPEG's block; tiles padded to it do not bleed into each other
_THUMBNAIL = 80  # side of the largest tile, pixels


@dataclass(frozen=True)
class Sheet:
    """Many tiles in one picture.

    Attributes:
        uri: ``data:`` address.
        columns, rows: tiles across and down.
        width, height: of one picture, pixels.
        pitch_x, pitch_y: from one tile to the next, pixels.
        zoom: how many times larger a tile is shown.
    """

    uri: str
    columns: int
    rows: int
    width: int
    height: int
    pitch_x: int
    pitch_y: int
    zoom: float


def image(pixels: Pixels) -> Image.Image:
    """A Pillow picture of uint8 ``(1|3, H, W)``."""
    return Image.fromarray(pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0)))


def picture_uri(pixels: Pixels, side: int = 160) -> str:
    """A picture as a ``data:`` address, scaled down where it is larger than ``side``.

    Args:
        pixels: uint8 ``(1|3, H, W)``.
        side: longest side in pixels of what is stored.

    >>> picture_uri(np.zeros((1, 8, 8), dtype=np.uint8))[:22]
    'data:image/png;base64,'
    """
    return encode(_fit(image(pixels), side), _lossless(pixels.shape))


def encode(picture: Image.Image, lossless: bool) -> str:
    """The ``data:`` address of ``picture``: PNG if ``lossless``, else JPEG without chroma subsampling."""
    data = io.BytesIO()
    if lossless:
        picture.save(data, "PNG", optimize=True)
    else:
        picture.save(data, "JPEG", quality=_QUALITY, subsampling=0)  # optimize=True fails on large noisy ones
    kind = "png" if lossless else "jpeg"
    return f"data:image/{kind};base64,{base64.b64encode(data.getvalue()).decode()}"


def zoom_for(height: int, width: int) -> float:
    """How many times larger a picture is shown: small ones by a whole number, to about 72 pixels; large
    ones as they are, or down to 112 pixels.

    >>> zoom_for(8, 8), zoom_for(28, 28), zoom_for(96, 96), zoom_for(224, 224)
    (9.0, 3.0, 1.0, 0.5)
    """
    side = max(height, width)
    return float(round(72 / side)) if side <= 48 else min(1.0, 112 / side)


def sheet(pictures: Sequence[Pixels] | NDArray[np.uint8]) -> Sheet:
    """All ``pictures`` (uint8, one shape) as the tiles of one picture, row by row.

    Raises:
        ValueError: there are none.
    """
    if len(pictures) == 0:
        raise ValueError("sheet: wanted at least one picture, got none")
    shape = pictures[0].shape
    lossless = _lossless(shape)
    tiles = [_fit(image(pixels), _THUMBNAIL) for pixels in pictures]
    width, height = tiles[0].size
    pitch_x, pitch_y = (width, height) if lossless else (_up(width), _up(height))
    columns = max(1, math.isqrt(len(tiles) * pitch_y // pitch_x or 1))
    rows = math.ceil(len(tiles) / columns)
    page = Image.new(tiles[0].mode, (columns * pitch_x, rows * pitch_y))
    for i, tile in enumerate(tiles):
        place = (i % columns * pitch_x, i // columns * pitch_y)
        page.paste(tile if lossless else _padded(tile, pitch_x, pitch_y), place)
    zoom = zoom_for(height, width)
    return Sheet(encode(page, lossless), columns, rows, width, height, pitch_x, pitch_y, zoom)


def affordable(pictures: NDArray[np.uint8] | Sequence[Pixels], sample: int = 64) -> int:
    """How many of such ``pictures`` fit :data:`SHEET_BYTES`, judged by a sheet of evenly spread ones.

    Args:
        pictures: uint8, one shape.
        sample: how many to try.
    """
    if len(pictures) == 0:
        return 0
    step = max(1, len(pictures) // sample)
    chosen = [pictures[i] for i in range(0, len(pictures), step)][:sample]
    encoded = len(sheet(chosen).uri) * 3 / 4
    return max(1, int(SHEET_BYTES * len(chosen) / encoded))


def in_order(indices: Iterable[int]) -> dict[int, int]:
    """Each index once, ascending, to its tile number.

    >>> in_order([7, 3, 7])
    {3: 0, 7: 1}
    """
    return {index: tile for tile, index in enumerate(sorted(set(indices)))}


def _fit(picture: Image.Image, side: int) -> Image.Image:
    width, height = picture.size
    if max(width, height) <= side:
        return picture
    scale = side / max(width, height)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return picture.resize(size, Image.Resampling.LANCZOS)


def _lossless(shape: tuple[int, ...]) -> bool:
    return max(shape[-2:]) <= (_GREY_LOSSLESS if shape[0] == 1 else _COLOUR_LOSSLESS)


def _up(size: int) -> int:
    return math.ceil(size / _BLOCK) * _BLOCK


def _padded(tile: Image.Image, width: int, height: int) -> Image.Image:
    """``tile`` at the top left of a larger one, its last row and column repeated."""
    pixels = np.asarray(tile)
    grow = ((0, height - tile.height), (0, width - tile.width), (0, 0))[: pixels.ndim]
    return Image.fromarray(np.pad(pixels, grow, mode="edge"))
