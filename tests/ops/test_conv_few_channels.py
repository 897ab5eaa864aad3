"""The kernels for few channels in a group against PyTorch in float64, on every instruction set that this machine has."""

import random

import pytest
import torch
from torch.library import opcheck
from torch.nn import functional as F

from striate.functional import conv1d, conv2d
from striate.ops._library import NATIVE, instruction_set
from striate.ops.conv import few_channels
from striate.ops.conv.few_channels import convolve, few_channels_obstacle, kernel_backward

THEIRS = {1: F.conv1d, 2: F.conv2d}
TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-11, torch.bfloat16: 3e-2}

pytestmark = pytest.mark.skipif(not NATIVE.loaded, reason=NATIVE.why)


def apart(found, wanted):
    return ((found.double() - wanted).abs() / (1 + wanted.abs())).max().item()


@pytest.mark.parametrize("name", NATIVE.instruction_sets)
@pytest.mark.parametrize("seed", range(40))
def test_values_and_gradients_are_those_of_float64(name, seed):
    pick = random.Random(seed)
    torch.manual_seed(seed)
    rank = pick.choice([1, 2, 2])
    kernel = [pick.choice([1, 2, 3, 4, 7]) for _ in range(rank)]
    stride = [pick.choice([1, 1, 2, 3, 4]) for _ in range(rank)]
    dilation = [pick.choice([1, 1, 2, 3]) for _ in range(rank)]
    pairs = [(pick.choice([0, 1, 2, 5]), pick.choice([0, 1, 4])) for _ in range(rank)]
    ends = [end for pair in pairs for end in pair]
    least = [d * (k - 1) + 1 - sum(pair) for k, d, pair in zip(kernel, dilation, pairs, strict=True)]
    sizes = [max(pick.randint(1, 80 if seed % 4 == 0 else 20), number) for number in least]
    groups, ins, outs = (
        pick.choice([1, 2, 3, 5, 8]),
        pick.choice([1, 2, 3, 4, 8]),
        pick.choice([1, 2, 3, 6, 17]),
    )
    dtype = pick.choice(list(TOLERANCES))
    form = torch.channels_last if rank == 2 and pick.random() < 0.5 else torch.contiguous_format
    x = torch.randn(pick.choice([1, 2, 9]), groups * ins, *sizes).to(dtype).contiguous(memory_format=form)
    weight, bias = torch.randn(groups * outs, ins, *kernel).to(dtype), torch.randn(groups * outs).to(dtype)
    weight /= (ins * torch.Size(kernel).numel()) ** 0.5
    exact = [tensor.double().requires_grad_() for tensor in (x, weight, bias)]
    padded = F.pad(exact[0], [end for pair in reversed(pairs) for end in pair])
    wanted = THEIRS[rank](padded, *exact[1:], stride, 0, dilation, groups)
    with instruction_set(name):
        found = convolve(x, weight, bias, stride, ends, dilation, groups, form is torch.channels_last)
        gradient = torch.randn_like(found)
        if pick.random() < 0.3:
            gradient = gradient.contiguous(memory_format=torch.contiguous_format)
        parts = kernel_backward(gradient, x, weight, stride, ends, dilation, groups, [True, True, True])
    assert apart(found, wanted) < TOLERANCES[dtype]
    for one, other in zip(parts, torch.autograd.grad(wanted, exact, gradient.double()), strict=True):
        assert apart(one, other) < TOLERANCES[dtype]


@pytest.mark.parametrize("groups", [1, 4])
@pytest.mark.parametrize("outputs", [8, 32])
@pytest.mark.parametrize("wanted", [(True, False, False), (False, True, False), (True, True, True)])
def test_gradients_that_are_asked_for(groups, outputs, wanted):
    x, weight, bias = torch.randn(2, 3 * groups, 19, 18), torch.randn(outputs, 3, 3, 3), torch.randn(outputs)
    tensors = [t.requires_grad_(one) for t, one in zip((x, weight, bias), wanted, strict=True)]
    options = {"stride": (2, 1), "padding": ((0, 1), (2, 1)), "groups": groups}
    conv2d(*tensors, **options).square().sum().backward()
    again = [t.detach().double().requires_grad_(one) for t, one in zip(tensors, wanted, strict=True)]
    options["padding"] = 0
    F.conv2d(F.pad(again[0], (2, 1, 0, 1)), *again[1:], **options).square().sum().backward()
    for one, other in zip(tensors, again, strict=True):
        assert (one.grad is None) == (other.grad is None)
        assert one.grad is None or apart(one.grad, other.grad) < 1e-4


