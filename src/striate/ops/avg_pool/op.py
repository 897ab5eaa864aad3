"""Average pooling: PyTorch's own operator where it takes the call, sums and divisors where it does not."""

from __future__ import annotations

from operator import ge
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from striate.errors import ArgumentError, ArgumentTypeError
from striate.geometry.arguments import Pads, Whole
from striate.ops._checks import ONES, REFUSALS, autocasts, check_floating
from striate.ops._plan import Plan, planned
from striate.ops._pool import Bins, Windows, adaptive, check_computes, check_input, is_plain, pool_windows
from striate.ops.avg_pool.composed import as_picture, averages, is_half_on_cpu
from striate.ops.avg_pool.kernel import avg_pool_obstacle, avg_pool_plan, global_avg_pool_obstacle

PYTORCHS: dict[int, Any] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
PYTORCHS_ADAPTIVE: dict[int, Any] = {
    1: F.adaptive_avg_pool1d,
    2: F.adaptive_avg_pool2d,
    3: F.adaptive_avg_pool3d,
}


def avg_pool1d(
    input: Tensor,
    kernel_size: Whole,
    stride: Whole | None = None,
    padding: Pads = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    *,
    dilation: Whole = 1,
) -> Tensor:
    """Average pooling along one dimension; see :func:`avg_pool2d`.

    Args:
        input: ``(N, C, L)`` or ``(C, L)``.
        kernel_size, stride, padding, ceil_mode, count_include_pad, dilation: see :func:`avg_pool2d`.

    Returns:
        ``(N, C, L_out)`` or ``(C, L_out)``.

    >>> import torch
    >>> avg_pool1d(torch.tensor([[1.0, 3.0, 2.0, 6.0]]), 2)
    tensor([[2., 4.]])
    >>> avg_pool1d(torch.tensor([[1.0, 3.0, 2.0, 6.0]]), 2, stride=1, dilation=2)
    tensor([[1.5000, 4.5000]])
    """
    return _avg_pool(
        "avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None, dilation
    )


def avg_pool2d(
    input: Tensor,
    kernel_size: Whole,
    stride: Whole | None = None,
    padding: Pads = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Whole = 1,
) -> Tensor:
    """The average of the numbers in each window of each channel.

    ``y[n, c, p] = 1/m[p] · Σ_k x[n, c, p · stride − before + k · dilation]``

    with positions ``p`` and taps ``k`` in both dimensions, and zero for a tap outside the picture.
    The divisor ``m[p]`` is how many taps lie in the picture and its padding, or in the picture alone
    (``count_include_pad=False``); taps that ``ceil_mode`` lets reach beyond the padding never count. A
    window without any tap in the picture gives 0.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``.
        kernel_size: taps of a window; one number or ``(kH, kW)``.
        stride: samples from one window to the next; one number or ``(sH, sW)``; the kernel's size if left out.
        padding: zeros around the picture: one number or ``(pH, pW)``, half the kernel at most; beyond
            PyTorch, a ``(before, after)`` pair for each dimension, of any size, ``"valid"`` (none) or
            ``"same"`` (⌈H / sH⌉ × ⌈W / sW⌉ positions).
        ceil_mode: let a last window reach beyond the end, if it starts before it.
        count_include_pad: whether the padding counts in the divisor.
        divisor_override: the divisor of every window, instead; not 0.
        dilation: samples from one tap to the next; one number or ``(dH, dW)``; beyond PyTorch.

    Returns:
        ``(N, C, H_out, W_out)`` or ``(C, H_out, W_out)``, with
        ``H_out = (H + p_before + p_after − dH(kH − 1) − 1) // sH + 1`` (``ceil_mode``: rounded up).

    Raises:
        ArgumentError: sizes, dtypes or numbers that cannot be.

    Source:
        LeCun et al., *Gradient-based learning applied to document recognition*, 1998, section II.A
        (sub-sampling); the divisors with dilation follow ONNX' ``AveragePool``, version 19.

    A picture of 4 × 4, windows of 2 × 2: side by side, and one sample apart.

    >>> import torch
    >>> picture = torch.tensor([[[1.0, 4, 2, 3], [5, 8, 4, 1], [7, 6, 0, 5], [2, 3, 9, 4]]])
    >>> avg_pool2d(picture, kernel_size=2, stride=2)
    tensor([[[4.5000, 2.5000],
             [4.5000, 4.5000]]])
    >>> avg_pool2d(picture, kernel_size=2, stride=1)
    tensor([[[4.5000, 4.5000, 2.5000],
             [6.5000, 4.5000, 2.5000],
             [4.5000, 4.5000, 4.5000]]])
    """
    return _avg_pool(
        "avg_pool2d",
        2,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        dilation,
    )


