"""What is special to average pooling: the lecture's values, divisors, dilation, any padding."""

from itertools import product

import pytest
import torch
from torch import nn
from torch.autograd import gradcheck, gradgradcheck
from torch.nn import functional as F

import striate.nn
from striate import functional as S
from striate.errors import ArgumentError
from striate.ops.avg_pool import reference


def numbers(*shape: int, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype)


def test_the_lectures_picture():
    picture = torch.tensor([[[1.0, 4, 2, 3], [5, 8, 4, 1], [7, 6, 0, 5], [2, 3, 9, 4]]])
    assert S.avg_pool2d(picture, 2).tolist() == [[[4.5, 2.5], [4.5, 4.5]]]
    assert S.avg_pool2d(picture, 2, stride=1).tolist() == [
        [[4.5, 4.5, 2.5], [6.5, 4.5, 2.5], [4.5, 4.5, 4.5]]
    ]


def test_divisors():
    """Of ones, an average is the taps in the picture by the taps that count."""
    ones = torch.ones(1, 5)
    told = {
        (True, False): [2 / 3, 1, 2 / 3],
        (False, False): [1, 1, 1],
        # The last window, at 4, reaches two samples beyond the picture: padding, and what never counts.
        (True, True): [2 / 3, 1 / 2],
    }
    for (counts, ceil), wanted in told.items():
        stride = 5 if ceil else 2
        got = S.avg_pool1d(ones, 3, stride, ((1, 1),), ceil, counts)
        torch.testing.assert_close(got, torch.tensor([wanted]).float())
    wide = S.avg_pool1d(torch.ones(1, 3), 2, 1, ((2, 3),))
    torch.testing.assert_close(wide, torch.tensor([[0, 0.5, 1, 1, 0.5, 0, 0]]))
    wide = S.avg_pool1d(torch.ones(1, 3), 2, 1, ((2, 3),), count_include_pad=False)
    assert wide.tolist() == [[0, 1, 1, 1, 1, 0, 0]]


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_equal_pairs_are_pytorchs_padding(rank):
    picture = numbers(2, 3, *(9, 8, 7)[:rank])
    ours, theirs = getattr(S, f"avg_pool{rank}d"), getattr(F, f"avg_pool{rank}d")
    for size, stride, ceil, counts in product((2, 3, 5), (1, 2, 3), (False, True), (False, True)):
        for before in range(size // 2 + 1):
            got = ours(picture, size, stride, ((before, before),) * rank, ceil, counts)
            torch.testing.assert_close(
                got, theirs(picture, size, stride, before, ceil, counts), rtol=1e-12, atol=1e-14
            )


@pytest.mark.parametrize("counts", [False, True])
@pytest.mark.parametrize("rank", [1, 2, 3])
def test_dilation_is_a_pool_of_every_phase(rank, counts):
    """Every d-th sample, pooled without a gap, gives every d-th window; true of each phase."""
    picture = numbers(2, 2, *((9,) * rank))
    pool = getattr(S, f"avg_pool{rank}d")
    dilated = pool(picture, 3, 1, ((2, 2),) * rank, count_include_pad=counts, dilation=2)
    for phase in product((0, 1), repeat=rank):
        every = (..., *(slice(start, None, 2) for start in phase))
        alone = pool(picture[every], 3, 1, ((1, 1),) * rank, count_include_pad=counts)
        torch.testing.assert_close(dilated[every], alone)


@pytest.mark.parametrize("padding", [((1, 0), (0, 2)), ((3, 1), (2, 4)), "same"])
@pytest.mark.parametrize("dilation", [1, (2, 1)])
@pytest.mark.parametrize("counts", [False, True])
def test_derivatives_compile_and_export(padding, dilation, counts):
    class Pool(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return S.avg_pool2d(x, (3, 2), 2, padding, True, counts, dilation=dilation)

    picture = numbers(2, 2, 5, 6).requires_grad_()
    assert gradcheck(Pool(), (picture,), fast_mode=True)
    assert gradgradcheck(Pool(), (picture,), fast_mode=True)
    wanted = Pool()(picture)
    torch._dynamo.reset()
    got = torch.compile(Pool(), fullgraph=True, backend="aot_eager")(picture)
    torch.testing.assert_close(got, wanted)
    torch.testing.assert_close(*(torch.autograd.grad(y.sum(), picture)[0] for y in (got, wanted)))
    shapes = ({0: torch.export.Dim.DYNAMIC},)
    exported = torch.export.export(Pool(), (picture.detach(),), dynamic_shapes=shapes).module()
    larger = numbers(5, 2, 5, 6)
    torch.testing.assert_close(exported(larger), Pool()(larger))


@pytest.mark.parametrize("dilation", [1, 2])
def test_nan_and_infinity_stay_in_their_windows(dilation):
    picture = numbers(1, 6, 6)
    picture[0, 0, 0], picture[0, 5, 5] = torch.nan, torch.inf
    padding = ((1, 2), (2, 1))
    got = S.avg_pool2d(picture, 2, 1, padding, dilation=dilation)
    wanted = reference.avg_pool(2)(picture, 2, 1, padding, dilation=dilation)
    torch.testing.assert_close(got, wanted, equal_nan=True)
    reached = 4 if dilation == 1 else 2
    assert got.isnan().sum() == reached
    assert got.isinf().sum() == reached


@pytest.mark.parametrize("dilation", [1, 2])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_sixteen_bits_neither_overflow_nor_lose_in_the_sum(dtype, dilation):
    for rank in (1, 2, 3):
        large = torch.full((1, 1, *((9,) * rank)), 3e4, dtype=dtype)
        got = getattr(S, f"avg_pool{rank}d")(
            large, 4, 1, ((2, 3),) * rank, count_include_pad=False, dilation=dilation
        )
        assert got.dtype == dtype
        torch.testing.assert_close(got, torch.full_like(got, 3e4), rtol=1e-2, atol=0)


def test_volumes_of_sixteen_bits_and_kernels_larger_than_the_volume():
    """PyTorch's operator for volumes takes neither on a CPU."""
    volume = numbers(2, 2, 4, 5, 6)
    torch.testing.assert_close(
        S.avg_pool3d(volume.half(), 3, 1, 1).double(), F.avg_pool3d(volume, 3, 1, 1), rtol=1e-2, atol=1e-2
    )
    small = numbers(1, 1, 2, 2, 2)
    got = S.avg_pool3d(small, 3, 1, 1)
    torch.testing.assert_close(got, small.mean().mul(8 / 27).expand(got.shape))


@pytest.mark.parametrize("padding", [((1, 0), (0, 2)), ((3, 1), (2, 4)), "same"])
@pytest.mark.parametrize("dilation", [1, 2])
def test_channels_last_stays(padding, dilation):
    picture = numbers(2, 3, 7, 6).contiguous(memory_format=torch.channels_last)
    for counts in (False, True):
        result = S.avg_pool2d(picture, 3, 1, padding, count_include_pad=counts, dilation=dilation)
        assert result.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("rank", [1, 2, 3])
def test_the_global_form_is_adaptive_pooling_to_one(rank):
    picture = numbers(3, 2, *((4,) * rank))
    wanted = getattr(F, f"adaptive_avg_pool{rank}d")(picture, 1)
    assert torch.equal(getattr(S, f"global_avg_pool{rank}d")(picture), wanted)
    torch.testing.assert_close(wanted, picture.mean(tuple(range(2, 2 + rank)), keepdim=True))


def test_half_a_kernel_of_padding_is_pytorchs_limit_and_pairs_go_beyond():
    with pytest.raises(ArgumentError, match=r"2 // 2 = 1, as in PyTorch; .* padding=\(\(2, 2\), \(2, 2\)\)"):
        S.avg_pool2d(numbers(1, 4, 4), 2, padding=2)
    assert S.avg_pool2d(numbers(1, 4, 4), 2, padding=((2, 2), (2, 2))).shape == (1, 4, 4)


def test_whole_numbers_only_where_pytorch_takes_them():
    whole = torch.arange(16).reshape(1, 4, 4)
    assert torch.equal(S.avg_pool2d(whole, 2), F.avg_pool2d(whole, 2))
    with pytest.raises(ArgumentError, match=r"torch\.int64"):
        S.avg_pool2d(whole, 2, dilation=2)


def test_layers_are_pytorchs():
    for rank in (1, 2, 3):
        for form in ("AvgPool", "AdaptiveAvgPool"):
            mine, theirs = getattr(striate.nn, f"{form}{rank}d"), getattr(nn, f"{form}{rank}d")
            assert issubclass(mine, theirs)
            assert repr(mine(2)) == repr(theirs(2))
    layer = striate.nn.AvgPool2d(3, 2, ((1, 0), (0, 1)), dilation=(2, 1))
    assert layer(numbers(1, 3, 5, 6)).shape == (1, 3, 1, 3)
    assert repr(layer) == "AvgPool2d(kernel_size=3, stride=2, padding=((1, 0), (0, 1)), dilation=(2, 1))"
    assert striate.nn.AvgPool1d(2, padding=[1]).padding == (1,)


@pytest.mark.parametrize("windows", [(2, 2, 0), (3, 2, 0), (3, 2, 1), (4, 2, 1), (2, 1, 1), (3, 1, 1)])
def test_windows_of_neighbours_are_those_of_pytorch_at_every_width(windows):
    for width, count in product((17, 31, 32, 33, 56, 57, 63, 64, 65, 112), (False, True)):
        pictures = torch.randn(3, 5, 19, width, generator=torch.Generator().manual_seed(0))
        wanted = F.avg_pool2d(pictures.double(), *windows, ceil_mode=True, count_include_pad=count)
        found = S.avg_pool2d(pictures, *windows, ceil_mode=True, count_include_pad=count)
        torch.testing.assert_close(found.double(), wanted, rtol=1e-5, atol=1e-6)