def test_the_same_bits_at_any_number_of_threads():
    x = torch.randn(3, 40, 33, 35, requires_grad=True)
    weight = torch.randn(60, 4, 5, 5, requires_grad=True)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y = conv2d(x, weight, padding=2, groups=10)
            results.append([y, *torch.autograd.grad(y.sin().sum(), (x, weight))])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


@pytest.mark.parametrize(("outputs", "groups"), [(4, 2), (20, 1)])
def test_gradients_of_gradients_registration_and_compilation(outputs, groups):
    x = torch.randn(1, 4, 16, 9, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(outputs, 4 // groups, 3, 2, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(outputs, dtype=torch.float64, requires_grad=True)

    def call(*tensors):
        return conv2d(*tensors, (2, 1), ((1, 2), (0, 1)), groups=groups)

    assert torch.autograd.gradcheck(call, (x, weight, bias))
    assert torch.autograd.gradgradcheck(call, (x, weight, bias), fast_mode=True)
    window = (x, weight, bias, [2, 1], [1, 2, 0, 1], [1, 1])
    if groups == 1:
        opcheck(torch.ops.striate.first_layer_conv_by_pytorch.default, window)
    else:
        opcheck(torch.ops.striate.few_channels_conv.default, (*window, groups, False))
    compiled = torch.compile(call, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, weight, bias), call(x, weight, bias))


def test_which_calls_get_them():
    def why(x, weight, stride=1, groups=1):
        return few_channels_obstacle(2, x, weight, None, stride, groups)

    picture, many = torch.randn(2, 3, 16, 16), torch.randn(32, 3, 3, 3)
    assert why(picture, torch.randn(6, 3, 3, 3)) == ""
    assert why(picture.requires_grad_(), many) == ""
    assert "no gradient" in why(picture.detach(), many)
    assert "stride above 8" in why(picture, many, (1, 9))
    assert "the call itself" in why(torch.randn(2, 3, 8, 8), torch.randn(6, 3, 3, 3))
    assert "dense" in why(torch.randn(2, 8, 8, 8), torch.randn(8, 8, 3, 3))
    grouped = torch.randn(2, 32, 4, 8)
    assert why(grouped, torch.randn(32, 4, 3, 3), groups=8) == ""
    assert "more than" in why(grouped, torch.randn(32, 16, 3, 3), groups=2)
    eight = torch.randn(32, 8, 3, 3)
    assert why(grouped, eight, groups=4) == ""
    side_by_side = grouped.to(memory_format=torch.channels_last)
    assert why(side_by_side, eight, 2, groups=4) == ""
    assert why(grouped[0], torch.randn(32, 4, 3, 3), groups=8)
    with torch.autocast("cpu", torch.bfloat16):
        assert why(grouped, torch.randn(32, 4, 3, 3), groups=8)


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize(
    ("dtype", "channels"), [(torch.bfloat16, 8), (torch.bfloat16, 4), (torch.float32, 8)]
)
def test_pairs_of_bfloat16_are_pytorchs(dtype, channels, pairs, trained, channels_last, monkeypatch):
    monkeypatch.setattr(few_channels, "_multiplies_pairs", lambda: pairs)
    form = torch.channels_last if channels_last else torch.contiguous_format
    x = torch.randn(2, 32, 8, 8).to(dtype).to(memory_format=form)
    weight = torch.randn(32, channels, 3, 3).to(dtype).requires_grad_(trained)
    why = few_channels_obstacle(2, x, weight, None, 1, 32 // channels)
    theirs = dtype == torch.bfloat16 and channels == 8 and pairs and (channels_last or not trained)
    assert ("group of bfloat16" in why) is theirs
    assert not why or theirs


def test_layouts_follow_pytorch():
    for channels, groups, size in ((1, 1, (26, 27)), (8, 2, (9, 8)), (600, 100, (1, 1)), (1, 1, (1, 1))):
        for x_form in (torch.contiguous_format, torch.channels_last):
            for w_form in (torch.contiguous_format, torch.channels_last):
                x = torch.randn(2, channels, *size).contiguous(memory_format=x_form)
                weight = torch.randn(6 * groups, channels // groups, 1, 1).contiguous(memory_format=w_form)
                theirs = F.conv2d(x, weight, groups=groups)
                assert conv2d(x, weight, groups=groups).stride() == theirs.stride()


def test_signals():
    x, weight = torch.randn(3, 8, 101), torch.randn(12, 2, 7)
    torch.testing.assert_close(
        conv1d(x, weight, stride=2, padding=3, groups=4), F.conv1d(x, weight, None, 2, 3, 1, 4)
    )
