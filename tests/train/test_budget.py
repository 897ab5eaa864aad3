"""A time budget becomes a plan: steps that fit, at least one, and no more than make sense."""

import time

import pytest
import torch

from striate.data.pictures import PictureSet
from striate.models.mlp import RECIPE
from striate.models.network import NetworkLearner
from striate.train.budget import MOST, within_budget
from striate.train.config import LearnConfig
from striate.train.settings import resolve


@pytest.fixture(scope="module")
def pictures():
    pixels = torch.randint(0, 256, (600, 1, 8, 8), dtype=torch.uint8)
    return PictureSet(pixels, torch.arange(600) % 2, tuple(map(str, range(600))), ("a", "b"))


def plan(pictures, **wishes):
    learner = NetworkLearner("mlp", (1, 8, 8), 2)
    before = {name: t.clone() for name, t in learner.tensors().items()}
    config = LearnConfig(source="x", **wishes)
    settings = resolve(config, RECIPE, len(pictures), 8, flip=False)
    planned = within_budget(settings, config, learner.network, learner.normalise, pictures, pictures)
    assert all(torch.equal(t, before[name]) for name, t in learner.tensors().items())
    return settings, planned


def test_no_budget_changes_nothing(pictures):
    settings, planned = plan(pictures)
    assert planned == settings


def test_a_long_budget_stops_where_learning_does(pictures):
    settings, planned = plan(pictures, budget="10h")
    assert planned.steps == MOST * settings.steps


def test_epochs_of_the_user_are_the_most(pictures):
    settings, planned = plan(pictures, budget="10h", epochs=3)
    assert planned.steps == settings.steps


def test_a_hopeless_budget_still_makes_a_step_and_takes_no_longer_than_the_trial(pictures):
    began = time.monotonic()
    _, planned = plan(pictures, budget="0.001s")
    assert planned.steps == 1 and time.monotonic() - began < 30


def test_a_budget_of_less_than_a_pass_is_planned_in_steps(pictures):
    per_epoch = 600 // resolve(LearnConfig(source="x"), RECIPE, 600, 8, flip=False).batch_size
    planned = [plan(pictures, budget=f"{seconds}s")[1].steps for seconds in (0.05, 0.5, 5)]
    assert planned[0] <= planned[2]
    assert all(steps < per_epoch or steps % per_epoch == 0 for steps in planned)
