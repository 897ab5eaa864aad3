"""The shuffle experiment: one permutation, the same for all, and a learner that cannot tell."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import torch
from verdict_helpers import NearestMean, bars

from striate.data.pictures import Dataset, Preprocessing
from striate.train.config import LearnConfig
from striate.train.monitor import Monitor
from striate.verdict.shuffle import pixel_permutation, shuffle_experiment


def test_the_permutation_is_one_and_is_seeded() -> None:
    permutation = pixel_permutation(28, 20, seed=3)
    assert permutation.dtype == torch.int64
    assert sorted(permutation.tolist()) == list(range(28 * 20))
    assert (permutation == pixel_permutation(28, 20, seed=3)).all()
    assert (permutation != pixel_permutation(28, 20, seed=4)).any()
    assert (permutation != torch.arange(28 * 20)).float().mean() > 0.9


def test_a_learner_without_neighbourhoods_loses_nothing() -> None:
    """Distances between pictures do not change when all positions are rearranged alike."""
    generator = torch.Generator().manual_seed(0)
    pictures = bars(60)
    noise = torch.randint(0, 200, pictures.pixels.shape, generator=generator)
    pictures.pixels.copy_((pictures.pixels.long() // 10 + noise).clamp(0, 255))
    train, test = pictures.subset(range(30)), pictures.subset(range(30, 60))
    dataset = cast(
        Dataset,
        SimpleNamespace(train=train, val=test, test=test, flip=False, preprocessing=Preprocessing(12, 12, 1)),
    )
    config = LearnConfig(source="bars")
    plain = NearestMean()
    plain.fit(train, test, config, monitor=Monitor())
    wanted = float((plain.predict(test.pixels).argmax(1) == test.labels).float().mean())
    made: list[NearestMean] = []

    def fresh() -> NearestMean:
        made.append(NearestMean())
        return made[-1]

    result = shuffle_experiment(fresh, dataset, config, monitor=Monitor())
    assert 0.5 < wanted < 1  # hard enough to tell
    assert abs(result.accuracy - wanted) < 1e-6
    assert result.interval[0] < result.accuracy < result.interval[1]
    assert result.seconds == 0.5
    # It did learn other means than the unshuffled learner: the same ones, rearranged.
    permutation = pixel_permutation(12, 12, config.seed)
    assert plain.means is not None and made[0].means is not None
    assert torch.equal(made[0].means, plain.means[:, permutation])
    # And without the permutation of the test pictures it would be lost.
    lost = float((made[0].predict(test.pixels).argmax(1) == test.labels).float().mean())
    assert lost < wanted
