"""What is special to spatially separable convolution: products of kernels, and how to find them."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from striate import filters, functional, geometry
from striate.errors import ArgumentError
from striate.functional import separate
from striate.nn import SpatialSeparableConv2d, SpatialSeparableConv3d


def random(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(sum(shape)), dtype=torch.float64)


SOBEL = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]], dtype=torch.float64)


def test_sobel_in_two_steps():
    input = random(1, 6, 7)
    column, row = torch.tensor([1.0, 2, 1]).double(), torch.tensor([-1.0, 0, 1]).double()
    torch.testing.assert_close(
        functional.spatial_separable_conv2d(input, column.view(1, 1, 3, 1), row.view(1, 1, 1, 3)),
        functional.conv2d(input, SOBEL[None, None]),
    )


@pytest.mark.parametrize("padding", ["same", 2, ((1, 2), (3, 0))], ids=str)
def test_every_channel_by_itself_is_the_depthwise_convolution(padding):
    input, columns, rows = random(2, 4, 8, 9), random(4, 1, 3, 1), random(4, 1, 1, 5)
    options = {"padding": padding, "stride": (2, 1), "dilation": (1, 2), "groups": 4}
    torch.testing.assert_close(
        functional.spatial_separable_conv2d(input, columns, rows, **options),
        functional.conv2d(input, columns * rows, **options),
    )


def test_all_channels_mixed_are_two_convolutions_of_inception():
    input, bias = random(2, 3, 8, 9), random(5)
    first, second = random(4, 3, 7, 1), random(5, 4, 1, 7)
    torch.testing.assert_close(
        functional.spatial_separable_conv2d(input, first, second, bias, padding=3),
        functional.conv2d(functional.conv2d(input, first, padding=(3, 0)), second, bias, padding=(0, 3)),
    )


def test_volumes_depth_first():
    input, steps = (
        random(1, 2, 4, 5, 6),
        [random(2, 1, 3, 1, 1), random(2, 1, 1, 2, 1), random(2, 1, 1, 1, 3)],
    )
    torch.testing.assert_close(
        functional.spatial_separable_conv3d(input, *steps, groups=2, stride=(1, 2, 1)),
        functional.conv3d(input, steps[0] * steps[1] * steps[2], groups=2, stride=(1, 2, 1)),
    )


@pytest.mark.parametrize("mid_channels", [None, 10])
def test_a_layer_has_the_parameters_that_geometry_tells(mid_channels: int | None):
    layer = SpatialSeparableConv2d(6, 8, (3, 5), groups=2, mid_channels=mid_channels)
    rule = geometry.spatial_separable_conv((6, 16, 16), 8, (3, 5), groups=2, mid_channels=mid_channels)
    assert sum(p.numel() for p in layer.parameters()) == rule.parameters


def test_what_a_layer_keeps():
    layer = SpatialSeparableConv3d(2, 6, (3, 5, 7), mid_channels=4)
    assert {name: tuple(value.shape) for name, value in layer.state_dict().items()} == {
        "depth_weight": (4, 2, 3, 1, 1),
        "vertical_weight": (4, 4, 1, 5, 1),
        "horizontal_weight": (6, 4, 1, 1, 7),
        "bias": (6,),
    }


def test_a_layer_tells_its_options():
    layer = SpatialSeparableConv2d(2, 4, 3, groups=2, mid_channels=6, bias=False)
    assert repr(layer) == (
        "SpatialSeparableConv2d(2, 4, kernel_size=(3, 3), stride=(1, 1), groups=2, mid_channels=6, bias=False)"
    )


def test_it_replaces_a_convolution():
    """With the same arguments it gives the same size."""
    for arguments in ((4, 6, 3), (4, 6, (3, 5), 2, (1, 2), 1, 2), (4, 6, 4, 3, 2, 2)):
        input = torch.zeros(2, 4, 19, 20)
        assert SpatialSeparableConv2d(*arguments)(input).shape == nn.Conv2d(*arguments)(input).shape


def test_channels_between_must_divide():
    with pytest.raises(ArgumentError, match=r"SpatialSeparableConv2d: groups came as 2; wanted .* = 5"):
        SpatialSeparableConv2d(2, 4, 3, groups=2, mid_channels=5)


PRODUCTS = {
    "sobel": SOBEL,
    "box": torch.full((5, 3), 1 / 15),
    "one": torch.tensor([[-3.0]]),
    "row": random(1, 7),
    "binomial": torch.tensor([1.0, 4, 6, 4, 1])[:, None] * torch.tensor([1.0, 4, 6, 4, 1]),
    "volume": torch.einsum("i,j,k->ijk", random(3), random(4), random(5)),
    "column of a volume": random(1, 6, 1),
}


@pytest.mark.parametrize("kernel", PRODUCTS.values(), ids=PRODUCTS)
def test_a_product_loses_nothing(kernel: torch.Tensor):
    found = separate(kernel)
    assert found.rank.item() == 1
    assert found.error.item() < 1e-7
    assert [tuple(factor.shape) for factor in found.factors] == [(size,) for size in kernel.shape]
    torch.testing.assert_close(found.kernel, kernel)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_gaussians_are_products(sigma: float):
    found = separate(filters.gaussian(2 * math.ceil(3 * sigma) + 1, sigma))
    assert found.rank.item() == 1 and found.error.item() < 1e-6


def test_the_laplacian_is_not_a_product():
    """Its rank is 2: the second derivative one way, plus that the other way."""
    laplacian = torch.tensor([[0.0, 1, 0], [1, -4, 1], [0, 1, 0]])
    found = separate(laplacian)
    assert found.rank.item() == 2
    # Singular values √6 ± 2 (and 0): what is lost is the smaller one.
    lost = (math.sqrt(6) - 2) / math.sqrt((math.sqrt(6) + 2) ** 2 + (math.sqrt(6) - 2) ** 2)
    assert found.error.item() == pytest.approx(lost, rel=1e-5)


def test_no_pair_of_vectors_is_nearer():
    """Eckart and Young: the error is that of all singular values but the first."""
    kernel = random(5, 7)
    strengths = torch.linalg.svdvals(kernel)
    found = separate(kernel)
    assert found.error.item() == pytest.approx((strengths[1:].norm() / strengths.norm()).item(), rel=1e-9)
    assert found.rank.item() == 5


def test_volumes_settle_where_no_factor_can_improve_alone():
    kernel = random(3, 4, 5)
    found = separate(kernel)
    units = [factor / factor.norm() for factor in found.factors]
    strength = torch.einsum("ijk,i,j,k->", kernel, *units)
    for sum_, unit in zip(("ijk,j,k->i", "ijk,i,k->j", "ijk,i,j->k"), units, strict=True):
        others = [u for u in units if u is not unit]
        torch.testing.assert_close(torch.einsum(sum_, kernel, *others), strength * unit, rtol=1e-4, atol=1e-4)
    first = torch.linalg.svdvals(kernel.flatten(1))[0]
    assert found.error.item() ** 2 == pytest.approx(1 - (strength / kernel.norm()).item() ** 2, rel=1e-6)
    assert strength <= first


def test_the_weights_of_a_layer_are_factored_one_by_one():
    weight = random(6, 2, 3, 5)
    found = separate(weight)
    assert found.error.shape == found.rank.shape == (6, 2)
    alone = separate(weight[4, 1])
    torch.testing.assert_close(found.error[4, 1], alone.error)
    for together, factor in zip(found.factors, alone.factors, strict=True):
        torch.testing.assert_close(together[4, 1], factor)


def test_factors_of_a_depthwise_layer_go_into_the_operator():
    input, weight = random(2, 4, 9, 9), random(4, 1, 3, 1) * random(4, 1, 1, 5)
    found = separate(weight)
    torch.testing.assert_close(
        functional.spatial_separable_conv2d(input, *found.weights, padding="same", groups=4),
        functional.conv2d(input, weight, padding="same", groups=4),
    )


def test_factors_are_settled_in_size_and_sign():
    for kernel in (random(4, 5), random(3, 4, 5), -SOBEL):
        factors = separate(kernel).factors
        for factor in factors:
            torch.testing.assert_close(factor.norm(), factors[0].norm())
        for factor in factors[:-1]:
            assert factor[factor.abs().argmax()] > 0


def test_a_kernel_of_zeros():
    found = separate(torch.zeros(3, 3))
    assert found.error.item() == 0 and found.rank.item() == 0
    assert not found.kernel.any() and not found.kernel.isnan().any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
def test_the_dtype_stays_and_its_rounding_is_no_rank(dtype: torch.dtype):
    kernel = (random(5, 1) * random(1, 5)).to(dtype)
    found = separate(kernel)
    assert found.rank.item() == 1
    assert {found.error.dtype, *(factor.dtype for factor in found.factors)} == {dtype}
    assert found.error.item() < 4 * torch.finfo(dtype).eps


@pytest.mark.parametrize(
    ("kernel", "says"),
    [
        (torch.zeros(3), r"\(3,\)"),
        (torch.zeros(1, 1, 1, 1, 1, 1), r"\(1, 1, 1, 1, 1, 1\)"),
        (torch.zeros(3, 0), r"\(3, 0\)"),
        (torch.tensor([[1.0, torch.nan]]), "not finite"),
        (torch.ones(3, 3, dtype=torch.int64), "torch.int64"),
        (torch.ones(3, 3, dtype=torch.complex64), "torch.complex64"),
        ([[1.0, 2.0]], "list"),
    ],
    ids=["vector", "6-d", "empty", "nan", "integer", "complex", "list"],
)
def test_what_cannot_be_factored_is_refused(kernel, says: str):
    with pytest.raises(ArgumentError, match=f"separate: .*{says}"):
        separate(kernel)


@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("taps", [3, 5, 7])
@pytest.mark.parametrize("padding", [((0, 2), (1, 0)), "same"])
def test_gradients_of_a_pair_in_one_pass_are_pytorchs(taps: int, padding, last: bool):
    channels = 37
    down, along = torch.randn(channels, 1, taps, 1), torch.randn(channels, 1, 1, taps)
    x = torch.randn(2, channels, 11, 9)
    bias = torch.randn(channels)
    x = x.contiguous(memory_format=torch.channels_last if last else torch.contiguous_format)
    (above, below), (left, right) = padding if padding != "same" else ((taps // 2,) * 2,) * 2
    tensors = [t.clone(memory_format=torch.preserve_format).requires_grad_() for t in (x, down, along, bias)]
    found = functional.spatial_separable_conv2d(*tensors, padding=padding, groups=channels)
    others = [t.detach().double().requires_grad_() for t in tensors]
    input, first, second, offset = others
    middle = F.conv2d(F.pad(input, (0, 0, above, below)), first, groups=channels)
    wanted = F.conv2d(F.pad(middle, (left, right)), second, offset, groups=channels)
    gradient = torch.randn_like(found)
    torch.testing.assert_close(found, wanted.float(), atol=1e-4, rtol=1e-4)
    pairs = zip(
        torch.autograd.grad(found, tensors, gradient),
        torch.autograd.grad(wanted, others, gradient.double()),
        strict=True,
    )
    for one, other in pairs:
        torch.testing.assert_close(one, other.float(), atol=2e-4, rtol=1e-4)
