"""The scale space of many pictures at once, and the extrema in it: where SIFT's keypoints are.

Every level is a blurred, enlarged or thinned copy of the picture, and all of that is linear and
separable. So each level is computed straight from the picture by two small matrix products, one
along the columns and one along the rows, with matrices made by SciPy's own filters.

Sources: Lowe 2004; Rey Otero and Delbracio 2014, "Anatomy of the SIFT Method" (IPOL 4), whose
parameters scikit-image and this module take.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import ndimage

UPSAMPLING = 2
SCALES = 3  # levels to an octave, besides three for the comparisons
SMALLEST_OCTAVE = 12  # pixels a side
MOST_OCTAVES = 8
SIGMA = 1.6  # blur of an octave's first level, in its own pixels
SIGMA_IN = 0.5  # blur that a picture is taken to have
CONTRAST = 0.04 / 3  # least height of an extremum
EDGE = 10.0  # greatest ratio of an extremum's curvatures
REFINEMENTS = 5
MOST_OFFSET = 0.6  # of a refined extremum from its pixel, in pixels

_Neighbour = tuple[int, int, int]
_CUBE = [(s, r, c) for s in (-1, 0, 1) for r in (-1, 0, 1) for c in (-1, 0, 1)]
_FACES = [(0, 0, 1), (0, 0, -1), (0, 1, 0), (0, -1, 0)]
_OTHERS = [place for place in _CUBE if place not in _FACES and any(place)]


@dataclass(frozen=True)
class Octave:
    """One octave and the keypoints in it.

    Attributes:
        levels: float64 ``(N, 6, h, w)``.
        spacing: size of its pixels, in pixels of the picture.
        picture: int64 ``(K,)``: which picture a keypoint is in.
        level: int64 ``(K,)``: 1…3, the level that describes it.
        centre: float64 ``(K, 2)``: row and column in pixels of the octave.
        sigma: float64 ``(K,)``: its scale, likewise.
    """

    levels: torch.Tensor
    spacing: float
    picture: torch.Tensor
    level: torch.Tensor
    centre: torch.Tensor
    sigma: torch.Tensor


def octaves(grey: torch.Tensor, enlarge: int) -> Iterator[Octave]:
    """The octaves of pictures and the extrema of each.

    Args:
        grey: float64 ``(N, H, W)`` in 0…1.
        enlarge: factor by which the pictures are enlarged first; 1 leaves them alone.
    """
    height, width = grey.shape[1:]
    number = _number_of_octaves(min(height, width) * enlarge)
    down, across = _operators(height, number, enlarge), _operators(width, number, enlarge)
    shape = torch.tensor([height, width], dtype=torch.float64) * enlarge
    for index in range(number):
        levels = down[index] @ grey[:, None] @ across[index].transpose(1, 2)
        spacing = 2.0**index / UPSAMPLING
        keys, offsets = _refined(levels[:, 1:] - levels[:, :-1])
        centre = keys[:, 2:] + offsets[:, 1:]
        sigma = SIGMA * 2 ** ((keys[:, 1] + offsets[:, 0]) / SCALES)
        reach = sigma[:, None] * spacing
        place = centre * spacing
        inside = ((place - reach > 0) & (place + reach < shape)).all(1)
        keys = keys[inside]
        yield Octave(levels, spacing / enlarge, keys[:, 0], keys[:, 1], centre[inside], sigma[inside])


def _number_of_octaves(side: int) -> int:
    return max(0, min(MOST_OCTAVES, int(math.log2(side * UPSAMPLING / SMALLEST_OCTAVE) + 1)))


@lru_cache(maxsize=16)
def _operators(side: int, number: int, enlarge: int) -> list[torch.Tensor]:
    """For each octave the matrices from ``side`` pixels to its six levels, float64 ``(6, h, side)``."""
    first = np.eye(side)
    if enlarge > 1:
        first = _zoomed(first, enlarge)
    first = _zoomed(first, UPSAMPLING)
    sigma = SIGMA / UPSAMPLING  # in pixels of the picture
    first = _blurred(first, UPSAMPLING * math.sqrt(sigma**2 - SIGMA_IN**2))
    blurs = SIGMA * 2 ** (np.arange(SCALES + 3) / SCALES)
    operators = []
    for _ in range(number):
        levels = [first]
        for step in np.sqrt(np.diff(blurs**2)):
            levels.append(_blurred(levels[-1], step))
        operators.append(torch.from_numpy(np.stack(levels)))
        first = levels[SCALES][::2]
    return operators


def _zoomed(columns: NDArray[np.float64], factor: int) -> NDArray[np.float64]:
    zoomed: NDArray[np.float64] = ndimage.zoom(columns, (factor, 1), order=1, mode="mirror", grid_mode=True)
    return zoomed


def _blurred(columns: NDArray[np.float64], sigma: float) -> NDArray[np.float64]:
    blurred: NDArray[np.float64] = ndimage.gaussian_filter1d(
        columns, sigma, axis=0, mode="reflect", truncate=4.0
    )
    return blurred


def _refined(differences: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Extrema of the differences of levels, refined by a parabola through their neighbours.

    Args:
        differences: float64 ``(N, 5, h, w)``.

    Returns:
        int64 ``(K, 4)``: picture, level, row, column; and float64 ``(K, 3)``: the extremum's
        offset from there in level, row and column. Low and edge-like ones are left out.
    """
    keys = _extrema(differences)
    last = torch.tensor(differences.shape[1:]) - 2  # the last place with neighbours
    offsets, slopes = torch.zeros(2, len(keys), 3, dtype=torch.float64)
    curvatures = torch.zeros(len(keys), 3, dtype=torch.float64)
    moving = torch.arange(len(keys))
    for attempt in range(REFINEMENTS):
        offset, slopes[moving], curvatures[moving] = _parabola(differences, keys[moving])
        offsets[moving] = offset
        if attempt == REFINEMENTS - 1:
            break
        place = keys[moving, 1:]
        move = ((offset > MOST_OFFSET) & (place < last)).long() - (
            (offset < -MOST_OFFSET) & (place > 1)
        ).long()
        keys[moving, 1:] += move
        moving = moving[move.any(1)]
    height = differences[keys.unbind(1)] + 0.5 * (slopes * offsets).sum(1)
    rows, columns, mixed = curvatures.unbind(1)
    edge = (rows + columns) ** 2 / (rows * columns - mixed**2)
    kept = (
        (offsets.abs() < MOST_OFFSET).all(1)
        & (height.abs() > CONTRAST)
        & (edge.abs() <= (EDGE + 1) ** 2 / EDGE)
    )
    return keys[kept], offsets[kept]


