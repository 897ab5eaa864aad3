import numpy as np
import torch

from striate.models.features.bag_of_words import TILES, WORDS, learn_vocabulary, word_histograms
from striate.models.features.sift import Keypoints


def some_keypoints(counts, seed=0):
    random = np.random.default_rng(seed)
    total = sum(counts)
    return Keypoints(
        random.integers(0, 120, (total, 128)).astype(np.uint8),
        random.uniform(0, 28, (total, 2)).astype(np.float32),
        random.uniform(-3, 3, total).astype(np.float32),
        np.array(counts),
    )


def test_histograms_are_unit_vectors_and_zero_without_keypoints():
    keypoints = some_keypoints([5, 0, 9, 1])
    histograms = word_histograms(keypoints, learn_vocabulary(some_keypoints([400]).descriptors, 0), 28, 28)
    np.testing.assert_allclose((histograms**2).sum(1), [1, 0, 1, 1], rtol=1e-5)


def test_each_level_of_the_pyramid_counts_every_keypoint():
    vocabulary = learn_vocabulary(some_keypoints([400]).descriptors, 0)
    shares = word_histograms(some_keypoints([7]), vocabulary, 28, 28).view(TILES, -1).square().sum(1)
    levels = [shares[0], shares[1:5].sum(), shares[5:].sum()]
    np.testing.assert_allclose(levels, [1 / 3] * 3, rtol=1e-5)


def test_a_keypoint_lies_in_its_tile():
    keypoints = Keypoints(
        np.ones((1, 128), np.uint8), np.float32([[27, 1]]), np.zeros(1, np.float32), np.array([1])
    )
    shares = word_histograms(keypoints, torch.rand(3, 128), 28, 28).view(TILES, -1).square().sum(1)
    assert shares.nonzero().flatten().tolist() == [0, 1 + 2, 1 + 4 + 12]


def test_pictures_do_not_mix():
    vocabulary = learn_vocabulary(some_keypoints([400]).descriptors, 0)
    both = some_keypoints([3, 4])
    alone = Keypoints(both.descriptors[3:], both.positions[3:], both.orientations[3:], both.counts[1:])
    torch.testing.assert_close(
        word_histograms(both, vocabulary, 28, 28)[1:], word_histograms(alone, vocabulary, 28, 28)
    )


def test_vocabulary_repeats_and_is_small_where_keypoints_are_few():
    descriptors = some_keypoints([300]).descriptors
    one, again, other = (learn_vocabulary(descriptors, seed) for seed in (1, 1, 2))
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert len(one) == 300 // 8 < WORDS
    assert learn_vocabulary(descriptors[:3], 0).shape == (1, 128)


def test_the_nearest_word_gets_the_most():
    descriptors = some_keypoints([2]).descriptors
    words = torch.from_numpy(np.sqrt(descriptors / descriptors.sum(1, keepdims=True, dtype=np.float32)))
    keypoints = Keypoints(
        descriptors[:1], np.zeros((1, 2), np.float32), np.zeros(1, np.float32), np.array([1])
    )
    first, second = word_histograms(keypoints, words, 28, 28).view(TILES, 2)[0].square().tolist()
    assert first > 0.8 / 3 > second > 0
