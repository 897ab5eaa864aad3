"""Pyramid pooling by its definition: bin after bin, level after level."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import inf

import torch
from torch import Tensor

from striate.ops._reference import adaptive_taps, places


def _pool(samples: Tensor, kind: str, p: float | Tensor | None) -> Tensor:
    """One number for the samples of a bin, which lie along the last dimension."""
    if kind == "avg":
        return samples.mean(-1)
    if kind == "max":
        return samples.amax(-1)
    assert p is not None
    if isinstance(p, float) and p == inf:
        return samples.abs().amax(-1)
    return samples.abs().pow(p).sum(-1).pow(1 / p)


def pyramid_pool(rank: int) -> Callable[..., Tensor]:
    """The definition of ``pyramid_pool1d``, ``pyramid_pool2d`` or ``pyramid_pool3d``."""

    def pyramid_pool(
        input: Tensor,
        levels: Sequence[int] = (1, 2, 4),
        kind: str = "max",
        *,
        norm_type: float | Tensor | None = None,
    ) -> Tensor:
        flat = input.flatten(-rank)
        found = []
        for b in levels:
            bins = places([adaptive_taps(size, b) for size in input.shape[-rank:]], input.shape[-rank:])
            values = [_pool(flat[..., window[window >= 0]], kind, norm_type) for window in bins]
            found.append(torch.stack(values, dim=-1).flatten(-2))
        return torch.cat(found, dim=-1)

    return pyramid_pool
