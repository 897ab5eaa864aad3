"""Histograms of local binary patterns, of many pictures at once.

The patterns are those of :func:`skimage.feature.local_binary_pattern` with method
``"nri_uniform"``, bit for bit (the tests hold them to it). A grid of histograms keeps where in the
picture a pattern lies.

Source: Ojala, Pietikäinen and Mäenpää 2002; Ahonen, Hadid and Pietikäinen 2006 for the grid.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from striate.models.features.grey import grey

VERSION = 1  # raise it whenever the values change: cached features carry it
POINTS = 8
PATTERNS = POINTS * (POINTS - 1) + 3  # the uniform ones, and one bin for all others


@dataclass(frozen=True)
class LbpSettings:
    """``radii`` in pixels of the circles of eight points; ``grid`` × ``grid`` histograms each."""

    radii: tuple[int, ...]
    grid: int


def choose_settings(height: int, width: int) -> LbpSettings:
    """4 × 4 tiles; those radii of 1, 2 and 4 that are at most a quarter of the shorter side.

    >>> choose_settings(8, 8), choose_settings(28, 28).radii
    (LbpSettings(radii=(1, 2), grid=4), (1, 2, 4))
    """
    side = min(height, width)
    radii = tuple(r for r in (1, 2, 4) if r == 1 or 4 * r <= side)
    return LbpSettings(radii=radii, grid=max(1, min(4, side // 2)))


def lbp(pixels: NDArray[np.uint8], settings: LbpSettings) -> NDArray[np.float32]:
    """Square roots of the shares of the patterns in each tile.

    The square root turns the Euclidean distance of two descriptors into the Hellinger distance of
    their histograms, which a linear classifier serves better.

    Args:
        pixels: ``(N, C, H, W)``; colour pictures are turned to grey.

    Returns:
        ``(N, D)`` with D = radii × grid² × 59.

    >>> lbp(np.zeros((2, 1, 28, 28), np.uint8), LbpSettings((1, 2), 4)).shape
    (2, 1888)
    """
    pictures = grey(pixels)
    histograms = [_tile_histograms(patterns(pictures, radius), settings.grid) for radius in settings.radii]
    return np.sqrt(np.concatenate(histograms, axis=1)).astype(np.float32)


def patterns(pictures: NDArray[np.uint8], radius: int) -> NDArray[np.uint8]:
    """The number 0…58 of the pattern around each pixel; beyond the picture all is 0.

    Args:
        pictures: ``(N, H, W)``.

    Returns:
        ``(N, H, W)``.
    """
    _, height, width = pictures.shape
    margin = radius + 1
    x = np.pad(pictures.astype(np.float64), ((0, 0), (margin, margin), (margin, margin)))
    centre = x[:, margin:-margin, margin:-margin]
    code = np.zeros(pictures.shape, np.uint8)
    angles = 2 * np.pi * np.arange(POINTS, dtype=np.float64) / POINTS
    row_moves, column_moves = np.round(-radius * np.sin(angles), 5), np.round(radius * np.cos(angles), 5)
    for point, (dr, dc) in enumerate(zip(row_moves, column_moves, strict=True)):
        code |= (_moved(x, height, width, margin, dr, dc) >= centre).astype(np.uint8) << point
    return _pattern_numbers()[code]


def _moved(
    x: NDArray[np.float64], height: int, width: int, margin: int, dr: float, dc: float
) -> NDArray[np.float64]:
    """Bilinear values at every pixel moved by (dr, dc).

    The weights are rounded as scikit-image rounds them, pixel by pixel: on even ground the last bit
    decides whether a neighbour counts as darker.
    """
    rows, columns = np.arange(height) + dr, np.arange(width) + dc
    top, left = int(np.floor(rows[0])) + margin, int(np.floor(columns[0])) + margin
    down = (rows - np.floor(rows))[:, None]
    right = columns - np.floor(columns)

    def shifted(r: int, c: int) -> NDArray[np.float64]:
        return x[:, top + r : top + r + height, left + c : left + c + width]

    if not right.any():
        above = shifted(0, 0)
        below = shifted(1, 0) if down.any() else above
    else:
        above = (1 - right) * shifted(0, 0) + right * shifted(0, 1)
        below = (1 - right) * shifted(1, 0) + right * shifted(1, 1) if down.any() else above
    return (1 - down) * above + down * below if down.any() else above


@lru_cache(maxsize=1)
def _pattern_numbers() -> NDArray[np.uint8]:
    """Number of each of the 256 codes: by count of ones and rotation; 58 where not uniform."""
    numbers = np.empty(2**POINTS, np.uint8)
    for code in range(2**POINTS):
        bits = [code >> i & 1 for i in range(POINTS)]
        ones = sum(bits)
        changes = sum(a != b for a, b in pairwise(bits))
        if changes > 2:
            numbers[code] = PATTERNS - 1
        elif ones in (0, POINTS):
            numbers[code] = 0 if ones == 0 else PATTERNS - 2
        else:
            turn = ones - bits.index(0) if bits[0] else POINTS - bits.index(1)
            numbers[code] = 1 + (ones - 1) * POINTS + turn
    return numbers


def _tile_histograms(numbers: NDArray[np.uint8], grid: int) -> NDArray[np.float64]:
    """Shares of the patterns in each of grid × grid tiles: ``(N, grid * grid * 59)``."""
    n, height, width = numbers.shape
    tile_of_row = np.arange(height) * grid // height
    tile_of_column = np.arange(width) * grid // width
    tile = tile_of_row[:, None] * grid + tile_of_column
    first_bin = tile * PATTERNS + (np.arange(n) * (grid * grid * PATTERNS))[:, None, None]
    counts = np.bincount((first_bin + numbers).ravel(), minlength=n * grid * grid * PATTERNS)
    pixels = np.bincount(tile.ravel(), minlength=grid * grid)
    return (counts.reshape(n, grid * grid, PATTERNS) / pixels[:, None]).reshape(n, -1)
