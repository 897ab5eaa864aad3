"""Flattened convolution as a chain of one-dimensional convolutions."""

from __future__ import annotations

from torch import Tensor

from striate.errors import ArgumentError
from striate.geometry.arguments import Pads, Whole
from striate.ops._along import CONVOLUTIONS, check_along, convolve_each, settle
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

STEPS = ("channel", "vertical", "horizontal", "depth")  # in this order; two dimensions have no depth
AXES = {2: (0, 1), 3: (1, 2, 0)}  # the spatial axis of each step after the channels


def flattened_conv2d(
    input: Tensor,
    channel_weight: Tensor,
    vertical_weight: Tensor,
    horizontal_weight: Tensor,
    channel_bias: Tensor | None = None,
    vertical_bias: Tensor | None = None,
    horizontal_bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
) -> Tensor:
    """Three one-dimensional convolutions: across the channels, then down, then across each map.

    ``u[n, o, h, w] = b_C[o] + Σ_c channel[o, c] · x[n, c, h, w]``,
    ``v[n, o, p, w] = b_V[o] + Σ_i vertical[o, i] · u[n, o, p · sH + i · dH, w]``,
    ``y[n, o, p, q] = b_H[o] + Σ_j horizontal[o, j] · v[n, o, p, q · sW + j · dW]``

    In place of a kernel ``C_in × kH × kW`` each output channel has its outer factors, of
    ``C_in + kH + kW`` numbers. As in the paper, a bias may follow each of the three and nothing
    else stands between them. ``u`` and ``v`` are padded with zeros, not with their bias.

    Args:
        input: ``(N, C_in, H, W)`` or ``(C_in, H, W)``.
        channel_weight: ``(C_out, C_in, 1, 1)``.
        vertical_weight: ``(C_out, 1, kH, 1)``.
        horizontal_weight: ``(C_out, 1, 1, kW)``.
        channel_bias, vertical_bias, horizontal_bias: each ``(C_out,)``.
        stride: samples from one window to the next; one number or ``(sH, sW)``.
        padding: zeros around: one number, ``(pH, pW)``, a ``(before, after)`` pair for each dimension,
            ``"valid"`` (none) or ``"same"`` (⌈H / sH⌉ × ⌈W / sW⌉ positions).
        dilation: samples from one tap to the next; one number or ``(dH, dW)``.

    Returns:
        ``(N, C_out, H_out, W_out)`` or ``(C_out, H_out, W_out)``, of the size that :func:`conv2d` gives.

    Raises:
        ArgumentError: shapes, dtypes or sizes that do not fit together.

    Source:
        Jin, Dundar, Culurciello, *Flattened convolutional neural networks for feedforward
        acceleration*, arXiv 1412.5474, section 3 and figure 2.

    >>> import torch
    >>> image = torch.ones(2, 3, 3)
    >>> across, down, along = torch.ones(1, 2, 1, 1), torch.ones(1, 1, 3, 1), torch.ones(1, 1, 1, 3)
    >>> flattened_conv2d(image, across, down, along)  # 2 · 3 · 3
    tensor([[[18.]]])
    """
    weights = (channel_weight, vertical_weight, horizontal_weight)
    biases = (channel_bias, vertical_bias, horizontal_bias)
    return _flattened_conv("flattened_conv2d", input, weights, biases, stride, padding, dilation)


