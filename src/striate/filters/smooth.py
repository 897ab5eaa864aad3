"""Kernels that average, and the one that does nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from striate.filters._build import (
    Size,
    bell,
    centre,
    check_sigmas,
    check_sizes,
    outer,
    reach,
    rounded,
    triangle,
)


def identity(
    size: Size = 3,
    rank: int = 2,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """1 in the centre, 0 elsewhere: leaves a picture as it is. Sums to 1.

    Args:
        size: odd number of samples, for all dimensions or one for each.
        rank: number of dimensions, 1 to 3.
        dtype, device: of the kernel; PyTorch's default where not given. So in every function here.

    Raises:
        ArgumentError: an even size, or one that is not a whole number from 1.

    >>> identity(3, rank=1)
    tensor([0., 1., 0.])
    """
    sizes = check_sizes("identity", size, rank, odd=True)
    return rounded(centre(sizes), dtype, device)


def box(
    size: Size = 3,
    rank: int = 2,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """The mean of a window: every sample is ``1 / ∏k``. Sums to 1.

    Args:
        size: number of samples, even or odd, for all dimensions or one for each.
        rank: number of dimensions, 1 to 3.

    Raises:
        ArgumentError: a size that is not a whole number from 1.

    >>> box((1, 4))
    tensor([[0.2500, 0.2500, 0.2500, 0.2500]])
    """
    sizes = check_sizes("box", size, rank)
    return rounded(torch.full(sizes, 1 / math.prod(sizes), dtype=torch.float64), dtype, device)


def tent(
    size: Size = 3,
    rank: int = 2,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """A triangle in each dimension: ``(1 − |x| / s) / s``, ``s = ⌈k / 2⌉``, x from the centre. Sums to 1.

    Args:
        size: number of samples k, even or odd, for all dimensions or one for each.
        rank: number of dimensions, 1 to 3.

    Raises:
        ArgumentError: a size that is not a whole number from 1.

    >>> tent(3, rank=1), tent(4, rank=1)
    (tensor([0.2500, 0.5000, 0.2500]), tensor([0.1250, 0.3750, 0.3750, 0.1250]))
    """
    sizes = check_sizes("tent", size, rank)
    return rounded(outer([triangle(k) for k in sizes]), dtype, device)


def upsampling_tent(
    stride: Size = 2,
    rank: int = 2,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """The kernel that makes a transposed convolution interpolate linearly: ``1 − |x| / s``.

    It has ``k = 2s − s mod 2`` samples a dimension and sums to ``∏s``: each sample of the output gets
    weights that sum to 1. With ``padding = (k − s) / 2`` the output is ``s`` times as large and away
    from the border equals ``interpolate(mode="bilinear", align_corners=False)``; at the border it
    fades, as the padding is 0.

    Args:
        stride: factor s, for all dimensions or one for each.
        rank: number of dimensions, 1 to 3.

    Raises:
        ArgumentError: a stride that is not a whole number from 1.

    Source: Long, Shelhamer, Darrell 2015, "Fully convolutional networks", arXiv 1411.4038, section 3.3.

    >>> upsampling_tent(2, rank=1)
    tensor([0.2500, 0.7500, 0.7500, 0.2500])
    """
    strides = check_sizes("upsampling_tent", stride, rank, name="stride")
    sizes = check_sizes("upsampling_tent", [2 * s - s % 2 for s in strides], rank)
    return rounded(outer([triangle(k) * s for k, s in zip(sizes, strides, strict=True)]), dtype, device)


def gaussian(
    size: Size | None = None,
    sigma: float | Sequence[float] = 1.0,
    rank: int = 2,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """``exp(−x² / 2σ²)`` in each dimension, sampled and divided by its sum. Sums to 1.

    Args:
        size: number of samples, even or odd, for all dimensions or one for each; without it
            ``2⌊4σ + ½⌋ + 1``, as in SciPy.
        sigma: standard deviation in samples, from 0.01, for all dimensions or one for each.
        rank: number of dimensions, 1 to 3.

    Raises:
        ArgumentError: a size that is not a whole number from 1; a sigma that is not a number from 0.01.

    >>> gaussian(3, sigma=0.8, rank=1)
    tensor([0.2390, 0.5220, 0.2390])
    """
    sigmas = check_sigmas("gaussian", sigma, rank)
    sizes = check_sizes("gaussian", reach(sigmas) if size is None else size, rank)
    return rounded(outer([bell(k, s) for k, s in zip(sizes, sigmas, strict=True)]), dtype, device)
