"""The shuffle experiment: what is left when every picture's pixels are rearranged alike?

One fixed permutation keeps all the information of a picture and destroys its neighbourhoods. A
feed-forward net treats every pixel alike and cannot tell; whatever a convolutional net or a hand-crafted
feature loses is what it owed to near pixels belonging together.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch

from striate.data.augment import permute_pixels
from striate.data.pictures import Dataset
from striate.models.learner import Learner
from striate.train.config import LearnConfig
from striate.train.monitor import Monitor
from striate.train.run_folder import RunFolder
from striate.verdict.measure import chunks
from striate.verdict.results import ShuffleResult
from striate.verdict.statistics import wilson_interval

AT_ONCE = 500  # test pictures between two signs of life: SIFT finds thousands of keypoints in noise


def pixel_permutation(height: int, width: int, seed: int) -> torch.Tensor:
    """The permutation of all positions, int64 ``(H*W,)``; the same for every channel and learner.

    It comes from PCG64's raw stream, which numpy keeps the same for ever.

    >>> sorted(pixel_permutation(2, 3, seed=0).tolist())
    [0, 1, 2, 3, 4, 5]
    """
    keys = np.random.PCG64(seed).random_raw(height * width)
    return torch.from_numpy(np.argsort(keys, kind="stable").astype(np.int64))


def shuffle_experiment(
    fresh: Callable[[], Learner],
    dataset: Dataset,
    config: LearnConfig,
    *,
    monitor: Monitor,
    folder: RunFolder | None = None,
) -> ShuffleResult:
    """Train once more on shuffled pixels and test on pixels shuffled by the same permutation.

    Args:
        fresh: makes an unfitted learner like the one judged.
        dataset: its pictures.
        config: its settings, with as many epochs as the first fit made.
        folder: where checkpoints go, so that an interrupted fit can go on.

    Raises:
        NotApplicableError: the learner cannot work on shuffled pictures.
    """
    permutation = pixel_permutation(dataset.preprocessing.height, dataset.preprocessing.width, config.seed)
    learner = fresh()
    report = learner.fit(
        dataset.train,
        dataset.val,
        config,
        monitor=monitor,
        folder=folder,
        flip=dataset.flip,
        permutation=permutation,
    )
    pixels, labels = dataset.test.pixels, dataset.test.labels
    correct = 0
    monitor.begin(f"{learner.name}: shuffled test pictures", total=len(labels))
    for chunk in chunks(pixels, AT_ONCE):
        answers = learner.predict(permute_pixels(pixels[chunk], permutation)).argmax(1)
        correct += int((answers == labels[chunk]).sum())
        monitor.advance(chunk.stop)
    monitor.end()
    total = len(labels)
    return ShuffleResult(correct / total, wilson_interval(correct, total), report.seconds)
