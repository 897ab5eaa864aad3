"""Convolutions along one axis at a time, which several operators are made of."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from striate.errors import ArgumentError
from striate.geometry.arguments import Pads, Whole
from striate.ops._checks import Pairs, check_weight, padding_pairs, per_dimension, settled_padding
from striate.ops._plan import Plan, planned
from striate.ops.conv.depthwise_pair import pair_obstacle, pair_plan
from striate.ops.conv.op import conv2d, conv3d

CONVOLUTIONS = {2: conv2d, 3: conv3d}

# Stride, padding and dilation of every axis; a plain number says the same of all.
Settings = tuple[int | tuple[int, ...], str | int | tuple[int, ...] | Pairs, int | tuple[int, ...]]

PLAIN = (1, 0, 1)


def settle(operator: str, rank: int, stride: Whole, padding: Pads, dilation: Whole) -> Settings:
    """The settings of a chain of convolutions, checked once, in the form that costs the steps least."""
    if type(stride) is type(padding) is type(dilation) is int and (stride, padding, dilation) == PLAIN:
        return PLAIN
    ones = (1,) * rank
    strides = per_dimension(operator, "stride", stride, rank)
    dilations = per_dimension(operator, "dilation", dilation, rank)
    paddings = settled_padding(operator, padding, rank)
    return (
        1 if strides == ones else strides,
        0 if paddings == (0,) * rank else paddings,
        1 if dilations == ones else dilations,
    )


def convolve_each(
    axes: Sequence[int],
    input: Tensor,
    weights: tuple[Tensor, ...],
    biases: tuple[Tensor | None, ...],
    settings: Settings,
    groups: int,
) -> Tensor:
    """Convolve along one axis after the other; each has a weight and a bias, see :func:`convolve_along`."""
    strides, padding, dilations = settings
    if len(axes) == 2 and strides == 1 == dilations and groups > 1:
        plan = _pair_plan((input, *weights, *biases), padding, groups)
        if plan:
            return plan(input, *weights, *biases)  # type: ignore[no-any-return]
    for axis, weight, bias in zip(axes, weights, biases, strict=True):
        input = convolve_along(axis, input, weight, bias, settings, groups)
    return input


@planned
def _pair_plan(
    input: Tensor,
    down: Tensor,
    along: Tensor,
    down_bias: Tensor | None,
    along_bias: Tensor | None,
    padding: Pads,
    groups: int,
) -> Plan | None:
    """Both axes in one pass by the kernel."""
    if input.dim() != 4:
        return None
    pairs = padding_pairs("", padding, input.shape[2:], (down.shape[2],) * 2, (1, 1), (1, 1))
    weights, biases = (down, along), (down_bias, along_bias)
    if pair_obstacle(input, weights, biases, pairs, groups):
        return None
    return pair_plan(input, weights, biases, pairs)


def convolve_along(
    axis: int, input: Tensor, weight: Tensor, bias: Tensor | None, settings: Settings, groups: int
) -> Tensor:
    """Convolve along ``axis`` (0 is the first spatial one) with that axis' part of the settings.

    Args:
        axis: which spatial axis.
        input: ``(N, C, *size)`` or ``(C, *size)``.
        weight: a convolution's weight with one tap along the other axes.
        bias: ``(C_out,)``.
        settings: from :func:`settle`.
        groups: as of a convolution.

    Raises:
        ValueError: the weight has taps along another axis; :func:`check_along` says it in words.
    """
    kernel = weight.shape[2:]
    if kernel.numel() != kernel[axis]:
        raise ValueError("taps along several axes")
    strides, paddings, dilations = settings
    return CONVOLUTIONS[len(kernel)](
        input,
        weight,
        bias,
        strides if isinstance(strides, int) else _only(axis, strides, 1),
        paddings if isinstance(paddings, (str, int)) else _only(axis, paddings, 0),
        dilations if isinstance(dilations, int) else _only(axis, dilations, 1),
        groups,
    )


def check_along(operator: str, name: str, axis: int, weight: Tensor, rank: int) -> None:
    """``weight`` is a convolution's, with one tap along every spatial axis but ``axis``."""
    check_weight(operator, name, weight, rank)
    if any(k != 1 for i, k in enumerate(weight.shape[2:]) if i != axis):
        wanted = (*weight.shape[:2], *_only(axis, weight.shape[2:], 1))
        raise ArgumentError(
            f"{operator}: {name} came with shape {tuple(weight.shape)}; wanted one tap along the other axes, "
            f"as {wanted} has"
        )


def _only(axis: int, values: Sequence[Any], rest: int) -> tuple[Any, ...]:
    return tuple([value if i == axis else rest for i, value in enumerate(values)])
