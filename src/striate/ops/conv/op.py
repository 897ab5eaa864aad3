"""Convolution in one, two and three dimensions: PyTorch's own, then paddings that it does not take."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.errors import ArgumentError
from striate.geometry.arguments import Pads, Whole
from striate.geometry.window import extent, output_size
from striate.ops._checks import (
    AXES,
    LARGEST,
    REFUSALS,
    Pairs,
    check_addressable,
    check_alike,
    check_bias,
    check_groups,
    check_rank,
    check_weight,
    padding_pairs,
    per_dimension,
    windows,
)
from striate.ops.conv.depthwise import depthwise_conv, depthwise_obstacle

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
        if (
            groups != 1
            and padding_mode == "zeros"
            and not depthwise_obstacle(rank, input, weight, bias, groups)
        ):
            strides = per_dimension(operator, "stride", stride, rank)
            dilations = per_dimension(operator, "dilation", dilation, rank)
            pairs = padding_pairs(operator, padding, input.shape[2:], weight.shape[2:], strides, dilations)
            return depthwise_conv(input, weight, bias, strides, pairs, dilations)
        if (
            padding_mode == "zeros"
            and (padding == "valid" or (padding != "same" and is_ordinary(padding)))
            and is_ordinary(stride)
            and is_ordinary(dilation)
            and are_plain(input, weight, bias)
            and not overhangs(input, weight, padding, dilation)
        ):
            return PYTORCHS[rank](input, weight, bias, stride, padding, dilation, groups)  # type: ignore[no-any-return]
        if not are_plain(input, weight, bias):
            _check(operator, rank, input, weight, bias, stride, padding, dilation, groups, padding_mode)
        strides = per_dimension(operator, "stride", stride, rank)
        dilations = per_dimension(operator, "dilation", dilation, rank)
        pairs = padding_pairs(operator, padding, input.shape[-rank:], weight.shape[2:], strides, dilations)
        if padding_mode not in PADDING_MODES or any(max(pair) > LARGEST for pair in pairs):
            _check(operator, rank, input, weight, bias, stride, padding, dilation, groups, padding_mode)
        if padding_mode == "zeros":
            # What both ends have is cheaper inside the convolution: nothing is copied for it.
            shared = tuple([min(pair) for pair in pairs])
            if overhangs(input, weight, shared, dilations):
                shared = (0,) * rank
                weight, pairs = _without_dead_taps(input, weight, strides, pairs, dilations)
            else:
                pairs = tuple(
                    [(pair[0] - both, pair[1] - both) for pair, both in zip(pairs, shared, strict=True)]
                )
        else:
            shared = (0,) * rank
        padded = _pad(input, pairs, padding_mode)
        return PYTORCHS[rank](padded, weight, bias, strides, shared, dilations, groups)  # type: ignore[no-any-return]
    except REFUSALS as error:
        _check(operator, rank, input, weight, bias, stride, padding, dilation, groups, padding_mode)
        if isinstance(error, NotImplementedError):
            raise ArgumentError(
                f"{operator}: input came as {input.dtype}, which PyTorch cannot convolve on {input.device}; "
                f"wanted floating point: input.float()"
            ) from error
        raise


def is_ordinary(value: Whole | Pads) -> bool:
    """Whether there are no pairs in ``value``, and no number so large that PyTorch's kernels overflow.

    A dilation of 2⁶² gives wrong numbers there without a word, and so do some larger than 2³¹.
    """
    if not isinstance(value, (tuple, list)):
        return value <= LARGEST  # type: ignore[operator]
    for part in value:  # noqa: SIM110 - a generator would take three times as long at every call
        if isinstance(part, (tuple, list)) or part > LARGEST:
            return False
    return True


def overhangs(input: Tensor, weight: Tensor, padding: Any, dilation: Any) -> bool:
    """Whether a window that starts in the padding of a dimension can reach its other end, in oneDNN's dtypes.

    There oneDNN's weight gradients (PyTorch 2.13; bfloat16 in channels-last, in three dimensions
    float32 too) read and write memory that is not theirs: wrong numbers, NaN, a crash. Padded
    beforehand, the same call is right.
    """
    if padding in (0, "valid") or not is_onednns(input):
        return False
    sizes, kernel = input.shape, weight.shape
    for axis in range(2 - weight.dim(), 0):
        if sizes[axis] < extent(kernel[axis], at(dilation, axis)) + at(padding, axis):
            return True
    return False


def is_onednns(tensor: Tensor) -> bool:
    """Whether PyTorch may give ``tensor`` to oneDNN, which has no double precision."""
    return tensor.is_cpu and tensor.dtype not in (torch.float64, torch.complex128)


def at(value: Any, axis: int) -> Any:
    """What ``value``, a number or some, says of a dimension, which is counted from the last."""
    if not isinstance(value, (tuple, list)):
        return value
    return value[axis] if len(value) > 1 else value[0]


def _without_dead_taps(
    input: Tensor, weight: Tensor, stride: tuple[int, ...], pairs: Pairs, dilation: tuple[int, ...]
) -> tuple[Tensor, Pairs]:
    """The weight without first and last taps that only ever meet padding, and the padding that is left.

    So the padding never grows beyond the output, however large the dilation. It may be negative: that
    much of the input no window meets.
    """
    rank = len(stride)
    kept, left = [], []
    for n, k, s, (before, after), d in zip(
        input.shape[-rank:], weight.shape[2:], stride, pairs, dilation, strict=True
    ):
        last = (output_size(n, k, s, (before, after), d) - 1) * s  # start of the last window
        taps = [tap for tap in range(k) if -last <= tap * d - before < n]
        if taps:
            kept.append(slice(taps[0], taps[-1] + 1))
            left.append((before - taps[0] * d, after - (k - 1 - taps[-1]) * d))
        else:
            kept.append(slice(0, 1))
            left.append((-n, last + 1))
    return weight[(slice(None), slice(None), *kept)], tuple(left)


def are_plain(input: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether PyTorch's operators themselves refuse what cannot be; where they do not, it is checked first.

    On the meta device they take arguments that cannot be, and beside tensors elsewhere they give
    memory that nobody has written. Of an empty batch, strides overflow without a word. Some add
    a bias of another dtype, where others refuse it.
    """
    if input.is_meta or weight.is_meta or not input.numel():
        return False
    return bias is None or (not bias.is_meta and bias.dtype == weight.dtype)


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
    sizes = input.shape[-rank:]
    kernel = tuple(weight.shape[2:])
    _, pairs, dilations, output = windows(operator, sizes, kernel, stride, padding, dilation)
    if any(number > LARGEST for pair in pairs for number in pair):
        raise ArgumentError(
            f"{operator}: padding={padding!r} comes to {pairs} with dilation={dilations}; wanted at most {LARGEST}"
        )
    _check_mode(operator, padding_mode, sizes, pairs)
    check_addressable(operator, (*input.shape[: -rank - 1], weight.shape[0], *output), input.dtype)


def check_not_empty(operator: str, input: Tensor, rank: int, channels: Sequence[int]) -> None:
    """Only the batch may be of no size: neither the picture nor ``channels`` of the weight."""
    if min(input.shape[-rank:]) < 1:
        raise ArgumentError(
            f"{operator}: input came with shape {tuple(input.shape)}; wanted a sample at least along "
            f"{' and '.join(AXES[rank])}"
        )
    if min(channels) < 1:
        raise ArgumentError(
            f"{operator}: weight came with {min(channels)} channels; wanted at least one, in and out"
        )


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
