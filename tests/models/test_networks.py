"""The networks and the learner around them: sizes, costs, storage, a user's own model."""

import json
import sys

import pytest
import torch
from torch import nn

from striate.data.pictures import PictureSet
from striate.errors import UsageError
from striate.geometry import trace
from striate.models.cnn import CNN, WIDTHS, choose_width
from striate.models.dilated import dilated
from striate.models.flattened import flattened
from striate.models.inception import inception
from striate.models.lenet import LeNet
from striate.models.mlp import MLP
from striate.models.network import KNOWN, NetworkLearner, channel_statistics, load_factory
from striate.models.registry import HANDCRAFTED, check_name, create, restore
from striate.models.separable import separable
from striate.train.config import MODELS, LearnConfig
from striate.train.monitor import Monitor


def pictures(count, shape, classes=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, *shape), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % classes
    return PictureSet(
        pixels, labels, tuple(map(str, range(count))), tuple(f"class {i}" for i in range(classes))
    )


@pytest.mark.parametrize("network", [LeNet, MLP, CNN, separable, flattened, inception, dilated])
@pytest.mark.parametrize("size", [(8, 8), (16, 9), (28, 28), (33, 47), (96, 64), (200, 300)])
@pytest.mark.parametrize("channels", [1, 3])
def test_every_network_takes_every_size(network, size, channels):
    logits = network(channels, size, 7).eval()(torch.zeros(2, channels, *size))
    assert logits.shape == (2, 7) and logits.isfinite().all()


def test_every_model_is_described_once():
    assert set(MODELS) == {*HANDCRAFTED, *KNOWN}


@pytest.mark.parametrize("size", [(8, 8), (16, 9), (28, 28), (33, 47), (96, 96)])
def test_the_dilated_network_sees_as_far_as_the_pooling_one(size):
    """But for what the windows of the poolings that it leaves out add themselves."""
    reach, stages = [], 0
    for make in (CNN, dilated):
        seconds = [row for row in trace(make(1, size, 3), (1, *size)).layers if row.name.endswith("conv2")]
        reach.append(seconds[-1].receptive_field.size[0])
        stages = len(seconds)
    stem = 2 if min(size) > 48 else 1
    left_out = range(1 if min(size) >= 16 else 0, stages)
    assert reach[1] == reach[0] - stem * sum(2**i for i in left_out)


def test_lenet_has_the_lectures_numbers():
    with_bias = LeNet(1, (32, 32), 10)
    assert with_bias.conv1.weight.numel() == 150 and with_bias.conv2.weight.numel() == 2400
    assert sum(p.numel() for p in with_bias.conv1.parameters()) == 156
    assert sum(p.numel() for p in with_bias.conv2.parameters()) == 2416
    assert sum(p.numel() for p in with_bias.parameters()) == 61_706
    assert LeNet(1, (32, 32), 10, bias=False).conv1.bias is None


def test_lenet_is_convolution_relu_and_pooling_twice_then_three_linear_layers():
    network = LeNet(1, (28, 28), 10)
    x = torch.randn(4, 1, 28, 28)
    y = x
    for layer in (network.conv1, network.conv2):
        y = nn.functional.conv2d(y, layer.weight, layer.bias)
        y = nn.functional.max_pool2d(nn.functional.relu(y), 2)
    y = network.fc2(nn.functional.relu(network.fc1(y.flatten(1))))
    torch.testing.assert_close(network(x), network.fc3(nn.functional.relu(y)), atol=1e-6, rtol=1e-5)


def test_lenet_starts_with_the_weights_of_torch():
    torch.manual_seed(4)
    started = LeNet(3, (32, 32), 10).state_dict()
    torch.manual_seed(4)
    layers = [
        nn.Conv2d(3, 6, 5),
        nn.Conv2d(6, 16, 5),
        nn.Linear(400, 120),
        nn.Linear(120, 84),
        nn.Linear(84, 10),
    ]
    for name, layer in zip(("conv1", "conv2", "fc1", "fc2", "fc3"), layers, strict=True):
        assert torch.equal(started[f"{name}.weight"], layer.weight)
        assert torch.equal(started[f"{name}.bias"], layer.bias)


def test_the_width_follows_pictures_and_budget():
    def width(count, budget=None, shape=(1, 28, 28)):
        return choose_width(shape, count, LearnConfig(source="x", budget=budget, device="cpu"))

    assert width(500, "10h") == 16 < width(50_000, "10h") == WIDTHS[-1]
    chosen = [width(50_000, budget) for budget in ("10s", "3m", "10m", "30m", "2h")]
    assert chosen == sorted(chosen) and chosen[0] == WIDTHS[0] and len(set(chosen)) > 2
    assert width(50_000, "10m", (3, 96, 96)) < width(50_000, "10m")


