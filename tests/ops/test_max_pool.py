"""What is special to max pooling: the lecture's values, ties, NaN and −∞, indices, any padding."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

import striate.nn
from striate import functional as S
from striate.errors import ArgumentError
from striate.ops.max_pool import reference

INF = torch.inf


def numbers(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def test_the_lectures_picture():
    picture = torch.tensor([[[1.0, 4, 2, 3], [5, 8, 4, 1], [7, 6, 0, 5], [2, 3, 9, 4]]])
    assert S.max_pool2d(picture, 2).tolist() == [[[8, 4], [7, 9]]]
    assert S.max_pool2d(picture, 2, stride=1).tolist() == [[[8, 8, 4], [8, 8, 5], [7, 9, 9]]]


def test_the_gradient_goes_to_the_winner():
    picture = torch.tensor([[[1.0, 4, 2, 3], [5, 8, 4, 1], [7, 6, 0, 5], [2, 3, 9, 4]]], requires_grad=True)
    S.max_pool2d(picture, 2, stride=1).sum().backward()
    assert picture.grad.tolist() == [[[0, 0, 0, 0], [0, 4, 1, 0], [1, 0, 0, 1], [0, 0, 2, 0]]]


@pytest.mark.parametrize("padding", [0, ((0, 0), (0, 0)), ((2, 2), (2, 2))])
def test_the_first_of_equal_numbers_wins(padding):
    picture = torch.zeros(1, 2, 2, requires_grad=True)
    value, index = S.max_pool2d(picture, 2, 2, padding, return_indices=True)
    assert (
        index[0, -1 if padding == 0 else padding[0][0] // 2, -1 if padding == 0 else padding[0][0] // 2] == 0
    )
    value.masked_fill(value == -INF, 0).sum().backward()
    assert picture.grad.tolist() == [[[1, 0], [0, 0]]]


@pytest.mark.parametrize("padding", [1, ((1, 2), (1, 2)), ((2, 2), (2, 2))])
def test_nan_wins_and_the_last_of_them_is_the_winner(padding):
    picture = numbers(1, 1, 4, 4)
    picture[0, 0, 0, 1] = picture[0, 0, 1, 0] = torch.nan
    by_definition = reference.max_pool(2)(picture, 3, 2, padding, return_indices=True)
    got = S.max_pool2d(picture, 3, 2, padding, return_indices=True)
    assert torch.equal(got[1], by_definition[1])
    assert torch.equal(got[0].isnan(), by_definition[0].isnan())
    assert 4 in got[1]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize(
    "pair", [(0, 0), (1, 1), (0, 3), (2, 0), (3, 3), (5, 1), (7, 9)], ids=lambda pair: f"{pair[0]}-{pair[1]}"
)
def test_a_picture_of_minus_infinity(rank, dilation, pair):
    """The winner is the first tap in the picture, and the gradient reaches it; none where there is none."""
    picture = torch.full((1, 2, *((5,) * rank)), -INF, dtype=torch.float64, requires_grad=True)
    exact = picture.detach().clone().requires_grad_()
    arguments = {"kernel_size": 3, "stride": 1, "padding": (pair,) * rank, "dilation": dilation}
    value, index = getattr(S, f"max_pool{rank}d")(picture, **arguments, return_indices=True)
    wanted, place = reference.max_pool(rank)(exact, **arguments, return_indices=True)
    assert torch.equal(index, place)
    assert torch.equal(value, wanted)
    direction = numbers(*value.shape)
    (got,) = torch.autograd.grad(value, picture, direction, materialize_grads=True)
    (right,) = torch.autograd.grad(wanted, exact, direction, materialize_grads=True)
    torch.testing.assert_close(got, right)


def test_a_window_without_a_tap_in_the_picture():
    value, index = S.max_pool1d(torch.ones(1, 2), 2, padding=((4, 4),), return_indices=True)
    assert value.tolist() == [[-INF, -INF, 1, -INF, -INF]]
    assert index.tolist() == [[-1, -1, 0, -1, -1]]
    value, index = S.max_pool2d(
        torch.ones(1, 2, 2, dtype=torch.int8), 1, padding=((1, 0), (0, 0)), return_indices=True
    )
    assert value.tolist() == [[[-128, -128], [1, 1], [1, 1]]]
    assert index.tolist() == [[[-1, -1], [0, 1], [2, 3]]]


@pytest.mark.parametrize("rank", [1, 2, 3])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_the_only_window_lies_before_the_picture(rank, ceil_mode):
    picture = numbers(1, 2, *(1,) * rank).requires_grad_()
    pool = getattr(S, f"max_pool{rank}d")
    options = {"stride": 4, "padding": ((3, 0),) * rank, "ceil_mode": ceil_mode, "return_indices": True}
    value, index = pool(picture, 2, **options)
    wanted_value, wanted_index = reference.max_pool(rank)(picture, 2, **options)
    assert value.tolist() == wanted_value.tolist()
    assert set(value.flatten().tolist()) == {-INF}
    assert index.tolist() == wanted_index.tolist()
    (gradient,) = torch.autograd.grad(value.sum(), picture)
    assert not gradient.any()


def test_taps_that_jump_over_the_picture():
    """PyTorch's index lies beyond the picture here, and its backward pass writes there."""
    picture = torch.ones(1, 1, 1, 1, requires_grad=True)
    value, index = S.max_pool2d(picture, 2, 1, padding=1, dilation=2, return_indices=True)
    assert value.item() == -INF
    assert index.item() == -1
    value.sum().backward()
    assert picture.grad.item() == 0


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64], ids=str)
@pytest.mark.parametrize("rank", [2, 3])
def test_whole_numbers_with_pairs(rank, dtype):
    whole = (numbers(2, 3, *((6,) * rank)) * 40).to(dtype)
    padding = ((1, 2), (2, 0), (0, 1))[:rank]
    value, index = getattr(S, f"max_pool{rank}d")(whole, 2, 1, padding, return_indices=True)
    wanted, place = reference.max_pool(rank)(whole.double(), 2, 1, padding, return_indices=True)
    assert value.dtype == dtype
    there = place >= 0
    assert torch.equal(value[there].double(), wanted[there])
    assert torch.equal(index, place)


