"""Depthwise transposed convolution by the kernels against PyTorch in float64."""

import random

import pytest
import torch
from torch.library import opcheck
from torch.nn import functional as F

from striate.functional import conv_transpose1d, conv_transpose2d, conv_transpose3d
from striate.ops._library import NATIVE, instruction_set

OURS = {1: conv_transpose1d, 2: conv_transpose2d, 3: conv_transpose3d}
THEIRS = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
TOLERANCES = {torch.float32: 1e-4, torch.float64: 1e-11, torch.bfloat16: 3e-2}

pytestmark = pytest.mark.skipif(not NATIVE.loaded, reason=NATIVE.why)


@pytest.mark.parametrize("name", NATIVE.instruction_sets)
@pytest.mark.parametrize("seed", range(30))
def test_values_and_gradients_are_those_of_float64(name, seed):
    pick = random.Random(seed)
    torch.manual_seed(seed)
    rank = pick.choice([1, 2, 2, 3])
    kernel = [pick.choice([1, 2, 3, 4, 5]) for _ in range(rank)]
    stride = [pick.choice([1, 2, 3, 7]) for _ in range(rank)]
    dilation = [pick.choice([1, 1, 2]) for _ in range(rank)]
    extra = [pick.randrange(s) for s in stride]
    sizes = [pick.randint(1, 9 if rank < 3 else 4) for _ in range(rank)]
    reach = [
        (n - 1) * s + d * (k - 1) + e
        for n, s, d, k, e in zip(sizes, stride, dilation, kernel, extra, strict=True)
    ]
    padding = [min(pick.choice([0, 1, 2]), r // 2) for r in reach]
    channels = pick.choice([2, 8, 16, 17])
    dtype = pick.choice(list(TOLERANCES))
    form = pick.choice([torch.contiguous_format, LAST.get(rank, torch.contiguous_format)])
    x = torch.randn(2, channels, *sizes, dtype=dtype).contiguous(memory_format=form).requires_grad_()
    weight = torch.randn(channels, 1, *kernel, dtype=dtype, requires_grad=True)
    bias = torch.randn(channels, dtype=dtype, requires_grad=True)
    exact = [tensor.detach().double().requires_grad_() for tensor in (x, weight, bias)]
    options = (stride, padding, extra, channels, dilation)

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
    x = torch.randn(2, 3, 4, 3, dtype=torch.float64, requires_grad=True)
    weight = torch.randn(3, 1, 3, 2, dtype=torch.float64, requires_grad=True)
    bias = torch.randn(3, dtype=torch.float64, requires_grad=True)

    def call(*tensors):
        return conv_transpose2d(*tensors, (2, 3), (1, 0), (1, 2), 3)

    assert torch.autograd.gradcheck(call, (x, weight, bias))
    assert torch.autograd.gradgradcheck(call, (x, weight, bias))
    arguments = (x, weight, bias, [2, 3], [1, 1, 0, 0], [1, 1], [8, 10])
    opcheck(torch.ops.striate.depthwise_conv_transpose.default, arguments)
    compiled = torch.compile(call, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x, weight, bias), call(x, weight, bias))
