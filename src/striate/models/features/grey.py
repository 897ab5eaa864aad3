"""Grey pictures from colour ones."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

WEIGHTS = np.array([0.2125, 0.7154, 0.0721], np.float32)  # as in scikit-image's rgb2gray


def grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Luminance rounded to whole levels, ``(N, H, W)``, of grey or colour pictures ``(N, C, H, W)``.

    >>> grey(np.array([255, 0, 0], np.uint8).reshape(1, 3, 1, 1)).item()
    54
    """
    if pixels.shape[1] == 1:
        return pixels[:, 0]
    luminance: NDArray[np.float32] = np.einsum("nchw,c->nhw", pixels, WEIGHTS)
    return np.rint(luminance).astype(np.uint8)
