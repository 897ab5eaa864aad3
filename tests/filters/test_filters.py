"""Known kernels against their definitions, SciPy, scikit-image and what they do to simple pictures."""

from __future__ import annotations

import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage import data
from skimage import filters as skimage_filters
from torch.nn import functional as F

from striate import filters
from striate.errors import ArgumentError
from striate.filters._build import MOST_TAPS

double = {"dtype": torch.float64}
ranks = pytest.mark.parametrize("rank", [1, 2, 3])
odd = st.integers(0, 6).map(lambda m: 2 * m + 1)
SUMS_TO_ONE = (filters.identity, filters.box, filters.tent, filters.gaussian, filters.sharpen, filters.emboss)
SUMS_TO_ZERO = (
    filters.sobel,
    filters.scharr,
    filters.laplacian,
    filters.laplacian_of_gaussian,
    filters.outline,
)


@ranks
@pytest.mark.parametrize("make", SUMS_TO_ONE, ids=lambda make: make.__name__)
def test_kernels_that_keep_the_brightness_sum_to_one(make, rank):
    kernel = make(rank=rank, **double)
    assert kernel.dim() == rank and kernel.is_contiguous()
    assert kernel.sum().item() == pytest.approx(1, abs=1e-14)


@ranks
@pytest.mark.parametrize("make", SUMS_TO_ZERO, ids=lambda make: make.__name__)
def test_kernels_of_change_sum_to_zero(make, rank):
    kernel = make(rank=rank, **double)
    assert kernel.dim() == rank
    assert kernel.sum().item() == pytest.approx(0, abs=1e-13)


@given(size=st.integers(1, 12), sigma=st.floats(0.01, 1e6), rank=st.integers(1, 3))
def test_averages_sum_to_one_at_any_size(size, sigma, rank):
    for kernel in (
        filters.box(size, rank, **double),
        filters.tent(size, rank, **double),
        filters.gaussian(size, sigma, rank, **double),
    ):
        assert kernel.shape == (size,) * rank and (kernel >= 0).all()
        assert kernel.sum().item() == pytest.approx(1, abs=1e-12)
        assert torch.allclose(kernel, kernel.flip(list(range(rank))), atol=1e-15)


@given(m=st.integers(1, 15), rank=st.integers(1, 3))
def test_derivatives_of_any_size_sum_to_zero(m, rank):
    size = 2 * m + 1
    if rank * math.log(size) > math.log(2e4):
        return
    for kernel in (filters.laplacian(size, rank, **double), filters.sobel(0, size, rank, **double)):
        assert kernel.shape == (size,) * rank
        assert abs(kernel.sum().item()) <= 1e-13 * kernel.abs().sum().item()


def test_float32_is_the_rounded_float64():
    for make in (*SUMS_TO_ONE, *SUMS_TO_ZERO, filters.gabor, filters.upsampling_tent):
        assert make().dtype == torch.float32
        assert torch.equal(make(), make(**double).float())
        assert make(dtype=torch.bfloat16).dtype == torch.bfloat16
        assert make(device="meta").device.type == "meta"


def test_the_classics_as_everyone_prints_them():
    assert filters.box().tolist() == torch.full((3, 3), 1 / 9).tolist()
    assert filters.sobel(0).tolist() == [[-1, -2, -1], [0, 0, 0], [1, 2, 1]]
    assert filters.sobel(1, size=5, rank=1 + 1)[0].tolist() == [-1, -2, 0, 2, 1]
    assert filters.scharr(1).tolist() == [[-3, 0, 3], [-10, 0, 10], [-3, 0, 3]]
    assert filters.laplacian().tolist() == [[0, 1, 0], [1, -4, 1], [0, 1, 0]]
    assert filters.sharpen().tolist() == [[0, -1, 0], [-1, 5, -1], [0, -1, 0]]
    assert filters.outline().tolist() == [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]
    assert filters.emboss().tolist() == [[-2, -1, 0], [-1, 1, 1], [0, 1, 2]]
    assert filters.tent(3).mul(16).tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    fourth_order = torch.tensor([-1 / 12, 4 / 3, -5 / 2, 4 / 3, -1 / 12], **double)
    assert torch.allclose(filters.laplacian(5, 1, **double), fourth_order, atol=1e-15)


