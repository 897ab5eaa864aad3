"""The kernel for first layers of many channels against PyTorch in float64, on every instruction set that this machine has."""

import random

import pytest
import torch
from torch.library import opcheck
from torch.nn import functional as F

from striate.functional import conv2d
from striate.ops._library import NATIVE, instruction_set
from striate.ops._serving import kernels_used
from striate.ops.conv.few_channels import first_layer

pytestmark = pytest.mark.skipif(not NATIVE.loaded, reason=NATIVE.why)


def apart(found, wanted):
    return ((found.double() - wanted).abs() / (1 + wanted.abs())).max().item()


@pytest.mark.parametrize("name", NATIVE.instruction_sets)
@pytest.mark.parametrize("seed", range(40))
def test_values_are_those_of_float64(name, seed):
    pick = random.Random(seed)
    torch.manual_seed(seed)
    kernel, stride, dilation = (
        [pick.choice(numbers) for _ in range(2)]
        for numbers in ((1, 2, 3, 4, 5, 7), (1, 1, 2, 3, 4, 5), (1, 1, 2, 3))
    )
    ends = [pick.choice([0, 1, 2, 5]) for _ in range(4)]
    least = [dilation[i] * (kernel[i] - 1) + 1 - ends[2 * i] - ends[2 * i + 1] for i in range(2)]
    sizes = [max(pick.randint(1, 90 if seed % 3 else 25), number) for number in least]
    channels, outputs = pick.randint(1, 6), pick.choice([1, 7, 16, 20, 33])
    x = torch.randn(pick.choice([1, 2, 9]), channels, *sizes)
    weight = torch.randn(outputs, channels, *kernel) / (channels * kernel[0] * kernel[1]) ** 0.5
    bias = torch.randn(outputs) if pick.random() < 0.7 else None
    padded = F.pad(x.double(), ends[2:] + ends[:2])
    wanted = F.conv2d(padded, weight.double(), None if bias is None else bias.double(), stride, 0, dilation)
    with instruction_set(name):
        found = first_layer(x, weight, bias, stride, ends, dilation)
    assert found.is_contiguous()
    assert apart(found, wanted) < 1e-5


@pytest.mark.parametrize("wanted", [(False, True, False), (True, False, False), (True, True, True)])
def test_gradients_that_are_asked_for(wanted):
    x, weight, bias = torch.randn(2, 3, 49, 58), torch.randn(32, 3, 5, 5) / 9, torch.randn(32)
    tensors = [t.requires_grad_(one) for t, one in zip((x, weight, bias), wanted, strict=True)]
    options = {"stride": (2, 1), "padding": ((0, 1), (2, 1))}
    assert kernels_used(lambda: conv2d(*tensors, **options)) == ("first_layer_conv",)
    conv2d(*tensors, **options).square().sum().div(1000).backward()
    again = [t.detach().double().requires_grad_(one) for t, one in zip(tensors, wanted, strict=True)]
    F.conv2d(F.pad(again[0], (2, 1, 0, 1)), *again[1:], (2, 1)).square().sum().div(1000).backward()
    for one, other in zip(tensors, again, strict=True):
        assert (one.grad is None) == (other.grad is None)
        assert one.grad is None or apart(one.grad, other.grad) < 1e-4


def test_gradients_of_gradients_registration_and_compilation():
    x, weight = torch.randn(1, 2, 65, 70, requires_grad=True), torch.randn(32, 2, 3, 3, requires_grad=True)
    bias = torch.randn(32, requires_grad=True)
    opcheck(torch.ops.striate.first_layer_conv.default, (x, weight, bias, [2, 1], [1, 2, 0, 1], [1, 1]))

    def call(*tensors):
        return conv2d(*tensors, padding=1)

    compiled = torch.compile(call, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, weight, bias), call(x, weight, bias))

    def twice(convolve):
        (gradient,) = torch.autograd.grad(convolve(x, weight, padding=1).sin().sum(), x, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), weight)[0]

    torch.testing.assert_close(twice(conv2d), twice(F.conv2d), rtol=1e-4, atol=1e-3)


def test_the_same_bits_at_any_number_of_threads():
    x, weight, before, results = (
        torch.randn(3, 3, 65, 71),
        torch.randn(36, 3, 5, 5),
        torch.get_num_threads(),
        [],
    )
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            results.append(conv2d(x, weight, stride=2, padding=2))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(results[0], other) for other in results[1:])


def test_which_calls_get_it():
    def kernels(x, weight, **options):
        return kernels_used(lambda: conv2d(x, weight, **options))

    x, weight = torch.randn(2, 3, 64, 64), torch.randn(32, 3, 5, 5)
    assert kernels(x, weight, stride=2) == ("first_layer_conv",)
    assert kernels(x[:, :, ::2, ::2], weight) == ("first_layer_conv",)
    assert kernels(x, weight, stride=3) == ()
    assert kernels(x[:, :, :8], weight[:20, :, :2]) == ()
    assert kernels(x, torch.randn(32, 3, 8, 8)) == ()
    assert kernels(x[:, :, :20], torch.randn(32, 3, 7, 7)) == ()
    assert kernels(x[..., :10], weight) == ()
    assert kernels(x, weight[..., :1, :1], stride=2) == ()
    assert kernels(x.to(memory_format=torch.channels_last), weight) == ()
    assert kernels(x, weight.to(memory_format=torch.channels_last)) == ()
    assert kernels(x.double(), weight.double()) == ()
    assert kernels(x.bfloat16(), weight.bfloat16()) == ()
