"""Convolution + bias + activation + pooling: one kernel where there is one, PyTorch's operators elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.errors import ArgumentError
from striate.geometry.arguments import Pads, Whole
from striate.ops._checks import (
    REFUSALS,
    check_addressable,
    check_bias,
    check_floating,
    check_groups,
    check_rank,
    check_weight,
    output_sizes,
    per_dimension,
    windows,
)
from striate.ops._library import autocast
from striate.ops._plan import Plan, planned
from striate.ops.avg_pool.op import avg_pool1d, avg_pool2d, avg_pool3d
from striate.ops.conv.op import conv1d, conv2d, conv3d
from striate.ops.conv_pool.kernel import conv_pool_plan, kernel_obstacle
from striate.ops.max_pool.op import max_pool1d, max_pool2d, max_pool3d

CONVOLUTIONS = {1: conv1d, 2: conv2d, 3: conv3d}
ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "none": lambda x: x,
    "relu": F.relu,
    "gelu": F.gelu,
    "sigmoid": torch.sigmoid,
    "silu": F.silu,
    "tanh": torch.tanh,
}
POOLS: dict[str, dict[int, Any]] = {
    "max": {1: max_pool1d, 2: max_pool2d, 3: max_pool3d},
    "avg": {1: avg_pool1d, 2: avg_pool2d, 3: avg_pool3d},
}


def conv_pool1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
    activation: str = "relu",
    pool: str = "max",
    pool_size: Whole = 2,
    pool_stride: Whole | None = None,
) -> Tensor:
    """A convolution's layer and a pooling layer along one dimension; see :func:`conv_pool2d`.

    Args:
        input: ``(N, C_in, L)`` or ``(C_in, L)``.
        weight: ``(C_out, C_in / groups, k)``.
        bias: ``(C_out,)``.
        stride, padding, dilation, groups: see :func:`striate.functional.conv1d`.
        activation, pool, pool_size, pool_stride: see :func:`conv_pool2d`.

    Returns:
        ``(N, C_out, L_out)`` or ``(C_out, L_out)``.

    >>> conv_pool1d(torch.tensor([[3.0, 1.0, -4.0, 2.0, -9.0]]), torch.ones(1, 1, 2))
    tensor([[4., 0.]])
    """
    options = (stride, padding, dilation, groups, activation, pool, pool_size, pool_stride)
    return _conv_pool("conv_pool1d", 1, input, weight, bias, *options)


def conv_pool2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
    activation: str = "relu",
    pool: str = "max",
    pool_size: Whole = 2,
    pool_stride: Whole | None = None,
) -> Tensor:
    """Convolution, bias, activation and pooling: one round of LeNet's alternation.

    ``y = pool(activation(conv2d(x, weight, bias)))``

    The map between activation and pooling is the largest thing that such a round makes. The kernel
    for small pictures never stores it: forward keeps the pooled map and a byte for each of its
    numbers, and backward works from those.

    Args:
        input: ``(N, C_in, H, W)`` or ``(C_in, H, W)``.
        weight: ``(C_out, C_in / groups, kH, kW)``.
        bias: ``(C_out,)``.
        stride, padding, dilation, groups: of the convolution, see :func:`striate.functional.conv2d`.
        activation: ``"relu"``, ``"none"``, ``"gelu"``, ``"sigmoid"``, ``"silu"`` or ``"tanh"``.
        pool: ``"max"`` or ``"avg"``, over windows that lie within the map.
        pool_size: the window; one number or ``(qH, qW)``.
        pool_stride: samples from one window to the next; as ``pool_size`` where it is ``None``.

    Returns:
        ``(N, C_out, H_out, W_out)`` or ``(C_out, H_out, W_out)``, with
        ``H_out = (H_conv − qH) // tH + 1`` for a window ``qH`` and its stride ``tH``.

    Raises:
        ArgumentError: shapes, dtypes, devices or sizes that do not fit together.

    Source:
        LeCun, Bottou, Bengio, Haffner, *Gradient-based learning applied to document recognition*, 1998,
        section II.

    >>> image = torch.arange(25.0).reshape(1, 1, 5, 5)
    >>> conv_pool2d(image, torch.ones(1, 1, 2, 2), torch.tensor([-30.0]))
    tensor([[[[ 6., 14.],
              [46., 54.]]]])
    """
    options = (stride, padding, dilation, groups, activation, pool, pool_size, pool_stride)
    return _conv_pool("conv_pool2d", 2, input, weight, bias, *options)


def conv_pool3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
    activation: str = "relu",
    pool: str = "max",
    pool_size: Whole = 2,
    pool_stride: Whole | None = None,
) -> Tensor:
    """A convolution's layer and a pooling layer of volumes; see :func:`conv_pool2d`.

    Args:
        input: ``(N, C_in, D, H, W)`` or ``(C_in, D, H, W)``.
        weight: ``(C_out, C_in / groups, kD, kH, kW)``.
        bias: ``(C_out,)``.
        stride, padding, dilation, groups: see :func:`striate.functional.conv3d`.
        activation, pool, pool_size, pool_stride: see :func:`conv_pool2d`.

    Returns:
        ``(N, C_out, D_out, H_out, W_out)`` or without the batch.

    >>> conv_pool3d(torch.ones(1, 3, 3, 3), torch.ones(1, 1, 2, 2, 2), pool="avg").flatten()
    tensor([8.])
    """
    options = (stride, padding, dilation, groups, activation, pool, pool_size, pool_stride)
    return _conv_pool("conv_pool3d", 3, input, weight, bias, *options)


def _conv_pool(
    operator: str,
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Whole,
    padding: Pads,
    dilation: Whole,
    groups: int,
    activation: str,
    pool: str,
    pool_size: Whole,
    pool_stride: Whole | None,
) -> Tensor:
    options = (stride, padding, dilation, groups, activation, pool, pool_size, pool_stride)
    try:
        return _plan((input, weight, bias), operator, rank, *options)(input, weight, bias)  # type: ignore[no-any-return]
    except (*REFUSALS, KeyError):  # the steps' own words have other names
        _check(operator, rank, input, weight, bias, *options)
        raise


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
    activation: str,
    pool: str,
    pool_size: Whole,
    pool_stride: Whole | None,
) -> Plan:
    check_floating(operator, input=input, weight=weight, bias=bias)
    window = (stride, padding, dilation, groups)
    input, weight, bias = autocast(input, weight, bias)
    if not kernel_obstacle(input, weight, bias, *window, activation, pool, pool_size, pool_stride):
        plan = conv_pool_plan(input, weight, bias, padding, activation)
    else:
        plan = _pytorchs_plan(operator, rank, *window, activation, pool, pool_size, pool_stride)
    if torch.is_autocast_enabled("cpu"):
        return lambda x, w, b: plan(*autocast(x, w, b))
    return plan


def _pytorchs_plan(
    operator: str,
    rank: int,
    stride: Whole,
    padding: Pads,
    dilation: Whole,
    groups: int,
    activation: str,
    pool: str,
    pool_size: Whole,
    pool_stride: Whole | None,
) -> Plan:
    convolve, act, pooling = CONVOLUTIONS[rank], ACTIVATIONS[activation], POOLS[pool][rank]
    size = per_dimension(operator, "pool_size", pool_size, rank)
    step = size if pool_stride is None else per_dimension(operator, "pool_stride", pool_stride, rank)
    if pool == "max" and activation == "relu":  # they commute: ReLU on a quarter of the numbers
        return lambda x, w, b: F.relu(
            pooling(convolve(x, w, b, stride, padding, dilation, groups), size, step)
        )
    return lambda x, w, b: pooling(act(convolve(x, w, b, stride, padding, dilation, groups)), size, step)


def _check(
    operator: str,
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Whole,
    padding: Pads,
    dilation: Whole,
    groups: int,
    activation: str,
    pool: str,
    pool_size: Whole,
    pool_stride: Whole | None,
) -> None:
    """Raise the error that says what is wrong with the arguments, if anything is."""
    check_floating(operator, input=input, weight=weight, bias=bias)
    if activation not in list(ACTIVATIONS):
        names = ", ".join(map(repr, ACTIVATIONS))
        raise ArgumentError(f"{operator}: activation came as {activation!r}; wanted one of {names}")
    if pool not in list(POOLS):
        raise ArgumentError(f"{operator}: pool came as {pool!r}; wanted 'max' or 'avg'")
    check_rank(operator, input, rank)
    check_weight(operator, "weight", weight, rank)
    check_groups(operator, "weight", input.shape[-rank - 1], weight.shape, groups)
    check_bias(operator, "bias", bias, weight.shape[:1])
    size = per_dimension(operator, "pool_size", pool_size, rank)
    step = size if pool_stride is None else per_dimension(operator, "pool_stride", pool_stride, rank)
    *_, positions = windows(
        operator, tuple(input.shape[-rank:]), tuple(weight.shape[2:]), stride, padding, dilation
    )
    check_addressable(operator, (*input.shape[: -rank - 1], weight.shape[0], *positions), input.dtype)
    nothing = ((0, 0),) * rank
    try:
        output_sizes(operator, positions, size, step, nothing, (1,) * rank)
    except ArgumentError as error:
        raise ArgumentError(f"{error}, in pooling what the convolution leaves, {positions}") from None
