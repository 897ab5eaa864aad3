"""Lp pooling by kernels, or on average and max pooling for p = 1, 2 and ∞ and on the taps for any other p."""

from __future__ import annotations

from collections.abc import Callable
from math import inf, prod

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.geometry.arguments import Pads, Whole
from striate.ops._checks import REFUSALS, check_floating
from striate.ops._plan import Plan, planned
from striate.ops._pool import check_input, pool_windows
from striate.ops._pool_kernel import fits_kernel
from striate.ops.avg_pool.op import avg_pool1d, avg_pool2d, avg_pool3d
from striate.ops.lp_pool.composed import norms_of_windows
from striate.ops.lp_pool.exponent import checked_exponent
from striate.ops.lp_pool.kernel import lp_pool_obstacle, lp_pool_plan
from striate.ops.lp_pool.norm import norm, root
from striate.ops.max_pool.op import max_pool1d, max_pool2d, max_pool3d

AVERAGES = {1: avg_pool1d, 2: avg_pool2d, 3: avg_pool3d}
LARGEST: dict[int, Callable[..., Tensor]] = {1: max_pool1d, 2: max_pool2d, 3: max_pool3d}
# Beyond it p is ∞: (1 − ε)^p is 0, and n^(1/p) is 1, for every ε > 0 and n that float64 can tell.


def lp_pool1d(
    input: Tensor,
    norm_type: float | Tensor,
    kernel_size: Whole,
    stride: Whole | None = None,
    ceil_mode: bool = False,
    *,
    padding: Pads = 0,
    dilation: Whole = 1,
    mean: bool = False,
) -> Tensor:
    """Lp pooling along one dimension; see :func:`lp_pool2d`.

    Args:
        input: ``(N, C, L)`` or ``(C, L)``.
        norm_type, kernel_size, stride, ceil_mode, padding, dilation, mean: see :func:`lp_pool2d`.

    Returns:
        ``(N, C, L_out)`` or ``(C, L_out)``.

    >>> lp_pool1d(torch.tensor([[3.0, -4.0, 0.0, 2.0]]), 2, kernel_size=2)
    tensor([[5., 2.]])
    >>> lp_pool1d(torch.tensor([[3.0, -4.0, 0.0, 2.0]]), torch.inf, kernel_size=2)
    tensor([[4., 2.]])
    """
    return _lp_pool("lp_pool1d", 1, input, norm_type, kernel_size, stride, ceil_mode, padding, dilation, mean)


