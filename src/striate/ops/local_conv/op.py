"""Local convolution: the kernel's where there is one, otherwise composed of PyTorch's operators."""

from __future__ import annotations

from math import prod

from torch import Tensor

from striate.errors import ArgumentError, ArgumentTypeError
from striate.geometry.arguments import Pads, Whole
from striate.ops._checks import (
    LARGEST,
    SPATIAL_NAMES,
    Pairs,
    check_bias,
    check_floating,
    check_groups,
    check_rank,
    windows,
)
from striate.ops._plan import Plan, planned
from striate.ops.local_conv.composed import local_conv_composed
from striate.ops.local_conv.kernel import local_conv_obstacle, local_conv_plan


def local_conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
) -> Tensor:
    """Local convolution along one dimension; see :func:`local_conv2d`.

    Args:
        input: ``(N, C_in, L)`` or ``(C_in, L)``.
        weight: ``(C_out, C_in / groups, k, L_out)``.
        bias: ``(C_out, L_out)``.
        stride, padding, dilation, groups: see :func:`local_conv2d`.

    Returns:
        ``(N, C_out, L_out)`` or ``(C_out, L_out)``.

    >>> import torch
    >>> signal = torch.tensor([[1.0, 2.0, 3.0]])
    >>> weight = torch.tensor([[[[1.0, 0.0], [0.0, 10.0]]]])  # takes its first sample, then its second
    >>> local_conv1d(signal, weight)
    tensor([[ 1., 30.]])
    """
    return _local_conv("local_conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def local_conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
) -> Tensor:
    """Convolution without weight sharing: each output position has its own kernel.

    ``y[n, o, p] = bias[o, p] + Σ_c Σ_k weight[o, c, k, p] · x[n, c, p · stride + k · dilation]``

    with positions ``p`` and taps ``k`` in both dimensions, ``c`` over the input channels of the
    group of ``o``, and ``x`` padded with zeros. If all kernels are the same, it is ``conv2d``.

    Args:
        input: ``(N, C_in, H, W)`` or ``(C_in, H, W)``.
        weight: ``(C_out, C_in / groups, kH, kW, H_out, W_out)``.
        bias: ``(C_out, H_out, W_out)``: one for each output position, as nothing is shared.
        stride: samples from one window to the next; one number or ``(sH, sW)``.
        padding: zeros around the input: one number, ``(pH, pW)``, a ``(before, after)`` pair for each
            dimension, ``"valid"`` (none) or ``"same"`` (⌈H / sH⌉ × ⌈W / sW⌉ positions).
        dilation: samples from one tap to the next; one number or ``(dH, dW)``.
        groups: blocks of channels that do not see each other; divides ``C_in`` and ``C_out``.

    Returns:
        ``(N, C_out, H_out, W_out)`` or ``(C_out, H_out, W_out)``, with
        ``H_out = (H + p_before + p_after − dH(kH − 1) − 1) // sH + 1``.

    Raises:
        ArgumentError: shapes, dtypes or sizes that do not fit together.

    Source:
        LeCun, *Generalization and network design strategies*, 1989, section 5.3 (Net-3); the layout of
        the bias follows Keras' ``LocallyConnected2D``.

    >>> import torch
    >>> image = torch.arange(9.0).reshape(1, 1, 3, 3)
    >>> weight = torch.zeros(1, 1, 2, 2, 2, 2)
    >>> weight[0, 0, 0, 0] = torch.tensor([[1.0, 2.0], [3.0, 4.0]])  # top left tap of each kernel
    >>> local_conv2d(image, weight)
    tensor([[[[ 0.,  2.],
              [ 9., 16.]]]])
    """
    return _local_conv("local_conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def local_conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
) -> Tensor:
    """Local convolution of volumes; see :func:`local_conv2d`.

    Args:
        input: ``(N, C_in, D, H, W)`` or ``(C_in, D, H, W)``.
        weight: ``(C_out, C_in / groups, kD, kH, kW, D_out, H_out, W_out)``.
        bias: ``(C_out, D_out, H_out, W_out)``.
        stride, padding, dilation, groups: see :func:`local_conv2d`.

    Returns:
        ``(N, C_out, D_out, H_out, W_out)`` or without the batch.

    >>> import torch
    >>> local_conv3d(torch.ones(1, 2, 2, 2), torch.ones(4, 1, 2, 2, 2, 1, 1, 1), groups=1).flatten()
    tensor([8., 8., 8., 8.])
    """
    return _local_conv("local_conv3d", 3, input, weight, bias, stride, padding, dilation, groups)


