"""The max pooling kernels against PyTorch, on every instruction set that this machine has."""

import random

import pytest
import torch
from torch.library import opcheck
from torch.nn import functional as F

from striate.functional import global_max_pool2d, max_pool2d
from striate.ops._library import NATIVE, instruction_set
from striate.ops.max_pool.kernel import max_pool_obstacle, max_pool_plan

THEIRS = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
LAST = {2: torch.channels_last, 3: torch.channels_last_3d}

pytestmark = pytest.mark.skipif(not NATIVE.loaded, reason=NATIVE.why)


def picture(pick, dtype, shape, form):
    """Small whole numbers, so that there are ties; in some pictures NaN, in some −∞."""
    x = torch.randint(-3, 4, shape).to(dtype)
    special = pick.choice([None, None, torch.nan, -torch.inf])
    if special is not None:
        x[torch.rand(shape) < 0.3] = special
    return x.contiguous(memory_format=form)


@pytest.mark.parametrize("name", NATIVE.instruction_sets)
@pytest.mark.parametrize("seed", range(60))
def test_the_same_values_and_gradients_as_pytorch(name, seed):
    pick = random.Random(seed)
    torch.manual_seed(seed)
    rank = pick.choice([1, 2, 2, 3])
    kernel = tuple(pick.choice([1, 2, 3, 5]) for _ in range(rank))
    stride = tuple(pick.choice([1, 2, 3, 4, 7]) for _ in range(rank))
    padding = tuple(pick.randint(0, k // 2) for k in kernel)
    sizes = [
        max(pick.randint(1, 20 if rank < 3 else 9), k - 2 * p) for k, p in zip(kernel, padding, strict=True)
    ]
    dtype = pick.choice([torch.float32, torch.float64, torch.bfloat16])
    form = pick.choice([torch.contiguous_format, LAST.get(rank, torch.contiguous_format)])
    shape = (pick.choice([1, 2, 3]), pick.choice([1, 3, 8, 16, 17, 40]), *sizes)
    x = picture(pick, dtype, shape, form).requires_grad_()
    exact = x.detach().double().requires_grad_()

    wanted = THEIRS[rank](exact, kernel, stride, padding, ceil_mode=pick.random() < 0.4)
    with instruction_set(name):
        found = max_pool_plan(x, kernel, stride, padding, tuple(wanted.shape[2:]))(x)
        gradient = torch.randn(found.shape).to(dtype)
        found.backward(gradient)
        values = max_pool_plan(x.detach(), kernel, stride, padding, tuple(wanted.shape[2:]))(x.detach())
    wanted.backward(gradient.double())
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(values, found, rtol=0, atol=0, equal_nan=True)
    bound = 2e-2 if dtype == torch.bfloat16 else 1e-6
    torch.testing.assert_close(x.grad.double(), exact.grad, rtol=bound, atol=bound)


@pytest.mark.parametrize("name", NATIVE.instruction_sets)
@pytest.mark.parametrize("shape", [(2, 3, 5, 2600), (1, 2, 700, 70), (40, 7, 14, 14), (1, 1, 1, 5000)])
@pytest.mark.parametrize(
    ("kernel", "stride", "padding"), [(2, 2, 0), (3, 2, 1), (3, 1, 1), (5, 4, 2), (1, 3, 0)]
)
def test_rows_that_are_cut_and_small_pictures_that_are_not(name, shape, kernel, stride, padding):
    if min(shape[2:]) + 2 * padding < kernel:
        kernel, padding = (1, kernel), (0, padding)
    x = torch.randint(-9, 9, shape).float().requires_grad_()
    wanted = F.max_pool2d(x, kernel, stride, padding)
    gradient = torch.randint(-9, 9, wanted.shape).float()
    (by_pytorch,) = torch.autograd.grad(wanted, x, gradient)
    kernel, stride, padding = ((n, n) if isinstance(n, int) else n for n in (kernel, stride, padding))
    with instruction_set(name):
        found = max_pool_plan(x, kernel, stride, padding, tuple(wanted.shape[2:]))(x)
        (by_us,) = torch.autograd.grad(found, x, gradient)
    assert torch.equal(found, wanted) and torch.equal(by_us, by_pytorch)


@pytest.mark.parametrize("name", NATIVE.instruction_sets)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("special", [None, torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("size", [(7, 7), (1, 3), (15, 17), (4, 4)])
@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
def test_one_window_over_the_whole_picture(name, dtype, special, size, form):
    x = torch.randint(-3, 4, (9, 130, *size)).to(dtype)
    if special is not None:
        x[torch.rand(x.shape) < 0.05] = special
        x[:3] = special
    x = x.contiguous(memory_format=form).requires_grad_()
    exact = x.detach().double().requires_grad_()
    wanted = F.max_pool2d(exact, size)
    gradient = torch.randint(-9, 9, wanted.shape).to(dtype)
    with instruction_set(name):
        found, values = global_max_pool2d(x), global_max_pool2d(x.detach())
        found.backward(gradient)
    wanted.backward(gradient.double())
    torch.testing.assert_close(found.double(), wanted, rtol=0, atol=0, equal_nan=True)
    torch.testing.assert_close(values, found, rtol=0, atol=0, equal_nan=True)
    assert torch.equal(x.grad.double(), exact.grad)


def test_layout_of_the_result_and_of_a_gradient_in_another():
    x = torch.randn(2, 5, 32, 30).contiguous(memory_format=torch.channels_last).requires_grad_()
    y = max_pool2d(x, 3, 2, ((0, 1), (1, 0)))
    assert y.is_contiguous(memory_format=torch.channels_last)
    gradient = torch.randn(y.shape)
    y.backward(gradient)
    exact = x.detach().clone().requires_grad_()
    F.max_pool2d(F.pad(exact, (1, 0, 0, 1), value=-torch.inf), 3, 2).backward(gradient)
    torch.testing.assert_close(x.grad, exact.grad)


def test_gradients_of_gradients_registration_and_compilation():
    x = torch.randperm(2 * 3 * 8 * 9).reshape(2, 3, 8, 9).double().requires_grad_()

    def call(x):
        return max_pool_plan(x, (3, 2), (2, 2), (1, 0), (4, 4))(x)

    assert torch.autograd.gradcheck(call, x)
    assert torch.autograd.gradgradcheck(call, x)
    opcheck(torch.ops.striate.max_pool.default, (x, [3, 2], [2, 2], [1, 0], [4, 4]))
    opcheck(torch.ops.striate.max_pool_values.default, (x.detach(), [3, 2], [2, 2], [1, 0], [4, 4]))
    assert torch.equal(torch.compile(call, fullgraph=True, backend="aot_eager")(x), call(x))


def test_the_same_bits_at_any_number_of_threads():
    x = torch.randn(3, 40, 33, 35, requires_grad=True)
    before, results = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            y = max_pool2d(x, 3, 1, 1)
            results.append([y, *torch.autograd.grad(y.sin().sum(), x)])
    finally:
        torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other, strict=True))


def test_who_is_served():
    large = torch.randn(2, 16, 16, 16)
    assert max_pool_obstacle(large, 2) == ""
    assert max_pool_obstacle(large[:, :1], 2) and max_pool_obstacle(large[0], 2)
    last = large.contiguous(memory_format=torch.channels_last)
    assert max_pool_obstacle(last, 2) == max_pool_obstacle(last.requires_grad_(), 2) == ""
