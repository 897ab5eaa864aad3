"""Max pooling: PyTorch's own operator where it takes the call, padded by hand where it does not."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.errors import ArgumentError
from striate.geometry.arguments import Pads, Whole
from striate.ops._checks import LARGEST, ONES, REFUSALS, autocasts, check_floating
from striate.ops._library import wants_gradient
from striate.ops._plan import Plan, planned
from striate.ops._pool import (
    Bins,
    Placement,
    Windows,
    adaptive,
    check_computes,
    check_input,
    crop,
    is_plain,
    like,
    place,
    pool_windows,
)
from striate.ops.max_pool.kernel import MOST_TAPS, fits_kernel, max_pool_obstacle, max_pool_plan

PYTORCHS: dict[int, Any] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}


def max_pool1d(
    input: Tensor,
    kernel_size: Whole,
    stride: Whole | None = None,
    padding: Pads = 0,
    dilation: Whole = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Max pooling along one dimension; see :func:`max_pool2d`.

    Args:
        input: ``(N, C, L)`` or ``(C, L)``.
        kernel_size, stride, padding, dilation, ceil_mode, return_indices: see :func:`max_pool2d`.

    Returns:
        ``(N, C, L_out)`` or ``(C, L_out)``; with ``return_indices`` also the places in ``0 … L − 1``.

    >>> max_pool1d(torch.tensor([[1.0, 3.0, 2.0, 5.0]]), 2, return_indices=True)
    (tensor([[3., 5.]]), tensor([[1, 3]]))
    """
    return _max_pool(
        "max_pool1d", 1, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def max_pool2d(
    input: Tensor,
    kernel_size: Whole,
    stride: Whole | None = None,
    padding: Pads = 0,
    dilation: Whole = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest number in each window of each channel.

    ``y[n, c, p] = max_k x[n, c, p · stride − before + k · dilation]``

    with positions ``p`` and taps ``k`` in both dimensions. Padding is never the largest: a tap
    outside the picture is left out. Of equal numbers the first in row-major order wins, and of NaN
    the last; the gradient goes to the winner alone. A window without any tap in the picture gives
    −∞ (the smallest number of an integer type), index −1 and no gradient.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``.
        kernel_size: taps of a window; one number or ``(kH, kW)``.
        stride: samples from one window to the next; one number or ``(sH, sW)``; the kernel's size if left out.
        padding: samples around the picture that windows may reach into: one number or ``(pH, pW)``, half the
            kernel at most; beyond PyTorch, a ``(before, after)`` pair for each dimension, of any size,
            ``"valid"`` (none) or ``"same"`` (⌈H / sH⌉ × ⌈W / sW⌉ positions).
        dilation: samples from one tap to the next; one number or ``(dH, dW)``.
        ceil_mode: let a last window reach beyond the end, if it starts before it.
        return_indices: also return where each winner is.

    Returns:
        ``(N, C, H_out, W_out)`` or ``(C, H_out, W_out)``, with
        ``H_out = (H + p_before + p_after − dH(kH − 1) − 1) // sH + 1`` (``ceil_mode``: rounded up); with
        ``return_indices`` a pair of that and the winners' flat places ``h · W + w`` in the picture, int64.

    Raises:
        ArgumentError: sizes, dtypes or numbers that cannot be.

    Source:
        Riesenhuber, Poggio, *Hierarchical models of object recognition in cortex*, 1999; Jarrett et al.,
        *What is the best multi-stage architecture for object recognition?*, 2009.

    A picture of 4 × 4, windows of 2 × 2: side by side, and one sample apart.

    >>> picture = torch.tensor([[[1.0, 4, 2, 3], [5, 8, 4, 1], [7, 6, 0, 5], [2, 3, 9, 4]]])
    >>> max_pool2d(picture, kernel_size=2, stride=2)
    tensor([[[8., 4.],
             [7., 9.]]])
    >>> max_pool2d(picture, kernel_size=2, stride=1)
    tensor([[[8., 8., 4.],
             [8., 8., 5.],
             [7., 9., 9.]]])
    """
    return _max_pool(
        "max_pool2d", 2, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def max_pool3d(
    input: Tensor,
    kernel_size: Whole,
    stride: Whole | None = None,
    padding: Pads = 0,
    dilation: Whole = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """Max pooling of volumes; see :func:`max_pool2d`.

    Args:
        input: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.
        kernel_size, stride, padding, dilation, ceil_mode, return_indices: see :func:`max_pool2d`.

    Returns:
        ``(N, C, D_out, H_out, W_out)`` or without the batch; with ``return_indices`` also the places
        ``(d · H + h) · W + w``.

    >>> max_pool3d(torch.arange(16.0).reshape(1, 2, 2, 4), 2).flatten()
    tensor([13., 15.])
    """
    return _max_pool(
        "max_pool3d", 3, input, kernel_size, stride, padding, dilation, ceil_mode, return_indices
    )


def adaptive_max_pool1d(input: Tensor, output_size: Bins, return_indices: bool = False) -> Any:
    """Max pooling of ``L`` samples into ``output_size`` windows; see :func:`adaptive_max_pool2d`.

    Args:
        input: ``(N, C, L)`` or ``(C, L)``.
        output_size: number of windows.
        return_indices: also return the places of the winners.

    >>> adaptive_max_pool1d(torch.tensor([[1.0, 2.0, 5.0, 4.0, 3.0]]), 2)
    tensor([[5., 5.]])
    """
    return adaptive("adaptive_max_pool1d", 1, F.adaptive_max_pool1d, input, output_size, return_indices)


def adaptive_max_pool2d(input: Tensor, output_size: Bins, return_indices: bool = False) -> Any:
    """The largest number in each of ``output_size`` windows that cover the picture.

    Window ``i`` of ``b`` over ``n`` samples is ``[⌊i · n / b⌋, ⌈(i + 1) · n / b⌉)``, in both dimensions.
    Ties and NaN are as in :func:`max_pool2d`.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``.
        output_size: windows along each dimension: one number or ``(H_out, W_out)``; ``None`` keeps a size.
        return_indices: also return where each winner is: ``h · W + w``, int64.

    Returns:
        ``(N, C, H_out, W_out)`` or ``(C, H_out, W_out)``, or a pair of it and the places.

    Raises:
        ArgumentError: sizes or dtypes that cannot be.

    >>> adaptive_max_pool2d(torch.arange(12.0).reshape(1, 3, 4), (2, 2))
    tensor([[[ 5.,  7.],
             [ 9., 11.]]])
    """
    return adaptive("adaptive_max_pool2d", 2, F.adaptive_max_pool2d, input, output_size, return_indices)


def adaptive_max_pool3d(input: Tensor, output_size: Bins, return_indices: bool = False) -> Any:
    """Max pooling of a volume into ``output_size`` windows; see :func:`adaptive_max_pool2d`.

    Args:
        input: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.
        output_size: one number or ``(D_out, H_out, W_out)``; ``None`` keeps a size.
        return_indices: also return the places of the winners.

    >>> adaptive_max_pool3d(torch.arange(16.0).reshape(1, 2, 2, 4), (1, 1, 2)).flatten()
    tensor([13., 15.])
    """
    return adaptive("adaptive_max_pool3d", 3, F.adaptive_max_pool3d, input, output_size, return_indices)


def global_max_pool1d(input: Tensor) -> Tensor:
    """The largest number of each channel of ``(N, C, L)`` or ``(C, L)``; see :func:`global_max_pool2d`.

    >>> global_max_pool1d(torch.tensor([[1.0, 3.0, 2.0]]))
    tensor([[3.]])
    """
    return _global("global_max_pool1d", 1, input)


def global_max_pool2d(input: Tensor) -> Tensor:
    """The largest number of each channel: ``adaptive_max_pool2d(input, 1)``, ONNX's ``GlobalMaxPool``.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``.

    Returns:
        ``(N, C, 1, 1)`` or ``(C, 1, 1)``.

    Raises:
        ArgumentError: sizes or dtypes that cannot be.

    >>> global_max_pool2d(torch.arange(12.0).reshape(1, 3, 4))
    tensor([[[11.]]])
    """
    return _global("global_max_pool2d", 2, input)


def global_max_pool3d(input: Tensor) -> Tensor:
    """The largest number of each channel of a volume; see :func:`global_max_pool2d`.

    >>> global_max_pool3d(torch.arange(8.0).reshape(1, 2, 2, 2)).shape
    torch.Size([1, 1, 1, 1])
    """
    return _global("global_max_pool3d", 3, input)


def _max_pool(
    operator: str,
    rank: int,
    input: Tensor,
    kernel_size: Whole,
    stride: Whole | None,
    padding: Pads,
    dilation: Whole,
    ceil_mode: bool,
    return_indices: bool,
) -> Any:
    try:
        input = _readable(input, rank)
        options = (kernel_size, stride, padding, dilation, ceil_mode, return_indices)
        return _plan((input,), operator, rank, *options)(input)
    except ArgumentError:
        raise
    except REFUSALS as error:
        pool_windows(operator, input, rank, kernel_size, stride, padding, dilation, ceil_mode)
        check_computes(operator, input, error)
        raise


@planned
def _plan(
    input: Tensor,
    operator: str,
    rank: int,
    kernel_size: Whole,
    stride: Whole | None,
    padding: Pads,
    dilation: Whole,
    ceil_mode: bool,
    return_indices: bool,
) -> Plan:
    if not return_indices and dilation in ONES and not max_pool_obstacle(input, rank):
        windows = pool_windows(operator, input, rank, kernel_size, stride, padding, 1, ceil_mode)
        if fits_kernel(windows, input.shape[2:]):
            before = tuple([pair[0] for pair in windows.padding])
            return max_pool_plan(input, windows.kernel, windows.stride, before, windows.output)
    if (
        is_plain(padding)
        and is_plain(kernel_size)
        and is_plain(stride)
        and (dilation in ONES or (is_plain(dilation) and _is_sound(input, rank, kernel_size, dilation)))
    ):
        if input.is_meta:  # where PyTorch takes arguments that cannot be
            pool_windows(operator, input, rank, kernel_size, stride, padding, dilation, ceil_mode)
        pytorchs = PYTORCHS[rank]
        return lambda x: pytorchs(x, kernel_size, stride, padding, dilation, ceil_mode, return_indices)
    windows = pool_windows(operator, input, rank, kernel_size, stride, padding, dilation, ceil_mode)
    return lambda x: _padded(x, rank, windows, return_indices)


@planned
def _global_plan(input: Tensor, operator: str, rank: int) -> Plan:
    check_floating(operator, input=input)
    check_input(operator, input, rank)
    sizes = tuple(input.shape[-rank:])
    if not autocasts(input):
        if prod(sizes) <= MOST_TAPS and not max_pool_obstacle(input, rank):
            return max_pool_plan(input, sizes, sizes, (0,) * rank, (1,) * rank)
        if input.is_contiguous() and not wants_gradient(input):
            dimensions = tuple(range(-rank, 0))
            return lambda x: x.amax(dimensions, keepdim=True)
    # One window over everything has the same winner as adaptive pooling, whose gradient amax would
    # share out among ties.
    pytorchs = PYTORCHS[rank]
    return lambda x: pytorchs(_readable(x, rank), sizes)


def _readable(input: Tensor, rank: int) -> Tensor:
    """PyTorch refuses a volume without a batch that looks like a channels-last batch of pictures."""
    return input.contiguous() if rank == 3 and input.dim() == 4 else input


def _is_sound(input: Tensor, rank: int, kernel_size: Whole, dilation: Whole) -> bool:
    """Whether PyTorch's operator is right with taps ``dilation`` apart.

    Taps further apart than the picture is long may jump over it, from the padding on one side to
    that on the other: PyTorch's index of the winner then lies beyond the picture, and its backward
    pass writes there. And it multiplies dilation and kernel in 32 bits.
    """
    steps = (dilation,) if isinstance(dilation, int) else tuple(dilation)
    kernel = (kernel_size,) if isinstance(kernel_size, int) else tuple(kernel_size)
    return max(steps) <= min(input.shape[-rank:]) and max(steps) * max(kernel) <= LARGEST


def _padded(input: Tensor, rank: int, windows: Windows, return_indices: bool) -> Any:
    """Max pooling with any padding.

    PyTorch's operator passes over up to half a kernel of padding by itself. What it does not take is
    added to the picture as −∞: behind it without further thought, before it at the price of looking
    the winners up in the picture, as a window of nothing but −∞ must not choose a tap outside.
    """
    sizes = tuple(input.shape[-rank:])
    placement = place(windows, sizes)
    smallest = -torch.inf if input.is_floating_point() else torch.iinfo(input.dtype).min
    padded = placement.pad(input, smallest)
    arguments = (padded, placement.kernel, windows.stride, placement.inside, placement.dilation)
    if not any(placement.front) and not return_indices:
        return crop(PYTORCHS[rank](*arguments), windows.output)
    values, indices = (crop(x, windows.output) for x in PYTORCHS[rank](*arguments, return_indices=True))
    indices = _unpadded(indices, tuple(padded.shape[-rank:]), sizes, placement)
    if any(placement.front):
        found = input.flatten(-rank).gather(-1, indices.flatten(-rank).clamp(min=0)).reshape(indices.shape)
        values = like(torch.where(indices < 0, smallest, found).to(values.dtype), values)
    return (values, indices) if return_indices else values


def _unpadded(
    indices: Tensor, padded: tuple[int, ...], sizes: tuple[int, ...], placement: Placement
) -> Tensor:
    """Flat places in a padded picture as flat places in the picture itself, −1 where there is none.

    A place before the picture is the first tap of a window of −∞, whose first tap within the picture
    has the same remainder by the dilation.
    """
    if padded[1:] == sizes[1:] and not any(placement.front) and padded[0] <= sizes[0]:
        return indices
    flat, missed = torch.zeros_like(indices), torch.zeros_like(indices, dtype=torch.bool)
    scale = 1
    each = zip(sizes, padded, placement.front, placement.kernel, placement.dilation, strict=True)
    for size, wide, margin, k, d in reversed(list(each)):
        first = indices % wide - margin
        indices = indices // wide
        along = torch.where(first < 0, first % d, first)
        missed = missed | (along >= size) | (along - first > (k - 1) * d)
        flat = flat + along * scale
        scale *= size
    return torch.where(missed, -1, flat)


def _global(operator: str, rank: int, input: Tensor) -> Tensor:
    return _global_plan((input,), operator, rank)(input)  # type: ignore[no-any-return]
