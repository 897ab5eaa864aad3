"""Spectral pooling as one small matrix product along each dimension, by kernels or by PyTorch's products.

Cutting the spectrum of a signal of n samples down to m frequencies is linear, and real if the
real part is taken: ``y = A x`` with ``A[i, j] = (1/n) Σ_k cos 2πk(i/m − j/n)`` over the frequencies
k that are kept. Several dimensions are several such products, except that an even number of kept
frequencies −k/2 … k/2 − 1 has one without a partner. Its ``A`` has an imaginary part too, the outer
product of two vectors u and v; two of those in two dimensions multiply to a real part, ``−u₁u₂ᵀ``
times one number for each plane.
"""

from __future__ import annotations

import math
from itertools import combinations, permutations
from typing import NamedTuple

import torch
from torch import Tensor

from striate.errors import ArgumentError
from striate.geometry.arguments import Whole
from striate.ops._checks import AXES, check_addressable, check_floating, check_rank, per_dimension
from striate.ops._layout import memory_format
from striate.ops._plan import Plan, planned
from striate.ops.spectral_pool.kernel import spectral_pool_obstacle, spectral_pool_plan

# Samples along a dimension beyond which the Fourier transform is faster, and the matrix large.
LONGEST_PRODUCT = 512


def spectral_pool1d(input: Tensor, output_size: Whole) -> Tensor:
    """Spectral pooling along one dimension; see :func:`spectral_pool2d`.

    Args:
        input: ``(N, C, L)`` or ``(C, L)``.
        output_size: ``L_out``.

    Returns:
        ``(N, C, L_out)`` or ``(C, L_out)``.

    >>> wave = torch.cos(torch.arange(8) * torch.pi / 4)  # one period in 8 samples ...
    >>> (spectral_pool1d(wave.reshape(1, 8), 4) * 1e6).round() / 1e6 + 0  # ... is one period in 4
    tensor([[ 1.,  0., -1.,  0.]])
    """
    return _spectral_pool("spectral_pool1d", 1, input, output_size)


def spectral_pool2d(input: Tensor, output_size: Whole) -> Tensor:
    """Keep the lowest frequencies of each channel, as a picture of another size with the same mean.

    ``y = Re IDFT(cut(DFT(x))) · (H_out · W_out) / (H · W)``

    where ``cut`` keeps, along each dimension, the ``k = min(size, output size)`` frequencies
    ``−⌊k/2⌋ … ⌈k/2⌉ − 1`` (and writes zeros at the others, if the picture grows). The real part is the
    Hermitian part of the spectrum: every kept frequency becomes the mean of itself and the conjugate
    of its mirror image, which matters where k is even and −k/2 has lost its partner +k/2. The map is
    linear, keeps the mean of each channel, and is the identity for ``output_size = (H, W)``.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``, real floating point.
        output_size: ``(H_out, W_out)``, or one number for both; larger than the input interpolates.

    Returns:
        ``(N, C, H_out, W_out)`` or ``(C, H_out, W_out)``.

    Raises:
        ArgumentError: an input without samples or not of floating point, a size below 1.

    Source:
        Rippel, Snoek, Adams, *Spectral representations for convolutional neural networks*, 2015
        (arXiv 1506.03767), section 3; the scale is the one that keeps the mean.

    >>> image = torch.tensor([[[1.0, 2.0, 3.0], [4.0, 5.0, 6.0], [7.0, 8.0, 9.0]]])
    >>> spectral_pool2d(image, 1)
    tensor([[[5.]]])
    >>> spectral_pool2d(torch.ones(8, 3, 32, 32), (16, 15)).shape
    torch.Size([8, 3, 16, 15])
    """
    return _spectral_pool("spectral_pool2d", 2, input, output_size)


def spectral_pool3d(input: Tensor, output_size: Whole) -> Tensor:
    """Spectral pooling of volumes; see :func:`spectral_pool2d`.

    Args:
        input: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.
        output_size: ``(D_out, H_out, W_out)``, or one number for all.

    Returns:
        ``(N, C, D_out, H_out, W_out)`` or without the batch.

    >>> spectral_pool3d(torch.ones(1, 4, 6, 6), (2, 3, 3)).shape
    torch.Size([1, 2, 3, 3])
    """
    return _spectral_pool("spectral_pool3d", 3, input, output_size)


