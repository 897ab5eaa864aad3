"""Kernels for the look of a picture."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from striate.errors import ArgumentError
from striate.filters._build import Size, centre, check_sizes, coordinates, curvature, rounded


def sharpen(
    size: Size = 3,
    amount: float = 1.0,
    rank: int = 2,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """The picture less ``amount`` times its Laplacian: edges overshoot. Sums to 1.

    Args:
        size: of the :func:`laplacian`.
        amount: 0 leaves the picture as it is.
        rank: number of dimensions, 1 to 3.

    Raises:
        ArgumentError: as :func:`laplacian`; an amount that is not finite.

    >>> sharpen()
    tensor([[ 0., -1.,  0.],
            [-1.,  5., -1.],
            [ 0., -1.,  0.]])
    """
    if not math.isfinite(amount):
        raise ArgumentError(f"filters.sharpen: amount came as {amount}; wanted a finite number")
    kernel = curvature("sharpen", size, rank) * -amount
    return rounded(kernel + centre(tuple(kernel.shape)), dtype, device)


def outline(
    size: Size = 3,
    rank: int = 2,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """``∏k`` times the difference between a sample and the mean of its window. Sums to 0.

    Args:
        size: odd number of samples from 3, for all dimensions or one for each.
        rank: number of dimensions, 1 to 3.

    Raises:
        ArgumentError: an even size or one below 3.

    >>> outline()
    tensor([[-1., -1., -1.],
            [-1.,  8., -1.],
            [-1., -1., -1.]])
    """
    sizes = check_sizes("outline", size, rank, odd=True, least=3)
    return rounded(math.prod(sizes) * centre(sizes) - 1, dtype, device)


def emboss(
    size: Size = 3,
    rank: int = 2,
    *,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Tensor:
    """The picture plus its slope down and to the right, as if lit from the side. Sums to 1.

    The sample at offsets ``(i, j)`` from the centre is ``i + j``, the centre 1.

    Args:
        size: odd number of samples from 3, for all dimensions or one for each.
        rank: number of dimensions, 1 to 3.

    Raises:
        ArgumentError: an even size or one below 3.

    >>> emboss()
    tensor([[-2., -1.,  0.],
            [-1.,  1.,  1.],
            [ 0.,  1.,  2.]])
    """
    sizes = check_sizes("emboss", size, rank, odd=True, least=3)
    kernel = centre(sizes)
    for axis, k in enumerate(sizes):
        kernel += coordinates(k).reshape([-1 if a == axis else 1 for a in range(rank)])
    return rounded(kernel, dtype, device)
