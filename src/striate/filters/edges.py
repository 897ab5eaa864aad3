"""Kernels that answer to change: slopes, curvature, waves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from striate.errors import ArgumentError
from striate.filters._build import (
    WIDEST_SLOPE,
    Size,
    bell,
    binomial,
    check_sigmas,
    check_sizes,
    coordinates,
    curvature,
    outer,
    reach,
    rounded,
)


def sobel(
    axis: int = -1,
    size: int = 3,
    rank: int = 2,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Slope along one axis, smoothed along the others: ``(−1, 0, 1)`` by ``(1, 2, 1)``. Sums to 0.

    For larger sizes both factors are convolved with ``(1, 1)`` until they have k samples. A picture that
    rises by 1 a sample gives ``2^(k−2) · 2^((k−1)(rank−1))``: 8 for 3×3. SciPy's ``sobel`` has the same
    scale; scikit-image's divides the 3×3 kernel by 4.

    Args:
        axis: the axis of the slope: 0 from top to bottom, 1 from left to right in two dimensions.
        size: odd number of samples from 3 to 31, in every dimension.
        rank: number of dimensions, 1 to 3.

    Raises:
        ArgumentError: an even size or one out of range; an axis that the kernel does not have.

    Source: I. Sobel and G. Feldman 1968, "A 3×3 isotropic gradient operator for image processing".

    >>> sobel()
    tensor([[-1.,  0.,  1.],
            [-2.,  0.,  2.],
            [-1.,  0.,  1.]])
    """
    (k, *_) = check_sizes("sobel", size, rank, odd=True, least=3, most=WIDEST_SLOPE)
    slope = torch.zeros(k, dtype=torch.float64)
    slope[2:] += binomial(k - 2)
    slope[:-2] -= binomial(k - 2)
    return rounded(_slope("sobel", axis, rank, slope, binomial(k)), dtype, device)