class Map(NamedTuple):
    """What spectral pooling does along one dimension, from n samples to m.

    Attributes:
        real: ``(m, n)``, the real part.
        u: ``(m,)`` and
        v: ``(1, n)``: their outer product is the imaginary part; None where there is none.
    """

    real: Tensor
    u: Tensor | None
    v: Tensor | None


def _spectral_pool(operator: str, rank: int, input: Tensor, output_size: Whole) -> Tensor:
    return _plan((input,), operator, rank, output_size)(input)  # type: ignore[no-any-return]


@planned
def _plan(input: Tensor, operator: str, rank: int, output_size: Whole) -> Plan:
    check_floating(operator, input=input)
    check_rank(operator, input, rank)
    wanted = per_dimension(operator, "output_size", output_size, rank)
    sizes = input.shape[-rank:]
    for axis, size in zip(AXES[rank], sizes, strict=True):
        if size == 0:
            raise ArgumentError(
                f"{operator}: input came with shape {tuple(input.shape)}; wanted a sample along its {axis}"
            )
    check_addressable(operator, (*input.shape[:-rank], *wanted), input.dtype)

    if not spectral_pool_obstacle(input, wanted, rank):
        return spectral_pool_plan(input, wanted)
    # The products run over memory as it lies: in channels-last, dimension 1 is innermost.
    is_channels_last = memory_format(input) is not torch.contiguous_format
    order = list(range(input.dim()))
    if is_channels_last:
        order.append(order.pop(1))
    changes = {
        order.index(dimension): want
        for dimension, (size, want) in enumerate(zip(sizes, wanted, strict=True), start=input.dim() - rank)
        if size != want
    }
    if not changes:
        return torch.clone
    lengths = [input.shape[dimension] for dimension in order]
    is_long = any(max(lengths[dimension], want) > LONGEST_PRODUCT for dimension, want in changes.items())
    change = _by_transform if is_long else _by_products
    if is_channels_last:
        return lambda x: change(x.movedim(1, -1), changes).movedim(-1, 1)
    return lambda x: change(x, changes)


def _by_products(x: Tensor, changes: dict[int, int]) -> Tensor:
    maps = {dimension: _map(x.shape[dimension], size, x) for dimension, size in changes.items()}
    matrices = {dimension: map.real for dimension, map in maps.items()}
    y = _apply(x, matrices)
    for one, other in combinations(sorted(maps), 2):
        (_, u, v), (_, w, z) = maps[one], maps[other]
        if u is None or v is None or w is None or z is None:
            continue
        pattern = u.view(-1, *(1,) * (other - one)) * w
        pattern = pattern.view(*pattern.shape, *(1,) * (x.dim() - 1 - other))
        y = y - (_apply(x, matrices | {one: v, other: z}) * pattern).to(y.dtype)
    return y


def _apply(x: Tensor, matrices: dict[int, Tensor]) -> Tensor:
    """The product of ``x`` with a matrix along each of some dimensions, in the order that costs least."""
    for dimension in _cheapest_order(x, matrices):
        x = _along(x, matrices[dimension], dimension)
    return x


def _cheapest_order(x: Tensor, matrices: dict[int, Tensor]) -> tuple[int, ...]:
    """Which dimension first: multiply-adds for each number of ``x`` decide."""
    best, least = tuple(sorted(matrices, reverse=True)), math.inf
    if torch.compiler.is_compiling():
        return best  # sizes may be symbols, which cannot be compared for every picture at once
    for order in permutations(best):
        cost, share = 0.0, 1.0  # share: numbers left of those of x
        for dimension in order:
            rows, columns = matrices[dimension].shape
            cost += share * rows
            share *= rows / columns
        if cost < least:
            best, least = order, cost
    return best


def _along(x: Tensor, matrix: Tensor, dimension: int) -> Tensor:
    """``y[a, i, b] = Σ_j matrix[i, j] · x[a, j, b]`` with j along ``dimension``."""
    before, after = x.shape[:dimension], x.shape[dimension + 1 :]
    rows, columns = matrix.shape
    if dimension == x.dim() - 1:
        return (x.reshape(math.prod(before), columns) @ matrix.t()).view(*before, rows)
    blocks = x.reshape(math.prod(before), columns, math.prod(after))
    return torch.bmm(matrix.expand(blocks.shape[0], rows, columns), blocks).view(*before, rows, *after)


