"""Spatially separable convolution as one convolution for each dimension."""

from __future__ import annotations

from torch import Tensor

from striate.errors import ArgumentError
from striate.geometry.arguments import Pads, Whole
from striate.ops._along import check_along, convolve_each, settle
from striate.ops._checks import (
    REFUSALS,
    check_addressable,
    check_bias,
    check_floating,
    check_groups,
    check_rank,
    in_step,
    windows,
)

WEIGHTS = {
    2: ("vertical_weight", "horizontal_weight"),
    3: ("depth_weight", "vertical_weight", "horizontal_weight"),
}


def spatial_separable_conv2d(
    input: Tensor,
    vertical_weight: Tensor,
    horizontal_weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
) -> Tensor:
    """A column of taps (k×1), then a row of taps (1×k), in place of a k×k kernel.

    ``z[n, m, p, w] = Σ_c Σ_i vertical[m, c, i] · x[n, c, p · sH + i · dH, w]``, then
    ``y[n, o, p, q] = bias[o] + Σ_m Σ_j horizontal[o, m, j] · z[n, m, p, q · sW + j · dW]``

    Nothing is between the two, no bias and no activation. With ``groups=1`` both steps mix all
    channels, as in Inception v3; with ``groups=C_in`` each channel keeps to itself, as in image
    processing, where a k×k filter that is an outer product, such as Sobel's or a Gaussian, gives
    the same result (:func:`separate` finds the two factors).

    Args:
        input: ``(N, C_in, H, W)`` or ``(C_in, H, W)``.
        vertical_weight: ``(C_mid, C_in / groups, kH, 1)``.
        horizontal_weight: ``(C_out, C_mid / groups, 1, kW)``.
        bias: ``(C_out,)``, added at the end.
        stride: samples from one window to the next; one number or ``(sH, sW)``. Each step takes its own.
        padding: zeros around the input: one number, ``(pH, pW)``, a ``(before, after)`` pair for each
            dimension, ``"valid"`` (none) or ``"same"`` (⌈H / sH⌉ × ⌈W / sW⌉ positions).
        dilation: samples from one tap to the next; one number or ``(dH, dW)``.
        groups: blocks of channels that do not see each other, in both steps.

    Returns:
        ``(N, C_out, H_out, W_out)`` or ``(C_out, H_out, W_out)``, of the size that :func:`conv2d` gives.

    Raises:
        ArgumentError: shapes, dtypes or sizes that do not fit together.

    Source:
        Szegedy et al., arXiv 1512.00567 (Inception v3), section 3.2; Rigamonti et al., *Learning
        separable filters*, CVPR 2013.

    >>> import torch
    >>> column, row = torch.tensor([1.0, 2.0, 1.0]), torch.tensor([-1.0, 0.0, 1.0])  # Sobel's
    >>> ramp = torch.arange(4.0).expand(1, 3, 4)
    >>> spatial_separable_conv2d(ramp, column.reshape(1, 1, 3, 1), row.reshape(1, 1, 1, 3))
    tensor([[[8., 8.]]])
    """
    weights = (vertical_weight, horizontal_weight)
    return _spatial_separable_conv(
        "spatial_separable_conv2d", input, weights, bias, stride, padding, dilation, groups
    )


def spatial_separable_conv3d(
    input: Tensor,
    depth_weight: Tensor,
    vertical_weight: Tensor,
    horizontal_weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
) -> Tensor:
    """Taps along the depth (k×1×1), then the height, then the width; see :func:`spatial_separable_conv2d`.

    Args:
        input: ``(N, C_in, D, H, W)`` or ``(C_in, D, H, W)``.
        depth_weight: ``(C_1, C_in / groups, kD, 1, 1)``.
        vertical_weight: ``(C_2, C_1 / groups, 1, kH, 1)``.
        horizontal_weight: ``(C_out, C_2 / groups, 1, 1, kW)``.
        bias: ``(C_out,)``.
        stride, padding, dilation, groups: see :func:`spatial_separable_conv2d`.

    Returns:
        ``(N, C_out, D_out, H_out, W_out)`` or without the batch.

    >>> import torch
    >>> ones = [torch.ones(1, 1, *kernel) for kernel in ((2, 1, 1), (1, 2, 1), (1, 1, 2))]
    >>> spatial_separable_conv3d(torch.ones(1, 2, 2, 2), *ones)
    tensor([[[[8.]]]])
    """
    weights = (depth_weight, vertical_weight, horizontal_weight)
    return _spatial_separable_conv(
        "spatial_separable_conv3d", input, weights, bias, stride, padding, dilation, groups
    )


def _spatial_separable_conv(
    operator: str,
    input: Tensor,
    weights: tuple[Tensor, ...],
    bias: Tensor | None,
    stride: Whole,
    padding: Pads,
    dilation: Whole,
    groups: int,
) -> Tensor:
    rank = len(weights)
    try:
        settings = settle(operator, rank, stride, padding, dilation)
        if not input.is_floating_point():  # a convolution would take it
            _check(operator, input, weights, bias, stride, padding, dilation, groups)
        biases = (*[None] * (rank - 1), bias)
        return convolve_each(range(rank), input, weights, biases, settings, groups)
    except REFUSALS as error:
        _check(operator, input, weights, bias, stride, padding, dilation, groups)
        raise in_step(operator, error) from error


def _check(
    operator: str,
    input: Tensor,
    weights: tuple[Tensor, ...],
    bias: Tensor | None,
    stride: Whole,
    padding: Pads,
    dilation: Whole,
    groups: int,
) -> None:
    """Raise the error that says what is wrong with the arguments, if anything is."""
    rank = len(weights)
    named = dict(zip(WEIGHTS[rank], weights, strict=True))
    check_floating(operator, input=input, **named, bias=bias)
    check_rank(operator, input, rank)
    channels, giver = input.shape[-1 - rank], "the input"
    for axis, (name, weight) in enumerate(named.items()):
        check_along(operator, name, axis, weight, rank)
        if axis == 0:
            check_groups(operator, name, channels, weight.shape, groups)
        elif weight.shape[0] % groups or weight.shape[1] * groups != channels:
            raise ArgumentError(
                f"{operator}: {name} came with shape {tuple(weight.shape)}; wanted "
                f"C_in / groups = {channels} / {groups} in place of the {weight.shape[1]}, as {giver} gives "
                f"{channels} channels, and a multiple of {groups} in place of the {weight.shape[0]}"
            )
        channels, giver = weight.shape[0], name
    check_bias(operator, "bias", bias, (channels,))
    kernel = tuple(weight.shape[2 + axis] for axis, weight in enumerate(weights))
    *_, output = windows(operator, tuple(input.shape[-rank:]), kernel, stride, padding, dilation)
    check_addressable(operator, (*input.shape[: -1 - rank], channels, *output), input.dtype)