def scharr(
    axis: int = -1,
    rank: int = 2,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """As :func:`sobel`, smoothed by ``(3, 10, 3)``: its direction is truer. Always 3 samples. Sums to 0.

    A picture that rises by 1 a sample gives ``2 · 16^(rank−1)``: 32 for 3×3. scikit-image's ``scharr``
    divides the 3×3 kernel by 16.

    Args:
        axis: the axis of the slope.
        rank: number of dimensions, 1 to 3.

    Raises:
        ArgumentError: an axis that the kernel does not have.

    Source: H. Scharr 2000, "Optimal operators in digital image processing", University of Heidelberg.

    >>> scharr(axis=0)
    tensor([[ -3., -10.,  -3.],
            [  0.,   0.,   0.],
            [  3.,  10.,   3.]])
    """
    check_sizes("scharr", 3, rank)
    slope, smooth = (torch.tensor(values, dtype=torch.float64) for values in ([-1, 0, 1], [3, 10, 3]))
    return rounded(_slope("scharr", axis, rank, slope, smooth), dtype, device)


def laplacian(
    size: Size = 3,
    rank: int = 2,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """The sum of the second derivatives along the axes: ``(1, −2, 1)`` along each. Sums to 0.

    Of k = 2m + 1 samples, the central difference that is exact for polynomials up to degree k:
    ``c_j = 2(−1)^(j+1) (m!)² / (j² (m−j)! (m+j)!)``, ``c_0 = −2 Σ 1/j²``. Scaled so that x² gives 2.
    SciPy's ``laplace`` is the one of size 3; scikit-image's has the opposite sign.

    Args:
        size: odd number of samples from 3 to 31, for all dimensions or one for each.
        rank: number of dimensions, 1 to 3.

    Raises:
        ArgumentError: an even size or one out of range.

    Source: B. Fornberg 1988, "Generation of finite difference formulas on arbitrarily spaced grids".

    >>> laplacian()
    tensor([[ 0.,  1.,  0.],
            [ 1., -4.,  1.],
            [ 0.,  1.,  0.]])
    """
    return rounded(curvature("laplacian", size, rank), dtype, device)


def laplacian_of_gaussian(
    size: Size | None = None,
    sigma: float | Sequence[float] = 1.0,
    rank: int = 2,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """Edges at one scale: ``Σ_a (x_a² − v_a) / σ_a⁴ · G(x)``, G as :func:`gaussian`. Sums to 0.

    ``v_a`` is the variance of the sampled G: σ² but for the cut-off and the sampling, whence the sum is
    0. x² gives 2, as for :func:`laplacian`. SciPy's ``gaussian_laplace`` takes σ² itself, and its kernel
    sums to nearly 0.

    Args:
        size: odd number of samples from 3, for all dimensions or one for each; without it
            ``2⌊4σ + ½⌋ + 1``.
        sigma: standard deviation in samples, from 0.25 (smaller ones fall between the samples), for all
            dimensions or one for each.
        rank: number of dimensions, 1 to 3.

    Raises:
        ArgumentError: an even size or one below 3; a sigma that is not a number from 0.25.

    Source: D. Marr and E. Hildreth 1980, "Theory of edge detection", Proc. R. Soc. B 207.

    >>> laplacian_of_gaussian(sigma=1.4).shape
    torch.Size([13, 13])
    """
    sigmas = check_sigmas("laplacian_of_gaussian", sigma, rank, least=0.25)
    sizes = check_sizes(
        "laplacian_of_gaussian", reach(sigmas) if size is None else size, rank, odd=True, least=3
    )
    bells = [bell(k, s) for k, s in zip(sizes, sigmas, strict=True)]
    kernel = torch.zeros(sizes, dtype=torch.float64)
    for axis, (along, s) in enumerate(zip(bells, sigmas, strict=True)):
        squares = coordinates(len(along)) ** 2
        curved = along * (squares - along.dot(squares)) / s**4
        kernel += outer([*bells[:axis], curved, *bells[axis + 1 :]])
    return rounded(kernel, dtype, device)


def gabor(
    size: int | tuple[int, int] | None = None,
    wavelength: float = 4.0,
    orientation: float = 0.0,
    *,
    sigma: float | None = None,
    aspect: float = 0.5,
    phase: float = 0.0,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """A wave under a Gaussian, the receptive field of a simple cell in the striate cortex; 2-d.

    ``exp(−(u² + γ²v²) / 2σ²) · cos(2πu / λ + φ) / Z``, where ``u = x cos θ + y sin θ``,
    ``v = −x sin θ + y cos θ``, x to the right, y down, and Z is the sum of the sampled Gaussian. It sums to
    about ``cos φ · exp(−2π²σ²/λ²)``, and to 0 for φ = ±π/2 and odd sizes. scikit-image's ``gabor_kernel``
    has 2πσ²/γ instead of Z.

    Args:
        size: odd number of samples, for both dimensions or one for each; without it
            ``2⌊3σ / min(1, γ) + ½⌋ + 1``.
        wavelength: λ in samples, from 2 (a shorter wave cannot be sampled).
        orientation: θ in radians: the direction across the stripes; 0 gives upright stripes.
        sigma: of the Gaussian in samples; 0.5622 λ, a bandwidth of one octave, if not given.
        aspect: γ, width of the Gaussian across the stripes over its length along them.
        phase: φ in radians; 0 is even (a line), π/2 odd (an edge).

    Raises:
        ArgumentError: an even size; a wavelength below 2; a sigma below 0.01; an aspect that is not a
            finite number above 0; an angle that is not finite.

    Source: J. G. Daugman 1985, "Uncertainty relation for resolution in space, spatial frequency, and
    orientation optimized by two-dimensional visual cortical filters", J. Opt. Soc. Am. A 2.

    >>> gabor(5, wavelength=4).shape, gabor(wavelength=3).shape
    (torch.Size([5, 5]), torch.Size([21, 21]))
    """
    if not (math.isfinite(wavelength) and wavelength >= 2):
        raise ArgumentError(f"filters.gabor: wavelength came as {wavelength}; wanted samples from 2")
    if not (math.isfinite(aspect) and aspect > 0):
        raise ArgumentError(f"filters.gabor: aspect came as {aspect}; wanted a finite number above 0")
    if not (math.isfinite(orientation) and math.isfinite(phase)):
        raise ArgumentError(f"filters.gabor: angles came as {orientation}, {phase}; wanted finite radians")
    octave = 3 * math.sqrt(math.log(2) / 2) / math.pi  # σ/λ of one octave
    (s,) = check_sigmas("gabor", octave * wavelength if sigma is None else sigma, 1)
    sizes = check_sizes("gabor", reach([s / min(1, aspect)], 3) if size is None else size, 2, odd=True)
    y, x = coordinates(sizes[0])[:, None], coordinates(sizes[1])[None]
    u = x * math.cos(orientation) + y * math.sin(orientation)
    v = y * math.cos(orientation) - x * math.sin(orientation)
    envelope = torch.exp(-(u**2 + (aspect * v) ** 2) / (2 * s**2))
    return rounded(envelope * torch.cos(2 * math.pi * u / wavelength + phase) / envelope.sum(), dtype, device)


def _slope(kernel: str, axis: int, rank: int, slope: Tensor, smooth: Tensor) -> Tensor:
    """``slope`` along ``axis``, ``smooth`` along the others."""
    if not -rank <= axis < rank:
        raise ArgumentError(
            f"filters.{kernel}: axis came as {axis!r}; wanted one of the {rank} from {-rank} to {rank - 1}"
        )
    return outer([slope if a == axis % rank else smooth for a in range(rank)])
