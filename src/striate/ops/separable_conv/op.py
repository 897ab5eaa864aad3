"""Depthwise separable convolution as two convolutions."""

from __future__ import annotations

from torch import Tensor

from striate.errors import ArgumentError
from striate.geometry.arguments import Pads, Whole
from striate.ops._checks import (
    REFUSALS,
    check_addressable,
    check_bias,
    check_floating,
    check_rank,
    check_weight,
    in_step,
    windows,
)
from striate.ops.conv.op import conv1d, conv2d, conv3d

CONVOLUTIONS = {1: conv1d, 2: conv2d, 3: conv3d}


def separable_conv1d(
    input: Tensor,
    depthwise_weight: Tensor,
    pointwise_weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
) -> Tensor:
    """Depthwise separable convolution along one dimension; see :func:`separable_conv2d`.

    Args:
        input: ``(N, C_in, L)`` or ``(C_in, L)``.
        depthwise_weight: ``(C_in · m, 1, k)``.
        pointwise_weight: ``(C_out, C_in · m, 1)``.
        bias: ``(C_out,)``.
        stride, padding, dilation: see :func:`separable_conv2d`.

    Returns:
        ``(N, C_out, L_out)`` or ``(C_out, L_out)``.

    >>> import torch
    >>> signal = torch.tensor([[1.0, 2.0, 4.0], [1.0, 1.0, 1.0]])
    >>> steps, sums = torch.tensor([[[-1.0, 1.0]], [[1.0, 1.0]]]), torch.tensor([[[1.0], [10.0]]])
    >>> separable_conv1d(signal, steps, sums)  # steps of the first channel + 10 · sums of the second
    tensor([[21., 22.]])
    """
    return _separable_conv(
        "separable_conv1d", 1, input, depthwise_weight, pointwise_weight, bias, stride, padding, dilation
    )


def separable_conv2d(
    input: Tensor,
    depthwise_weight: Tensor,
    pointwise_weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
) -> Tensor:
    """Each channel with kernels of its own (depthwise), then a 1×1 convolution across them (pointwise).

    ``z[n, j, p] = Σ_k depthwise[j, k] · x[n, ⌊j / m⌋, p · stride + k · dilation]`` for ``m`` kernels
    a channel, then ``y[n, o, p] = bias[o] + Σ_j pointwise[o, j] · z[n, j, p]``.

    Nothing is between the two, no bias and no activation. It costs ``C_in · m · (kH · kW + C_out)``
    multiply-adds a position, where :func:`conv2d` costs ``C_in · kH · kW · C_out``.

    Args:
        input: ``(N, C_in, H, W)`` or ``(C_in, H, W)``.
        depthwise_weight: ``(C_in · m, 1, kH, kW)``; ``m``, the depth multiplier, follows from it.
        pointwise_weight: ``(C_out, C_in · m, 1, 1)``.
        bias: ``(C_out,)``, added at the end.
        stride: samples from one window of the depthwise step to the next; one number or ``(sH, sW)``.
        padding: zeros around the input: one number, ``(pH, pW)``, a ``(before, after)`` pair for each
            dimension, ``"valid"`` (none) or ``"same"`` (⌈H / sH⌉ × ⌈W / sW⌉ positions).
        dilation: samples from one tap of the depthwise step to the next; one number or ``(dH, dW)``.

    Returns:
        ``(N, C_out, H_out, W_out)`` or ``(C_out, H_out, W_out)``, of the size that :func:`conv2d` gives.

    Raises:
        ArgumentError: shapes, dtypes or sizes that do not fit together.

    Source:
        Sifre, *Rigid-motion scattering for image classification*, 2014, chapter 6; Chollet, arXiv
        1610.02357 (Xception); Howard et al., arXiv 1704.04861 (MobileNets), section 3.1. Depthwise
        comes first, as in Keras' ``SeparableConv2D`` and in MobileNets.

    >>> import torch
    >>> image = torch.ones(1, 2, 3, 3)
    >>> depthwise, pointwise = torch.ones(2, 1, 3, 3), torch.tensor([[1.0, 10.0]]).reshape(1, 2, 1, 1)
    >>> separable_conv2d(image, depthwise, pointwise, padding="same")
    tensor([[[[44., 66., 44.],
              [66., 99., 66.],
              [44., 66., 44.]]]])
    """
    return _separable_conv(
        "separable_conv2d", 2, input, depthwise_weight, pointwise_weight, bias, stride, padding, dilation
    )