def _by_transform(x: Tensor, changes: dict[int, int]) -> Tensor:
    if 0 in x.shape:  # some Fourier transforms refuse it
        for dimension, size in changes.items():
            x = x.sum(dimension, keepdim=True).expand(*x.shape[:dimension], size, *x.shape[dimension + 1 :])
        return x
    dimensions = list(changes)
    scale = math.prod([changes[dimension] / x.shape[dimension] for dimension in dimensions])
    spectrum = torch.fft.fftn(x if x.dtype is torch.float64 else x.float(), dim=dimensions)
    for dimension, size in changes.items():
        kept = min(size, x.shape[dimension])
        parts = [spectrum.narrow(dimension, 0, (kept + 1) // 2)]
        if size > kept:
            gap = list(spectrum.shape)
            gap[dimension] = size - kept
            parts.append(spectrum.new_zeros(gap))
        parts.append(spectrum.narrow(dimension, x.shape[dimension] - kept // 2, kept // 2))
        spectrum = torch.cat(parts, dimension)
    result: Tensor = torch.fft.ifftn(spectrum, dim=dimensions).real * scale
    return result.to(x.dtype).contiguous()


_KEPT: dict[tuple[int, int, torch.dtype, torch.device], Map] = {}
MOST_KEPT = 64  # maps of at most LONGEST_PRODUCT² numbers


def _map(n: int, m: int, x: Tensor) -> Map:
    """The map for ``x``, kept from call to call except while a graph is traced."""
    is_plain = type(x) is Tensor or type(x) is torch.nn.Parameter
    if torch.compiler.is_compiling() or not is_plain or x.is_meta:
        return _build(n, m, x.dtype, x.device)
    if x.is_cuda and torch.cuda.is_current_stream_capturing():
        return _build(n, m, x.dtype, x.device)
    key = (n, m, x.dtype, x.device)
    if key in _KEPT:
        return _KEPT[key]
    # Built on the CPU: the copy to a device waits until it is done, so that every stream may read it.
    with torch.inference_mode(False):
        real, u, v = _build(n, m, x.dtype, torch.device("cpu"))
        map = Map(real.to(x.device), u if u is None else u.to(x.device), v if v is None else v.to(x.device))
    if _has_memory(map.real):
        while len(_KEPT) >= MOST_KEPT:
            _KEPT.pop(next(iter(_KEPT)))
        _KEPT[key] = map
    return map


def _has_memory(tensor: Tensor) -> bool:
    """Whether it outlives the call: what is made inside ``torch.func.grad`` belongs to that."""
    try:
        tensor.data_ptr()
    except RuntimeError:
        return False
    return True


def _build(n: int, m: int, dtype: torch.dtype, device: torch.device) -> Map:
    kept = min(n, m)
    i = torch.arange(m, device=device).unsqueeze(1)
    j = torch.arange(n, device=device)
    # The angle πθ = π(i/m − j/n) is π(in − jm)/mn; whole numbers reduce it without rounding.
    theta, period = i * n - j * m, m * n
    aligned = theta % period == 0
    ratio = _sine(theta * kept, period) / _sine(theta, period).masked_fill(aligned, 1)
    if kept % 2 == 0:  # the mean of the sums over −k/2 … k/2 − 1 and −k/2 + 1 … k/2
        ratio = ratio * torch.cos((theta % (2 * period)).double() * (math.pi / period))
    real = (ratio.masked_fill(aligned, kept) / n).to(dtype)
    if kept % 2:
        return Map(real, None, None)
    # −sin 2π(k/2)(i/m − j/n), where one of the two terms is a multiple of π and only gives a sign.
    if m < n:
        u, v = _alternating(i.flatten()), _sine(j * kept, n)
    else:
        u, v = -_sine(i.flatten() * kept, m), _alternating(j)
    return Map(real, u.to(dtype), (v / n).to(dtype).unsqueeze(0))


def _sine(numerator: Tensor, denominator: int) -> Tensor:
    """``sin(π · numerator / denominator)`` of whole numbers, in float64."""
    return torch.sin((numerator % (2 * denominator)).double() * (math.pi / denominator))


def _alternating(index: Tensor) -> Tensor:
    """+1 at even places, −1 at odd ones, in float64."""
    return 1 - 2 * (index % 2).double()