def test_indices_undo_the_pooling():
    picture = numbers(2, 3, 8, 8)
    value, index = S.max_pool2d(picture, 3, 2, padding="same", return_indices=True)
    assert torch.equal(picture.flatten(2).gather(2, index.flatten(2)), value.flatten(2))
    back = F.max_unpool2d(*S.max_pool2d(picture, 2, return_indices=True), 2)
    assert torch.equal(back[back != 0], picture[back != 0])


def test_equal_pairs_are_pytorchs_padding():
    picture = numbers(2, 3, 9, 8)
    for size in (2, 3, 5):
        for before in range(size // 2 + 1):
            pairs = ((before, before),) * 2
            wanted = F.max_pool2d(picture, size, 2, before, return_indices=True)
            got = S.max_pool2d(picture, size, 2, pairs, return_indices=True)
            assert all(map(torch.equal, got, wanted))


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("size", [5, 6])
def test_same_gives_as_many_windows_as_strides(size, stride):
    for kernel in (1, 2, 3, 4):
        assert S.max_pool1d(numbers(1, size), kernel, stride, "same").shape[-1] == -(-size // stride)


@pytest.mark.parametrize("padding", [((1, 0), (0, 2)), ((3, 1), (2, 4)), "same"])
def test_derivatives_compile_and_export_with_any_padding(padding):
    class Pool(nn.Module):
        def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
            return S.max_pool2d(x, (4, 5), 2, padding, return_indices=True)

    picture = numbers(2, 2, 5, 6).requires_grad_()
    assert gradcheck(lambda x: Pool()(x)[0], (picture,))
    assert gradgradcheck(lambda x: Pool()(x)[0], (picture,), fast_mode=True)
    wanted = Pool()(picture)
    torch._dynamo.reset()
    got = torch.compile(Pool(), fullgraph=True, backend="aot_eager")(picture)
    assert all(map(torch.equal, got, wanted))
    slopes = [
        torch.autograd.grad(value.masked_fill(value == -INF, 0).sum(), picture)[0]
        for value, _ in (got, wanted)
    ]
    assert torch.equal(*slopes)
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    exported = torch.export.export(Pool(), (picture.detach(),), dynamic_shapes=shapes).module()
    larger = numbers(5, 2, 5, 6)
    assert all(map(torch.equal, exported(larger), Pool()(larger)))


@pytest.mark.parametrize("padding", [((1, 0), (0, 2)), ((3, 1), (2, 4)), "same"])
def test_channels_last_stays_with_any_padding(padding):
    picture = numbers(2, 3, 5, 6).contiguous(memory_format=torch.channels_last)
    for result in S.max_pool2d(picture, 2, 1, padding, return_indices=True):
        assert result.is_contiguous(memory_format=torch.channels_last)


def test_volumes_without_a_batch_in_any_layout():
    """PyTorch refuses one whose strides look like channels-last."""
    volume = numbers(3, 4, 5, 6)
    laid = volume.contiguous(memory_format=torch.channels_last)
    assert torch.equal(S.max_pool3d(laid, 2), F.max_pool3d(volume, 2))


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_global_form_is_adaptive_pooling_to_one(rank):
    picture = numbers(3, 2, *((4,) * rank))
    picture[0, 0].flatten()[[1, 3]] = 9.0
    picture[1, 0].flatten()[[1, 3]] = torch.nan
    for laid in (picture, picture.transpose(0, 1).contiguous().transpose(0, 1)):
        learning, exact = laid.clone().requires_grad_(), laid.clone().requires_grad_()
        got = getattr(S, f"global_max_pool{rank}d")(learning)
        wanted = getattr(F, f"adaptive_max_pool{rank}d")(exact, 1)
        torch.testing.assert_close(got, wanted, rtol=0, atol=0, equal_nan=True)
        inferred = getattr(S, f"global_max_pool{rank}d")(laid)
        torch.testing.assert_close(inferred, wanted.detach(), rtol=0, atol=0, equal_nan=True)
        got.sum().backward()
        wanted.sum().backward()
        assert torch.equal(learning.grad, exact.grad)


def test_autocast_of_the_global_form_does_not_depend_on_learning():
    volume = numbers(1, 1, 2, 2, 2, dtype=torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        kinds = {S.global_max_pool3d(volume.clone().requires_grad_(asks)).dtype for asks in (False, True)}
    assert kinds == {F.adaptive_max_pool3d(volume.float(), 1).dtype}


def test_half_a_kernel_of_padding_is_pytorchs_limit_and_pairs_go_beyond():
    picture = numbers(1, 4, 4)
    with pytest.raises(ArgumentError, match=r"2 // 2 = 1, as in PyTorch; .* padding=\(\(2, 2\), \(2, 2\)\)"):
        S.max_pool2d(picture, 2, padding=2)
    assert S.max_pool2d(picture, 2, padding=((2, 2), (2, 2))).shape == (1, 4, 4)


def test_numbers_that_overflow_pytorchs_kernel():
    """``F.max_pool1d`` takes the kernel for 1, or never comes back."""
    for size in (2**32 + 1, 2**62, np.int64(2**32 + 1), (np.int64(2**62),)):
        with pytest.raises(ArgumentError, match="kernel_size came as"):
            S.max_pool1d(numbers(1, 6), size)
    assert torch.equal(
        S.max_pool1d(numbers(1, 6), 2**31 - 1, ceil_mode=True), S.global_max_pool1d(numbers(1, 6))
    )


def test_layers_are_pytorchs():
    for rank in (1, 2, 3):
        for form in ("MaxPool", "AdaptiveMaxPool"):
            mine, theirs = getattr(striate.nn, f"{form}{rank}d"), getattr(nn, f"{form}{rank}d")
            assert issubclass(mine, theirs)
            assert repr(mine(2)) == repr(theirs(2))
    layer = striate.nn.MaxPool2d(3, 2, ((1, 0), (0, 1)), return_indices=True)
    value, index = layer(numbers(1, 3, 5, 6))
    assert value.shape == index.shape == (1, 3, 2, 3)
    assert "padding=((1, 0), (0, 1))" in repr(layer)


@pytest.mark.parametrize("windows", [(2, 2, 0), (3, 2, 0), (3, 2, 1), (4, 2, 1), (2, 1, 1), (3, 1, 1)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_windows_of_neighbours_are_those_of_pytorch_at_every_width(windows, dtype):
    for width in (17, 31, 32, 33, 56, 57, 63, 64, 65, 112):
        pictures = numbers(3, 5, 19, width, dtype=dtype)
        pictures[0, 0, 3, -1] = pictures[1, 2, 0, width // 2] = torch.nan
        pictures[0, 1, :, :2] = -INF
        pictures[1, 1, 4, 0] = INF
        for ceil_mode in (False, True):
            wanted = F.max_pool2d(pictures, *windows, ceil_mode=ceil_mode)
            found = S.max_pool2d(pictures, *windows, ceil_mode=ceil_mode)
            torch.testing.assert_close(found, wanted, rtol=0, atol=0, equal_nan=True)