def separable_conv3d(
    input: Tensor,
    depthwise_weight: Tensor,
    pointwise_weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
) -> Tensor:
    """Depthwise separable convolution of volumes; see :func:`separable_conv2d`.

    Args:
        input: ``(N, C_in, D, H, W)`` or ``(C_in, D, H, W)``.
        depthwise_weight: ``(C_in · m, 1, kD, kH, kW)``.
        pointwise_weight: ``(C_out, C_in · m, 1, 1, 1)``.
        bias: ``(C_out,)``.
        stride, padding, dilation: see :func:`separable_conv2d`.

    Returns:
        ``(N, C_out, D_out, H_out, W_out)`` or without the batch.

    >>> import torch
    >>> volume, depthwise, pointwise = torch.ones(2, 2, 2, 2), torch.ones(4, 1, 2, 2, 2), torch.ones(1, 4, 1, 1, 1)
    >>> separable_conv3d(volume, depthwise, pointwise)  # 2 channels · 2 kernels each · 8 taps
    tensor([[[[32.]]]])
    """
    return _separable_conv(
        "separable_conv3d", 3, input, depthwise_weight, pointwise_weight, bias, stride, padding, dilation
    )


def _separable_conv(
    operator: str,
    rank: int,
    input: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    bias: Tensor | None,
    stride: Whole,
    padding: Pads,
    dilation: Whole,
) -> Tensor:
    try:
        # What the two convolutions would take, and this operator does not:
        if not input.is_floating_point() or pointwise.shape[2:] != (1,) * rank:
            _check(operator, rank, input, depthwise, pointwise, bias, stride, padding, dilation)
        convolve = CONVOLUTIONS[rank]
        channels = input.shape[-1 - rank]
        between = convolve(input, depthwise, None, stride, padding, dilation, channels)
        return convolve(between, pointwise, bias)
    except REFUSALS as error:
        _check(operator, rank, input, depthwise, pointwise, bias, stride, padding, dilation)
        raise in_step(operator, error) from error


def _check(
    operator: str,
    rank: int,
    input: Tensor,
    depthwise: Tensor,
    pointwise: Tensor,
    bias: Tensor | None,
    stride: Whole,
    padding: Pads,
    dilation: Whole,
) -> None:
    """Raise the error that says what is wrong with the arguments, if anything is."""
    check_floating(operator, input=input, depthwise_weight=depthwise, pointwise_weight=pointwise, bias=bias)
    check_rank(operator, input, rank)
    check_weight(operator, "depthwise_weight", depthwise, rank, "C_in · m, 1")
    check_weight(operator, "pointwise_weight", pointwise, rank, "C_out, C_in · m")
    channels, between = input.shape[-1 - rank], depthwise.shape[0]
    if depthwise.shape[1] != 1 or channels < 1 or between < 1 or between % channels:
        raise ArgumentError(
            f"{operator}: depthwise_weight came with shape {tuple(depthwise.shape)}; wanted "
            f"(C_in · m, 1, …) with C_in = {channels}, the channels of the input: such as "
            f"{(max(round(between / max(channels, 1)), 1) * channels, 1, *depthwise.shape[2:])}"
        )
    if pointwise.shape[1:] != (between, *(1,) * rank):
        raise ArgumentError(
            f"{operator}: pointwise_weight came with shape {tuple(pointwise.shape)}; wanted "
            f"{(pointwise.shape[0], between, *(1,) * rank)}: 1×1 kernels over the {between} channels "
            f"that depthwise_weight gives"
        )
    check_bias(operator, "bias", bias, pointwise.shape[:1])
    *_, output = windows(
        operator, tuple(input.shape[-rank:]), tuple(depthwise.shape[2:]), stride, padding, dilation
    )
    check_addressable(operator, (*input.shape[: -1 - rank], pointwise.shape[0], *output), input.dtype)