def lp_pool2d(
    input: Tensor,
    norm_type: float | Tensor,
    kernel_size: Whole,
    stride: Whole | None = None,
    ceil_mode: bool = False,
    *,
    padding: Pads = 0,
    dilation: Whole = 1,
    mean: bool = False,
) -> Tensor:
    """The p-norm of the numbers in each window of each channel.

    ``y[n, c, q] = (Σ_k |x[n, c, q · stride − before + k · dilation]|^p)^(1/p)``

    with positions ``q`` and taps ``k`` in both dimensions, and zero for a tap outside the picture. It
    is what ``torch.nn.functional.lp_pool2d`` computes, but of ``|x|``, as in ONNX: PyTorch raises ``x``
    itself, so that an odd p subtracts negative numbers, and another gives NaN. As in PyTorch, a window
    that ``ceil_mode`` lets reach beyond the end is scaled up to full size: its sum is multiplied by
    ``∏k / (taps in the picture and its padding)``.

    The gradient is ``sign(x) (|x| / y)^(p − 1)``, and 0 where ``x`` or ``y`` is 0, for any p. Powers
    other than 1 and 2 are taken of ``|x|`` divided by the window's largest, so that none overflows.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``, real floating point.
        norm_type: p, above 0, also ``inf`` (the largest ``|x|``); or a tensor of one number of the input's
            dtype, which gets a gradient. The value of a tensor is not looked at: below 0 the formula goes
            on, at 0 the result is not a number.
        kernel_size: taps of a window; one number or ``(kH, kW)``.
        stride: samples from one window to the next; one number or ``(sH, sW)``; the kernel's size if left out.
        ceil_mode: let a last window reach beyond the end, if it starts before it.
        padding: zeros around the picture: one number or ``(pH, pW)``, half the kernel at most, a
            ``(before, after)`` pair for each dimension, of any size, ``"valid"`` (none) or ``"same"``
            (⌈H / sH⌉ × ⌈W / sW⌉ positions).
        dilation: samples from one tap to the next; one number or ``(dH, dW)``.
        mean: the power mean, ``(1/m Σ |x|^p)^(1/p)``, where ``m`` is how many taps of the window lie in the
            picture, without its padding. A window without any gives 0, with and without ``mean``.

    Returns:
        ``(N, C, H_out, W_out)`` or ``(C, H_out, W_out)``, with
        ``H_out = (H + p_before + p_after − dH(kH − 1) − 1) // sH + 1`` (``ceil_mode``: rounded up).

    Raises:
        ArgumentError: p not above 0; sizes, dtypes or numbers that cannot be.

    Source:
        Sermanet, Chintala, LeCun, *Convolutional neural networks applied to house numbers digit
        classification*, 2012 (arXiv 1204.3968), section 2.1; learned p: Gulcehre et al.,
        *Learned-norm pooling for deep feedforward and recurrent neural networks*, 2014 (arXiv 1311.1780).

    >>> picture = torch.tensor([[[1.0, -2.0, 0.0], [2.0, 4.0, 0.0]]])
    >>> lp_pool2d(picture, 2, kernel_size=2, stride=1)
    tensor([[[5.0000, 4.4721]]])
    >>> lp_pool2d(picture, 1, kernel_size=2, stride=1, mean=True)
    tensor([[[2.2500, 1.5000]]])
    """
    return _lp_pool("lp_pool2d", 2, input, norm_type, kernel_size, stride, ceil_mode, padding, dilation, mean)


def lp_pool3d(
    input: Tensor,
    norm_type: float | Tensor,
    kernel_size: Whole,
    stride: Whole | None = None,
    ceil_mode: bool = False,
    *,
    padding: Pads = 0,
    dilation: Whole = 1,
    mean: bool = False,
) -> Tensor:
    """Lp pooling of volumes; see :func:`lp_pool2d`.

    Args:
        input: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.
        norm_type, kernel_size, stride, ceil_mode, padding, dilation, mean: see :func:`lp_pool2d`.

    Returns:
        ``(N, C, D_out, H_out, W_out)`` or without the batch.

    >>> lp_pool3d(torch.full((1, 2, 2, 4), -2.0), 3, 2).flatten()  # (8 · 2³)^(1/3)
    tensor([4., 4.])
    """
    return _lp_pool("lp_pool3d", 3, input, norm_type, kernel_size, stride, ceil_mode, padding, dilation, mean)


def global_lp_pool1d(input: Tensor, norm_type: float | Tensor, mean: bool = False) -> Tensor:
    """The p-norm of each channel of ``(N, C, L)`` or ``(C, L)``; see :func:`global_lp_pool2d`.

    >>> global_lp_pool1d(torch.tensor([[3.0, -4.0]]), 2)
    tensor([[5.]])
    """
    return _global_lp_pool("global_lp_pool1d", 1, input, norm_type, mean)


def global_lp_pool2d(input: Tensor, norm_type: float | Tensor, mean: bool = False) -> Tensor:
    """The p-norm of each channel: :func:`lp_pool2d` with one window over all, ONNX's ``GlobalLpPool``.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``, real floating point.
        norm_type: p, above 0, also ``inf``; or a tensor, see :func:`lp_pool2d`.
        mean: the power mean: divide the sum of the powers by ``H · W``. With p = 3 it is "generalised
            mean" (GeM) pooling.

    Returns:
        ``(N, C, 1, 1)`` or ``(C, 1, 1)``.

    Raises:
        ArgumentError: p not above 0; an input without samples, or not of floating point.

    Source:
        Radenović, Tolias, Chum, *Fine-tuning CNN image retrieval with no human annotation*, 2018
        (arXiv 1711.02512), section 3.2, for the mean with a learned p.

    >>> global_lp_pool2d(torch.tensor([[[1.0, -2.0], [2.0, 4.0]]]), 2)
    tensor([[[5.]]])
    """
    return _global_lp_pool("global_lp_pool2d", 2, input, norm_type, mean)


