"""What is special to local convolution: nothing is shared, and sharing everything is convolution."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from striate import functional, geometry
from striate.errors import ArgumentError
from striate.nn import LocalConv1d, LocalConv2d, LocalConv3d

LOCAL = {1: functional.local_conv1d, 2: functional.local_conv2d, 3: functional.local_conv3d}
SHARED = {1: functional.conv1d, 2: functional.conv2d, 3: functional.conv3d}


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"stride": 2, "padding": "same", "groups": 2},
        {"padding": 1, "dilation": 2},
        {"padding": "pairs", "stride": 3, "groups": 4},
    ],
    ids=str,
)
def test_the_same_kernel_everywhere_is_convolution(rank: int, options: dict):
    options = dict(options)
    if options.get("padding") == "pairs":
        options["padding"] = tuple((axis, 2 - axis) for axis in range(rank))
    input = random(2, 4, *range(6, 6 + rank))
    kernel, bias = random(8, 4 // options.get("groups", 1), *(3, 2, 3)[:rank]), random(8)
    wanted = SHARED[rank](input, kernel, bias, **options)
    positions = wanted.shape[2:]
    everywhere = kernel.reshape(*kernel.shape, *(1,) * rank).expand(*kernel.shape, *positions)
    offsets = bias.reshape(-1, *(1,) * rank).expand(8, *positions)
    torch.testing.assert_close(LOCAL[rank](input, everywhere, offsets, **options), wanted)


def test_every_position_has_its_own_kernel():
    """Output ``p`` depends on the kernel of ``p`` and on no other."""
    weight = random(1, 1, 2, 2, 3, 3).requires_grad_()
    output = functional.local_conv2d(random(1, 1, 4, 4), weight)
    (slope,) = torch.autograd.grad(output[0, 0, 1, 2], weight)
    used = slope.abs().sum((0, 1, 2, 3)) > 0
    assert used.nonzero().tolist() == [[1, 2]]


def test_a_kernel_as_large_as_the_picture_is_a_linear_layer():
    linear = nn.Linear(3 * 4 * 5, 7, dtype=torch.float64)
    input = random(2, 3, 4, 5)
    got = functional.local_conv2d(input, linear.weight.view(7, 3, 4, 5, 1, 1), linear.bias.view(7, 1, 1))
    torch.testing.assert_close(got.flatten(1), linear(input.flatten(1)))


def test_the_numbers_that_sharing_saves():
    local, shared = LocalConv2d(3, 6, 5, input_size=32), nn.Conv2d(3, 6, 5)
    assert local.weight.numel() == 352_800 and shared.weight.numel() == 450
    rule = geometry.local_conv((3, 32, 32), 6, 5)
    assert rule.weights == local.weight.numel()
    assert rule.parameters == sum(p.numel() for p in local.parameters()) == 352_800 + 6 * 28 * 28


@pytest.mark.parametrize(
    ("rank", "layout"), [(2, torch.channels_last), (3, torch.channels_last_3d)], ids=["2d", "3d"]
)
def test_channels_last_stays(rank: int, layout: torch.memory_format):
    input, weight = random(2, 3, *(5,) * rank), random(4, 3, *(2,) * rank, *(4,) * rank)
    plain = LOCAL[rank](input, weight)
    last = LOCAL[rank](input.to(memory_format=layout), weight)
    assert plain.is_contiguous()
    assert last.is_contiguous(memory_format=layout) and not last.is_contiguous()
    assert torch.equal(plain, last)


def test_padding_is_zeros():
    weight = torch.ones(1, 1, 3, 3)
    got = functional.local_conv1d(torch.ones(1, 1, 3), weight, padding=1)
    assert got.tolist() == [[[2, 3, 2]]]


def test_padding_that_no_memory_holds_is_refused():
    input, weight = torch.zeros(1, 1, 4), torch.zeros(1, 1, 3, 4)
    with pytest.raises(
        ArgumentError, match=r"local_conv1d: padding makes every channel 42949672\d\d; wanted"
    ):
        functional.local_conv1d(input, weight, padding="same", dilation=2**31 - 1)


@pytest.mark.parametrize(
    ("layer", "keys"),
    [
        (LocalConv1d(2, 4, 3, 9, stride=2), {"weight": (4, 2, 3, 4), "bias": (4, 4)}),
        (LocalConv2d(2, 4, 3, (5, 6), groups=2), {"weight": (4, 1, 3, 3, 3, 4), "bias": (4, 3, 4)}),
        (LocalConv3d(2, 4, 1, 2, bias=False), {"weight": (4, 2, 1, 1, 1, 2, 2, 2)}),
    ],
    ids=["1d", "2d", "3d"],
)
def test_what_a_layer_keeps(layer: nn.Module, keys: dict[str, tuple[int, ...]]):
    assert {name: tuple(value.shape) for name, value in layer.state_dict().items()} == keys


def test_a_layer_starts_as_pytorchs_convolution_does():
    layer = LocalConv2d(4, 8, 3, input_size=20, groups=2)
    bound = (2 * 9) ** -0.5  # 1/√(C_in / groups · ∏k): positions do not count
    shared = nn.Conv2d(4, 8, 3, groups=2)
    assert shared.weight.abs().max() <= bound
    for parameter in layer.parameters():
        assert 0.99 * bound < parameter.abs().max() <= bound
        spread = bound / (3 * parameter.numel()) ** 0.5  # of the mean of numbers that are uniform in ± bound
        assert abs(parameter.mean()) < 5 * spread


def test_a_layer_tells_its_options():
    layer = LocalConv2d(2, 4, 3, (5, 6), padding=((0, 1), (1, 1)), dilation=2, groups=2, bias=False)
    assert repr(layer) == (
        "LocalConv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), padding=((0, 1), (1, 1)), dilation=(2, 2), "
        "groups=2, input_size=(5, 6), bias=False)"
    )


def test_a_layer_refuses_pictures_of_another_size():
    layer = LocalConv2d(1, 1, 3, input_size=8)
    with pytest.raises(ArgumentError, match=r"kernels for 6 × 6 positions; wanted 6 × 7.*\(8, 9\)"):
        layer(torch.zeros(1, 1, 8, 9))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"kernel_size": 9}, "LocalConv2d: height: a window of 9"),
        ({"groups": 3}, "divides in_channels = 4"),
        ({"input_size": (8, 8, 8)}, "input_size came with 3 numbers"),
        ({"padding": "full"}, "padding came as 'full'"),
        ({"stride": 0}, "stride came as 0"),
    ],
    ids=str,
)
def test_a_layer_refuses_what_cannot_be(arguments: dict, says: str):
    with pytest.raises(ArgumentError, match=says):
        LocalConv2d(**({"in_channels": 4, "out_channels": 6, "kernel_size": 3, "input_size": 8} | arguments))


def test_autocast_computes_in_bfloat16_as_convolution_does():
    input, weight, bias = torch.randn(1, 2, 5, 5), torch.randn(3, 2, 3, 3, 3, 3), torch.randn(3, 3, 3)
    with torch.autocast("cpu", torch.bfloat16):
        assert F.conv2d(input, weight[..., 0, 0], bias[:, 0, 0]).dtype == torch.bfloat16
        assert functional.local_conv2d(input, weight, bias).dtype == torch.bfloat16
        assert functional.local_conv2d(input.bfloat16(), weight, bias).dtype == torch.bfloat16
