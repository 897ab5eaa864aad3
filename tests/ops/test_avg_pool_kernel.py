"""The average pooling kernels against PyTorch and the definition, on every instruction set of this machine."""

import random

import pytest
import torch
from torch.library import opcheck
from torch.nn import functional as F

from striate.ops._library import NATIVE, instruction_set
from striate.ops._pool import pool_windows
from striate.ops.avg_pool.kernel import avg_pool_plan
from striate.ops.avg_pool.reference import avg_pool as definition

THEIRS = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
LAST = {2: torch.channels_last, 3: torch.channels_last_3d}
BOUNDS = {torch.float32: 1e-5, torch.float64: 1e-12, torch.bfloat16: 2e-2}

pytestmark = pytest.mark.skipif(not NATIVE.loaded, reason=NATIVE.why)


def check(name, x, wanted, exact, windows, include, divisor, bound):
    with instruction_set(name):
        found = avg_pool_plan(x, windows, include, divisor)(x)
        gradient = torch.randn(found.shape).to(x.dtype)
        found.backward(gradient)
    wanted.backward(gradient.double())
    torch.testing.assert_close(found.double(), wanted, rtol=bound, atol=bound)
    torch.testing.assert_close(x.grad.double(), exact.grad, rtol=bound, atol=bound)


@pytest.mark.parametrize("name", NATIVE.instruction_sets)
@pytest.mark.parametrize("seed", range(40))
def test_the_same_values_and_gradients_as_pytorch(name, seed):
    pick = random.Random(seed)
    torch.manual_seed(seed)
    rank = pick.choice([1, 2, 2, 3])
    kernel = tuple(pick.choice([1, 2, 3, 5]) for _ in range(rank))
    stride = tuple(pick.choice([1, 2, 3, 4, 7]) for _ in range(rank))
    padding = tuple(pick.randint(0, k // 2) for k in kernel)
    sizes = [max(pick.randint(1, 20 if rank < 3 else 9), k) for k in kernel]
    dtype = pick.choice(list(BOUNDS))
    form = pick.choice([torch.contiguous_format, LAST.get(rank, torch.contiguous_format)])
    shape = (pick.choice([1, 2, 3]), pick.choice([1, 3, 16, 17, 40]), *sizes)
    x = torch.randn(shape).to(dtype).contiguous(memory_format=form).requires_grad_()
    exact = x.detach().double().requires_grad_()
    ceil_mode, include = pick.random() < 0.4, pick.random() < 0.5
    divisor = pick.choice([None, None, 7]) if rank > 1 else None
    extra = (divisor,) if rank > 1 else ()
    wanted = THEIRS[rank](exact, kernel, stride, padding, ceil_mode, include, *extra)
    windows = pool_windows("avg_pool", x, rank, kernel, stride, padding, 1, ceil_mode)
    check(name, x, wanted, exact, windows, include, divisor, BOUNDS[dtype])


@pytest.mark.parametrize("name", NATIVE.instruction_sets)
@pytest.mark.parametrize("include", [True, False])
@pytest.mark.parametrize("padding", [((0, 3), (4, 0)), ((1, 2), (2, 2))])
def test_beyond_pytorch_it_follows_the_definition(name, include, padding):
    x = torch.randn(2, 5, 9, 8, requires_grad=True)
    exact = x.detach().double().requires_grad_()
    options = {"stride": (2, 1), "padding": padding, "count_include_pad": include, "dilation": (2, 3)}
    wanted = definition(2)(exact, (3, 2), **options)
    windows = pool_windows("avg_pool2d", x, 2, (3, 2), (2, 1), padding, (2, 3))
    check(name, x, wanted, exact, windows, include, None, 1e-5)


def test_gradients_of_gradients_registration_and_compilation():
    x = torch.randn(2, 3, 8, 9, dtype=torch.float64, requires_grad=True)
    windows = pool_windows("avg_pool2d", x, 2, (3, 2), (2, 1), ((1, 0), (1, 1)), 1)

    def call(x):
        return avg_pool_plan(x, windows, False, None)(x)

    assert torch.autograd.gradcheck(call, x)
    assert torch.autograd.gradgradcheck(call, x)
    arguments = (x, [3, 2], [2, 1], [1, 0, 1, 1], [1, 1], list(windows.output), False, 0)
    opcheck(torch.ops.striate.avg_pool.default, arguments)
    assert torch.equal(torch.compile(call, fullgraph=True, backend="aot_eager")(x), call(x))


def test_the_same_bits_at_any_number_of_threads():
    x = torch.randn(3, 40, 33, 35, requires_grad=True)
    windows = pool_windows("avg_pool2d", x, 2, 3, 1, 1)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y = avg_pool_plan(x, windows, True, None)(x)
            results.append([y, *torch.autograd.grad(y.sin().sum(), x)])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))
