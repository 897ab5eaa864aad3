"""What the kernels are made of: checked sizes, one-dimensional factors, their product."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import reduce

import torch
from torch import Tensor

from striate.errors import ArgumentError
from striate.ops._checks import per_dimension

Size = int | Sequence[int]
MOST_TAPS = 2**24
WIDEST_SLOPE = 31  # samples of a Sobel or a Laplacian: beyond, its numbers outgrow float64


def check_sizes(
    kernel: str,
    size: Size,
    rank: int,
    *,
    odd: bool = False,
    least: int = 1,
    most: int = MOST_TAPS,
    name: str = "size",
) -> tuple[int, ...]:
    """``size`` as one number for each of ``rank`` dimensions, refused where the kernel cannot have it.

    >>> check_sizes("box", 3, rank=2)
    (3, 3)
    """
    operator = f"filters.{kernel}"
    if rank not in (1, 2, 3):
        raise ArgumentError(f"{operator}: rank came as {rank!r}; wanted 1, 2 or 3 dimensions")
    sizes = per_dimension(operator, name, size, rank, least)
    for k in sizes:
        if odd and k % 2 == 0:
            near = f"{k + 1}" if k <= least else f"{k - 1} or {k + 1}"
            raise ArgumentError(
                f"{operator}: {name} came as {size!r}; wanted odd numbers, so that a sample is the centre: {near}"
            )
        if k > most:
            raise ArgumentError(f"{operator}: {name} came as {size!r}; wanted numbers from {least} to {most}")
    if math.prod(sizes) > MOST_TAPS:
        raise ArgumentError(
            f"{operator}: {name} came as {size!r}; wanted at most {MOST_TAPS:,} samples in all,"
            f" and {' · '.join(map(str, sizes))} = {math.prod(sizes):,}"
        )
    return sizes


def check_sigmas(
    kernel: str, sigma: float | Sequence[float], rank: int, least: float = 0.01
) -> tuple[float, ...]:
    """``sigma`` as one number of at least ``least`` samples for each of ``rank`` dimensions.

    >>> check_sigmas("gaussian", 1.5, rank=2)
    (1.5, 1.5)
    """
    sigmas = tuple(sigma) if isinstance(sigma, Sequence) else (sigma,) * rank
    if len(sigmas) != rank:
        raise ArgumentError(f"filters.{kernel}: sigma came as {sigma!r}; wanted one number or {rank}")
    for s in sigmas:
        if not (math.isfinite(s) and s >= least):
            raise ArgumentError(
                f"filters.{kernel}: sigma came as {sigma!r}; wanted finite numbers of samples from {least}"
            )
    return sigmas


def reach(sigmas: Sequence[float], deviations: int = 4) -> list[int]:
    """Odd sizes that hold so many standard deviations on each side: ``2⌊dσ + ½⌋ + 1``, as in SciPy.

    >>> reach([1.0, 0.5])
    [9, 5]
    """
    return [2 * int(deviations * s + 0.5) + 1 for s in sigmas]


def coordinates(size: int) -> Tensor:
    """Distances of the samples from the centre, float64 ``(size,)``.

    >>> coordinates(4)
    tensor([-1.5000, -0.5000,  0.5000,  1.5000], dtype=torch.float64)
    """
    return torch.arange(size, dtype=torch.float64) - (size - 1) / 2


def bell(size: int, sigma: float) -> Tensor:
    """A Gaussian, sampled and divided by its sum; a softmax, as that cannot become 0/0."""
    return torch.softmax(-((coordinates(size) / sigma) ** 2) / 2, 0)


def triangle(size: int) -> Tensor:
    """A triangle of half-width ``s = ⌈size / 2⌉``: ``(1 − |x| / s) / s``, which sums to 1."""
    half = (size + 1) // 2
    return (1 - coordinates(size).abs() / half) / half


def binomial(size: int) -> Tensor:
    """A row of Pascal's triangle, float64 ``(size,)``.

    >>> binomial(3)
    tensor([1., 2., 1.], dtype=torch.float64)
    """
    return torch.tensor([math.comb(size - 1, i) for i in range(size)], dtype=torch.float64)


def outer(factors: Sequence[Tensor]) -> Tensor:
    """The product of one factor for each dimension."""
    return reduce(lambda product, factor: product[..., None] * factor, factors)


def centre(sizes: Sequence[int]) -> Tensor:
    """1 in the centre, 0 elsewhere; odd sizes."""
    kernel = torch.zeros(tuple(sizes), dtype=torch.float64)
    kernel[tuple(k // 2 for k in sizes)] = 1
    return kernel


def curvature(kernel: str, size: Size, rank: int) -> Tensor:
    """The sum of the central second differences along the axes, as :func:`striate.filters.laplacian`."""
    sizes = check_sizes(kernel, size, rank, odd=True, least=3, most=WIDEST_SLOPE)
    total = torch.zeros(sizes, dtype=torch.float64)
    for axis, k in enumerate(sizes):
        m = k // 2
        half = [
            (-1) ** (j + 1)
            * 2
            * math.factorial(m) ** 2
            / (j**2 * math.factorial(m - j) * math.factorial(m + j))
            for j in range(1, m + 1)
        ]
        middle = [int(a == axis) or n // 2 for a, n in enumerate(sizes)]
        line: list[int | slice] = list(middle)
        line[axis] = slice(None)
        total[tuple(line)] += torch.tensor([*half[::-1], -2 * math.fsum(half), *half], dtype=torch.float64)
    return total


def rounded(kernel: Tensor, dtype: torch.dtype | None, device: torch.device | str | None) -> Tensor:
    """The finished kernel in the dtype and on the device that were asked for."""
    dtype = dtype or torch.get_default_dtype()
    if not dtype.is_floating_point:
        raise ArgumentError(f"filters: dtype came as {dtype}; wanted real floating point")
    return kernel.to(dtype=dtype, device=device or torch.get_default_device())
