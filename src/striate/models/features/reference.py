"""The features as scikit-image computes them, one picture a call: what this package's own are held to."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import skimage.feature
import skimage.transform
from numpy.typing import NDArray

from striate.models.features import hog, lbp, sift
from striate.models.features.extract import Settings
from striate.models.features.grey import grey
from striate.models.features.sift import Keypoints

_theirs: Any = skimage.feature  # it has no types

SAME_PLACE = 0.01  # pixels, and radians: a keypoint found by both
SAME_DESCRIPTOR = 2  # of 255: descriptors are rounded down, so the last bit may tip


@dataclass(frozen=True)
class Agreement:
    """How far own features and scikit-image's are apart on some pictures.

    Attributes:
        scikit_image: its version.
        pictures: how many were compared.
        difference: the largest difference of any value (HOG), or the share of values (patterns of
            LBP, keypoints of SIFT) that differ.
    """

    scikit_image: str
    pictures: int
    difference: float


def agreement(pixels: NDArray[np.uint8], settings: Settings) -> Agreement:
    """Compute the features of ``pixels`` ``(N, C, H, W)`` both ways and compare."""
    if isinstance(settings, hog.HogSettings):
        difference = float(np.abs(hog.hog(pixels, settings) - hog_reference(pixels, settings)).max())
    elif isinstance(settings, lbp.LbpSettings):
        pictures = grey(pixels)
        pairs = [(lbp.patterns(pictures, r), patterns_reference(pictures, r)) for r in settings.radii]
        difference = float(np.mean([own != theirs for own, theirs in pairs]))
    else:
        difference = share_unmatched(sift.sift(pixels, settings), sift_reference(pixels, settings))
    return Agreement(version("scikit-image"), len(pixels), difference)


def hog_reference(pixels: NDArray[np.uint8], settings: hog.HogSettings) -> NDArray[np.float32]:
    """What :func:`striate.models.features.hog.hog` gives, by :func:`skimage.feature.hog`."""
    colour = pixels.shape[1] > 1
    return np.stack(
        [
            _theirs.hog(
                picture if colour else picture[0],
                orientations=settings.orientations,
                pixels_per_cell=(settings.cell, settings.cell),
                cells_per_block=(settings.block, settings.block),
                block_norm="L2-Hys",
                channel_axis=0 if colour else None,
            )
            for picture in pixels
        ]
    ).astype(np.float32)


def patterns_reference(pictures: NDArray[np.uint8], radius: int) -> NDArray[np.uint8]:
    """What :func:`striate.models.features.lbp.patterns` gives, by :func:`skimage.feature.local_binary_pattern`."""
    found = [_theirs.local_binary_pattern(picture, lbp.POINTS, radius, "nri_uniform") for picture in pictures]
    return np.stack(found).astype(np.uint8)


def sift_reference(pixels: NDArray[np.uint8], settings: sift.SiftSettings) -> Keypoints:
    """What :func:`striate.models.features.sift.sift` gives, by :class:`skimage.feature.SIFT`."""
    found = [_sift_of_one(picture, settings.enlarge) for picture in grey(pixels)]
    return Keypoints(
        np.concatenate([descriptors for descriptors, _, _ in found]),
        np.concatenate([positions for _, positions, _ in found]),
        np.concatenate([orientations for _, _, orientations in found]),
        np.array([len(descriptors) for descriptors, _, _ in found]),
    )


def _sift_of_one(
    picture: NDArray[np.uint8], enlarge: int
) -> tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.float32]]:
    nothing = np.empty((0, sift.DESCRIPTOR), np.uint8), np.empty((0, 2), np.float32), np.empty(0, np.float32)
    if min(picture.shape) < sift.SMALLEST_SIDE:
        return nothing
    values = picture / 255
    if enlarge > 1:
        values = skimage.transform.rescale(values, enlarge, order=1)
    detector = _theirs.SIFT()
    try:
        with np.errstate(all="ignore"):  # it divides by the zero gradients of flat patches
            detector.detect_and_extract(values)
    except RuntimeError:  # its way to say that there are no extrema
        return nothing
    positions = (detector.positions / enlarge).astype(np.float32)
    return detector.descriptors, positions, detector.orientations.astype(np.float32)


def share_unmatched(own: Keypoints, other: Keypoints) -> float:
    """Share of the keypoints of both that have no partner of the same place, direction and descriptor."""
    unmatched, total = 0, len(own.descriptors) + len(other.descriptors)
    ends = np.stack([np.cumsum(own.counts), np.cumsum(other.counts)])
    starts = ends - np.stack([own.counts, other.counts])
    for (a, b), (c, d) in zip(starts.T, ends.T, strict=True):
        same = _same(own, slice(a, c), other, slice(b, d))
        unmatched += int((~same.any(axis=1)).sum() + (~same.any(axis=0)).sum())
    return unmatched / total if total else 0.0


def _same(own: Keypoints, mine: slice, other: Keypoints, theirs: slice) -> NDArray[np.bool_]:
    """Which keypoints of two lists are the same, bool ``(M, M')``."""
    apart = np.abs(own.positions[mine, None] - other.positions[None, theirs]).max(axis=2, initial=0)
    turned = np.abs(own.orientations[mine, None] - other.orientations[None, theirs])
    turned = np.minimum(turned, 2 * np.pi - turned)
    values = own.descriptors[mine, None].astype(np.int16) - other.descriptors[None, theirs]
    unlike = np.abs(values).max(axis=2, initial=0)
    same: NDArray[np.bool_] = (apart < SAME_PLACE) & (turned < SAME_PLACE) & (unlike <= SAME_DESCRIPTOR)
    return same
