"""Convolution in one, two and three dimensions: PyTorch's own, then paddings that it does not take."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.errors import ArgumentError
from striate.geometry.arguments import Pads, Whole
from striate.ops._checks import (
    AXES,
    LARGEST,
    ONES,
    REFUSALS,
    Pairs,
    check_addressable,
    check_alike,
    check_bias,
    check_groups,
    check_not_empty,
    check_rank,
    check_weight,
    padding_pairs,
    per_dimension,
    windows,
)
from striate.ops._plan import Plan, planned
from striate.ops.conv.depthwise import depthwise_obstacle, depthwise_plan
from striate.ops.conv.faults import are_plain, is_ordinary, overhangs, without_dead_taps
from striate.ops.conv.few_channels import few_channels_obstacle, few_channels_plan, stays_inside
from striate.ops.conv.pointwise import is_pointwise, pointwise_conv

PYTORCHS: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> Tensor:
    """Convolution along one dimension; see :func:`conv2d`.

    Args:
        input: ``(N, C_in, L)`` or ``(C_in, L)``.
        weight: ``(C_out, C_in / groups, k)``.
        bias: ``(C_out,)``.
        stride, padding, dilation, groups, padding_mode: see :func:`conv2d`; one pair of paddings is
            written ``((before, after),)``.

    Returns:
        ``(N, C_out, L_out)`` or ``(C_out, L_out)``.

    >>> signal = torch.tensor([[2.0, 3.0, 0.0, -1.0]])
    >>> conv1d(signal, torch.tensor([[[-1.0, 2.0, 1.0]]]), padding=2)  # the lecture's, its kernel turned round
    tensor([[ 2.,  7.,  4., -4., -2.,  1.]])
    """
    return _conv("conv1d", 1, input, weight, bias, stride, padding, dilation, groups, padding_mode)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> Tensor:
    """Convolution: one kernel for each output channel, moved over the input.

    ``y[n, o, p] = bias[o] + Σ_c Σ_k weight[o, c, k] · x[n, c, p · stride + k · dilation]``

    with positions ``p`` and taps ``k`` in both dimensions, ``c`` over the input channels of the
    group of ``o``, and ``x`` padded. The kernel is not turned round, as everywhere in deep
    learning: in signal processing this is cross-correlation.

    What :func:`torch.nn.functional.conv2d` takes gives the same numbers. Beyond that,
    ``padding="same"`` goes with any stride, padding may differ between the ends, and
    ``padding_mode`` says what lies beyond the border.

    Args:
        input: ``(N, C_in, H, W)`` or ``(C_in, H, W)``.
        weight: ``(C_out, C_in / groups, kH, kW)``.
        bias: ``(C_out,)``.
        stride: samples from one window to the next; one number or ``(sH, sW)``.
        padding: samples added around the input: one number, ``(pH, pW)``, a ``(before, after)`` pair for
            each dimension, ``"valid"`` (none) or ``"same"`` (⌈H / sH⌉ × ⌈W / sW⌉ positions; an odd
            sample goes to the end).
        dilation: samples from one tap to the next; one number or ``(dH, dW)``.
        groups: blocks of channels that do not see each other; divides ``C_in`` and ``C_out``.
            ``groups = C_in`` is depthwise.
        padding_mode: the added samples: ``"zeros"``, ``"reflect"`` (mirrored without the edge),
            ``"replicate"`` (the edge again) or ``"circular"`` (from the other end).

    Returns:
        ``(N, C_out, H_out, W_out)`` or ``(C_out, H_out, W_out)``, with
        ``H_out = (H + p_before + p_after − dH(kH − 1) − 1) // sH + 1``.

    Raises:
        ArgumentError: shapes, dtypes, devices or sizes that do not fit together.

    Source:
        LeCun, Bottou, Bengio, Haffner, *Gradient-based learning applied to document recognition*, 1998,
        section II; dilation: Yu and Koltun, arXiv 1511.07122; groups: Krizhevsky, Sutskever, Hinton,
        *ImageNet classification with deep convolutional neural networks*, 2012, section 3.

    >>> image = torch.arange(9.0).reshape(1, 1, 3, 3)
    >>> conv2d(image, torch.ones(1, 1, 2, 2), stride=2, padding="same")  # torch refuses
    tensor([[[[ 8.,  7.],
              [13.,  8.]]]])
    >>> conv2d(image, torch.ones(1, 1, 1, 2), padding=((0, 0), (1, 0)), padding_mode="circular")
    tensor([[[[ 2.,  1.,  3.],
              [ 8.,  7.,  9.],
              [14., 13., 15.]]]])
    """
    return _conv("conv2d", 2, input, weight, bias, stride, padding, dilation, groups, padding_mode)


def conv3d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
    padding_mode: str = "zeros",
) -> Tensor:
    """Convolution of volumes; see :func:`conv2d`.

    Args:
        input: ``(N, C_in, D, H, W)`` or ``(C_in, D, H, W)``.
        weight: ``(C_out, C_in / groups, kD, kH, kW)``.
        bias: ``(C_out,)``.
        stride, padding, dilation, groups, padding_mode: see :func:`conv2d`.

    Returns:
        ``(N, C_out, D_out, H_out, W_out)`` or without the batch.

    >>> conv3d(torch.ones(1, 2, 2, 2), torch.ones(4, 1, 2, 2, 2)).flatten()
    tensor([8., 8., 8., 8.])
    """
    return _conv("conv3d", 3, input, weight, bias, stride, padding, dilation, groups, padding_mode)


def _conv(
    operator: str,
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Whole,
    padding: Pads,
    dilation: Whole,
    groups: int,
    padding_mode: str,
) -> Tensor:
    try:
        tensors = (input, weight, bias)
        plan = _plan(tensors, operator, rank, stride, padding, dilation, groups, padding_mode)
        return plan(input, weight, bias)  # type: ignore[no-any-return]
    except REFUSALS as error:
        _check(operator, rank, input, weight, bias, stride, padding, dilation, groups, padding_mode)
        if isinstance(error, NotImplementedError):
            raise ArgumentError(
                f"{operator}: input came as {input.dtype}, which PyTorch cannot convolve on {input.device}; "
                f"wanted floating point: input.float()"
            ) from error
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
    padding_mode: str,
) -> Plan:
    if padding_mode == "zeros":
        if groups != 1 and not depthwise_obstacle(rank, input, weight, bias, groups):
            sizes, kernel = tuple(input.shape[2:]), tuple(weight.shape[2:])
            strides, pairs, dilations, _ = windows(operator, sizes, kernel, stride, padding, dilation)
            return depthwise_plan(input, weight, bias, strides, pairs, dilations)
        if not few_channels_obstacle(rank, input, weight, bias, stride, groups):
            sizes, kernel = tuple(input.shape[2:]), tuple(weight.shape[2:])
            strides, pairs, dilations, _ = windows(operator, sizes, kernel, stride, padding, dilation)
            if stays_inside(sizes, kernel, pairs, dilations):
                return few_channels_plan(input, weight, bias, strides, pairs, dilations, groups)
        if is_pointwise(input, weight, bias, stride, padding, groups):
            return pointwise_conv
    return _pytorchs_plan(
        operator, rank, input, weight, bias, stride, padding, dilation, groups, padding_mode
    )


def _pytorchs_plan(
    operator: str,
    rank: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Whole,
    padding: Pads,
    dilation: Whole,
    groups: int,
    padding_mode: str,
) -> Plan:
    """By PyTorch, of an input that is padded beforehand where PyTorch does not take the padding."""
    pytorchs: Any = PYTORCHS[rank]
    if padding == "same" and isinstance(padding, str) and padding_mode == "zeros":
        padding = _centred(weight, stride, dilation)
    if (
        padding_mode == "zeros"
        and (padding == "valid" or (padding != "same" and is_ordinary(padding)))
        and is_ordinary(stride)
        and is_ordinary(dilation)
        and are_plain(input, weight, bias)
        and not overhangs(input, weight, padding, dilation)
    ):
        return lambda x, w, b: pytorchs(x, w, b, stride, padding, dilation, groups)
    if not are_plain(input, weight, bias):
        _check(operator, rank, input, weight, bias, stride, padding, dilation, groups, padding_mode)
    strides = per_dimension(operator, "stride", stride, rank)
    dilations = per_dimension(operator, "dilation", dilation, rank)
    pairs = padding_pairs(operator, padding, input.shape[-rank:], weight.shape[2:], strides, dilations)
    if padding_mode not in PADDING_MODES or max(map(max, pairs)) > LARGEST:
        _check(operator, rank, input, weight, bias, stride, padding, dilation, groups, padding_mode)
    shared, taps = (0,) * rank, None
    if padding_mode == "zeros":
        # What both ends have is cheaper inside the convolution: nothing is copied for it.
        both = tuple([min(pair) for pair in pairs])
        if overhangs(input, weight, both, dilations):
            taps, pairs = without_dead_taps(input, weight, strides, pairs, dilations)
        else:
            shared = both
            pairs = tuple([(pair[0] - p, pair[1] - p) for pair, p in zip(pairs, both, strict=True)])

    def compute(x: Tensor, w: Tensor, b: Tensor | None) -> Any:
        kept = w if taps is None else w[taps]
        return pytorchs(_pad(x, pairs, padding_mode), kept, b, strides, shared, dilations, groups)

    return compute


def _centred(weight: Tensor, stride: Whole, dilation: Whole) -> str | int | tuple[int, ...]:
    """``"same"`` in numbers, where that is plain to see: no stride, no dilation and kernels with a centre."""
    if stride not in ONES or dilation not in ONES:
        return "same"
    kernel = weight.shape[2:]
    for k in kernel:
        if k % 2 == 0:
            return "same"
    return tuple([k // 2 for k in kernel]) if max(kernel, default=1) > 1 else 0


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
    padding_mode: str,
) -> None:
    """Raise the error that says what is wrong with the arguments, if anything is."""
    check_alike(operator, input=input, weight=weight, bias=bias)
    check_rank(operator, input, rank)
    check_weight(operator, "weight", weight, rank)
    check_groups(operator, "weight", input.shape[-rank - 1], weight.shape, groups)
    check_bias(operator, "bias", bias, weight.shape[:1])
    check_not_empty(operator, input, rank, weight.shape[:1])
    if padding_mode not in PADDING_MODES:
        raise ArgumentError(
            f"{operator}: padding_mode came as {padding_mode!r}; wanted one of {', '.join(PADDING_MODES)}"
        )
    sizes = tuple(input.shape[-rank:])
    kernel = tuple(weight.shape[2:])
    _, pairs, dilations, output = windows(operator, sizes, kernel, stride, padding, dilation)
    if any(number > LARGEST for pair in pairs for number in pair):
        raise ArgumentError(
            f"{operator}: padding={padding!r} comes to {pairs} with dilation={dilations}; wanted at most {LARGEST}"
        )
    _check_mode(operator, padding_mode, sizes, pairs)
    check_addressable(operator, (*input.shape[: -rank - 1], weight.shape[0], *output), input.dtype)


def _check_mode(operator: str, padding_mode: str, sizes: tuple[int, ...], pairs: Pairs) -> None:
    """A reflection or a turn round the circle reaches as far as there are samples."""
    if padding_mode not in ("reflect", "circular"):
        return
    for axis, size, pair in zip(AXES[len(sizes)], sizes, pairs, strict=True):
        most = size - 1 if padding_mode == "reflect" else size
        if max(pair) > most:
            raise ArgumentError(
                f"{operator}: {axis}: {padding_mode} padding of {pair} was asked of {size} samples; wanted at most "
                f"{most} at either end" + (", n − 1, as the edge is not mirrored" if most < size else "")
            )


def _pad(input: Tensor, pairs: Pairs, padding_mode: str) -> Tensor:
    """``input`` with samples added at the ends of every dimension, in the layout that it came in."""
    if _is_nothing(pairs):
        return input
    mode = "constant" if padding_mode == "zeros" else padding_mode
    padded = F.pad(input, [end for pair in reversed(pairs) for end in pair], mode)
    if mode == "circular" and not input.is_contiguous():  # the one mode that forgets the layout
        last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(input.dim())
        if last is not None and input.is_contiguous(memory_format=last):
            return padded.contiguous(memory_format=last)
    return padded


def _is_nothing(pairs: Pairs) -> bool:
    """Whether there is nothing to add. In a graph for any size it may depend on it: then something is."""
    if torch.compiler.is_compiling():
        from torch.fx.experimental.symbolic_shapes import statically_known_true

        return all(statically_known_true(end == 0) for pair in pairs for end in pair)
    return not any(before or after for before, after in pairs)
