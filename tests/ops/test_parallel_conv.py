"""What is special to parallel convolution: branches of any kind, and what is said when they disagree."""

import pytest
import torch
from torch import nn

import striate.nn
from striate import functional, geometry
from striate.errors import ArgumentError
from striate.nn import ParallelConv


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)))


def test_the_branches_stand_in_order():
    input, weights = random(2, 3, 7, 8), [random(2, 3, 1, 1), random(4, 3, 3, 3), random(1, 3, 5, 5)]
    got = functional.parallel_conv(input, weights)
    for part, weight in zip(got.split([2, 4, 1], 1), weights, strict=True):
        torch.testing.assert_close(part, nn.functional.conv2d(input, weight, padding="same"))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [(9,), (7, 8), (4, 5, 6)], ids=str)
def test_sizes_agree_whatever_the_kernels(size: tuple[int, ...], stride: int):
    rank = len(size)
    weights = [torch.zeros(1, 2, *(kernel,) * rank) for kernel in (1, 2, 3, 6)]
    got = functional.parallel_conv(torch.zeros(3, 2, *size), weights, stride=stride)
    assert got.shape == (3, 4, *(-(-n // stride) for n in size))


def test_some_branches_without_a_bias():
    weights = [torch.zeros(1, 1, 1), torch.zeros(2, 1, 3)]
    got = functional.parallel_conv(torch.zeros(1, 2), weights, [None, torch.tensor([5.0, 6.0])])
    assert got.tolist() == [[0, 0], [5, 5], [6, 6]]


def test_spatial_and_cross_channel_side_by_side():
    layer = ParallelConv.spatial_cross_channel(4, 6, kernel_size=3, depth_multiplier=2)
    spatial, cross = layer.branches
    assert spatial.groups == 4 and cross.kernel_size == (1, 1)
    input = random(2, 4, 7, 7)
    got = layer(input)
    assert got.shape == (2, 4 * 2 + 6, 7, 7)
    by_function = functional.parallel_conv(
        input, [spatial.weight, cross.weight], [spatial.bias, cross.bias], groups=(4, 1)
    )
    torch.testing.assert_close(got, by_function)
    rule = geometry.parallel(
        (4, 7, 7),
        lambda x: geometry.conv(x, 8, 3, padding="same", groups=4),
        lambda x: geometry.conv(x, 6, 1),
    )
    assert sum(p.numel() for p in layer.parameters()) == rule.parameters


def test_an_inception_block():
    """Figure 2b of the paper: convolutions behind 1×1 ones, and pooling before one."""
    block = ParallelConv(
        nn.Conv2d(192, 64, 1),
        nn.Sequential(nn.Conv2d(192, 96, 1), nn.ReLU(), nn.Conv2d(96, 128, 3, padding=1)),
        nn.Sequential(nn.Conv2d(192, 16, 1), nn.ReLU(), nn.Conv2d(16, 32, 5, padding=2)),
        nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(192, 32, 1)),
    )
    assert block(torch.zeros(1, 192, 28, 28)).shape == (1, 256, 28, 28)  # inception (3a) of table 1
    assert list(block.state_dict())[:3] == ["branches.0.weight", "branches.0.bias", "branches.1.0.weight"]


@pytest.mark.parametrize(
    ("branches", "size"),
    [
        ([nn.Conv1d(2, 3, 1), nn.Conv1d(2, 4, 3, padding=1)], (9,)),
        ([nn.Conv2d(2, 3, 1), nn.Conv2d(2, 4, 3, padding=1)], (5, 6)),
        ([nn.Identity(), nn.Sequential(nn.MaxPool2d(3, 1, 1), nn.Conv2d(2, 4, 1))], (5, 6)),
        ([striate.nn.LocalConv2d(2, 3, 1, (5, 6)), nn.Identity()], (5, 6)),
        ([nn.Conv3d(2, 3, 1), nn.AvgPool3d(3, 1, 1)], (3, 4, 5)),
    ],
    ids=["1d", "2d", "pool and identity", "local", "3d"],
)
def test_without_a_batch_the_layers_names_say_the_rank(branches: list[nn.Module], size: tuple[int, ...]):
    layer, input = ParallelConv(*branches), random(3, 2, *size)
    batch = layer(input)
    for picture, alone in zip(batch, input, strict=True):
        torch.testing.assert_close(layer(alone), picture)


def test_modules_of_any_name_take_a_batch():
    class Twice(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return 2 * x

    got = ParallelConv(Twice(), nn.Identity())(torch.ones(1, 2, 3, 4))
    assert got.shape == (1, 4, 3, 4) and got[0, :, 0, 0].tolist() == [2, 2, 1, 1]


def test_branches_of_different_sizes_are_told_apart():
    layer = ParallelConv(nn.Conv2d(2, 3, 3), nn.Identity(), nn.Sequential(nn.Conv2d(2, 1, (1, 5))))
    with pytest.raises(ArgumentError) as caught:
        layer(torch.zeros(1, 2, 8, 9))
    told = str(caught.value)
    for words in (
        "branches[0] (Conv2d) (1, 3, 6, 7)",
        "branches[1] (Identity) (1, 2, 8, 9)",
        "branches[2] (Sequential) (1, 1, 8, 5)",
        "branches[0] lacks (2, 2)",
        "branches[2] lacks (0, 4)",
        'padding="same"',
    ):
        assert words in told, told
    assert "branches[1] lacks" not in told


def test_a_branch_that_flattens_is_refused():
    layer = ParallelConv(nn.Conv2d(2, 3, 1), nn.Flatten())
    with pytest.raises(ArgumentError, match=r"branches\[1\] \(Flatten\) \(1, 32\)"):
        layer(torch.zeros(1, 2, 4, 4))


def test_what_is_no_branch_is_refused():
    with pytest.raises(ArgumentError, match="no branches came"):
        ParallelConv()
    with pytest.raises(ArgumentError, match="a branch came as list"):
        ParallelConv([nn.Identity()])
    with pytest.raises(TypeError, match="a branch came as function"):
        ParallelConv(nn.Identity(), lambda x: x)
    with pytest.raises(ArgumentError, match="rank came as 4"):
        ParallelConv.spatial_cross_channel(2, 2, 3, rank=4)


def test_channels_last_stays():
    input = random(2, 4, 6, 6).to(memory_format=torch.channels_last)
    layer = ParallelConv.spatial_cross_channel(4, 6, 3)
    assert layer(input).is_contiguous(memory_format=torch.channels_last)
