"""Mixed pooling: max and average pooling of the same windows, and what mixes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from striate.errors import ArgumentError
from striate.geometry.arguments import Pads, Whole
from striate.ops._checks import ONES, REFUSALS, check_floating, check_rank
from striate.ops._plan import Plan, planned
from striate.ops._pool import Windows, crop, is_plain, pool_windows
from striate.ops._pool_kernel import fits_kernel
from striate.ops.avg_pool.op import avg_pool1d, avg_pool2d, avg_pool3d
from striate.ops.conv.op import conv1d, conv2d, conv3d
from striate.ops.max_pool.op import max_pool1d, max_pool2d, max_pool3d
from striate.ops.mixed_pool.alpha import checked_alpha
from striate.ops.mixed_pool.composed import is_empty, reached
from striate.ops.mixed_pool.kernel import mixed_pool_obstacle, mixed_pool_plan

LARGEST: dict[int, Callable[..., Tensor]] = {1: max_pool1d, 2: max_pool2d, 3: max_pool3d}
AVERAGES: dict[int, Callable[..., Tensor]] = {1: avg_pool1d, 2: avg_pool2d, 3: avg_pool3d}
CONVOLUTIONS: dict[int, Callable[..., Tensor]] = {1: conv1d, 2: conv2d, 3: conv3d}


def mixed_pool1d(
    input: Tensor,
    kernel_size: Whole,
    stride: Whole | None = None,
    padding: Pads = 0,
    dilation: Whole = 1,
    ceil_mode: bool = False,
    *,
    alpha: float | Tensor | None = None,
    gate: Tensor | None = None,
    count_include_pad: bool = False,
) -> Tensor:
    """Mixed pooling along one dimension; see :func:`mixed_pool2d`.

    Args:
        input: ``(N, C, L)`` or ``(C, L)``.
        gate: ``(k,)`` or ``(C, k)``.
        kernel_size, stride, padding, dilation, ceil_mode, alpha, count_include_pad: see
            :func:`mixed_pool2d`.

    Returns:
        ``(N, C, L_out)`` or ``(C, L_out)``.

    >>> mixed_pool1d(torch.tensor([[1.0, 3.0, 2.0, 6.0]]), 2)
    tensor([[2.5000, 5.0000]])
    """
    return _mixed_pool(
        "mixed_pool1d",
        1,
        input,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        alpha,
        gate,
        count_include_pad,
    )


def mixed_pool2d(
    input: Tensor,
    kernel_size: Whole,
    stride: Whole | None = None,
    padding: Pads = 0,
    dilation: Whole = 1,
    ceil_mode: bool = False,
    *,
    alpha: float | Tensor | None = None,
    gate: Tensor | None = None,
    count_include_pad: bool = False,
) -> Tensor:
    """Between the largest number and the average of each window of each channel.

    ``y = α · max + (1 − α) · average``

    with one α for all, one for each channel, or one for each window: ``α = σ(Σ_k gate[k] · x[k])``,
    where ``σ(z) = 1 / (1 + e^(−z))`` and ``x[k]`` are the numbers of the window, zero on the padding
    ("gated" pooling, which answers to what it sees). Both branches pool the same windows: padding is
    never the largest and, unless ``count_include_pad`` says so, does not count in the average, so that
    y lies between the average and the largest of the same numbers. The gradient reaches both branches,
    and α or the gate.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``, real floating point.
        kernel_size: taps of a window; one number or ``(kH, kW)``.
        stride: samples from one window to the next; one number or ``(sH, sW)``; the kernel's size if left out.
        padding: around the picture: one number or ``(pH, pW)``, half the kernel at most, a
            ``(before, after)`` pair for each dimension, of any size, ``"valid"`` (none) or ``"same"``
            (⌈H / sH⌉ × ⌈W / sW⌉ positions).
        dilation: samples from one tap to the next; one number or ``(dH, dW)``.
        ceil_mode: let a last window reach beyond the end, if it starts before it.
        alpha: share of the largest: a number from 0 (average pooling) to 1 (max pooling), ½ if left out;
            or a tensor of one number or of ``(C,)``, of the input's dtype, which gets a gradient. The
            values of a tensor are not looked at: outside 0 … 1 the formula goes on.
        gate: ``(kH, kW)`` or ``(C, kH, kW)``, in place of ``alpha``.
        count_include_pad: whether the average counts the padding, as zeros.

    Returns:
        ``(N, C, H_out, W_out)`` or ``(C, H_out, W_out)``, with
        ``H_out = (H + p_before + p_after − dH(kH − 1) − 1) // sH + 1`` (``ceil_mode``: rounded up). A
        window without any tap in the picture gives 0.

    Raises:
        ArgumentError: α outside 0 … 1, α and a gate together, shapes, sizes or dtypes that cannot be.

    Source:
        Lee, Gallagher, Tu, *Generalizing pooling functions in convolutional neural networks: mixed,
        gated, and tree*, 2016 (arXiv 1509.08985), sections 3.1 and 3.2; a random choice of the two:
        Yu, Wang, Chen, Wei, *Mixed pooling for convolutional neural networks*, 2014.

    >>> picture = torch.tensor([[[1.0, 3.0], [2.0, 6.0]]])
    >>> mixed_pool2d(picture, 2), mixed_pool2d(picture, 2, alpha=1), mixed_pool2d(picture, 2, alpha=0.25)
    (tensor([[[4.5000]]]), tensor([[[6.]]]), tensor([[[3.7500]]]))
    >>> mixed_pool2d(picture, 2, gate=torch.tensor([[0.0, 1.0], [0.0, -0.5]]))  # σ(3 − 3) = ½
    tensor([[[4.5000]]])
    """
    return _mixed_pool(
        "mixed_pool2d",
        2,
        input,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        alpha,
        gate,
        count_include_pad,
    )


def mixed_pool3d(
    input: Tensor,
    kernel_size: Whole,
    stride: Whole | None = None,
    padding: Pads = 0,
    dilation: Whole = 1,
    ceil_mode: bool = False,
    *,
    alpha: float | Tensor | None = None,
    gate: Tensor | None = None,
    count_include_pad: bool = False,
) -> Tensor:
    """Mixed pooling of volumes; see :func:`mixed_pool2d`.

    Args:
        input: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.
        gate: ``(kD, kH, kW)`` or ``(C, kD, kH, kW)``.
        kernel_size, stride, padding, dilation, ceil_mode, alpha, count_include_pad: see
            :func:`mixed_pool2d`.

    Returns:
        ``(N, C, D_out, H_out, W_out)`` or without the batch.

    >>> mixed_pool3d(torch.arange(8.0).reshape(1, 2, 2, 2), 2).flatten()
    tensor([5.2500])
    """
    return _mixed_pool(
        "mixed_pool3d",
        3,
        input,
        kernel_size,
        stride,
        padding,
        dilation,
        ceil_mode,
        alpha,
        gate,
        count_include_pad,
    )


def _mixed_pool(
    operator: str,
    rank: int,
    input: Tensor,
    kernel_size: Whole,
    stride: Whole | None,
    padding: Pads,
    dilation: Whole,
    ceil_mode: bool,
    alpha: float | Tensor | None,
    gate: Tensor | None,
    count_include_pad: bool,
) -> Tensor:
    if gate is not None and alpha is not None:
        raise ArgumentError(f"{operator}: alpha and gate came together; the gate decides α: leave one out")
    weights, number = (alpha, None) if isinstance(alpha, Tensor) else (gate, alpha)
    options = (kernel_size, stride, padding, dilation, ceil_mode, count_include_pad, number, gate is not None)
    try:
        return _plan((input, weights), operator, rank, *options)(input, weights)  # type: ignore[no-any-return]
    except REFUSALS as error:
        if not str(error).startswith(operator):  # max and average pooling's own words
            pool_windows(operator, input, rank, kernel_size, stride, padding, dilation, ceil_mode)
        raise


@planned
def _plan(
    input: Tensor,
    weights: Tensor | None,
    operator: str,
    rank: int,
    kernel_size: Whole,
    stride: Whole | None,
    padding: Pads,
    dilation: Whole,
    ceil_mode: bool,
    count_include_pad: bool,
    alpha: float | None,
    is_gated: bool,
) -> Plan:
    share = 0.5
    if weights is None:
        check_floating(operator, input=input)
        share = share if alpha is None else checked_alpha(operator, alpha)
    else:
        check_floating(operator, input=input, **{"gate" if is_gated else "alpha": weights})
        check_rank(operator, input, rank)
    is_ours = (weights is not None or share not in (0, 1)) and not mixed_pool_obstacle(input, weights, rank)
    # Every window has a tap in the picture.
    is_covered = is_plain(padding) and isinstance(dilation, int | tuple) and dilation in ONES
    windows: Any = None  # not asked for where sizes may be open
    if is_ours or is_gated or not is_covered:
        windows = pool_windows(operator, input, rank, kernel_size, stride, padding, dilation, ceil_mode)
        is_covered = is_plain(padding) and set(windows.dilation) == {1}
    if weights is not None and is_gated:
        _check_gate(operator, input, weights, windows)
    elif weights is not None:
        _of_channels(operator, weights, input, rank)
    if is_ours and fits_kernel(windows, input):
        return mixed_pool_plan(input, weights, share, is_gated, windows, bool(count_include_pad))

    average, largest = AVERAGES[rank], LARGEST[rank]
    of_largest = (kernel_size, stride, padding, dilation, ceil_mode)
    of_average = (kernel_size, stride, padding, ceil_mode, count_include_pad)
    if weights is None and share == 0:
        return lambda x, w: average(x, *of_average, dilation=dilation)
    if weights is None and share == 1 and is_covered:
        return lambda x, w: largest(x, *of_largest)

    def compute(x: Tensor, w: Tensor | None) -> Tensor:
        part: float | Tensor = share
        if w is not None and is_gated:
            # σ(z); PyTorch's sigmoid gives bits that change with the place in the tensor, so with the threads.
            part = torch.tanh(_scores(x, w, windows) / 2) / 2 + 0.5
        elif w is not None:
            part = _of_channels(operator, w, x, rank)
        peak, mean = largest(x, *of_largest), average(x, *of_average, dilation=dilation)
        if not is_covered:
            peak = torch.where(is_empty(windows, x), 0.0, peak)
        if isinstance(part, Tensor):
            part = part.to(peak.dtype)
        return peak * part + mean * (1 - part)

    return compute


def _of_channels(operator: str, alpha: Tensor, input: Tensor, rank: int) -> Tensor:
    """α for every channel, ready to broadcast."""
    channels = input.shape[-rank - 1]
    if alpha.dim() > 1 or alpha.numel() not in (1, channels):
        raise ArgumentError(
            f"{operator}: alpha came with shape {tuple(alpha.shape)}; wanted one number or ({channels},), "
            f"one for each channel of the input"
        )
    return alpha.reshape(-1, *(1,) * rank)


def _check_gate(operator: str, input: Tensor, gate: Tensor, windows: Windows) -> None:
    channels = input.shape[-len(windows.kernel) - 1]
    if tuple(gate.shape) not in (windows.kernel, (channels, *windows.kernel)):
        raise ArgumentError(
            f"{operator}: gate came with shape {tuple(gate.shape)}; wanted that of a window, {windows.kernel}, "
            f"or one for each channel, {(channels, *windows.kernel)}"
        )


def _scores(input: Tensor, gate: Tensor, windows: Windows) -> Tensor:
    """``Σ_k gate[k] · x[k]`` of every window: a convolution of each channel by itself."""
    rank = len(windows.kernel)
    channels = input.shape[-rank - 1]
    weight = gate.expand(channels, *windows.kernel).unsqueeze(1)
    pairs = reached(windows, input)
    scores = CONVOLUTIONS[rank](input, weight, None, windows.stride, pairs, windows.dilation, channels)
    return crop(scores, windows.output)  # ceil_mode leaves windows out that would start in the padding
