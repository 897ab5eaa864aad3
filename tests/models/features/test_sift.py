"""SIFT against scikit-image's: every keypoint, direction and descriptor."""

import numpy as np
import pytest
import torch
from feature_pictures import blobs, digits, noise, photographs
from hypothesis import given, settings
from hypothesis import strategies as st

from striate.models.features.reference import share_unmatched, sift_reference
from striate.models.features.scale_space import octaves
from striate.models.features.sift import SMALLEST_SIDE, Keypoints, SiftSettings, choose_settings, sift


def check(pixels, enlarge, unmatched=0.0):
    own, reference = sift(pixels, SiftSettings(enlarge)), sift_reference(pixels, SiftSettings(enlarge))
    assert share_unmatched(own, reference) <= unmatched
    return own


@settings(max_examples=25)
@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 2]), st.integers(0, 9))
def test_equals_scikit_image_at_any_size(height, width, enlarge, seed):
    # Noise at full contrast has keypoints on every threshold there is: one in a thousand may tip.
    check(noise((1, 1, height, width), seed), enlarge, unmatched=0.03)


@pytest.mark.parametrize("enlarge", [1, 2])
@pytest.mark.parametrize("pixels", [digits(40), blobs(6, 28, 0), photographs(64, 48)])
def test_equals_scikit_image_on_real_pictures(pixels, enlarge):
    found = check(pixels, enlarge)
    assert len(found.descriptors) > 10


def test_many_descriptors_are_right_to_the_last_bit():
    pixels = blobs(6, 32, 1)
    own, reference = (f(pixels, SiftSettings(2)) for f in (sift, sift_reference))
    assert own.counts.tolist() == reference.counts.tolist()
    one, other = ({d.tobytes() for d in found.descriptors} for found in (own, reference))
    assert len(one & other) > 0.95 * len(one)


@pytest.mark.parametrize("shape", [(1, 1, 1, 1), (2, 3, 1, 40), (1, 1, 5, 5), (2, 1, 6, 6), (1, 3, 6, 50)])
def test_tiny_and_thin_pictures(shape):
    found = check(noise(shape, 3), 1)
    assert len(found.counts) == shape[0]
    if min(shape[2:]) < SMALLEST_SIDE:
        assert not found.counts.any()


def test_even_ground_has_no_keypoints():
    found = sift(np.full((3, 1, 28, 28), 200, np.uint8), SiftSettings(2))
    assert found.counts.tolist() == [0, 0, 0]
    assert found.descriptors.shape == (0, 128)


def test_pictures_keep_their_own_keypoints_in_any_batch():
    pixels = blobs(5, 28, 2)
    pixels[2] = 9
    together = sift(pixels, SiftSettings(2))
    starts = np.cumsum(together.counts) - together.counts
    for picture in range(5):
        alone = sift(pixels[picture : picture + 1], SiftSettings(2))
        rows = slice(starts[picture], starts[picture] + together.counts[picture])
        part = Keypoints(
            together.descriptors[rows],
            together.positions[rows],
            together.orientations[rows],
            together.counts[picture : picture + 1],
        )
        assert share_unmatched(alone, part) == 0


def test_a_shifted_picture_has_shifted_keypoints():
    canvas = np.zeros((2, 1, 64, 64), np.uint8)
    canvas[0, 0, 16:44, 16:44] = canvas[1, 0, 20:48, 18:46] = blobs(1, 28, 4)[0, 0]
    found = sift(canvas, SiftSettings(1))
    one, other = (found.positions[: found.counts[0]], found.positions[found.counts[0] :])
    near = np.abs(one[:, None] + np.float32([4, 2]) - other).max(axis=2).min(axis=1)
    assert (near < 0.1).mean() > 0.8


def test_levels_are_scikit_images():
    from skimage.feature import SIFT

    picture = blobs(1, 30, 5)[0, 0] / 255
    reference = SIFT()
    reference._preprocess(picture)
    expected = reference._create_scalespace(picture)
    found = list(octaves(torch.from_numpy(picture)[None], 1))
    assert len(found) == len(expected)
    for own, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(own.levels[0].permute(1, 2, 0), theirs, atol=1e-14)


def test_small_pictures_are_enlarged():
    assert [choose_settings(side, 100).enlarge for side in (8, 47, 48)] == [2, 2, 1]
