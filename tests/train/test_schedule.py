"""Durations, seeds, the one-cycle schedule, and the settings they lead to."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from striate.errors import UsageError
from striate.models.recipe import Recipe
from striate.train.config import LearnConfig
from striate.train.schedule import derive_seed, one_cycle, parse_duration
from striate.train.settings import choose_device, resolve

RECIPE = Recipe("adamw", 0.01, 0.1, 128, 10, 500, crop_padding=0.1, cutout=0.25, flip=True, bfloat16=True)


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("1.5m", 90), ("2h", 7200), ("7", 7), (" 5 s ", 5)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "s", "-5s", "0", "0s", "1d", "1e3", "10 m s", "nan", "inf", "٣s"])
def test_what_is_no_duration(text):
    with pytest.raises(UsageError, match="60s, 10m or 1h"):
        parse_duration(text)


@given(steps=st.integers(1, 500))
def test_one_cycle_rises_once_and_falls_once(steps):
    values = [one_cycle(step, steps) for step in range(steps)]
    top = values.index(max(values))
    assert all(0 < v <= 1 for v in values)
    assert values[: top + 1] == sorted(values[: top + 1]) and values[top:] == sorted(
        values[top:], reverse=True
    )


def test_seeds_do_not_collide():
    seeds = {derive_seed(s, p, i) for s in range(10) for p in ("order", "augment") for i in range(50)}
    assert len(seeds) == 1000 and all(0 <= seed < 2**63 for seed in seeds)


@given(pictures=st.integers(1, 10_000))
def test_settings_fit_any_number_of_pictures(pictures):
    settings = resolve(LearnConfig(source="x"), RECIPE, pictures, 28, flip=False)
    assert 1 <= settings.batch_size <= min(128, pictures)
    assert settings.steps >= 10 and not settings.flip
    assert (settings.crop_padding, settings.cutout) == (3, 7)


def test_the_users_wishes_win():
    config = LearnConfig(
        source="x",
        epochs=3,
        batch_size=7,
        learning_rate=1,
        weight_decay=0,
        label_smoothing=0,
        flip=True,
        precision="float32",
        augment=False,
    )
    settings = resolve(config, RECIPE, 70, 28, flip=False)
    assert (settings.steps, settings.batch_size, settings.learning_rate) == (30, 7, 1)
    assert settings.weight_decay == settings.label_smoothing == settings.crop_padding == settings.cutout == 0
    assert settings.precision == "float32" and not settings.flip  # augmentation is off altogether
    assert resolve(LearnConfig(source="x", flip=True), RECIPE, 70, 28, flip=False).flip


@pytest.mark.parametrize("name", ["tpu", "cuda:999", "mps", "", "cpu,cuda"])
def test_a_device_that_is_not_there(name):
    if name == "cuda:999" or not torch.cuda.is_available():
        with pytest.raises(UsageError, match="device"):
            choose_device(name)
