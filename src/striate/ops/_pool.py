"""What the poolings have in common: their window arguments, checked, and which of them PyTorch takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from striate.errors import ArgumentError, ArgumentTypeError
from striate.geometry.arguments import Pads, Whole
from striate.geometry.window import extent
from striate.ops._checks import (
    AXES,
    LARGEST,
    REFUSALS,
    Pairs,
    check_addressable,
    check_alike,
    check_rank,
    per_dimension,
    windows,
)

Bins = int | Sequence[int | None] | None  # of an adaptive pooling: windows of every dimension, or of each


def is_plain(value: Any) -> bool:
    """Whether PyTorch can be asked: no words, no pairs, and no number that overflows its kernels.

    >>> is_plain((1, 2)), is_plain("same"), is_plain(((0, 1), (0, 1))), is_plain(2**40)
    (True, False, False, False)
    """
    kind = type(value)  # half the time of isinstance, and every call comes here
    if kind is int:
        return value <= LARGEST  # type: ignore[no-any-return]
    if kind is tuple or kind is list:
        for part in value:
            if type(part) is int:
                if part > LARGEST:
                    return False
            elif isinstance(part, tuple | list) or not is_plain(part):
                return False
        return True
    return not (isinstance(value, str) or (isinstance(value, Integral) and int(value) > LARGEST))


class Windows(NamedTuple):
    """Where the windows of a pooling lie, each attribute for every spatial dimension."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]  # 1 where a kernel has one tap
    output: tuple[int, ...]


def check_input(operator: str, input: Tensor, rank: int) -> None:
    """A tensor with channels and ``rank`` spatial dimensions, of which only the batch may be empty."""
    check_alike(operator, input=input)
    check_rank(operator, input, rank)
    if 0 in input.shape[-rank - 1 :]:
        raise ArgumentError(
            f"{operator}: input came with shape {tuple(input.shape)}; wanted one channel at least, and a sample "
            f"along {' and '.join(AXES[rank])}"
        )


def pool_windows(
    operator: str,
    input: Tensor,
    rank: int,
    kernel_size: Whole,
    stride: Whole | None,
    padding: Pads,
    dilation: Whole = 1,
    ceil_mode: bool = False,
) -> Windows:
    """The windows of a pooling, or the error that says what is wrong with its arguments."""
    check_input(operator, input, rank)
    sizes = tuple(input.shape[-rank:])
    found = _pool_windows(operator, sizes, kernel_size, stride, padding, dilation, ceil_mode)
    check_addressable(operator, (*input.shape[:-rank], *found.output), input.dtype)
    return found


def _pool_windows(
    operator: str,
    sizes: tuple[int, ...],
    kernel_size: Whole,
    stride: Whole | None,
    padding: Pads,
    dilation: Whole,
    ceil_mode: bool,
) -> Windows:
    rank = len(sizes)
    kernel = per_dimension(operator, "kernel_size", kernel_size, rank)
    if stride is None or (isinstance(stride, Sequence) and not stride):
        stride = kernel
    if not isinstance(padding, str) and is_plain(padding):
        _check_half(operator, kernel, per_dimension(operator, "padding", padding, rank, least=0))  # type: ignore[arg-type]
    strides, pairs, dilations, output = windows(operator, sizes, kernel, stride, padding, dilation, ceil_mode)
    dilations = tuple([d if k > 1 else 1 for k, d in zip(kernel, dilations, strict=True)])
    return Windows(kernel, strides, pairs, dilations, output)


@dataclass(frozen=True)
class Placement:
    """How an operator of PyTorch's covers some :class:`Windows`, each attribute for every dimension.

    Attributes:
        kernel, dilation: without the first and last taps that no window has in the picture: a kernel may
            be larger than memory.
        inside: padding at both ends that is left to PyTorch's operator, half a kernel at most.
        front, back: samples to add before and behind the picture, or to cut off.
    """

    kernel: tuple[int, ...]
    dilation: tuple[int, ...]
    inside: tuple[int, ...]
    front: tuple[int, ...]
    back: tuple[int, ...]

    def pad(self, input: Tensor, value: float) -> Tensor:
        """``input`` with ``front`` and ``back``."""
        ends = zip(reversed(self.front), reversed(self.back), strict=True)
        margins = [end for pair in ends for end in pair]
        return F.pad(input, margins, value=value) if any(margins) else input


def place(windows: Windows, sizes: Sequence[int], pads_inside: bool = True) -> Placement:
    """Cover ``windows`` over a picture of ``sizes``; positions of PyTorch's beyond the last are to be cropped.

    >>> place(Windows((3,), (1,), ((1, 4),), (1,), (8,)), (5,))
    Placement(kernel=(3,), dilation=(1,), inside=(1,), front=(0,), back=(3,))
    """
    parts = [
        _place(*window, pads_inside=pads_inside)
        for window in zip(
            sizes,
            windows.kernel,
            windows.stride,
            windows.padding,
            windows.dilation,
            windows.output,
            strict=True,
        )
    ]
    return Placement(*zip(*parts, strict=True))