def avg_pool3d(
    input: Tensor,
    kernel_size: Whole,
    stride: Whole | None = None,
    padding: Pads = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
    *,
    dilation: Whole = 1,
) -> Tensor:
    """Average pooling of volumes; see :func:`avg_pool2d`.

    Args:
        input: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.
        kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation: see
            :func:`avg_pool2d`.

    Returns:
        ``(N, C, D_out, H_out, W_out)`` or without the batch.

    >>> import torch
    >>> avg_pool3d(torch.arange(16.0).reshape(1, 2, 2, 4), 2).flatten()
    tensor([6.5000, 8.5000])
    """
    return _avg_pool(
        "avg_pool3d",
        3,
        input,
        kernel_size,
        stride,
        padding,
        ceil_mode,
        count_include_pad,
        divisor_override,
        dilation,
    )


def adaptive_avg_pool1d(input: Tensor, output_size: Bins) -> Tensor:
    """Average pooling of ``L`` samples into ``output_size`` windows; see :func:`adaptive_avg_pool2d`.

    Args:
        input: ``(N, C, L)`` or ``(C, L)``.
        output_size: number of windows.

    >>> import torch
    >>> adaptive_avg_pool1d(torch.tensor([[1.0, 2.0, 6.0, 4.0, 2.0]]), 2)
    tensor([[3., 4.]])
    """
    return adaptive("adaptive_avg_pool1d", 1, F.adaptive_avg_pool1d, input, output_size)  # type: ignore[no-any-return]


def adaptive_avg_pool2d(input: Tensor, output_size: Bins) -> Tensor:
    """The average of each of ``output_size`` windows that cover the picture.

    Window ``i`` of ``b`` over ``n`` samples is ``[⌊i · n / b⌋, ⌈(i + 1) · n / b⌉)``, in both dimensions.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``.
        output_size: windows along each dimension: one number or ``(H_out, W_out)``; ``None`` keeps a size.

    Returns:
        ``(N, C, H_out, W_out)`` or ``(C, H_out, W_out)``.

    Raises:
        ArgumentError: sizes or dtypes that cannot be.

    >>> import torch
    >>> adaptive_avg_pool2d(torch.arange(12.0).reshape(1, 3, 4), (2, 2))
    tensor([[[2.5000, 4.5000],
             [6.5000, 8.5000]]])
    """
    return adaptive("adaptive_avg_pool2d", 2, F.adaptive_avg_pool2d, input, output_size)  # type: ignore[no-any-return]


def adaptive_avg_pool3d(input: Tensor, output_size: Bins) -> Tensor:
    """Average pooling of a volume into ``output_size`` windows; see :func:`adaptive_avg_pool2d`.

    Args:
        input: ``(N, C, D, H, W)`` or ``(C, D, H, W)``.
        output_size: one number or ``(D_out, H_out, W_out)``; ``None`` keeps a size.

    >>> import torch
    >>> adaptive_avg_pool3d(torch.arange(16.0).reshape(1, 2, 2, 4), (1, 1, 2)).flatten()
    tensor([6.5000, 8.5000])
    """
    return adaptive("adaptive_avg_pool3d", 3, F.adaptive_avg_pool3d, input, output_size)  # type: ignore[no-any-return]


def global_avg_pool1d(input: Tensor) -> Tensor:
    """The average of each channel of ``(N, C, L)`` or ``(C, L)``; see :func:`global_avg_pool2d`.

    >>> import torch
    >>> global_avg_pool1d(torch.tensor([[1.0, 3.0, 2.0]]))
    tensor([[2.]])
    """
    return _global("global_avg_pool1d", 1, input)


def global_avg_pool2d(input: Tensor) -> Tensor:
    """The average of each channel: ``adaptive_avg_pool2d(input, 1)``, ONNX's ``GlobalAveragePool``.

    Args:
        input: ``(N, C, H, W)`` or ``(C, H, W)``.

    Returns:
        ``(N, C, 1, 1)`` or ``(C, 1, 1)``.

    Raises:
        ArgumentError: sizes or dtypes that cannot be.

    Source:
        Lin, Chen, Yan, *Network in network*, 2014, section 3.2.

    >>> import torch
    >>> global_avg_pool2d(torch.arange(12.0).reshape(1, 3, 4))
    tensor([[[5.5000]]])
    """
    return _global("global_avg_pool2d", 2, input)


