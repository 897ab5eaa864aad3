"""Pyramid pooling by kernels, or on adaptive pooling: the finest level from the picture, others from finer ones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from math import inf

import torch
from torch import Tensor

from striate.ops._checks import check_addressable, check_floating
from striate.ops._library import wants_gradient
from striate.ops._plan import Plan, planned
from striate.ops._pool import check_input
from striate.ops.avg_pool.op import adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d
from striate.ops.lp_pool.exponent import checked_exponent
from striate.ops.lp_pool.norm import norm
from striate.ops.max_pool.op import adaptive_max_pool1d, adaptive_max_pool2d, adaptive_max_pool3d
from striate.ops.pyramid_pool.kernel import pyramid_obstacle, pyramid_plan
from striate.ops.pyramid_pool.levels import Kind, checked_levels

Pool = Callable[[Tensor, int], Tensor]  # a picture into a number of bins along each dimension
LARGEST: dict[int, Pool] = {1: adaptive_max_pool1d, 2: adaptive_max_pool2d, 3: adaptive_max_pool3d}
AVERAGES: dict[int, Pool] = {1: adaptive_avg_pool1d, 2: adaptive_avg_pool2d, 3: adaptive_avg_pool3d}


def pyramid_pool1d(
    input: Tensor,
    levels: Sequence[int] = (1, 2, 4),
    kind: Kind = "max",
    *,
    norm_type: float | Tensor | None = None,
) -> Tensor:
    """Pyramid pooling along one dimension; see :func:`pyramid_pool2d`.

    Args:
        input: ``(N, C, L)`` or ``(C, L)``.
        levels, kind, norm_type: see :func:`pyramid_pool2d`.

    Returns:
        ``(N, C · Σ b)`` or ``(C · Σ b,)``, with ``b`` over the levels.

    >>> pyramid_pool1d(torch.tensor([[3.0, 1.0, 4.0, 1.0, 5.0]]))
    tensor([5., 4., 5., 3., 4., 4., 5.])
    """
    return _pyramid_pool("pyramid_pool1d", 1, input, levels, kind, norm_type)


def pyramid_pool2d(
    input: Tensor,
    levels: Sequence[int] = (1, 2, 4),
    kind: Kind = "max",
    *,
    norm_type: float | Tensor | None = None,
) -> Tensor:
    """Pool each channel into 1 × 1, 2 × 2, 4 × 4 … bins: one vector, as long for a picture of any size.

    Bin ``i`` of ``b`` over ``n`` samples is ``[⌊i · n / b⌋, ⌈(i + 1) · n / b⌉)``, in both dimensions:
    there are exactly ``b × b``, none is empty, and they overlap where ``b`` does not divide ``n`` (also
    if ``n < b``).

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``, real floating point, of any size from 1 × 1.
        levels: bins along each dimension, a number ``b`` from 1 for each level, in any order.
        kind: ``"max"``, ``"avg"`` or ``"lp"``: the largest number, the average or the p-norm of a bin.
        norm_type: p, only for ``"lp"``: above 0, also ``inf``, or a tensor of one number; see
            :func:`striate.functional.lp_pool2d`.

    Returns:
        ``(N, C · Σ b²)`` or ``(C · Σ b²,)``: level after level as they are listed; in each, channel after
        channel; in each, the bins in row-major order. It is what flattening the result of each level and
        concatenating them gives.

    Raises:
        ArgumentError: no level or one below 1, p where it is not wanted or missing, sizes or dtypes that
            cannot be.

    Source:
        He, Zhang, Ren, Sun, *Spatial pyramid pooling in deep convolutional networks for visual
        recognition*, 2014 (arXiv 1406.4729), section 2.2.

    >>> picture = torch.arange(16.0).reshape(1, 4, 4)
    >>> pyramid_pool2d(picture, levels=(1, 2))
    tensor([15.,  5.,  7., 13., 15.])
    >>> [pyramid_pool2d(torch.ones(8, 256, *size)).shape[1] for size in ((13, 13), (7, 10), (3, 2))]
    [5376, 5376, 5376]
    """
    return _pyramid_pool("pyramid_pool2d", 2, input, levels, kind, norm_type)


def pyramid_pool3d(
    input: Tensor,
    levels: Sequence[int] = (1, 2, 4),
    kind: Kind = "max",
    *,
    norm_type: float | Tensor | None = None,
) -> Tensor:
    """Pyramid pooling of volumes; see :func:`pyramid_pool2d`.

    Args:
        input: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.
        levels, kind, norm_type: see :func:`pyramid_pool2d`.

    Returns:
        ``(N, C · Σ b³)`` or ``(C · Σ b³,)``, with ``b`` over the levels.

    >>> pyramid_pool3d(torch.arange(8.0).reshape(1, 2, 2, 2), (1, 2), "avg")
    tensor([3.5000, 0.0000, 1.0000, 2.0000, 3.0000, 4.0000, 5.0000, 6.0000, 7.0000])
    """
    return _pyramid_pool("pyramid_pool3d", 3, input, levels, kind, norm_type)


def _pyramid_pool(
    operator: str,
    rank: int,
    input: Tensor,
    levels: Sequence[int],
    kind: Kind,
    norm_type: float | Tensor | None,
) -> Tensor:
    levels = tuple(levels) if type(levels) is list else levels
    return _plan((input,), operator, rank, levels, kind, norm_type)(input)  # type: ignore[no-any-return]


@planned
def _plan(
    input: Tensor,
    operator: str,
    rank: int,
    levels: Sequence[int],
    kind: Kind,
    norm_type: float | Tensor | None,
) -> Plan:
    check_floating(operator, input=input)
    check_input(operator, input, rank)
    bins = checked_levels(operator, levels, kind, norm_type)
    total = sum([b**rank for b in bins])
    shape = input.shape
    check_addressable(operator, (*shape[: -rank - 1], shape[-rank - 1] * total), input.dtype)
    has_kernel = not pyramid_obstacle(input, rank, total)
    if norm_type is None:
        if has_kernel:
            return pyramid_plan(input, bins, kind == "max")
        pool = LARGEST[rank] if kind == "max" else AVERAGES[rank]
        return lambda x: _levels(x, rank, bins, pool)
    p = checked_exponent(operator, norm_type, input)
    if isinstance(p, float) and p == inf:
        largest = (
            pyramid_plan(input, bins, True)
            if has_kernel
            else partial(_levels, rank=rank, bins=bins, pool=LARGEST[rank])
        )
        return lambda x: largest(x.abs())
    dtype, wide = input.dtype, torch.promote_types(input.dtype, torch.float32)

    def norms(x: Tensor, b: int) -> Tensor:
        return _norms(x, p, rank, b)

    return lambda x: _levels(x.abs().to(wide), rank, bins, norms).to(dtype)


def _levels(x: Tensor, rank: int, bins: tuple[int, ...], pool: Pool) -> Tensor:
    """All levels by PyTorch.

    A coarse bin is the union of the fine ones in it. They may only be counted once if none overlap; and of equal
    numbers the first of the picture has the gradient, which need not be that of the first fine bin.
    """
    is_largest = pool is LARGEST[rank]
    wants_places = is_largest and wants_gradient(x)
    pooled: dict[int, Tensor] = {}
    for b in sorted(set(bins), reverse=True):
        finer = (
            f
            for f in reversed(pooled)
            if f % b == 0 and not wants_places and (is_largest or _divides(f, x.shape[-rank:]))
        )
        pooled[b] = pool(pooled.get(next(finer, 0), x), b)
    return torch.cat([pooled[b].flatten(-rank - 1) for b in bins], dim=-1)


def _divides(bins: int, sizes: Sequence[int]) -> bool:
    """Whether bins lie side by side; not asked of sizes that are still open in an exported graph."""
    return not torch.compiler.is_exporting() and all(size % bins == 0 for size in sizes)


def _norms(x: Tensor, p: float | Tensor, rank: int, b: int) -> Tensor:
    """The norm of every bin: a norm of norms, along one dimension after the other."""
    for dimension in range(x.dim() - rank, x.dim()):
        if b == 1:
            x = norm(x, p, [dimension])
        elif _divides(b, [x.shape[dimension]]):
            parts = torch.unflatten(x, dimension, (b, x.shape[dimension] // b))
            x = norm(parts, p, [dimension + 1]).squeeze(dimension + 1)
        else:
            x = norm(_bins(x, dimension, b), p, [dimension + 1]).squeeze(dimension + 1)
    return x


def _bins(x: Tensor, dimension: int, b: int) -> Tensor:
    """The samples of every bin along one more dimension, after ``dimension``; zeros where a bin has fewer."""
    n = x.shape[dimension]
    longest = -(-n // b) + 1
    index = torch.arange(b, device=x.device).unsqueeze(1)
    place = index * n // b + torch.arange(longest, device=x.device)
    inside = place < -(-(index + 1) * n // b)
    samples = x.index_select(dimension, place.clamp(max=n - 1).flatten())
    samples = torch.unflatten(samples, dimension, (b, longest))
    return torch.where(inside.reshape(b, longest, *(1,) * (x.dim() - 1 - dimension)), samples, 0.0)