def _place(
    n: int, k: int, s: int, pair: tuple[int, int], d: int, positions: int, *, pads_inside: bool
) -> tuple[int, int, int, int, int]:
    last = (positions - 1) * s  # from the first window to the last
    missed = min(max(-(-(pair[0] - last) // d), 0), pair[0] // d, k - 1)
    before = pair[0] - missed * d
    k = min(k - missed, max((n - 1 + before) // d + 1, 1))
    d = d if k > 1 else 1
    inside = before if pads_inside and before <= k // 2 and d <= n else 0
    beyond = last + extent(k, d) - before - n  # samples behind the picture that the last window reaches
    if beyond < -n:  # it ends before the picture: all of that is cut off, and what is missing of the padding
        return k, d, 0, before + beyond + n, -n
    return k, d, inside, before - inside, max(beyond - inside, 0) if inside else beyond


def counted(windows: Windows, dimension: int, start: int, stop: int, device: torch.device) -> Tensor:
    """How many taps of each window lie in ``[start, stop)`` along one dimension; the picture starts at 0.

    >>> windows = Windows((3,), (2,), ((1, 1),), (1,), (3,))
    >>> counted(windows, 0, 0, 4, torch.device("cpu")), counted(windows, 0, -1, 5, torch.device("cpu"))
    (tensor([2, 3, 1]), tensor([3, 3, 2]))
    """
    k, d = windows.kernel[dimension], windows.dilation[dimension]
    places = torch.arange(windows.output[dimension], device=device)
    first = places * windows.stride[dimension] - windows.padding[dimension][0]
    return ((stop - 1 - first) // d + 1).clamp(0, k) - ((start - first + d - 1) // d).clamp(0, k)


def crop(pooled: Tensor, output: tuple[int, ...]) -> Tensor:
    """The first ``output`` positions, in memory of their own."""
    if tuple(pooled.shape[-len(output) :]) == output:
        return pooled
    for dimension, positions in enumerate(output, pooled.dim() - len(output)):
        pooled = pooled.narrow(dimension, 0, positions)
    return pooled.clone()


def _check_half(operator: str, kernel: tuple[int, ...], padding: tuple[int, ...]) -> None:
    """Equal padding reaches half a kernel at most, as in PyTorch; pairs say that more is meant."""
    for axis, k, p in zip(AXES[len(kernel)], kernel, padding, strict=True):
        if p > k // 2:
            pairs = tuple((q, q) for q in padding)
            raise ArgumentError(
                f"{operator}: {axis}: padding came as {p} for a kernel of {k}; wanted at most half of the kernel, "
                f"{k} // 2 = {k // 2}, as in PyTorch; if more is meant, write pairs: padding={pairs}"
            )


def adaptive(
    operator: str,
    rank: int,
    pytorchs: Any,
    input: Tensor,
    output_size: Bins,
    *more: Any,
) -> Any:
    """PyTorch's adaptive pooling, with errors that name the argument."""
    try:
        if input.is_meta:  # where PyTorch takes arguments that cannot be
            check_adaptive(operator, input, rank, output_size)
        return pytorchs(input, output_size, *more)
    except ArgumentError:
        raise
    except REFUSALS as error:
        check_adaptive(operator, input, rank, output_size)
        check_computes(operator, input, error)
        raise


def check_adaptive(operator: str, input: Tensor, rank: int, output_size: Bins) -> None:
    """What PyTorch's adaptive poolings refuse, in words."""
    check_input(operator, input, rank)
    each = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size,) * rank
    if len(each) not in (1, rank):
        raise ArgumentError(
            f"{operator}: output_size came as {output_size!r}; wanted a whole number or {rank} of them"
        )
    each = each if len(each) == rank else each * rank
    may_keep = rank > 1 and isinstance(output_size, tuple | list)
    bins: list[Any] = [
        size if n is None and may_keep else n for size, n in zip(input.shape[-rank:], each, strict=True)
    ]
    for n in bins:
        if not isinstance(n, int | torch.SymInt) or isinstance(n, bool):
            raise ArgumentTypeError(f"{operator}: output_size came as {output_size!r}; wanted whole numbers")
        if n < 0:
            raise ArgumentError(f"{operator}: output_size came as {output_size!r}; wanted numbers from 0")
    check_addressable(operator, (*(max(n, 1) for n in input.shape[:-rank]), *bins), input.dtype)


def check_computes(operator: str, input: Tensor, error: Exception) -> None:
    """Turn PyTorch's word that it does not compute with a dtype into an error that names the argument."""
    if isinstance(error, NotImplementedError) or not input.is_floating_point():
        raise ArgumentError(
            f"{operator}: input came as {input.dtype}, which PyTorch cannot pool on {input.device}; "
            f"wanted floating point: input.float()"
        ) from error


def like(result: Tensor, model: Tensor) -> Tensor:
    """``result`` with the strides of ``model``, which has its shape."""
    return result if result.stride() == model.stride() else torch.empty_like(model).copy_(result)
