"""Pictures for the tests of features: noise, plateaus, colours, digits, photographs; thin and tiny ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def digits(count: int) -> NDArray[np.uint8]:
    """Real 8 × 8 digits, uint8 ``(count, 1, 8, 8)``."""
    from sklearn.datasets import load_digits

    return np.rint(load_digits().images[:count, None] * (255 / 16)).astype(np.uint8)


def photographs(height: int, width: int) -> NDArray[np.uint8]:
    """Two real photographs, uint8 ``(2, 3, height, width)``."""
    from skimage.data import astronaut, coffee
    from skimage.transform import resize

    pictures = [resize(picture, (height, width)) for picture in (astronaut(), coffee())]
    return np.rint(np.stack(pictures).transpose(0, 3, 1, 2) * 255).astype(np.uint8)


def noise(shape: tuple[int, ...], seed: int, levels: int = 256) -> NDArray[np.uint8]:
    """Noise of so many grey levels: few make plateaus and ties."""
    random = np.random.default_rng(seed)
    steps = random.integers(0, levels, shape) * (255 // max(1, levels - 1))
    return steps.astype(np.uint8)


def blobs(count: int, side: int, seed: int) -> NDArray[np.uint8]:
    """Smooth random pictures, uint8 ``(count, 1, side, side)``."""
    from scipy import ndimage

    random = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(random.normal(size=(count, side, side)), (0, 1.5, 1.5))
    smooth -= smooth.min(axis=(1, 2), keepdims=True)
    return (smooth / smooth.max(axis=(1, 2), keepdims=True) * 255).astype(np.uint8)[:, None]
