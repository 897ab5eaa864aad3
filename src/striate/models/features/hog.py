"""Histograms of oriented gradients, of many pictures at once.

The values are those of :func:`skimage.feature.hog` (the tests hold them to it), which takes one
picture a call. A uint8 picture has only 511 × 511 possible gradients, so magnitude and orientation
bin are looked up instead of computed.

Source: Dalal and Triggs 2005, "Histograms of Oriented Gradients for Human Detection".
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

VERSION = 1  # raise it whenever the values change: cached features carry it
_CELLS = 8  # wanted along the shorter side
_EPS = 1e-5  # as in scikit-image
_HYSTERESIS = 0.2
_SPAN = 511  # possible differences of two uint8 values


@dataclass(frozen=True)
class HogSettings:
    """Shape of the descriptor: ``cell`` pixels a side, ``block`` cells a side."""

    orientations: int
    cell: int
    block: int


def choose_settings(height: int, width: int) -> HogSettings:
    """About eight cells along the shorter side, so that the descriptor's length does not follow the picture's.

    >>> choose_settings(28, 28), choose_settings(96, 128).cell
    (HogSettings(orientations=9, cell=4, block=2), 12)
    """
    cell = max(1, round(min(height, width) / _CELLS))
    block = min(2, height // cell, width // cell)
    return HogSettings(orientations=9, cell=cell, block=block)


def hog(pixels: NDArray[np.uint8], settings: HogSettings) -> NDArray[np.float32]:
    """L2-Hys normalised histograms of unsigned gradient orientation.

    Of a colour picture each pixel counts with the channel of its steepest gradient.

    Args:
        pixels: ``(N, C, H, W)``; H and W at least ``cell * block``.

    Returns:
        ``(N, D)`` with D = blocks down × blocks across × block² × orientations; pixels right and
        below of the last whole cell only lend their values to its gradients.

    >>> hog(np.zeros((2, 1, 28, 28), np.uint8), HogSettings(9, 4, 2)).shape
    (2, 1296)
    """
    cells = _cell_histograms(_gradients(pixels), settings)
    return _normalised_blocks(cells, settings.block)


def _gradients(pixels: NDArray[np.uint8]) -> NDArray[np.int32]:
    """Index into the tables of each pixel's central differences, ``(N, H, W)``; 0 at the border."""
    x = pixels.astype(np.int32)
    rows, columns = np.zeros_like(x), np.zeros_like(x)
    rows[:, :, 1:-1] = x[:, :, 2:] - x[:, :, :-2]
    columns[..., 1:-1] = x[..., 2:] - x[..., :-2]
    if x.shape[1] == 1:
        row, column = rows[:, 0], columns[:, 0]
    else:
        steepest = (rows**2 + columns**2).argmax(axis=1)[:, None]
        row = np.take_along_axis(rows, steepest, axis=1)[:, 0]
        column = np.take_along_axis(columns, steepest, axis=1)[:, 0]
    index: NDArray[np.int32] = (row + 255) * _SPAN + (column + 255)
    return index


def _cell_histograms(gradients: NDArray[np.int32], settings: HogSettings) -> NDArray[np.float64]:
    """Mean gradient magnitude a pixel by cell and orientation: ``(N, down, across, orientations)``."""
    n, height, width = gradients.shape
    cell, bins = settings.cell, settings.orientations
    down, across = height // cell, width // cell
    gradients = gradients[:, : down * cell, : across * cell]
    magnitudes, orientation_bins = _tables(bins)
    cell_of_row = np.arange(down * cell) // cell * across
    cell_of_column = np.arange(across * cell) // cell
    first_bin = ((cell_of_row[:, None] + cell_of_column) * bins).astype(np.int64)
    first_bin = first_bin + (np.arange(n) * (down * across * bins))[:, None, None]
    where = orientation_bins[gradients] + first_bin
    sums = np.bincount(where.ravel(), magnitudes[gradients].ravel(), minlength=n * down * across * bins)
    histograms: NDArray[np.float64] = sums.reshape(n, down, across, bins) / (cell * cell)
    return histograms


@lru_cache(maxsize=2)
def _tables(orientations: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Magnitude and orientation bin of every possible gradient, flat ``(511 * 511,)``."""
    row, column = np.meshgrid(np.arange(-255.0, 256.0), np.arange(-255.0, 256.0), indexing="ij")
    degrees = np.rad2deg(np.arctan2(row, column)) % 180
    edges = 180.0 / orientations * np.arange(1, orientations)
    return np.hypot(row, column).ravel(), np.digitize(degrees, edges).ravel()


def _normalised_blocks(cells: NDArray[np.float64], block: int) -> NDArray[np.float32]:
    windows = np.lib.stride_tricks.sliding_window_view(cells, (block, block), axis=(1, 2))
    blocks = windows.transpose(0, 1, 2, 4, 5, 3).copy()  # N, down, across, block, block, bins
    blocks = blocks.reshape(*blocks.shape[:3], -1)
    blocks /= np.sqrt((blocks**2).sum(axis=-1, keepdims=True) + _EPS**2)
    np.minimum(blocks, _HYSTERESIS, out=blocks)
    blocks /= np.sqrt((blocks**2).sum(axis=-1, keepdims=True) + _EPS**2)
    return blocks.reshape(len(cells), -1).astype(np.float32)