@given(m=st.integers(1, 6))
def test_a_laplacian_of_size_k_is_exact_up_to_degree_k(m):
    size = 2 * m + 1
    x = torch.arange(-m, m + 1, **double)
    kernel = filters.laplacian(size, 1, **double)
    for degree in range(size + 1):
        wanted = 2.0 if degree == 2 else 0.0
        magnitude = float((kernel.abs() * x.abs() ** degree).sum())
        assert float((kernel * x**degree).sum()) == pytest.approx(wanted, abs=1e-13 * max(magnitude, 1))


@ranks
@pytest.mark.parametrize("size", [3, 5, 7])
def test_slopes_have_the_scale_that_is_written(size, rank):
    ramp = torch.arange(size, **double)
    for kernel, scale in (
        (filters.sobel(0, size, rank, **double), 2 ** (size - 2) * 2 ** ((size - 1) * (rank - 1))),
        (filters.scharr(0, rank, **double), 2 * 16 ** (rank - 1)),
    ):
        rise = ramp[: kernel.shape[0]].reshape(-1, *(1,) * (rank - 1))
        assert float((kernel * rise).sum()) == pytest.approx(scale, rel=1e-14)


@pytest.fixture(scope="module")
def picture():
    return data.camera()[100:228, 150:300].astype(np.float64) / 255


def filtered(picture, kernel, padding_mode="reflect"):
    layer = filters.Filter(kernel, 1, padding_mode)
    x = torch.from_numpy(np.ascontiguousarray(picture))
    return layer(x[None, None])[0, 0].numpy()


def inside(values, border=12):
    return values[border:-border, border:-border]


@pytest.mark.parametrize("axis", [0, 1])
def test_sobel_and_scharr_are_scipys_and_scikit_images(picture, axis):
    sobel = filtered(picture, filters.sobel(axis, **double))
    np.testing.assert_allclose(inside(sobel), inside(ndimage.sobel(picture, axis)), atol=1e-12)
    np.testing.assert_allclose(
        inside(sobel) / 4, inside(skimage_filters.sobel(picture, axis=axis)), atol=1e-12
    )
    scharr = filtered(picture, filters.scharr(axis, **double))
    np.testing.assert_allclose(
        inside(scharr) / 16, inside(skimage_filters.scharr(picture, axis=axis)), atol=1e-12
    )


def test_laplacian_is_scipys_and_minus_scikit_images(picture):
    ours = filtered(picture, filters.laplacian(**double))
    np.testing.assert_allclose(inside(ours), inside(ndimage.laplace(picture)), atol=1e-12)
    np.testing.assert_allclose(inside(ours), -inside(skimage_filters.laplace(picture)), atol=1e-12)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.3, (1.0, 2.0)])
def test_gaussian_is_scipys_and_scikit_images(picture, sigma):
    ours = filtered(picture, filters.gaussian(sigma=sigma, **double), "circular")
    np.testing.assert_allclose(ours, ndimage.gaussian_filter(picture, sigma, mode="wrap"), atol=1e-12)
    theirs = skimage_filters.gaussian(picture, sigma, mode="wrap", truncate=4.0)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