def global_lp_pool3d(input: Tensor, norm_type: float | Tensor, mean: bool = False) -> Tensor:
    """The p-norm of each channel of a volume; see :func:`global_lp_pool2d`.

    >>> global_lp_pool3d(torch.full((1, 2, 2, 2), -2.0), 3).flatten()
    tensor([4.])
    """
    return _global_lp_pool("global_lp_pool3d", 3, input, norm_type, mean)


def _lp_pool(
    operator: str,
    rank: int,
    input: Tensor,
    norm_type: float | Tensor,
    kernel_size: Whole,
    stride: Whole | None,
    ceil_mode: bool,
    padding: Pads,
    dilation: Whole,
    mean: bool,
) -> Tensor:
    try:
        options = (norm_type, kernel_size, stride, ceil_mode, padding, dilation, mean)
        return _plan((input,), operator, rank, *options)(input)  # type: ignore[no-any-return]
    except REFUSALS:  # also max and average pooling's own words, which have another name
        check_floating(operator, input=input)
        pool_windows(operator, input, rank, kernel_size, stride, padding, dilation, ceil_mode)
        raise


@planned
def _plan(
    input: Tensor,
    operator: str,
    rank: int,
    norm_type: float | Tensor,
    kernel_size: Whole,
    stride: Whole | None,
    ceil_mode: bool,
    padding: Pads,
    dilation: Whole,
    mean: bool,
) -> Plan:
    check_floating(operator, input=input)
    p = checked_exponent(operator, norm_type, input)
    if isinstance(p, float) and not lp_pool_obstacle(input, p, rank):
        windows = pool_windows(operator, input, rank, kernel_size, stride, padding, dilation, ceil_mode)
        if fits_kernel(windows, input):
            return lp_pool_plan(input, p, windows, bool(mean))
    if isinstance(p, float) and p == inf:
        largest, dilated = LARGEST[rank], (kernel_size, stride, padding, dilation, ceil_mode)
        if padding == 0:
            return lambda x: largest(x.abs(), *dilated)
        return lambda x: F.relu(largest(x.abs(), *dilated))  # a window of nothing is −∞ there
    dtype, wide = input.dtype, torch.promote_types(input.dtype, torch.float32)
    if isinstance(p, float) and p in (1, 2):
        average = AVERAGES[rank]
        window = (kernel_size, stride, padding, ceil_mode, not mean)
        kernel = kernel_size if isinstance(kernel_size, tuple | list) else (kernel_size,)
        # One number says it for all dimensions.
        taps = 1.0 if mean else float(prod(kernel) ** (rank // len(kernel)))

        def of_averages(x: Tensor) -> Tensor:
            x = x.to(wide)
            y = average(x.abs() if p == 1 else x.square(), *window, dilation=dilation)
            y = y if mean else y * taps
            return (y if p == 1 else root(y, p)).to(dtype)

        return of_averages
    windows = pool_windows(operator, input, rank, kernel_size, stride, padding, dilation, ceil_mode)
    return lambda x: norms_of_windows(x.to(wide), p, windows, mean).to(dtype)


def _global_lp_pool(operator: str, rank: int, input: Tensor, norm_type: float | Tensor, mean: bool) -> Tensor:
    check_floating(operator, input=input)
    check_input(operator, input, rank)
    p = checked_exponent(operator, norm_type, input)
    if isinstance(p, float) and p == inf:
        return LARGEST[rank](input.abs(), input.shape[-rank:])
    x = input.abs().to(torch.promote_types(input.dtype, torch.float32))
    weight = 1 / prod(input.shape[-rank:]) if mean else 1.0
    return norm(x, p, range(-1, -1 - rank, -1), weight).to(input.dtype)
