"""Spectral pooling frequency by frequency, on the full complex spectrum in float64."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any

import torch
from torch import Tensor


def spectral_pool(input: Tensor, output_size: int | tuple[int, ...], rank: int) -> Tensor:
    """The definition: transform, copy the kept frequencies, make the spectrum Hermitian, transform back."""
    wanted = (output_size,) * rank if isinstance(output_size, int) else tuple(output_size)
    sizes = input.shape[-rank:]
    spectrum = _fourier(input, rank, sign=-1)

    cut = torch.zeros(*input.shape[:-rank], *wanted, dtype=torch.complex128)
    for frequency in product(*(_kept(min(n, m)) for n, m in zip(sizes, wanted, strict=True))):
        cut[_place(frequency, wanted)] = spectrum[_place(frequency, sizes)]

    hermitian = torch.zeros_like(cut)
    for frequency in product(*map(range, wanted)):
        mirrored = _place(tuple(-f for f in frequency), wanted)
        hermitian[_place(frequency, wanted)] = (cut[_place(frequency, wanted)] + cut[mirrored].conj()) / 2

    result = _fourier(hermitian, rank, sign=1) / prod(sizes)  # 1 / ∏n_out · ∏n_out / ∏n
    assert not result.numel() or result.imag.abs().max() <= 1e-9 * (1 + result.real.abs().max())
    return result.real


def spectral_pool1d(input: Tensor, output_size: int | tuple[int, ...]) -> Tensor:
    """Along one dimension."""
    return spectral_pool(input, output_size, 1)


def spectral_pool2d(input: Tensor, output_size: int | tuple[int, ...]) -> Tensor:
    """Of pictures."""
    return spectral_pool(input, output_size, 2)


def spectral_pool3d(input: Tensor, output_size: int | tuple[int, ...]) -> Tensor:
    """Of volumes."""
    return spectral_pool(input, output_size, 3)


def _fourier(x: Tensor, rank: int, sign: int) -> Tensor:
    """``X[k] = Σ_j x[j] exp(sign · 2πi jk / n)`` along the last ``rank`` dimensions."""
    x = x.to(torch.complex128)
    for dimension in range(x.dim() - rank, x.dim()):
        n = x.shape[dimension]
        index = torch.arange(n)
        turns = (index.unsqueeze(1) * index % n).double() / n
        waves = torch.polar(torch.ones_like(turns), sign * 2 * torch.pi * turns)
        x = torch.tensordot(x, waves, dims=([dimension], [0])).movedim(-1, dimension)
    return x


def _kept(count: int) -> range:
    """The ``count`` lowest frequencies: one more below zero than above if the count is even."""
    return range(-(count // 2), (count + 1) // 2)


def _place(frequency: tuple[int, ...], sizes: tuple[int, ...]) -> tuple[Any, ...]:
    """Where a frequency lies in transforms of these sizes, of every channel."""
    return (..., *(f % n for f, n in zip(frequency, sizes, strict=True)))