def global_avg_pool3d(input: Tensor) -> Tensor:
    """The average of each channel of a volume; see :func:`global_avg_pool2d`.

    >>> import torch
    >>> global_avg_pool3d(torch.arange(8.0).reshape(1, 2, 2, 2)).flatten()
    tensor([3.5000])
    """
    return _global("global_avg_pool3d", 3, input)


def _avg_pool(
    operator: str,
    rank: int,
    input: Tensor,
    kernel_size: Whole,
    stride: Whole | None,
    padding: Pads,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
    dilation: Whole,
) -> Tensor:
    try:
        options = (kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override, dilation)
        return _plan((input,), operator, rank, *options)(input)  # type: ignore[no-any-return]
    except ArgumentError:
        raise
    except REFUSALS as error:
        pool_windows(operator, input, rank, kernel_size, stride, padding, dilation, ceil_mode)
        _check_divisor(operator, divisor_override)
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
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
    dilation: Whole,
) -> Plan:
    if not avg_pool_obstacle(input, rank):
        windows = pool_windows(operator, input, rank, kernel_size, stride, padding, dilation, ceil_mode)
        _check_divisor(operator, divisor_override)
        return avg_pool_plan(input, windows, bool(count_include_pad), divisor_override)
    if (
        dilation in ONES
        and is_plain(padding)
        and is_plain(kernel_size)
        and is_plain(stride)
        and (rank < 3 or _is_served(input, kernel_size))
    ):
        if input.is_meta:  # where PyTorch takes arguments that cannot be
            pool_windows(operator, input, rank, kernel_size, stride, padding, dilation, ceil_mode)
        pytorchs = PYTORCHS[rank]
        options = (
            (ceil_mode, count_include_pad) if rank == 1 else (ceil_mode, count_include_pad, divisor_override)
        )
        return lambda x: pytorchs(x, kernel_size, stride, padding, *options)
    windows = pool_windows(operator, input, rank, kernel_size, stride, padding, dilation, ceil_mode)
    _check_divisor(operator, divisor_override)
    check_floating(operator, input=input)
    if rank == 1:  # PyTorch's operator for pictures takes a divisor
        flat = as_picture(windows)
        return lambda x: averages(x.unsqueeze(-2), flat, count_include_pad, None).squeeze(-2)
    return lambda x: averages(x, windows, count_include_pad, divisor_override)


@planned
def _global_plan(input: Tensor, operator: str, rank: int) -> Plan:
    check_floating(operator, input=input)
    check_input(operator, input, rank)
    if not autocasts(input) and not global_avg_pool_obstacle(input, rank):
        sizes, ones = tuple(input.shape[2:]), (1,) * rank
        return avg_pool_plan(input, Windows(sizes, sizes, ((0, 0),) * rank, ones, ones), True, None)
    pytorchs = PYTORCHS_ADAPTIVE[rank]
    return lambda x: pytorchs(x, 1)


def _is_served(input: Tensor, kernel_size: Whole) -> bool:
    """Whether PyTorch's operator for volumes takes the call.

    It refuses kernels larger than a volume, padded or not, and on a CPU numbers of 16 bits.
    """
    kernel = (kernel_size,) if isinstance(kernel_size, int) else tuple(kernel_size)
    fits = all(map(ge, input.shape[-3:], kernel * 3 if len(kernel) == 1 else kernel))
    return fits and not is_half_on_cpu(input)


def _check_divisor(operator: str, divisor_override: int | None) -> None:
    if divisor_override is None:
        return
    if not isinstance(divisor_override, int) or isinstance(divisor_override, bool):
        raise ArgumentTypeError(
            f"{operator}: divisor_override came as {divisor_override!r}; wanted a whole number or None"
        )
    if not divisor_override or not -(2**63) <= divisor_override < 2**63:
        raise ArgumentError(
            f"{operator}: divisor_override came as {divisor_override}; wanted any whole number of 63 bits but 0"
        )


def _global(operator: str, rank: int, input: Tensor) -> Tensor:
    return _global_plan((input,), operator, rank)(input)  # type: ignore[no-any-return]
