"""Local binary patterns against scikit-image's, pixel by pixel."""

import numpy as np
import pytest
from feature_pictures import blobs, digits, noise, photographs
from hypothesis import given
from hypothesis import strategies as st

from striate.models.features.grey import grey
from striate.models.features.lbp import PATTERNS, LbpSettings, choose_settings, lbp, patterns
from striate.models.features.reference import agreement, patterns_reference


@given(
    st.integers(1, 30),
    st.integers(1, 30),
    st.integers(1, 5),
    st.integers(0, 9),
    st.sampled_from([1, 2, 3, 9, 256]),
)
def test_patterns_equal_scikit_image_bit_for_bit(height, width, radius, seed, levels):
    pictures = noise((2, height, width), seed, levels)
    np.testing.assert_array_equal(patterns(pictures, radius), patterns_reference(pictures, radius))


@pytest.mark.parametrize("value", [0, 1, 77, 254, 255])
def test_patterns_of_even_ground_equal_scikit_image(value):
    pictures = np.full((1, 37, 41), value, np.uint8)
    for radius in (1, 2, 4):
        np.testing.assert_array_equal(patterns(pictures, radius), patterns_reference(pictures, radius))


@pytest.mark.parametrize("pixels", [digits(50), photographs(48, 64), blobs(3, 28, 0)])
def test_equals_scikit_image_on_real_pictures(pixels):
    assert agreement(pixels, choose_settings(*pixels.shape[2:])).difference == 0


def test_each_tile_is_a_histogram():
    pixels = noise((3, 1, 29, 31), 0)
    features = lbp(pixels, LbpSettings((1, 2), 3)).reshape(3, 2 * 9, PATTERNS)
    np.testing.assert_allclose((features**2).sum(axis=2), 1, rtol=1e-5)


def test_tiles_are_where_they_should_be():
    pixels = np.zeros((1, 1, 8, 8), np.uint8)
    changed = pixels.copy()
    changed[0, 0, 6, 6] = 255
    one, other = (lbp(p, LbpSettings((1,), 2)).reshape(4, PATTERNS) for p in (pixels, changed))
    assert [bool((a != b).any()) for a, b in zip(one, other, strict=True)] == [False, False, False, True]


def test_settings_suit_small_pictures():
    assert choose_settings(1, 50) == LbpSettings((1,), 1)
    assert lbp(noise((2, 1, 1, 50), 0), choose_settings(1, 50)).shape == (2, PATTERNS)


def test_grey_is_scikit_images_to_the_nearest_level():
    from skimage.color import rgb2gray

    pixels = noise((4, 3, 20, 20), 5)
    exact = rgb2gray(pixels, channel_axis=1) * 255
    assert np.abs(grey(pixels) - exact).max() <= 0.5001
    assert grey(pixels[:, :1]).tolist() == pixels[:, 0].tolist()