@pytest.mark.parametrize("sigma", [1.0, 1.4, 2.0, 3.0])
def test_laplacian_of_gaussian_is_scipys_but_for_its_sum(picture, sigma):
    kernel = filters.laplacian_of_gaussian(sigma=sigma, **double)
    impulse = np.zeros(kernel.shape)
    impulse[tuple(k // 2 for k in kernel.shape)] = 1
    theirs = ndimage.gaussian_laplace(impulse, sigma)
    blurred = filters.gaussian(sigma=sigma, **double)
    # SciPy's kernel is ours plus a Gaussian that takes up the whole of its sum.
    np.testing.assert_allclose(kernel + theirs.sum() * blurred, theirs, atol=1e-12)
    assert abs(theirs.sum()) < 2e-3
    x = torch.arange(len(kernel), **double) - len(kernel) // 2
    assert float((kernel * x**2).sum()) == pytest.approx(2, rel=1e-2)


@pytest.mark.parametrize("orientation", [0.0, 0.4, math.pi / 2, 2.0])
@pytest.mark.parametrize("phase", [0.0, math.pi / 2])
def test_gabor_is_scikit_images_but_for_its_scale(orientation, phase):
    theirs = skimage_filters.gabor_kernel(1 / 5, orientation, sigma_x=2, sigma_y=4, offset=phase).real
    ours = filters.gabor(theirs.shape, 5, orientation, sigma=2, aspect=0.5, phase=phase, **double)
    envelope = np.abs(skimage_filters.gabor_kernel(1 / 5, orientation, sigma_x=2, sigma_y=4)).sum()
    np.testing.assert_allclose(ours, theirs / envelope, atol=1e-15)
    if phase:
        assert abs(ours.sum().item()) < 1e-14


def test_gabor_answers_to_its_own_wave_most():
    y, x = torch.meshgrid(torch.arange(64.0), torch.arange(64.0), indexing="ij")
    wave = torch.cos(2 * math.pi * (x * math.cos(0.5) + y * math.sin(0.5)) / 6)[None, None]

    def answer(wavelength, orientation):
        kernel = filters.gabor(31, wavelength, orientation, sigma=4, aspect=1)
        return filters.Filter(kernel, 1)(wave)[..., 16:-16, 16:-16].square().mean().sqrt().item()

    best = answer(6, 0.5)
    assert best == pytest.approx(0.5 / math.sqrt(2), rel=0.01)
    assert all(answer(*other) < best / 3 for other in [(6, 0.5 + math.pi / 2), (3, 0.5), (12, 0.5)])


@ranks
@pytest.mark.parametrize("stride", [1, 2, 3, 4])
def test_the_upsampling_tent_interpolates_linearly(stride, rank):
    torch.manual_seed(0)
    x = torch.randn(1, 1, *(6,) * rank, **double)
    kernel = filters.upsampling_tent(stride, rank, **double)
    assert kernel.sum().item() == pytest.approx(stride**rank)
    convolve = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)[rank - 1]
    ours = convolve(x, kernel[None, None], stride=stride, padding=(kernel.shape[0] - stride) // 2)
    theirs = F.interpolate(
        x, scale_factor=stride, mode=("linear", "bilinear", "trilinear")[rank - 1], align_corners=False
    )
    assert ours.shape == theirs.shape
    middle = (..., *(slice(stride, -stride),) * rank)
    torch.testing.assert_close(ours[middle], theirs[middle], atol=1e-12, rtol=0)


@ranks
@pytest.mark.parametrize("padding_mode", ["zeros", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("size", [1, 2, 3, 4, 7])
def test_a_filter_keeps_the_size_and_every_channel_to_itself(rank, padding_mode, size):
    torch.manual_seed(0)
    layer = filters.Filter(filters.box(size, rank, **double), 3, padding_mode)
    x = torch.randn(2, 3, *(9, 8, 10)[:rank], **double)
    y = layer(x)
    assert y.shape == x.shape
    torch.testing.assert_close(layer(x[0]), y[0])
    torch.testing.assert_close(filters.Filter(layer.weight[0, 0], 1, padding_mode)(x[:, 1:2]), y[:, 1:2])
    if padding_mode != "zeros":
        torch.testing.assert_close(layer(torch.ones_like(x)), torch.ones_like(x))


def test_the_identity_does_nothing(picture):
    for size in (1, 3, (5, 1)):
        np.testing.assert_array_equal(filtered(picture, filters.identity(size, **double)), picture)


def test_a_filter_is_not_trained_but_moves_and_is_saved():
    layer = filters.Filter(filters.sobel(), 2)
    assert not list(layer.parameters())
    assert list(layer.state_dict()) == ["weight"] and layer.state_dict()["weight"].shape == (2, 1, 3, 3)
    depthwise = torch.nn.Conv2d(2, 2, 3, groups=2, bias=False)
    depthwise.load_state_dict(layer.state_dict())
    assert torch.equal(depthwise.weight, layer.weight)
    moved = copy.deepcopy(layer).double()
    x = torch.randn(1, 2, 5, 5, dtype=torch.float64, requires_grad=True)
    assert moved(x).dtype == torch.float64 and layer.weight.dtype == torch.float32
    assert torch.autograd.gradcheck(moved, x)
    assert repr(layer) == "Filter(2, kernel_size=(3, 3), padding_mode='zeros')"
    kernel = filters.box()
    layer = filters.Filter(kernel, 1)
    kernel.zero_()
    assert layer.weight.sum().item() == pytest.approx(1)


def test_a_filter_compiles_and_exports():
    layer = filters.Filter(filters.gaussian(3), 2, "reflect")
    x = torch.randn(3, 2, 8, 9)
    batch = torch.export.Dim("batch", min=1, max=64)
    exported = torch.export.export(layer, (x,), dynamic_shapes={"input": {0: batch}})
    assert torch.equal(exported.module()(x[:2]), layer(x[:2]))
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), layer(x))


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: filters.identity(4), "identity: size came as 4; wanted odd numbers.*3 or 5"),
        (lambda: filters.laplacian(2), "laplacian: size came as 2; wanted numbers from 3"),
        (lambda: filters.laplacian(33), "size came as 33; wanted numbers from 3 to 31"),
        (lambda: filters.laplacian_of_gaussian(6), "laplacian_of_gaussian: size came as 6.*5 or 7"),
        (lambda: filters.sobel(size=4), "sobel: size came as 4; wanted odd numbers.*3 or 5"),
        (lambda: filters.sobel(axis=2), "sobel: axis came as 2; wanted one of the 2 from -2 to 1"),
        (lambda: filters.scharr(axis=-4, rank=3), "scharr: axis came as -4"),
        (lambda: filters.box(0), "box: size came as 0; wanted numbers from 1"),
        (lambda: filters.box(-3), "size came as -3"),
        (lambda: filters.box(2.5), "size came as 2.5; wanted a whole number"),
        (lambda: filters.box((3, 3, 3)), "size came with 3 numbers"),
        (lambda: filters.box(3, rank=4), "rank came as 4; wanted 1, 2 or 3"),
        (lambda: filters.box(2**13), rf"wanted at most {MOST_TAPS:,} samples in all.*= 67,108,864"),
        (lambda: filters.box(2**31), "wanted numbers from"),
        (lambda: filters.box(2**63), "wanted numbers from"),
        (lambda: filters.gaussian(3, sigma=0), "gaussian: sigma came as 0; wanted finite numbers"),
        (lambda: filters.gaussian(sigma=math.nan), "sigma came as nan"),
        (lambda: filters.gaussian(sigma=math.inf), "sigma came as inf"),
        (lambda: filters.gaussian(sigma=(1, 2, 3)), "wanted one number or 2"),
        (lambda: filters.gaussian(sigma=1e5), "samples in all"),
        (lambda: filters.sharpen(amount=math.inf), "amount came as inf"),
        (lambda: filters.upsampling_tent(0), "upsampling_tent: stride came as 0"),
        (lambda: filters.gabor(wavelength=1), "gabor: wavelength came as 1; wanted samples from 2"),
        (lambda: filters.gabor(aspect=0), "aspect came as 0"),
        (lambda: filters.gabor(orientation=math.nan), "angles came as nan"),
        (lambda: filters.gabor(4), "gabor: size came as 4"),
        (lambda: filters.box(dtype=torch.int64), "dtype came as torch.int64; wanted real floating point"),
        (lambda: filters.box(dtype=torch.complex64), "dtype came as torch.complex64"),
        (lambda: filters.Filter(torch.ones(2, 2, 2, 2), 1), "kernel came with shape"),
        (lambda: filters.Filter(torch.tensor(1.0), 1), "kernel came with shape"),
        (lambda: filters.Filter(torch.ones(3, dtype=torch.int64), 1), "kernel came as torch.int64"),
        (lambda: filters.Filter(filters.box(), 0), "channels came as 0"),
        (
            lambda: filters.Filter(filters.box(), 1, "same"),
            "padding_mode came as 'same'; wanted one of zeros",
        ),
        (lambda: filters.Filter(filters.box(), 1)(torch.ones(3)), "input came with 1 dimensions"),
    ],
)
def test_errors_teach(call, words):
    with pytest.raises(ArgumentError, match=words):
        call()
