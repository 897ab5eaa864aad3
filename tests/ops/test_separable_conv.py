"""What is special to depthwise separable convolution: the two convolutions that it is, and its weights."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from striate import functional, geometry
from striate.errors import ArgumentError
from striate.nn import SeparableConv1d, SeparableConv2d, SeparableConv3d

SEPARABLE = {1: functional.separable_conv1d, 2: functional.separable_conv2d, 3: functional.separable_conv3d}
PYTORCHS = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("multiplier", [1, 3])
def test_it_is_pytorchs_depthwise_then_its_1x1(rank: int, multiplier: int):
    input, bias = random(2, 4, *(7,) * rank), random(5)
    depthwise, pointwise = random(4 * multiplier, 1, *(3,) * rank), random(5, 4 * multiplier, *(1,) * rank)
    between = PYTORCHS[rank](input, depthwise, None, 2, 1, 1, 4)
    wanted = PYTORCHS[rank](between, pointwise, bias)
    got = SEPARABLE[rank](input, depthwise, pointwise, bias, stride=2, padding=1)
    torch.testing.assert_close(got, wanted)


def test_kernels_of_one_channel_stand_together():
    """As in PyTorch and Keras: with two kernels a channel, 0 and 1 are those of the first channel."""
    input = torch.tensor([[[1.0]], [[10.0]]])
    kernels = torch.tensor([1.0, 2.0, 3.0, 4.0]).reshape(4, 1, 1, 1)
    each = functional.separable_conv2d(input, kernels, torch.eye(4)[..., None, None])
    assert each.flatten().tolist() == [1, 2, 30, 40]


def test_a_convolution_that_is_a_product():
    """One kernel a channel, weighted for each output: the full convolution with their products."""
    input, depthwise, pointwise = random(2, 3, 8, 9), random(3, 1, 3, 3), random(4, 3, 1, 1)
    full = pointwise * depthwise.transpose(0, 1)
    torch.testing.assert_close(
        functional.separable_conv2d(input, depthwise, pointwise, padding="same", stride=2),
        functional.conv2d(input, full, padding="same", stride=2),
    )


@pytest.mark.parametrize("layer", [SeparableConv1d, SeparableConv2d, SeparableConv3d])
def test_what_a_layer_keeps(layer: type):
    rank = layer.rank
    made = layer(4, 6, 3, depth_multiplier=2)
    assert {name: tuple(value.shape) for name, value in made.state_dict().items()} == {
        "depthwise_weight": (8, 1, *(3,) * rank),
        "pointwise_weight": (6, 8, *(1,) * rank),
        "bias": (6,),
    }
    assert list(layer(4, 6, 3, bias=False).state_dict()) == ["depthwise_weight", "pointwise_weight"]


def test_a_layer_has_the_parameters_that_geometry_tells():
    layer = SeparableConv2d(32, 64, 3, padding=1)
    rule = geometry.separable_conv((32, 16, 16), 64, 3, padding=1)
    assert sum(p.numel() for p in layer.parameters()) == rule.parameters == 9 * 32 + 32 * 64 + 64
    full = geometry.conv((32, 16, 16), 64, 3, padding=1)
    assert rule.macs / full.macs == 1 / 64 + 1 / 9  # MobileNets, section 3.1: 1/N + 1/k²


def test_a_layer_starts_as_two_of_pytorchs():
    layer = SeparableConv2d(64, 128, 5, depth_multiplier=2)
    for parameter, fan_in in (
        (layer.depthwise_weight, 25),
        (layer.pointwise_weight, 128),
        (layer.bias, 128),
    ):
        bound = fan_in**-0.5
        assert 0.95 * bound < parameter.abs().max() <= bound


def test_a_layer_tells_its_options():
    layer = SeparableConv2d(4, 6, 3, 2, "same", depth_multiplier=2, bias=False)
    assert repr(layer) == (
        "SeparableConv2d(4, 6, kernel_size=(3, 3), stride=(2, 2), padding='same', depth_multiplier=2, bias=False)"
    )
    assert layer(torch.zeros(1, 4, 7, 8)).shape == (1, 6, 4, 4)


def test_it_replaces_a_convolution():
    """With the same arguments it gives the same size."""
    for arguments in ((4, 6, 3), (4, 6, (3, 5), 2, (1, 2)), (4, 6, 4, 3, 2, 2)):
        input = torch.zeros(2, 4, 19, 20)
        assert SeparableConv2d(*arguments)(input).shape == nn.Conv2d(*arguments)(input).shape


@pytest.mark.parametrize(
    "arguments", [{"depth_multiplier": 0}, {"in_channels": -1}, {"kernel_size": 0}], ids=str
)
def test_a_layer_refuses_what_cannot_be(arguments: dict):
    with pytest.raises(ArgumentError, match=f"SeparableConv2d: .*{next(iter(arguments))}"):
        SeparableConv2d(**({"in_channels": 4, "out_channels": 6, "kernel_size": 3} | arguments))


def test_an_error_of_a_step_names_the_operator_too():
    depthwise, pointwise = torch.zeros(1, 1, 5, 5), torch.zeros(1, 1, 1, 1)
    with pytest.raises(ArgumentError, match=r"separable_conv2d: its step conv2d: .*2147483647"):
        functional.separable_conv2d(
            torch.zeros(1, 1, 4, 4), depthwise, pointwise, padding="same", dilation=2**31 - 1
        )
