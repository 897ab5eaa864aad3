"""The p-norm along some dimensions, that neither overflows nor has a gradient that is not a number."""

from __future__ import annotations

from collections.abc import Sequence
from math import inf

import torch
from torch import Tensor

SHARED_OUT = 2**15  # numbers from which on PyTorch may add up a single sum with several threads
BLOCK = 2**8


def norm(x: Tensor, p: float | Tensor, dims: Sequence[int], weight: float | Tensor = 1.0) -> Tensor:
    """``(weight · Σ x^p)^(1/p)`` along ``dims``, which stay with size 1.

    Other powers than 1 and 2 are taken of ``x`` divided by the largest of those that are added up:
    the largest power is 1, the others at most that. Derivatives are 0 where ``x`` or the norm is 0.

    Args:
        x: numbers that are not negative, of float32 or float64.
        p: above 0; a tensor of one number has a gradient too.
        dims: dimensions to add up along.
        weight: broadcasts with the result; the largest, which p = ∞ gives, has none.

    >>> norm(torch.tensor([3e30, 4e30]), 3.0, [0])
    tensor([4.4979e+30])
    """
    if isinstance(p, float):
        if p == inf:
            return x.amax(tuple(dims), keepdim=True)
        if p == 1:
            return total(x, dims) * weight
        if p == 2:
            return root(total(x.square(), dims) * weight, p)
    largest = x.detach().amax(tuple(dims), keepdim=True)
    unit = torch.where((largest == 0) | (largest == inf), 1.0, largest)
    return root(total(power(x / unit, p), dims) * weight, p) * unit


def power(x: Tensor, p: float | Tensor) -> Tensor:
    """``x^p`` of numbers that are not negative, with derivatives 0 at 0.

    PyTorch's ``pow`` gives the same bits at every place of a tensor for few powers only: for others
    they change with the number of threads. Its ``exp`` and ``log`` do not.
    """
    if isinstance(p, float) and p in (2, 3):
        return x.pow(p)
    is_zero = x == 0
    x = torch.where(is_zero, 1.0, x)
    if isinstance(p, float) and p in (0.5, 1):
        x = x.sqrt() if p == 0.5 else x
    else:
        x = torch.exp(torch.log(x) * p)
    return torch.where(is_zero, 0.0, x)


def root(x: Tensor, p: float | Tensor) -> Tensor:
    """``x^(1/p)`` of numbers that are not negative, with derivatives 0 at 0."""
    return power(x, 1 / p)


def total(x: Tensor, dims: Sequence[int]) -> Tensor:
    """The sum along ``dims``, in an order that does not depend on the number of threads."""
    for dim in dims:
        size = x.shape[dim]
        if size >= SHARED_OUT:
            whole = size // BLOCK * BLOCK
            blocks = torch.unflatten(x.narrow(dim, 0, whole), dim, (whole // BLOCK, BLOCK))
            rest = x.narrow(dim, whole, size - whole).sum(dim, keepdim=True)
            inner = dim + 1 if dim >= 0 else dim
            x = blocks.sum(inner).sum(dim, keepdim=True) + rest
        else:
            x = x.sum(dim, keepdim=True)
    return x