@pytest.mark.parametrize("count", [1, 7, 5000])
def test_channel_statistics_are_exact(count):
    pixels = pictures(count, (3, 5, 4)).pixels
    mean, std = channel_statistics(pixels)
    values = pixels.double() / 255
    torch.testing.assert_close(mean.double(), values.mean((0, 2, 3)), atol=1e-7, rtol=0)
    torch.testing.assert_close(std.double(), values.std((0, 2, 3), correction=0), atol=1e-7, rtol=0)


def test_constant_pictures_do_not_divide_by_zero():
    constant = PictureSet(
        torch.full((40, 1, 8, 8), 255, dtype=torch.uint8),
        torch.arange(40) % 2,
        tuple(map(str, range(40))),
        ("a", "b"),
    )
    learner = NetworkLearner("cnn", (1, 8, 8), 2, {"width": 8})
    learner.fit(constant, constant, LearnConfig(source="x", epochs=1), monitor=Monitor())
    assert learner.predict(constant.pixels).isfinite().all()


@pytest.mark.parametrize("name", list(KNOWN))
def test_a_saved_model_answers_with_the_same_bits(name):
    train = pictures(60, (3, 12, 10))
    made = create(
        name,
        preprocessing=_preprocessing((3, 12, 10)),
        classes=train.classes,
        train_size=60,
        config=LearnConfig(source="x"),
    )
    made.fit(train, train, LearnConfig(source="x", epochs=1), monitor=Monitor())
    again = restore(name, made.family, json.loads(json.dumps(made.architecture())), made.tensors())
    assert torch.equal(made.predict(train.pixels), again.predict(train.pixels))
    assert again.parameters == made.parameters and again.macs == made.macs and again.title == made.title
    torch.testing.assert_close(made.predict(train.pixels).sum(1), torch.ones(60))


def test_no_picture_gives_no_row():
    assert NetworkLearner("mlp", (1, 8, 8), 4).predict(torch.zeros(0, 1, 8, 8, dtype=torch.uint8)).shape == (
        0,
        4,
    )


def test_seeds_decide_the_first_weights_and_leave_the_global_generator_alone():
    state = torch.get_rng_state()
    a, b, c = (NetworkLearner("mlp", (1, 8, 8), 4, seed=seed).tensors() for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    name = "layers.1.weight"
    assert torch.equal(a[name], b[name]) and not torch.equal(a[name], c[name])


def _preprocessing(shape):
    from striate.data.pictures import Preprocessing

    return Preprocessing(height=shape[1], width=shape[2], channels=shape[0])


USER_MODULE = """
from torch import nn

def good(in_channels, num_classes):
    return nn.Sequential(nn.Conv2d(in_channels, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, num_classes))

def colour():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3))

def thousand(in_channels):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(1000))

def broken(num_classes):
    raise ValueError("no weights here")

def number():
    return 5

VALUE = 3
"""


@pytest.fixture
def user_module(tmp_path, monkeypatch):
    (tmp_path / "their_models.py").write_text(USER_MODULE)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield "their_models"
    sys.modules.pop("their_models", None)


def test_a_users_own_model_trains_and_is_restored(user_module):
    train = pictures(40, (1, 9, 9))
    learner = NetworkLearner(f"{user_module}:good", (1, 9, 9), 3)
    learner.fit(train, train, LearnConfig(source="x", epochs=1), monitor=Monitor())
    again = NetworkLearner.restore(learner.architecture(), learner.tensors())
    assert torch.equal(again.predict(train.pixels), learner.predict(train.pixels))
    assert learner.kind == "your own"


@pytest.mark.parametrize(
    ("factory", "message"),
    [
        ("colour", "pictures of 1 channels and 9×9 pixels.*--channels"),
        ("thousand", r"gave \(2, 1000\).*wanted logits \(2, 3\)"),
        ("broken", "ValueError: no weights here"),
        ("number", "gave a int, wanted a torch.nn.Module"),
        ("absent", "has no 'absent'"),
        ("VALUE", "is a int, wanted a function"),
    ],
)
def test_a_users_model_that_does_not_fit_is_told_how(user_module, factory, message):
    with pytest.raises(UsageError, match=message):
        NetworkLearner(f"{user_module}:{factory}", (1, 9, 9), 3)


def test_a_module_that_is_not_there():
    with pytest.raises(UsageError, match=r"cannot import 'nowhere_at_all'.*PYTHONPATH"):
        load_factory("nowhere_at_all:make")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("cn", "did you mean cnn"),
        ("le-net", "did you mean lenet"),
        ("zzz", "wanted one of"),
        (":x", "package.module"),
    ],
)
def test_an_unknown_model_suggests_the_nearest(name, hint):
    with pytest.raises(UsageError, match=hint):
        check_name(name)