def flattened_conv3d(
    input: Tensor,
    channel_weight: Tensor,
    vertical_weight: Tensor,
    horizontal_weight: Tensor,
    depth_weight: Tensor,
    channel_bias: Tensor | None = None,
    vertical_bias: Tensor | None = None,
    horizontal_bias: Tensor | None = None,
    depth_bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
) -> Tensor:
    """Across the channels, then vertical, horizontal, and along the depth; see :func:`flattened_conv2d`.

    Args:
        input: ``(N, C_in, D, H, W)`` or ``(C_in, D, H, W)``.
        channel_weight: ``(C_out, C_in, 1, 1, 1)``.
        vertical_weight: ``(C_out, 1, 1, kH, 1)``.
        horizontal_weight: ``(C_out, 1, 1, 1, kW)``.
        depth_weight: ``(C_out, 1, kD, 1, 1)``.
        channel_bias, vertical_bias, horizontal_bias, depth_bias: each ``(C_out,)``.
        stride, padding, dilation: see :func:`flattened_conv2d`; in the order of the sizes, depth first.

    Returns:
        ``(N, C_out, D_out, H_out, W_out)`` or without the batch.

    >>> import torch
    >>> ones = [torch.ones(1, 1, *kernel) for kernel in ((1, 1, 1), (1, 2, 1), (1, 1, 2), (2, 1, 1))]
    >>> flattened_conv3d(torch.ones(1, 2, 2, 2), *ones)
    tensor([[[[8.]]]])
    """
    weights = (channel_weight, vertical_weight, horizontal_weight, depth_weight)
    biases = (channel_bias, vertical_bias, horizontal_bias, depth_bias)
    return _flattened_conv("flattened_conv3d", input, weights, biases, stride, padding, dilation)


def _flattened_conv(
    operator: str,
    input: Tensor,
    weights: tuple[Tensor, ...],
    biases: tuple[Tensor | None, ...],
    stride: Whole,
    padding: Pads,
    dilation: Whole,
) -> Tensor:
    rank = len(weights) - 1
    try:
        settings = settle(operator, rank, stride, padding, dilation)
        # What convolutions would take, and this operator does not:
        if not input.is_floating_point() or weights[0].shape[2:] != (1,) * rank:
            _check(operator, input, weights, biases, stride, padding, dilation)
        return convolve_each(  # which frees the channels' result as soon as it has been read
            AXES[rank],
            CONVOLUTIONS[rank](input, weights[0], biases[0]),
            weights[1:],
            biases[1:],
            settings,
            weights[0].shape[0],
        )
    except REFUSALS as error:
        _check(operator, input, weights, biases, stride, padding, dilation)
        raise in_step(operator, error) from error


def _check(
    operator: str,
    input: Tensor,
    weights: tuple[Tensor, ...],
    biases: tuple[Tensor | None, ...],
    stride: Whole,
    padding: Pads,
    dilation: Whole,
) -> None:
    """Raise the error that says what is wrong with the arguments, if anything is."""
    rank = len(weights) - 1
    named = {f"{step}_weight": weight for step, weight in zip(STEPS, weights, strict=False)}
    offsets = {f"{step}_bias": bias for step, bias in zip(STEPS, biases, strict=False)}
    check_floating(operator, input=input, **named, **offsets)
    check_rank(operator, input, rank)
    across = weights[0]
    check_weight(operator, "channel_weight", across, rank, "C_out, C_in")
    channels, in_channels = across.shape[0], input.shape[-1 - rank]
    if across.shape[1:] != (in_channels, *(1,) * rank) or not in_channels or not channels:
        raise ArgumentError(
            f"{operator}: channel_weight came with shape {tuple(across.shape)}; wanted "
            f"{(max(channels, 1), in_channels, *(1,) * rank)}: 1×1 kernels over the {in_channels} channels "
            f"of the input"
        )
    sizes = [1] * rank
    for axis, (name, weight) in zip(AXES[rank], list(named.items())[1:], strict=True):
        check_along(operator, name, axis, weight, rank)
        if weight.shape[:2] != (channels, 1):
            raise ArgumentError(
                f"{operator}: {name} came with shape {tuple(weight.shape)}; wanted "
                f"{(channels, 1, *weight.shape[2:])}: one kernel for each of the {channels} channels that "
                f"channel_weight gives"
            )
        sizes[axis] = weight.shape[2 + axis]
    for name, bias in offsets.items():
        check_bias(operator, name, bias, (channels,))
    *_, output = windows(operator, tuple(input.shape[-rank:]), tuple(sizes), stride, padding, dilation)
    check_addressable(operator, (*input.shape[: -1 - rank], channels, *output), input.dtype)