def _local_conv(
    operator: str,
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Whole,
    padding: Pads,
    dilation: Whole,
    groups: int,
) -> Tensor:
    plan = _plan((input, weight, bias), operator, rank, stride, padding, dilation, groups)
    return plan(input, weight, bias)  # type: ignore[no-any-return]


@planned
def _plan(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    operator: str,
    rank: int,
    stride: Whole,
    padding: Pads,
    dilation: Whole,
    groups: int,
) -> Plan:
    check_floating(operator, input=input, weight=weight, bias=bias)
    check_rank(operator, input, rank)
    if input.dim() == rank + 1:
        batch = (input.unsqueeze(0), weight, bias)
        plan = _plan(batch, operator, rank, stride, padding, dilation, groups)
        return lambda x, w, b: plan(x.unsqueeze(0), w, b).squeeze(0)
    if not isinstance(weight, Tensor):
        raise ArgumentTypeError(f"{operator}: weight came as {type(weight).__name__}; wanted a tensor")
    if weight.dim() != 2 + 2 * rank:
        raise ArgumentError(
            f"{operator}: weight came with {weight.dim()} dimensions, {tuple(weight.shape)}; wanted "
            f"{2 + 2 * rank}: (C_out, C_in / groups, *kernel, *output)"
        )
    check_groups(operator, "weight", input.shape[1], weight.shape, groups)
    sizes, kernel = tuple(input.shape[2:]), tuple(weight.shape[2 : 2 + rank])
    strides, pairs, dilations, output = windows(operator, sizes, kernel, stride, padding, dilation)
    _check_positions(operator, input, weight, bias, output)
    _check_padded(operator, input, pairs)
    if not local_conv_obstacle(input, weight, bias):
        return local_conv_plan(input, weight, bias, strides, pairs, dilations)
    return lambda x, w, b: local_conv_composed(x, w, b, strides, pairs, dilations)


def _check_positions(
    operator: str, input: Tensor, weight: Tensor, bias: Tensor | None, output: tuple[int, ...]
) -> None:
    """The weight has a kernel, and the bias a number, for every output position."""
    rank = len(output)
    if tuple(weight.shape[2 + rank :]) != output:
        raise ArgumentError(
            f"{operator}: weight came with shape {tuple(weight.shape)}: kernels for "
            f"{' × '.join(map(str, weight.shape[2 + rank :]))} positions; wanted {' × '.join(map(str, output))}, which is "
            f"(n + p_before + p_after − d(k − 1) − 1) // s + 1 for an input of {tuple(input.shape[2:])} "
            f"{SPATIAL_NAMES[rank]}"
        )
    check_bias(operator, "bias", bias, (weight.shape[0], *output))


def _check_padded(operator: str, input: Tensor, pairs: Pairs) -> None:
    """The padded picture can be addressed."""
    if not any(before or after for before, after in pairs):
        return
    sizes = [before + n + after for n, (before, after) in zip(input.shape[2:], pairs, strict=True)]
    if prod(sizes) > LARGEST:
        raise ArgumentError(
            f"{operator}: padding makes every channel {' × '.join(map(str, sizes))}; wanted at most {LARGEST} "
            f"samples: take a smaller padding, kernel or dilation"
        )