def _extrema(differences: torch.Tensor) -> torch.Tensor:
    """int64 ``(K, 4)`` of the places above, or below, all 26 around them by at least four fifths of the contrast.

    The four neighbours in the same level rule out nearly all places; the other 22 are only looked up
    for the rest.
    """
    inner = differences[:, 1:-1, 1:-1, 1:-1]
    high, low = inner >= 0.8 * CONTRAST, inner <= -0.8 * CONTRAST
    h, w = differences.shape[2:]
    for level, row, column in _FACES:
        beside = differences[:, 1 + level : 4 + level, 1 + row : h - 1 + row, 1 + column : w - 1 + column]
        high &= inner > beside
        low &= inner < beside
    keys = (high | low).nonzero()
    keys[:, 1:] += 1
    values = differences[keys.unbind(1)]
    around = _at(differences, keys, _OTHERS) * values.sign()[:, None]
    return keys[around.amax(1) < values.abs()] if len(keys) else keys


def _at(volume: torch.Tensor, keys: torch.Tensor, neighbours: list[_Neighbour]) -> torch.Tensor:
    """Values at some neighbours (level, row, column) of each key, ``(K, len(neighbours))``."""
    _, levels, height, width = volume.shape
    strides = torch.tensor([levels * height * width, height * width, width, 1])
    moves = torch.tensor(neighbours) @ strides[1:]
    return volume.reshape(-1)[(keys @ strides)[:, None] + moves]


def _parabola(volume: torch.Tensor, keys: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Where the parabola through the 27 values around each key peaks.

    Returns:
        offset of the peak and slope at the key, both ``(K, 3)`` in level, row and column; and the
        curvatures ``(K, 3)`` along rows, along columns, mixed.
    """

    cube = _at(volume, keys, _CUBE).view(-1, 3, 3, 3)

    def v(level: int, row: int, column: int) -> torch.Tensor:
        return cube[:, 1 + level, 1 + row, 1 + column]

    here = 2 * v(0, 0, 0)
    gs, gr, gc = (
        0.5 * (v(1, 0, 0) - v(-1, 0, 0)),
        0.5 * (v(0, 1, 0) - v(0, -1, 0)),
        0.5 * (v(0, 0, 1) - v(0, 0, -1)),
    )
    ss, rr, cc = (
        v(1, 0, 0) + v(-1, 0, 0) - here,
        v(0, 1, 0) + v(0, -1, 0) - here,
        v(0, 0, 1) + v(0, 0, -1) - here,
    )
    rc = 0.25 * (v(0, 1, 1) + v(0, -1, -1) - v(0, 1, -1) - v(0, -1, 1))
    rs = 0.25 * (v(1, 1, 0) + v(-1, -1, 0) - v(-1, 1, 0) - v(1, -1, 0))
    cs = 0.25 * (v(1, 0, 1) + v(-1, 0, -1) - v(-1, 0, 1) - v(1, 0, -1))
    determinant = rr * cc * ss - rr * cs * cs - rc * rc * ss + 2 * rc * rs * cs - rs * rs * cc
    i_rr, i_cc, i_ss = cc * ss - cs * cs, rr * ss - rs * rs, rr * cc - rc * rc
    i_rc, i_rs, i_cs = rs * cs - rc * ss, rc * cs - rs * cc, rc * rs - rr * cs
    offset = -torch.stack(
        (
            i_rs * gr + i_cs * gc + i_ss * gs,
            i_rr * gr + i_rc * gc + i_rs * gs,
            i_rc * gr + i_cc * gc + i_cs * gs,
        ),
        dim=1,
    )
    return offset / determinant[:, None], torch.stack((gs, gr, gc), 1), torch.stack((rr, cc, rc), 1)
