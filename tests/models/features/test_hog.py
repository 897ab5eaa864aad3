"""HOG against scikit-image's, picture by picture."""

import numpy as np
import pytest
from feature_pictures import blobs, digits, noise, photographs
from hypothesis import given
from hypothesis import strategies as st

from striate.models.features.hog import HogSettings, choose_settings, hog
from striate.models.features.reference import agreement, hog_reference

TOLERANCE = 3e-7  # the reference is rounded to float32 as well


@given(
    st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]), st.integers(0, 9), st.integers(1, 256)
)
def test_equals_scikit_image_at_any_size(height, width, channels, seed, levels):
    pixels = noise((2, channels, height, width), seed, levels)
    settings = choose_settings(height, width)
    assert np.abs(hog(pixels, settings) - hog_reference(pixels, settings)).max() <= TOLERANCE


@given(st.integers(1, 12), st.integers(1, 7), st.integers(1, 3))
def test_equals_scikit_image_with_any_settings(orientations, cell, block):
    pixels = noise((1, 3, 21, 23), orientations)
    settings = HogSettings(orientations, cell, block)
    assert np.abs(hog(pixels, settings) - hog_reference(pixels, settings)).max() <= TOLERANCE


@pytest.mark.parametrize("pixels", [digits(50), photographs(96, 64), blobs(3, 28, 0)])
def test_equals_scikit_image_on_real_pictures(pixels):
    assert agreement(pixels, choose_settings(*pixels.shape[2:])).difference <= TOLERANCE


def test_a_constant_picture_has_no_gradients():
    assert not hog(np.full((2, 3, 28, 28), 200, np.uint8), choose_settings(28, 28)).any()


def test_brightness_does_not_matter():
    pixels = blobs(2, 32, 1) // 2
    settings = choose_settings(32, 32)
    np.testing.assert_array_equal(hog(pixels, settings), hog(pixels + 100, settings))


def test_length_does_not_grow_with_the_picture():
    widths = {hog(noise((1, 1, n, n), 0), choose_settings(n, n)).shape[1] for n in (28, 32, 64, 96, 128)}
    assert max(widths) <= 2 * min(widths)
