"""SIFT keypoints and their descriptors, of many pictures at once.

Keypoints and descriptors are those of :class:`skimage.feature.SIFT` with its default parameters
(the tests hold them to it), which takes one picture a call and one keypoint at a time. Here the
pixels of the windows around all keypoints are gone through together, as rows of similar length.

Source: Lowe 2004, "Distinctive image features from scale-invariant keypoints".
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from striate.models.features.grey import grey
from striate.models.features.scale_space import Octave, octaves

VERSION = 1  # raise it whenever the values change: cached keypoints carry it
SMALLEST_SIDE = 6  # pixels: a picture is doubled and then needs 12 for its first octave
ENLARGED_BELOW = 48  # pixels a side
DESCRIPTOR = 128

_BINS = 36  # directions of a keypoint
_SMOOTHINGS = 6
_PEAK = 0.8  # of the greatest bin makes another direction
_DIRECTION_WINDOW = 1.5  # sigmas
_WINDOW = 6.0  # sigmas: half the side of a descriptor's 4 × 4 tiles
_TILES = 4
_ANGLES = 8
_SATURATION = 0.2
_CHUNK = 2**16  # pixels of windows at a time: their working memory stays in the cache
_TURN = 2 * math.pi


@dataclass(frozen=True)
class SiftSettings:
    """``enlarge``: the factor by which pictures are enlarged before anything else."""

    enlarge: int


@dataclass(frozen=True)
class Keypoints:
    """Keypoints of N pictures, one picture after the other.

    Attributes:
        descriptors: uint8 ``(M, 128)``.
        positions: float32 ``(M, 2)``: row and column in pixels of the picture.
        orientations: float32 ``(M,)``, radians.
        counts: int64 ``(N,)``: how many of the M belong to each picture.
    """

    descriptors: NDArray[np.uint8]
    positions: NDArray[np.float32]
    orientations: NDArray[np.float32]
    counts: NDArray[np.int64]


def choose_settings(height: int, width: int) -> SiftSettings:
    """Pictures below 48 pixels a side are doubled: SIFT finds three times as many keypoints then.

    >>> choose_settings(28, 28), choose_settings(64, 96)
    (SiftSettings(enlarge=2), SiftSettings(enlarge=1))
    """
    return SiftSettings(enlarge=2 if min(height, width) < ENLARGED_BELOW else 1)


def sift(pixels: NDArray[np.uint8], settings: SiftSettings) -> Keypoints:
    """Detect and describe; a picture without extrema (or a side below 6 pixels) has no keypoints.

    Args:
        pixels: ``(N, C, H, W)``; colour pictures are turned to grey.

    >>> found = sift(np.zeros((2, 1, 28, 28), np.uint8), SiftSettings(1))
    >>> found.counts.tolist(), found.descriptors.shape
    ([0, 0], (0, 128))
    """
    pictures, _, height, width = pixels.shape
    pieces: list[_Described] = [_nothing()]
    if min(height, width) >= SMALLEST_SIDE:
        values = torch.from_numpy(grey(pixels).astype(np.float64)) / 255
        pieces += [_describe(octave) for octave in octaves(values, settings.enlarge) if len(octave.picture)]
    picture = torch.cat([piece.picture for piece in pieces])
    order = picture.argsort(stable=True)
    return Keypoints(
        torch.cat([piece.descriptors for piece in pieces])[order].numpy(),
        torch.cat([piece.positions for piece in pieces])[order].numpy(),
        torch.cat([piece.orientations for piece in pieces])[order].numpy(),
        torch.bincount(picture, minlength=pictures).numpy(),
    )


@dataclass(frozen=True)
class _Described:
    picture: torch.Tensor
    descriptors: torch.Tensor
    positions: torch.Tensor
    orientations: torch.Tensor


def _nothing() -> _Described:
    return _Described(
        torch.empty(0, dtype=torch.int64),
        torch.empty(0, DESCRIPTOR, dtype=torch.uint8),
        torch.empty(0, 2),
        torch.empty(0),
    )


@dataclass(frozen=True)
class _Field:
    """Gradients of the levels that keypoints are described on.

    Attributes:
        magnitude: float32, of all pixels of all levels in a row.
        turn: float32, likewise: the gradient's direction in turns, 0 ≤ turn ≤ 1.
        start: int64 ``(K,)``: where the level of each keypoint begins.
        height, width: of a level.
    """

    magnitude: torch.Tensor
    turn: torch.Tensor
    start: torch.Tensor
    height: int
    width: int


def _describe(octave: Octave) -> _Described:
    field = _gradients(octave)
    keypoint, orientations = _directions(field, octave.centre, octave.sigma)
    descriptors = _descriptors(field, octave.centre, octave.sigma, keypoint, orientations)
    positions = (octave.centre[keypoint] * octave.spacing).float()
    return _Described(octave.picture[keypoint], descriptors, positions, orientations)


def _gradients(octave: Octave) -> _Field:
    """Central differences, one-sided at the border."""
    levels = octave.levels[:, 1:4].float()
    down, across = torch.gradient(levels, dim=(2, 3))
    height, width = levels.shape[2:]
    start = (octave.picture * levels.shape[1] + octave.level - 1) * (height * width)
    turn = torch.atan2(across, down).mul_(1 / _TURN)
    turn += turn < 0
    magnitude = down.square_().add_(across.square_()).sqrt_()
    return _Field(magnitude.view(-1), turn.view(-1), start, height, width)


def _directions(
    field: _Field, centre: torch.Tensor, sigma: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The main directions of the gradients around each keypoint.

    Returns:
        indices of keypoints (one more than once if it has several directions), and directions in
        radians, float32, both ``(M,)``.
    """
    reach = 3 * _DIRECTION_WINDOW * sigma[:, None]
    corner = torch.tensor([field.height - 1, field.width - 1])
    low = (centre - reach + 0.5).clamp(min=0).floor().long()
    high = torch.minimum((centre + reach + 0.5).floor().long(), corner)
    histogram = torch.zeros(len(centre) * _BINS)
    for rows in _in_chunks(_rows(low, high)):
        magnitude, turn, down, across = _pixels_of(rows, field, centre)
        fall = (-2 * (_DIRECTION_WINDOW * sigma[rows.keypoint]) ** 2).float()
        weight = torch.exp((down * down + across * across) / fall[:, None])
        weight *= magnitude
        bins = turn.mul_(_BINS).add_(0.5).long()  # 0…36, where 36 is 0 again
        bins -= (bins >= _BINS) * _BINS
        bins += rows.keypoint[:, None] * _BINS
        histogram.scatter_add_(0, bins.flatten(), weight.flatten())
    return _peaks(histogram.view(-1, _BINS))


