"""The pyramid kernels against PyTorch's adaptive pooling, on every instruction set that this machine has."""

import pytest
import torch
from torch.nn import functional as F

from striate.functional import pyramid_pool2d
from striate.ops._library import NATIVE, instruction_set

POOLS = {"max": F.adaptive_max_pool2d, "avg": F.adaptive_avg_pool2d}
BOUNDS = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 2e-2}

pytestmark = pytest.mark.skipif(not NATIVE.loaded, reason=NATIVE.why)


def by_pytorch(x, levels, kind):
    return torch.cat([POOLS[kind](x, level).flatten(1) for level in levels], 1)


@pytest.mark.parametrize("name", NATIVE.instruction_sets)
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("kind", POOLS)
@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize(
    "shape", [(2, 37, 28, 40), (1, 70, 13, 13), (2, 16, 30, 9), (1, 3, 64, 70), (2, 130, 6, 6)]
)
def test_the_same_values_and_gradients(name, form, kind, dtype, shape):
    """Whole numbers, so that there are ties, and some that are none."""
    torch.manual_seed(0)
    x = torch.randint(-9, 9, shape).to(dtype)
    if kind == "max":
        x[torch.rand(shape) < 0.01] = torch.nan
        x[0, 0] = -torch.inf
    x = x.contiguous(memory_format=form).requires_grad_()
    exact = x.detach().double().contiguous().requires_grad_()
    for levels in ((1, 2, 4), (7, 3)):
        wanted = by_pytorch(exact, levels, kind)
        gradient = torch.randint(-9, 9, wanted.shape).to(dtype)
        with instruction_set(name):
            found = pyramid_pool2d(x, levels, kind)
            (by_us,) = torch.autograd.grad(found, x, gradient)
            values = pyramid_pool2d(x.detach(), levels, kind)
        (by_them,) = torch.autograd.grad(wanted, exact, gradient.double())
        close = {"rtol": BOUNDS[dtype], "atol": BOUNDS[dtype]}
        torch.testing.assert_close(found.double(), wanted, equal_nan=True, **close)
        torch.testing.assert_close(values, found, rtol=0, atol=0, equal_nan=True)
        torch.testing.assert_close(by_us.double(), by_them, **close)
        assert by_us.stride() == x.stride()


@pytest.mark.parametrize("kind", POOLS)
def test_the_same_bits_with_any_number_of_threads(kind):
    x = torch.randn(3, 70, 13, 17, requires_grad=True)
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            y = pyramid_pool2d(x, (1, 2, 4), kind)
            found.append((y, *torch.autograd.grad(y.square().sum(), x)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(one, two) for one, two in zip(*found, strict=True))
