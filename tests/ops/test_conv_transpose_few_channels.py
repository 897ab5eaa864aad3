"""Transposed convolution with few channels in a group by the kernels against PyTorch in float64."""

import random

import pytest
import torch
from torch.library import opcheck
from torch.nn import functional as F

from striate.functional import conv_transpose1d, conv_transpose2d
from striate.ops._library import NATIVE, instruction_set
from striate.ops.conv_transpose.few_channels import few_channels_transpose_obstacle

OURS = {1: conv_transpose1d, 2: conv_transpose2d}
THEIRS = {1: F.conv_transpose1d, 2: F.conv_transpose2d}
TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-11, torch.bfloat16: 3e-2}

pytestmark = pytest.mark.skipif(not NATIVE.loaded, reason=NATIVE.why)


@pytest.mark.parametrize("name", NATIVE.instruction_sets)
@pytest.mark.parametrize("seed", range(30))
def test_values_and_gradients_are_those_of_float64(name, seed):
    pick = random.Random(seed)
    torch.manual_seed(seed)
    rank = pick.choice([1, 2, 2])
    kernel = [pick.choice([1, 2, 3, 4]) for _ in range(rank)]
    stride = [pick.choice([1, 2, 2, 3]) for _ in range(rank)]
    dilation = [pick.choice([1, 1, 2]) for _ in range(rank)]
    extra = [pick.randrange(s) for s in stride]
    padding = [pick.choice([0, 1]) for _ in range(rank)]
    sizes = [pick.randint(9, 30) if rank == 2 else 300 for _ in range(rank)]
    groups = pick.choice([1, 2, 5])
    ins, outs = (pick.choice([7, 20]), 3) if groups == 1 else (pick.choice([4, 5]), pick.choice([1, 4, 6]))
    dtype = pick.choice(list(TOLERANCES))
    form = torch.channels_last if rank == 2 and pick.random() < 0.5 else torch.contiguous_format
    x = torch.randn(2, groups * ins, *sizes).to(dtype).contiguous(memory_format=form).requires_grad_()
    weight = (torch.randn(groups * ins, outs, *kernel) / (outs * ins) ** 0.5).to(dtype).requires_grad_()
    bias = torch.randn(groups * outs).to(dtype).requires_grad_()
    assert few_channels_transpose_obstacle(rank, x, weight, bias, stride, groups) == ""
    exact = [tensor.detach().double().requires_grad_() for tensor in (x, weight, bias)]
    options = (stride, padding, extra, groups, dilation)

    wanted = THEIRS[rank](*exact, *options)
    with instruction_set(name):
        found = OURS[rank](x, weight, bias, *options)
        gradient = torch.randn_like(found)
        found.backward(gradient)
    wanted.backward(gradient.double())
    for one, other in (
        (found, wanted),
        *((t.grad, e.grad) for t, e in zip((x, weight, bias), exact, strict=True)),
    ):
        assert ((one.double() - other).abs() / (1 + other.abs())).max() < TOLERANCES[dtype]


def test_gradients_of_gradients_registration_and_compilation():
    x = torch.randn(1, 4, 12, 11, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(4, 3, 3, 2, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(6, dtype=torch.float64, requires_grad=True)

    def call(*tensors):
        return conv_transpose2d(*tensors, (2, 3), (1, 0), (1, 2), 2)

    assert torch.autograd.gradcheck(call, (x, weight, bias))
    assert torch.autograd.gradgradcheck(call, (x, weight, bias), fast_mode=True)
    arguments = (x, weight, bias, [2, 3], [1, 1, 0, 0], [1, 1], [24, 34], 2, False)
    opcheck(torch.ops.striate.few_channels_conv_transpose.default, arguments)
    compiled = torch.compile(call, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, weight, bias), call(x, weight, bias))


def test_which_calls_get_them():
    def why(weight, groups=1):
        return few_channels_transpose_obstacle(2, torch.randn(2, 32, 4, 5), weight, None, 2, groups)

    assert why(torch.randn(32, 3, 4, 4)) == ""
    assert "dense" in why(torch.randn(32, 8, 4, 4))
    assert why(torch.randn(32, 4, 4, 4), 8) == ""
    assert "more than" in why(torch.randn(32, 16, 4, 4), 2)


def test_layouts_follow_pytorch():
    for x_form in (torch.contiguous_format, torch.channels_last):
        for w_form in (torch.contiguous_format, torch.channels_last):
            x = torch.randn(2, 8, 9, 8).contiguous(memory_format=x_form)
            weight = torch.randn(8, 3, 4, 4).contiguous(memory_format=w_form)
            theirs = F.conv_transpose2d(x, weight, None, 2, 1)
            assert conv_transpose2d(x, weight, None, 2, 1).stride() == theirs.stride()