def _peaks(histogram: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    for _ in range(_SMOOTHINGS):
        histogram = (histogram.roll(1, 1) + histogram + histogram.roll(-1, 1)) / 3
    before, after = histogram.roll(1, 1), histogram.roll(-1, 1)
    high = histogram >= _PEAK * histogram.amax(1, keepdim=True)
    keypoint, peak = (high & (histogram >= before) & (histogram >= after)).nonzero(as_tuple=True)
    here, left, right = histogram[keypoint, peak], before[keypoint, peak], after[keypoint, peak]
    offset = (left - right) / (2 * (left + right - 2 * here))
    angle = (peak + offset + 0.5) * (_TURN / _BINS)
    return keypoint, torch.where(angle > math.pi, angle - _TURN, angle)


def _descriptors(
    field: _Field,
    centres: torch.Tensor,
    sigmas: torch.Tensor,
    keypoint: torch.Tensor,
    orientations: torch.Tensor,
) -> torch.Tensor:
    """Histograms of 8 directions in 4 × 4 tiles of the turned window around each keypoint.

    Each pixel is shared between the nearest tiles and directions. Coordinates are in tiles from the
    window's first corner; a rim of one tile around the 16 takes what falls outside.

    Returns:
        uint8 ``(M, 128)``.
    """
    centre, tile = centres[keypoint], 2 * _WINDOW * sigmas[keypoint] / _TILES
    window = _turned_rows(field, centre, tile * ((_TILES + 1) / 2), orientations.double())
    sine, cosine = orientations.sin() / tile.float(), orientations.cos() / tile.float()
    rim, middle = _TILES + 2, (_TILES + 1) / 2
    sums = torch.zeros(len(keypoint) * rim * rim * _ANGLES)
    of_keypoint = _Field(field.magnitude, field.turn, field.start[keypoint], field.height, field.width)
    for rows in _in_chunks(window):
        k = rows.keypoint[:, None]
        magnitude, turn, down, across = _pixels_of(rows, of_keypoint, centre)
        y, x = cosine[k] * down + sine[k] * across, cosine[k] * across - sine[k] * down
        weight = (y * y).addcmul_(x, x).mul_(-2 / _TILES**2).exp_().mul_(magnitude)
        angle = turn.mul_(_ANGLES).sub_(orientations[k] * (_ANGLES / _TURN))
        (y, y0), (x, x0), (angle, a0) = map(_split, (y.add_(middle), x.add_(middle), angle))
        place = y0.clamp_(0, rim - 2).add_(k * rim).mul_(rim).add_(x0.clamp_(0, rim - 2)).mul_(_ANGLES)
        a1 = (a0 + 1).bitwise_and_(_ANGLES - 1)
        a0.bitwise_and_(_ANGLES - 1)  # right for negative numbers too
        for down_one, by_row in ((0, weight * (1 - y)), (rim, weight * y)):
            for right_one, by_tile in ((0, by_row * (1 - x)), (1, by_row * x)):
                corner = place + (down_one + right_one) * _ANGLES
                further = by_tile * angle
                sums.scatter_add_(0, (corner + a1).flatten(), further.flatten())
                sums.scatter_add_(0, (corner + a0).flatten(), by_tile.sub_(further).flatten())
    tiles = sums.view(-1, rim, rim, _ANGLES)[:, 1:-1, 1:-1].reshape(-1, DESCRIPTOR)
    tiles = torch.minimum(tiles, _SATURATION * tiles.norm(dim=1, keepdim=True))
    unit = tiles / tiles.norm(dim=1, keepdim=True).clamp_(min=1e-30)
    levels: torch.Tensor = (512 * unit).floor_().clamp_(max=255)
    return levels.to(torch.uint8)


def _split(value: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Fraction and whole part."""
    whole = value.floor()
    return value - whole, whole.long()


@dataclass(frozen=True)
class _Rows:
    """Rows of pixels in the windows of keypoints; all int64 ``(R,)``.

    Attributes:
        keypoint: whose window it is.
        row: which row of the level.
        first: its first column.
        length: how many columns, at least 1.
    """

    keypoint: torch.Tensor
    row: torch.Tensor
    first: torch.Tensor
    length: torch.Tensor

    def __getitem__(self, index: torch.Tensor) -> _Rows:
        return _Rows(self.keypoint[index], self.row[index], self.first[index], self.length[index])

    def ramp(self) -> torch.Tensor:
        """0, 1, … as far as the longest row."""
        return torch.arange(int(self.length.max()))


def _rows(low: torch.Tensor, high: torch.Tensor) -> _Rows:
    """The rows of rectangles with corners ``low`` and ``high`` (included), int64 ``(K, 2)``."""
    heights, widths = (high - low + 1).clamp(min=0).unbind(1)
    keypoint = torch.repeat_interleave(heights)
    before = torch.repeat_interleave(heights.cumsum(0) - heights, heights)
    row = low[keypoint, 0] + torch.arange(len(keypoint)) - before
    rows = _Rows(keypoint, row, low[keypoint, 1], widths[keypoint])
    return rows[rows.length > 0]


def _turned_rows(field: _Field, centre: torch.Tensor, half: torch.Tensor, angle: torch.Tensor) -> _Rows:
    """The rows of squares of side 2·``half``, turned by ``angle``, as far as they lie in the level.

    scikit-image leaves out the last row and column of a level.
    """
    reach = half[:, None] * math.sqrt(2)
    corner = torch.tensor([field.height - 1, field.width - 1])
    low = (centre - reach + 0.5).clamp(min=0).floor().long()
    high = torch.minimum((centre + reach + 0.5).floor().long(), corner) - 1
    rows = _rows(low, high)
    k = rows.keypoint
    down, cosine, sine = rows.row - centre[k, 0], angle.cos()[k], angle.sin()[k]
    first, last = rows.first.double(), (rows.first + rows.length - 1).double()
    for offset, slope in ((cosine * down, sine), (-sine * down, cosine)):  # |offset + slope·across| < half
        slope = torch.where(slope.abs() < 1e-12, 1e-12, slope)
        one, other = (-half[k] - offset) / slope, (half[k] - offset) / slope
        first = torch.maximum(first, torch.minimum(one, other) + centre[k, 1])
        last = torch.minimum(last, torch.maximum(one, other) + centre[k, 1])
    first, last = first.ceil().long(), last.floor().long()
    rows = _Rows(k, rows.row, first, last - first + 1)
    return rows[rows.length > 0]


def _in_chunks(rows: _Rows) -> Iterator[_Rows]:
    """All rows, in groups of similar length and of bounded size together."""
    order = rows.length.argsort(stable=True)
    lengths = rows.length[order]
    start = 0
    while start < len(order):
        # The longest row of a chunk sets the width of all of them.
        sizes = lengths[start:] * torch.arange(1, len(order) - start + 1)
        count = max(1, int(torch.searchsorted(sizes, _CHUNK)))
        yield rows[order[start : start + count]]
        start += count


def _pixels_of(
    rows: _Rows, field: _Field, centre: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Of every pixel of the rows: its gradient, and its way down and across from the keypoint.

    Returns:
        magnitude (0 where the row has ended) and turn, float32 ``(R, longest)``; way down
        ``(R, 1)``; way across ``(R, longest)``.
    """
    k, ramp = rows.keypoint, rows.ramp()
    first = field.start[k] + rows.row * field.width + rows.first
    where = (first[:, None] + ramp).clamp_(max=len(field.magnitude) - 1)
    magnitude = field.magnitude.index_select(0, where.view(-1)).view(where.shape)
    magnitude *= ramp < rows.length[:, None]
    turn = field.turn.index_select(0, where.view(-1)).view(where.shape)
    down = (rows.row - centre[k, 0]).float()[:, None]
    across = (rows.first - centre[k, 1]).float()[:, None] + ramp
    return magnitude, turn, down, across
