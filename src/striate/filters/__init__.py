"""Known kernels, as tensors and as ready layers.

Every function gives a kernel of shape ``(k,)`` in one dimension, ``(k, k)`` in two, ``(k, k, k)`` in
three, made in float64 and rounded once. A kernel is laid on the picture as it is printed, as
convolutional networks do (cross-correlation): ``sobel(axis=1)`` is positive where the picture gets
brighter to the right. ``Filter`` makes a layer of any of them.
"""

from __future__ import annotations

from striate.filters.edges import gabor, laplacian, laplacian_of_gaussian, scharr, sobel
from striate.filters.effects import emboss, outline, sharpen
from striate.filters.layer import Filter
from striate.filters.smooth import box, gaussian, identity, tent, upsampling_tent

__all__ = [
    "Filter",
    "box",
    "emboss",
    "gabor",
    "gaussian",
    "identity",
    "laplacian",
    "laplacian_of_gaussian",
    "outline",
    "scharr",
    "sharpen",
    "sobel",
    "tent",
    "upsampling_tent",
]
