"""Where PyTorch's convolutions go wrong without a word: what is checked, or padded, before they are asked."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from striate.geometry.arguments import Pads, Whole
from striate.geometry.window import output_size
from striate.ops._checks import LARGEST, Pairs


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


def are_plain(input: Tensor, weight: Tensor, bias: Tensor | None) -> bool:
    """Whether PyTorch's operators themselves refuse what cannot be; where they do not, it is checked first.

    On the meta device they take arguments that cannot be, and beside tensors elsewhere they give
    memory that nobody has written. Of an empty batch, strides overflow without a word. Some add
    a bias of another dtype, where others refuse it.
    """
    if input.is_meta or weight.is_meta or not input.numel():
        return False
    return bias is None or (not bias.is_meta and bias.dtype == weight.dtype)


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
        d = dilation if isinstance(dilation, int) else at(dilation, axis)
        if sizes[axis] <= d * (kernel[axis] - 1) + at(padding, axis):
            return True
    return False


def is_onednns(tensor: Tensor) -> bool:
    """Whether PyTorch may give ``tensor`` to oneDNN, which has no double precision."""
    return tensor.is_cpu and tensor.dtype not in (torch.float64, torch.complex128)


def without_dead_taps(
    input: Tensor, weight: Tensor, stride: tuple[int, ...], pairs: Pairs, dilation: tuple[int, ...]
) -> tuple[tuple[slice, ...], Pairs]:
    """The part of the weight without first and last taps that only ever meet padding, and the padding that is left.

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
    return (slice(None), slice(None), *kept), tuple(left)


def at(value: Any, axis: int) -> Any:
    """What ``value``, a number or some, says of a dimension, which is counted from the last."""
    if not isinstance(value, (tuple, list)):
        return value
    return value[axis] if len(value) > 1 else value[0]
