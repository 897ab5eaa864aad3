"""The default network on Striate's own layers: the same state dict and results as on PyTorch's."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from striate.models.cnn import CNN
from striate.ops import _library


class PlainStage(nn.Module):
    def __init__(self, in_channels: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, channels, 3, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm1(F.max_pool2d(self.conv1(x), 2)))
        return x + F.relu(self.norm2(self.conv2(x)))


class PlainCNN(nn.Module):
    """The network written with torch.nn alone."""

    def __init__(self, in_channels: int, image_size: tuple[int, int], num_classes: int) -> None:
        super().__init__()
        stride = 2 if min(image_size) > 48 else 1
        self.stem = nn.Conv2d(in_channels, 16, 3 if stride == 1 else 5, stride, stride, bias=False)
        self.norm = nn.BatchNorm2d(16)
        depth = max(1, math.ceil(math.log2(min(image_size) / stride / 8)) + 1)
        widths = [16 * 2 ** min(i, 3) for i in range(depth + 1)]
        self.stages = nn.Sequential(*(PlainStage(a, b) for a, b in pairwise(widths)))
        self.head = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(F.relu(self.norm(self.stem(x))))
        return self.head(x.amax((2, 3)))


CASES = [(1, (8, 8)), (1, (28, 28)), (3, (33, 47)), (3, (96, 64))]
FORMATS = [torch.contiguous_format, torch.channels_last]


def twins(
    channels: int, size: tuple[int, int], memory_format: torch.memory_format
) -> tuple[Any, Any, Tensor]:
    networks: list[nn.Module] = []
    for make in (PlainCNN, CNN):
        torch.manual_seed(1)
        networks.append(make(channels, size, 7).to(memory_format=memory_format))
    return *networks, torch.randn(4, channels, *size).to(memory_format=memory_format)


def assert_alike_gradients(networks: Iterable[nn.Module], x: Tensor, **tolerance: float) -> None:
    plain, ours = networks
    for network in (plain, ours):
        network.train()(x).square().sum().backward()
    for a, b in zip(plain.parameters(), ours.parameters(), strict=True):
        torch.testing.assert_close(a.grad, b.grad, **tolerance)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize(("channels", "size"), CASES)
def test_without_kernels_not_a_bit_of_the_result_differs_from_torch_nn(
    channels, size, memory_format, monkeypatch
):
    monkeypatch.setattr(_library, "NATIVE", _library.Native(False, "turned off by the test"))
    plain, ours, x = twins(channels, size, memory_format)
    assert list(plain.state_dict()) == list(ours.state_dict())
    assert all(map(torch.equal, plain.state_dict().values(), ours.state_dict().values()))
    for training in (True, False):
        assert torch.equal(plain.train(training)(x), ours.train(training)(x))
    # Maps below 4×4 are padded before the convolution, whose gradients then round differently.
    assert_alike_gradients((plain, ours), x, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize("memory_format", FORMATS)
@pytest.mark.parametrize(("channels", "size"), CASES)
def test_kernels_round_as_closely_as_torch_nn(channels, size, memory_format):
    plain, ours, x = twins(channels, size, memory_format)
    exact = copy.deepcopy(plain).double()
    for training in (True, False):
        wanted = exact.train(training)(x.double())
        of_plain, of_ours = ((network.train(training)(x) - wanted).abs().max() for network in (plain, ours))
        assert of_ours <= 3 * of_plain
    # In float64: rounding of float32 puts a number on either side of ReLU's bend.
    assert_alike_gradients((plain.double(), ours.double()), x.double(), rtol=1e-9, atol=1e-9)


def test_a_state_dict_saved_before_the_switch_loads():
    before, now = PlainCNN(1, (28, 28), 10).eval(), CNN(1, (28, 28), 10).eval()
    now.load_state_dict(before.state_dict(), strict=True)
    x = torch.randn(3, 1, 28, 28)
    assert torch.equal(before(x), now(x))
