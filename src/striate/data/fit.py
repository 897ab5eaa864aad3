"""How a decoded picture becomes the wanted size: cropped, padded or stretched."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image

from striate.data.pictures import Preprocessing

Box = tuple[float, float, float, float]


def region(width: int, height: int, preprocessing: Preprocessing) -> tuple[Box, tuple[int, int]]:
    """Which part of a picture is kept, and the size that it gets.

    Args:
        width, height: of the whole picture in pixels.
        preprocessing: the wanted size and fit.

    Returns:
        The part as (left, top, right, bottom), in fractions of pixels; and (width, height), smaller
        than the wanted size only where the rest is padded.

    >>> region(200, 100, Preprocessing(50, 50, 3, fit="crop"))
    ((50.0, 0.0, 150.0, 100.0), (50, 50))
    >>> region(200, 100, Preprocessing(50, 50, 3, fit="pad"))
    ((0.0, 0.0, 200.0, 100.0), (50, 25))
    """
    wanted_width, wanted_height = preprocessing.width, preprocessing.height
    whole = (0.0, 0.0, float(width), float(height))
    if preprocessing.fit == "stretch":
        return whole, (wanted_width, wanted_height)
    if preprocessing.fit == "pad":
        scale = min(wanted_width / width, wanted_height / height)
        return whole, (max(1, round(width * scale)), max(1, round(height * scale)))
    scale = max(wanted_width / width, wanted_height / height)
    left = max(0.0, (width - wanted_width / scale) / 2)
    top = max(0.0, (height - wanted_height / scale) / 2)
    return (left, top, width - left, height - top), (wanted_width, wanted_height)


def dct_eighths(width: int, height: int, preprocessing: Preprocessing) -> int:
    """To how many eighths of its size a JPEG may be decoded: the least that is still twice what is
    wanted, or 8.

    5, 6 and 7 are left out: libjpeg-turbo takes longer for them than for the whole picture.

    >>> dct_eighths(1600, 1200, Preprocessing(96, 96, 3))
    2
    """
    (left, top, right, bottom), (inner_width, inner_height) = region(width, height, preprocessing)
    share = 2 * max(inner_width / (right - left), inner_height / (bottom - top))
    eighths = max(1, math.ceil(8 * share))
    return eighths if eighths <= 4 and min(width, height) >= 8 else 8


def fit(
    picture: Image.Image, width: int, height: int, scale: float, preprocessing: Preprocessing
) -> Image.Image:
    """``picture`` at the wanted size.

    One antialiased bicubic resampling of exactly the region that is kept; where more than three
    pixels fall on one, whole pixels are averaged first, which is 6 times faster for large pictures and
    moves a grey level by 0.3 on average.

    Args:
        picture: mode L or RGB.
        width, height: of the picture as stored in the file, in pixels.
        scale: at which ``picture`` shows it; below 1 after DCT scaling.
        preprocessing: the wanted size, fit and background.
    """
    (left, top, right, bottom), size = region(width, height, preprocessing)
    right, bottom = min(right * scale, picture.width), min(bottom * scale, picture.height)
    box = (left * scale, top * scale, right, bottom)
    fitted = picture.resize(size, Image.Resampling.BICUBIC, box=box, reducing_gap=3.0)
    wanted = (preprocessing.width, preprocessing.height)
    if size == wanted:
        return fitted
    level = preprocessing.background
    canvas = Image.new(fitted.mode, wanted, level if fitted.mode == "L" else (level,) * 3)
    canvas.paste(fitted, ((wanted[0] - size[0]) // 2, (wanted[1] - size[1]) // 2))
    return canvas


def fit_pixels(pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """A decoded picture, uint8 ``(C, H, W)`` with C of 1 or 3, fitted as a file's pixels would be.

    >>> fit_pixels(np.full((1, 4, 4), 7, np.uint8), Preprocessing(1, 2, 3)).tolist()
    [[[7, 7]], [[7, 7]], [[7, 7]]]
    """
    _, height, width = pixels.shape
    picture = from_array(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    return to_array(fit(picture, width, height, 1.0, preprocessing), preprocessing.channels)


def from_array(pixels: np.ndarray) -> Image.Image:
    """uint8 ``(H, W, 1 or 3)`` as a picture of mode L or RGB."""
    return Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)


def to_array(picture: Image.Image, channels: int) -> np.ndarray:
    """A picture of mode L or RGB as uint8 ``(channels, H, W)``."""
    if channels == 1:
        return np.array(picture.convert("L"))[None]
    pixels = np.asarray(picture)
    if pixels.ndim == 2:
        return np.repeat(pixels[None], 3, axis=0)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))
