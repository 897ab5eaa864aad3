"""``striate.accelerate`` on models that were not written for it."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.utils import parametrizations

import striate
from striate.ops._library import NATIVE
from striate.ops._serving import kernels_used

pytestmark = pytest.mark.skipif(not NATIVE.loaded, reason=NATIVE.why)


def mobile():
    return nn.Sequential(
        nn.Conv2d(3, 16, 3, 2, 1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Conv2d(16, 16, 5, padding=2, groups=16),
        nn.MaxPool2d(3, 2, 1),
        nn.ConvTranspose2d(16, 16, 4, 2, 1, groups=16),
        nn.Conv2d(16, 8, 1),
    )


def hugging_face(name):
    transformers = pytest.importorskip("transformers")
    config, model, options = {
        "convnext": ("ConvNextConfig", "ConvNextModel", {"hidden_sizes": [16, 24, 32, 48], "depths": [1, 1, 1, 1]}),
        "mobilenet": ("MobileNetV2Config", "MobileNetV2Model", {"depth_multiplier": 0.35}),
        "regnet": ("RegNetConfig", "RegNetModel", {"embedding_size": 8, "hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1], "groups_width": 8}),
        "resnet": ("ResNetConfig", "ResNetModel", {"embedding_size": 8, "hidden_sizes": [16, 16, 32, 32], "depths": [1, 1, 1, 1]}),
        "efficientnet": ("EfficientNetConfig", "EfficientNetModel", {"width_coefficient": 1.0, "depth_coefficient": 1.0, "hidden_dim": 1280}),
    }[name]  # fmt: skip
    return getattr(transformers, model)(getattr(transformers, config)(**options))


def run(model, x):
    """Output and gradients of a step, from equal randomness."""
    torch.manual_seed(1)
    model.zero_grad()
    y = model(x)
    y = y if isinstance(y, torch.Tensor) else y.last_hidden_state
    y.float().square().mean().backward()
    return [y.detach(), *(p.grad.clone() for p in model.parameters() if p.grad is not None)]


def check_equal(model, twin, x, bound=2e-4):
    for one, other in zip(run(model, x), run(twin, x), strict=True):
        assert (one - other).abs().max() <= bound * (1 + other.abs().max())


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_same_results_and_state_and_back_again(form):
    model = mobile().to(memory_format=form)
    twin, classes = copy.deepcopy(model), [type(m) for m in model.modules()]
    report = striate.accelerate(model)
    assert [change.name for change in report.changed] == ["3", "4", "5"]
    assert {refusal.name: refusal.why for refusal in report.left} == {
        "0": "a first layer: PyTorch with channels last is as fast if its input wants no gradient",
        "6": "dense: PyTorch is as fast",
    }
    assert list(model.state_dict()) == list(twin.state_dict())
    x = torch.randn(2, 3, 64, 64).contiguous(memory_format=form)
    check_equal(model, twin, x)
    check_equal(model.eval(), twin.eval(), x)
    assert not striate.accelerate(model).changed, "a second call changes nothing"
    report.undo()
    assert [type(m) for m in model.modules()] == classes
    assert all(torch.equal(a, b) for a, b in zip(run(model, x), run(twin, x), strict=True))


@pytest.mark.parametrize("name", ["convnext", "mobilenet", "efficientnet", "regnet", "resnet"])
def test_models_of_hugging_face(name):
    torch.manual_seed(0)
    model = hugging_face(name).eval()
    twin = copy.deepcopy(model)
    report = striate.accelerate(model)
    assert list(model.state_dict()) == list(twin.state_dict())
    check_equal(model, twin, torch.randn(1, 3, 64, 64))
    if name in ("convnext", "mobilenet", "efficientnet"):
        assert len(report.changed) >= 4, str(report)
    report.undo()
    assert [type(m) for m in model.modules()] == [type(m) for m in twin.modules()]


class Own(nn.Conv2d):
    """Computes something else."""

    def forward(self, input):
        return -super().forward(input)


def test_what_it_cannot_answer_for_is_left_alone_and_named():
    with pytest.warns(DeprecationWarning):
        scripted = torch.jit.script(nn.Conv2d(4, 4, 3, groups=4))
    model = nn.ModuleDict(
        {
            "own": Own(4, 4, 3, groups=4),
            "parametrized": parametrizations.weight_norm(nn.Conv2d(4, 4, 3, groups=4)),
            "patched": nn.Conv2d(4, 4, 3, groups=4),
            "scripted": scripted,
            "indices": nn.MaxPool2d(2, return_indices=True),
            "reflect": nn.Conv2d(4, 4, 3, padding=1, groups=4, padding_mode="reflect"),
            "lazy": nn.LazyConv2d(4, 3),
            "grouped": nn.Conv2d(64, 64, 3, groups=2),
            "stem": nn.Conv2d(3, 32, 3),
            "volume": nn.Conv3d(4, 4, 3, groups=2),
        }
    )
    model["patched"].forward = lambda x: x
    before = [type(module) for module in model.modules()]
    report = striate.accelerate(model)
    assert not report.changed
    assert [type(module) for module in model.modules()] == before
    reasons = {refusal.name: refusal.why for refusal in report.left}
    assert set(reasons) == set(model)
    for name, word in {
        "own": "subclass", "parametrized": "parametrized", "patched": "forward", "scripted": "TorchScript",
        "indices": "indices", "reflect": "reflect", "lazy": "lazy", "grouped": "more than",
        "stem": "first layer", "volume": "volumes",
    }.items():  # fmt: skip
        assert word in reasons[name]
        assert f"- {name} (" in str(report)


def test_few_channels():
    model = nn.Sequential(
        nn.Conv2d(1, 8, 5, stride=2, padding=2),
        nn.Conv2d(8, 16, 3, padding=1, groups=2),
        nn.ConvTranspose2d(16, 16, 4, stride=2, padding=1, groups=4),
        nn.ConvTranspose2d(16, 3, 4, stride=2, padding=1),
    )
    twin, report = copy.deepcopy(model), striate.accelerate(model)
    assert len(report.changed) == 4, str(report)
    assert "8 channels in a group" in report.changed[1].why
    check_equal(model, twin, torch.randn(2, 1, 32, 32))


def test_hooks_and_sharing_survive():
    shared = nn.Conv2d(8, 8, 3, padding=1, groups=8)
    model = nn.Sequential(shared, nn.ReLU(), shared)
    twin, seen = copy.deepcopy(model), []
    shared.register_forward_hook(lambda module, inputs, output: seen.append(module))
    report = striate.accelerate(model)
    assert len(report.changed) == 1 and model[0] is model[2] is shared
    check_equal(model, twin, torch.randn(2, 8, 16, 16))
    assert seen == [shared, shared]
    assert torch.equal(copy.deepcopy(model)[0].weight, shared.weight)


def sequence():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.ReLU(inplace=True),
        nn.Flatten(), nn.Linear(400, 10),
    )  # fmt: skip


def test_neighbours_compute_in_one_pass():
    model = sequence()
    twin, classes = copy.deepcopy(model), [type(m) for m in model.modules()]
    report = striate.accelerate(model)
    assert {change.name for change in report.changed if "one pass" in change.why} == {"0", "3"}
    x = torch.randn(16, 1, 28, 28)
    assert kernels_used(lambda: run(model, x)) == ("conv_pool", "conv_pool_backward")
    check_equal(model, twin, x)
    check_equal(model, twin, torch.randn(2, 1, 28, 28))  # too few for the kernel: layer by layer
    assert torch.allclose(model[:2](x), twin[:2](x), atol=1e-5), "a slice is what it was"
    assert torch.allclose(model[0](x), twin[0](x), atol=1e-5), "so is a layer"
    assert not striate.accelerate(model).changed
    assert type(copy.deepcopy(model)) is type(model)
    report.undo()
    assert [type(m) for m in model.modules()] == classes


def test_hooks_see_what_lies_between():
    model, seen = sequence(), []
    striate.accelerate(model)
    model[1].register_forward_hook(lambda module, inputs, output: seen.append(output.shape))
    x = torch.randn(16, 1, 28, 28)
    assert kernels_used(lambda: model(x)) == ("few_channels_conv", "max_pool", "conv_pool")
    assert seen == [(16, 6, 28, 28)]


def test_sequences_that_compute_something_else_are_left_alone():
    class Backwards(nn.Sequential):
        def forward(self, input):
            for layer in reversed(self):
                input = layer(input)
            return input

    model = Backwards(nn.MaxPool2d(2), nn.ReLU(), nn.Conv2d(1, 6, 5), nn.MaxPool2d(2))
    twin = copy.deepcopy(model)
    striate.accelerate(model)
    assert type(model) is Backwards
    check_equal(model, twin, torch.randn(16, 1, 28, 28))


def test_weights_of_many_channels_lie_with_channels_last():
    model = nn.Sequential(
        nn.Conv2d(3, 16, 3), nn.Conv2d(16, 32, 3), nn.Conv2d(32, 32, 1), nn.Conv2d(32, 32, 3),
        nn.Conv2d(32, 32, 3, groups=2), nn.Conv2d(32, 32, 3, groups=32),
    )  # fmt: skip
    twin, weights = copy.deepcopy(model), [conv.weight for conv in model]
    report = striate.accelerate(model)
    assert report.channels_last == ["0", "1", "3", "4"]
    assert "channels last in 4 convolutions" in str(report)
    assert all(conv.weight is weight for conv, weight in zip(model, weights, strict=True))
    y = model(torch.randn(2, 3, 16, 16))
    assert y.is_contiguous(memory_format=torch.channels_last)
    check_equal(model, twin, torch.randn(2, 3, 16, 16))
    assert all(
        torch.equal(a, b)
        for a, b in zip(model.state_dict().values(), twin.state_dict().values(), strict=True)
    )
    assert not striate.accelerate(model).channels_last
    report.undo()
    assert all(conv.weight.is_contiguous() for conv in model)


def test_an_optimiser_made_before_goes_on():
    models = [
        nn.Sequential(nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 16, 3, groups=16)) for _ in range(2)
    ]
    models[1].load_state_dict(models[0].state_dict())
    optimisers = [torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9) for model in models]
    x = torch.randn(4, 16, 8, 8)
    for step in range(3):
        for model, optimiser in zip(models, optimisers, strict=True):
            run(model, x)
            optimiser.step()
        if step == 0:
            assert striate.accelerate(models[0]).channels_last == ["0"]
    for one, other in zip(models[0].parameters(), models[1].parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-5)
