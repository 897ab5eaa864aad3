"""From any number of keypoints to one vector: histograms of visual words over a spatial pyramid.

Sources: Csurka et al. 2004 (visual words); Lazebnik, Schmid and Ponce 2006 (spatial pyramid);
Philbin et al. 2008 (soft assignment); Arandjelović and Zisserman 2012 (square roots).
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from striate.models.features.sift import Keypoints

WORDS = 256
GRIDS = (1, 2, 4)  # tiles a side of the pyramid's levels
TILES = sum(grid * grid for grid in GRIDS)
NEAREST = 4  # words that share a keypoint
BLUR = 0.2  # distance at which a word's share has fallen by a factor of √e
VOCABULARY_SAMPLE = 100_000  # descriptors at most that the words are learned from
KEYPOINTS_PER_WORD = 8  # at least
BLOCK = 8192  # keypoints assigned at once


def learn_vocabulary(descriptors: NDArray[np.uint8], seed: int) -> torch.Tensor:
    """Cluster centres of (a sample of) the descriptors, float32 ``(words, 128)``.

    256 words, fewer where there are few descriptors.
    """
    from sklearn.cluster import MiniBatchKMeans
    from threadpoolctl import threadpool_limits

    random = np.random.Generator(np.random.PCG64(seed))
    if len(descriptors) > VOCABULARY_SAMPLE:
        chosen = random.choice(len(descriptors), VOCABULARY_SAMPLE, replace=False, shuffle=False)
        descriptors = descriptors[np.sort(chosen)]
    words = max(1, min(WORDS, len(descriptors) // KEYPOINTS_PER_WORD))
    means = MiniBatchKMeans(
        words, batch_size=4096, max_iter=50, n_init=1, compute_labels=False, random_state=seed
    )
    with threadpool_limits(1):  # the same words at any number of threads
        means.fit(_rooted(torch.from_numpy(descriptors)).numpy())
    return torch.from_numpy(means.cluster_centers_.astype(np.float32))


def word_histograms(keypoints: Keypoints, vocabulary: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """Square roots of each word's share in the keypoints of each tile, float32 ``(N, 21 * words)``.

    A keypoint counts for its nearest words, by their distance. A picture without keypoints gets
    zeros; the squares of any other sum to 1.

    Args:
        keypoints: of N pictures.
        vocabulary: float32 ``(words, 128)``.
        height, width: of the pictures, in pixels.

    >>> from striate.models.features.sift import SiftSettings, sift
    >>> found = sift(np.zeros((2, 1, 28, 28), np.uint8), SiftSettings(1))
    >>> word_histograms(found, torch.rand(3, 128), 28, 28).sum().item()
    0.0
    """
    pictures, words = len(keypoints.counts), len(vocabulary)
    result = torch.zeros(pictures, TILES * words)
    flat = result.view(-1)
    size = torch.tensor([height, width])
    picture = torch.from_numpy(np.repeat(np.arange(pictures), keypoints.counts))
    for start in range(0, len(picture), BLOCK):
        part = slice(start, start + BLOCK)
        word, share = _nearest_words(torch.from_numpy(keypoints.descriptors[part]), vocabulary)
        for tile in _tiles(torch.from_numpy(keypoints.positions[part]) / size):
            first = (picture[part] * TILES + tile) * words
            flat.index_add_(0, (first[:, None] + word).flatten(), share.flatten())
    total = result.sum(1, keepdim=True).clamp_(min=1e-12)
    return result.div_(total).sqrt_()


def _rooted(descriptors: torch.Tensor) -> torch.Tensor:
    """Unit vectors whose Euclidean distance is the Hellinger distance of the descriptors."""
    values = descriptors.float()
    return values.div_(values.sum(1, keepdim=True).clamp_(min=1)).sqrt_()


def _nearest_words(descriptors: torch.Tensor, vocabulary: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The nearest words of each descriptor and their shares, which sum to 1: both ``(M, nearest)``."""
    points = _rooted(descriptors)
    squares = torch.addmm(vocabulary.square().sum(1), points, vocabulary.T, alpha=-2)  # up to a constant
    nearest = squares.topk(min(NEAREST, len(vocabulary)), largest=False)
    return nearest.indices, torch.softmax(-nearest.values / (2 * BLUR**2), dim=1)


def _tiles(positions: torch.Tensor) -> list[torch.Tensor]:
    """For each level of the pyramid the tile ``(M,)`` that a position (as shares of height and width) lies in."""
    tiles, before = [], 0
    for grid in GRIDS:
        place = (positions * grid).long().clamp_(0, grid - 1)
        tiles.append(before + place[:, 0] * grid + place[:, 1])
        before += grid * grid
    return tiles
