"""What the poolings have in common: their window arguments, checked, and which of them PyTorch takes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from striate.errors import ArgumentError, ArgumentTypeError
from striate.geometry.arguments import Pads, Whole
from striate.ops._checks import (
    AXES,
    LARGEST,
    Pairs,
    check_addressable,
    check_alike,
    check_rank,
    per_dimension,
    windows,
)


def is_plain(value: Any) -> bool:
    """Whether PyTorch can be asked: no words, no pairs, and no number that overflows its kernels.

    >>> is_plain((1, 2)), is_plain("same"), is_plain(((0, 1), (0, 1))), is_plain(2**40)
    (True, False, False, False)
    """
    if isinstance(value, int):
        return value <= LARGEST
    if isinstance(value, (tuple, list)):
        for part in value:
            if isinstance(part, (tuple, list)) or (isinstance(part, int) and part > LARGEST):
                return False
        return True
    return not isinstance(value, str)


@dataclass(frozen=True)
class Windows:
    """Where the windows of a pooling lie, each attribute for every spatial dimension."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: Pairs
    dilation: tuple[int, ...]
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
    sizes = input.shape[-rank:]
    kernel = per_dimension(operator, "kernel_size", kernel_size, rank)
    if stride is None or (isinstance(stride, Sequence) and not stride):
        stride = kernel
    if not isinstance(padding, str) and is_plain(padding):
        _check_half(operator, kernel, per_dimension(operator, "padding", padding, rank, least=0))  # type: ignore[arg-type]
    strides, pairs, dilations, output = windows(operator, sizes, kernel, stride, padding, dilation, ceil_mode)
    check_addressable(operator, (*input.shape[:-rank], *output), input.dtype)
    return Windows(kernel, strides, pairs, dilations, output)


def _check_half(operator: str, kernel: tuple[int, ...], padding: tuple[int, ...]) -> None:
    """Equal padding reaches half a kernel at most, as in PyTorch; pairs say that more is meant."""
    for axis, k, p in zip(AXES[len(kernel)], kernel, padding, strict=True):
        if p > k // 2:
            pairs = tuple((q, q) for q in padding)
            raise ArgumentError(
                f"{operator}: {axis}: padding came as {p} for a kernel of {k}; wanted at most half of the kernel, "
                f"{k} // 2 = {k // 2}, as in PyTorch; if more is meant, write pairs: padding={pairs}"
            )


def check_adaptive(
    operator: str, input: Tensor, rank: int, output_size: int | Sequence[int | None] | None
) -> None:
    """What PyTorch's adaptive poolings refuse, in words."""
    check_input(operator, input, rank)
    each = tuple(output_size) if isinstance(output_size, tuple | list) else (output_size,) * rank
    if len(each) not in (1, rank):
        raise ArgumentError(
            f"{operator}: output_size came as {output_size!r}; wanted a whole number or {rank} of them"
        )
    sizes = input.shape[-rank:]
    bins: list[Any] = [
        size if n is None else n
        for size, n in zip(sizes, each if len(each) == rank else each * rank, strict=True)
    ]
    for n in bins:
        if not isinstance(n, int | torch.SymInt) or isinstance(n, bool):
            raise ArgumentTypeError(f"{operator}: output_size came as {output_size!r}; wanted whole numbers")
        if n < 0:
            raise ArgumentError(f"{operator}: output_size came as {output_size!r}; wanted numbers from 0")
    check_addressable(operator, (*(max(n, 1) for n in input.shape[:-rank]), *bins), input.dtype)


def check_computes(operator: str, input: Tensor, error: Exception) -> None:
    """Turn PyTorch's word that it has no kernel for a dtype into an error that names the argument."""
    if isinstance(error, NotImplementedError):
        raise ArgumentError(
            f"{operator}: input came as {input.dtype}, which PyTorch cannot pool on {input.device}; "
            f"wanted floating point: input.float()"
        ) from error


def like(result: Tensor, model: Tensor) -> Tensor:
    """``result`` with the strides of ``model``, which has its shape."""
    return result if result.stride() == model.stride() else torch.empty_like(model).copy_(result)


def memory_format(input: Tensor) -> torch.memory_format:
    """The layout that a result like ``input`` has: channels-last if only that fits its strides.

    >>> memory_format(torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last))
    torch.channels_last
    """
    if not input.is_contiguous() or input.numel() == 0:  # an empty tensor is contiguous anyhow
        if input.dim() == 4 and input.is_contiguous(memory_format=torch.channels_last):
            return torch.channels_last
        if input.dim() == 5 and input.is_contiguous(memory_format=torch.channels_last_3d):
            return torch.channels_last_3d
    return torch.contiguous_format
