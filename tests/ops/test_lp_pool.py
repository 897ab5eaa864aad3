"""What is special to Lp pooling: |x|, any p, gradients at 0, numbers near the limits, PyTorch's values."""

from itertools import product
from math import inf

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import striate.nn
from striate import functional as S
from striate.errors import ArgumentError
from striate.ops.lp_pool.norm import SHARED_OUT, norm, power, total

POWERS = (1, 2, 3, 0.5, 1.5, 2.5, 7.0, inf)
PICTURE = [[[1.0, 4, 2, 3], [5, 8, 4, 1], [7, 6, 0, 5], [2, 3, 9, 4]]]


def numbers(*shape: int, dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def test_known_values():
    picture = torch.tensor([[[3.0, -4.0], [0.0, 0.0]]])
    got = {p: S.lp_pool2d(picture, p, 2).item() for p in (1, 2, inf)}
    assert got == {1: 7, 2: 5, inf: 4}
    assert S.lp_pool2d(picture, 0.5, 2).item() == pytest.approx((3**0.5 + 2) ** 2)
    assert S.lp_pool2d(picture, 3, 2).item() == pytest.approx(91 ** (1 / 3))
    assert S.lp_pool2d(picture, 2, 2, mean=True).item() == pytest.approx((25 / 4) ** 0.5)
    assert S.lp_pool2d(torch.tensor(PICTURE), inf, 2).tolist() == [[[8, 4], [7, 9]]]


@pytest.mark.parametrize("p", POWERS, ids=str)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_numbers_that_are_not_negative_are_as_in_pytorch(rank: int, p: float):
    """Values and gradients, whatever the window."""
    ours, theirs = getattr(S, f"lp_pool{rank}d"), getattr(F, f"lp_pool{rank}d")
    size = {1: (11,), 2: (7, 9), 3: (5, 7, 6)}[rank]
    for batch, kernel, stride, ceil_mode in product((True, False), (2, 3), (None, 1, 2, 3), (False, True)):
        x = numbers(*((2, 3) if batch else (3,)), *size).abs() + 0.1
        mine, other = x.clone().requires_grad_(), x.clone().requires_grad_()
        got = ours(mine, p, kernel, stride, ceil_mode)
        wanted = theirs(other, float(p), kernel, stride, ceil_mode)
        torch.testing.assert_close(got, wanted, rtol=1e-10, atol=1e-10)
        direction = numbers(*got.shape)
        (slope,) = torch.autograd.grad(got, mine, direction)
        (right,) = torch.autograd.grad(wanted, other, direction)
        torch.testing.assert_close(slope, right, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", ["LPPool1d", "LPPool2d", "LPPool3d"])
def test_pytorchs_own_samples_of_the_layers(name: str):
    from torch.testing._internal.common_modules import module_db

    (info,) = [info for info in module_db if info.module_cls.__name__ == name]
    samples = info.module_inputs_func(info, "cpu", torch.float64, requires_grad=False, training=True)
    assert len(samples) >= 3
    for sample in samples:
        made, given = sample.constructor_input, sample.forward_input
        mine = getattr(striate.nn, name)(*made.args, **made.kwargs)
        theirs = info.module_cls(*made.args, **made.kwargs)
        x = given.args[0].abs()
        torch.testing.assert_close(mine(x), theirs(x), rtol=1e-12, atol=1e-12)
        assert repr(mine) == repr(theirs)


@pytest.mark.parametrize("p", POWERS, ids=str)
def test_the_sign_of_the_input_does_not_matter(p: float):
    x = numbers(2, 3, 8, 9)
    torch.testing.assert_close(S.lp_pool2d(x, p, 3, 2), S.lp_pool2d(x.abs(), p, 3, 2), rtol=0, atol=0)
    assert not S.lp_pool2d(x, p, 3, 2).isnan().any()


@pytest.mark.parametrize("p", POWERS, ids=str)
@pytest.mark.parametrize("kernel", [2, (1, 4)], ids=str)
def test_derivatives_at_zero_are_zero(kernel, p: float):
    """At a single 0 in a window, and in a window of nothing but 0; the second ones are finite."""
    picture = torch.tensor([[[0.0, 2.0, 0.0, 0.0], [0.0, -1.0, 0.0, 0.0]]], dtype=torch.float64)
    picture.requires_grad_()
    y = S.lp_pool2d(picture, p, kernel, stride=(1, 2) if kernel == 2 else None)
    (slope,) = torch.autograd.grad(y.square().sum() + y.sum(), picture, create_graph=True)
    assert slope.isfinite().all()
    assert not slope[picture == 0].any()
    assert slope[picture != 0].any()
    if slope.requires_grad:
        (curve,) = torch.autograd.grad(slope.sum(), picture)
        assert curve.isfinite().all()
        if p != 2:  # whose second derivative at 0 is 1 / y
            assert p == 2 or not curve[picture == 0].any()  # the square of a 2-norm is curved at 0 too


@pytest.mark.parametrize("p", [0.25, 0.5, 1, 1.5, 2, 3.0, 6.5], ids=str)
def test_the_gradient_is_the_formula(p: float):
    x = numbers(1, 2, 9).requires_grad_()
    y = S.lp_pool1d(x, p, 9)
    (slope,) = torch.autograd.grad(y.sum(), x)
    torch.testing.assert_close(slope, x.sign() * (x.abs() / y).pow(p - 1), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64], ids=str)
@pytest.mark.parametrize("p", [3, 4.5, 20.0, 300.0, 1e6, 1e30], ids=str)
def test_large_and_small_numbers_neither_overflow_nor_vanish(p: float, dtype: torch.dtype):
    largest = torch.finfo(dtype).max / 8
    for scale in (largest, 1.0, torch.finfo(dtype).tiny * 16):
        x = (torch.tensor([[1.0, -0.75, 0.5, 0.0]], dtype=torch.float64) * scale).to(dtype).requires_grad_()
        exact = (1 + 0.75 ** min(p, 1e4) + 0.5 ** min(p, 1e4)) ** (1 / p)
        y = S.lp_pool1d(x, p, 4)
        assert y.item() / scale == pytest.approx(exact, rel=4 * torch.finfo(dtype).eps)
        (slope,) = torch.autograd.grad(y.sum(), x)
        assert slope.isfinite().all()
        assert slope[0, 0].item() == pytest.approx((1 / exact) ** (p - 1), rel=0.02)


def test_a_16_bit_sum_of_squares_does_not_overflow():
    x = torch.full((1, 1, 4, 4), 300.0, dtype=torch.float16)  # 300² is beyond float16
    assert S.lp_pool2d(x, 2, 2).unique().tolist() == [600]
    assert S.global_lp_pool2d(x, 2).item() == 1200


@pytest.mark.parametrize("p", [0.5, 1, 2, 3.5, inf], ids=str)
def test_nan_and_infinity_stay_in_their_windows(p: float):
    x = numbers(1, 1, 4, 6)
    x[0, 0, 0, 0], x[0, 0, 0, 2] = torch.nan, -inf
    y = S.lp_pool2d(x, p, 2)
    assert y[0, 0, 0, 0].isnan()
    assert y[0, 0, 0, 1] == inf
    assert y.isfinite().sum() == 4


def test_a_huge_p_is_infinity():
    x = numbers(2, 3, 9)
    assert torch.equal(S.lp_pool1d(x, 2**70, 3), S.lp_pool1d(x, inf, 3))
    torch.testing.assert_close(S.lp_pool1d(x, 1e15, 3), S.lp_pool1d(x, inf, 3), rtol=1e-12, atol=0)


@pytest.mark.parametrize("mean", [False, True])
@pytest.mark.parametrize("p", [0.7, 1.0, 2.0, 3.0])
def test_a_tensor_p_is_the_same_p_and_learns(p: float, mean: bool):
    x = numbers(2, 3, 7, 8)
    tensor = torch.tensor(p, dtype=torch.float64, requires_grad=True)
    for shape in ((), (1,)):
        got = S.lp_pool2d(x, tensor.reshape(shape), 3, 2, padding=1, mean=mean)
        torch.testing.assert_close(got, S.lp_pool2d(x, p, 3, 2, padding=1, mean=mean), rtol=1e-12, atol=1e-12)
    (slope,) = torch.autograd.grad(got.sum(), tensor)
    step = 1e-6
    ends = [S.lp_pool2d(x, p + sign * step, 3, 2, padding=1, mean=mean).sum() for sign in (1, -1)]
    assert slope.item() == pytest.approx(((ends[0] - ends[1]) / (2 * step)).item(), rel=1e-5)
    zeros = torch.zeros(1, 1, 4, 4, dtype=torch.float64, requires_grad=True)
    slopes = torch.autograd.grad(S.lp_pool2d(zeros, tensor, 2, mean=mean).sum(), [zeros, tensor])
    assert not any(slope.any() for slope in slopes)


@pytest.mark.parametrize("p", [1, 2, 3.0, inf], ids=str)
def test_the_mean_divides_by_the_taps_in_the_picture(p: float):
    """Of a picture of equal numbers every power mean is that number, whatever padding cuts off."""
    x = torch.full((1, 1, 5, 6), -3.0, dtype=torch.float64)
    for options in (
        {"padding": 1},
        {"padding": ((2, 0), (0, 2)), "stride": 1},
        {"padding": "same", "dilation": 2, "stride": 1},
        {"stride": 2, "ceil_mode": True},
    ):
        y = S.lp_pool2d(x, p, 3, mean=True, **options)
        torch.testing.assert_close(y, torch.full_like(y, 3))


def test_a_window_of_nothing_gives_zero():
    for p, mean in product((1, 2, 3.0, inf), (False, True)):
        x = torch.ones(1, 1, 2, requires_grad=True)
        y = S.lp_pool1d(x, p, 2, padding=((2, 3),), mean=mean)
        assert y[0, 0, 0] == 0 and y[0, 0, 1] > 0 and y[0, 0, 2] == 0, (p, mean)
        y.sum().backward()
        assert x.grad.isfinite().all()


@pytest.mark.parametrize("p", [1, 2, 3.0, 0.5, inf], ids=str)
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_global_is_one_window_over_everything(rank: int, p: float):
    size = {1: (9,), 2: (4, 5), 3: (2, 3, 4)}[rank]
    x = numbers(2, 3, *size)
    for mean in (False, True):
        got = getattr(S, f"global_lp_pool{rank}d")(x, p, mean)
        wanted = getattr(S, f"lp_pool{rank}d")(x, p, size, mean=mean)
        torch.testing.assert_close(got, wanted, rtol=1e-12, atol=1e-12)
        if not mean:
            exact = torch.linalg.vector_norm(x.flatten(2), p, dim=-1)
            torch.testing.assert_close(got.flatten(1), exact, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [SHARED_OUT - 1, SHARED_OUT, 3 * SHARED_OUT + 77])
def test_a_single_long_sum_has_the_same_bits_with_any_number_of_threads(size: int):
    x = numbers(1, 1, size, dtype=torch.float32)
    before = torch.get_num_threads()
    found = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(
                (S.global_lp_pool1d(x, 2.5), S.global_lp_pool1d(x, 1), total(x, [-1]), total(x, [2]))
            )
    finally:
        torch.set_num_threads(before)
    for results in zip(*found, strict=True):
        assert all(torch.equal(result, results[0]) for result in results)
    torch.testing.assert_close(found[0][2], x.double().sum(-1, keepdim=True).float(), rtol=1e-4, atol=1e-2)


def test_powers_at_zero_and_of_weighted_sums():
    x = torch.tensor([0.0, 1.0, 4.0], dtype=torch.float64, requires_grad=True)
    for p in (0.3, 0.5, 1.0, 2.0, 3.0, 3.3):
        torch.testing.assert_close(power(x, p), x.pow(p), rtol=1e-14, atol=0)
        assert torch.autograd.grad(power(x, p).sum(), x)[0][0] in (0, 1)
    torch.testing.assert_close(norm(x, 2.0, [0], 0.25), ((1 + 16) / 4 * torch.ones(1).double()).sqrt())


@pytest.mark.parametrize("norm_type", [0, -1, -inf, float("nan"), True, "2", None, [2], 2j])
@pytest.mark.parametrize(
    "make", [lambda p: S.lp_pool2d(torch.ones(1, 4, 4), p, 2), lambda p: striate.nn.LPPool2d(p, 2)]
)
def test_a_p_that_cannot_be_is_refused(make, norm_type):
    with pytest.raises(ArgumentError, match="norm_type came as"):
        make(norm_type)


def test_numbers_of_numpy_are_numbers():
    x = numbers(1, 4, 4)
    assert torch.equal(S.lp_pool2d(x, np.float32(3), np.int64(2)), S.lp_pool2d(x, 3, 2))


def test_integers_are_refused_where_pytorch_truncates():
    x = torch.arange(16).reshape(1, 4, 4)
    assert F.lp_pool2d(x, 2, 2)[0, 0, 0] != F.lp_pool2d(x.float(), 2, 2)[0, 0, 0]  # what is refused
    for p in (2, inf):
        with pytest.raises(ArgumentError, match=r"input came as torch.int64; .*input.float\(\)"):
            S.lp_pool2d(x, p, 2)


def test_layers_are_pytorchs_and_load_its_state():
    for rank in (1, 2, 3):
        mine, theirs = getattr(striate.nn, f"LPPool{rank}d"), getattr(nn, f"LPPool{rank}d")
        layer = mine(2, 3, stride=2)
        assert isinstance(layer, theirs)
        layer.load_state_dict(theirs(2, 3, stride=2).state_dict(), strict=True)
        assert not list(layer.parameters())


def test_a_learned_p_goes_where_the_data_want_it_and_stays_above_zero():
    torch.manual_seed(0)
    x = numbers(8, 3, 6, 6, dtype=torch.float32)
    wanted = S.lp_pool2d(x, 1.5, 2)
    layer = striate.nn.LPPool2d(4.0, 2, learnable=True)
    assert list(layer.state_dict()) == ["log_norm_type"]
    optimizer = torch.optim.Adam(layer.parameters(), lr=0.05)
    for _ in range(150):
        optimizer.zero_grad()
        F.mse_loss(layer(x), wanted).backward()
        optimizer.step()
    assert layer.p.item() == pytest.approx(1.5, abs=0.02)
    with torch.no_grad():
        layer.log_norm_type -= 50
    assert layer.p.item() > 0
    layer.reset_parameters()
    assert layer.p.item() == pytest.approx(4)


def test_a_learned_p_cannot_start_at_infinity():
    with pytest.raises(ArgumentError, match="finite p"):
        striate.nn.GlobalLPPool2d(inf, learnable=True)


@pytest.mark.parametrize("form", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("stride", [2**31 - 1, (1, 2**26)])
def test_strides_beyond_the_picture_are_those_of_one_window(stride, form):
    picture = numbers(2, 4, 64, 64, dtype=torch.float32).to(memory_format=form)
    one = 64 if stride == 2**31 - 1 else (1, 64)
    for p in (2, 3):
        assert torch.equal(S.lp_pool2d(picture, p, 2, stride), S.lp_pool2d(picture, p, 2, one))
    gate = numbers(4, 2, 2, dtype=torch.float32)
    gated = [S.mixed_pool2d(picture, 2, each, gate=gate) for each in (stride, one)]
    assert torch.equal(*gated)
