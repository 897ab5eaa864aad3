"""How a tensor's numbers lie in memory: (N, C, …) in order, or with the channels side by side."""

from __future__ import annotations

import torch
from torch import Tensor

LAST = {4: torch.channels_last, 5: torch.channels_last_3d}


def is_channels_last(tensor: Tensor) -> bool:
    """Whether only a channels-last layout fits the strides of ``tensor``."""
    form = LAST.get(tensor.dim())
    return form is not None and not tensor.is_contiguous() and tensor.is_contiguous(memory_format=form)


def stays_channels_last(picture: Tensor) -> bool:
    """Whether PyTorch would go on with channels last after this tensor of four dimensions.

    One channel lies in both ways; its stride decides then.
    """
    return picture.is_contiguous(memory_format=torch.channels_last) and picture.stride(1) <= picture.stride(3)


def memory_format(input: Tensor) -> torch.memory_format:
    """The layout that a result like ``input`` has: channels-last if only that fits its strides.

    >>> memory_format(torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last))
    torch.channels_last
    """
    if not input.is_contiguous() or input.numel() == 0:  # an empty tensor is contiguous anyhow
        form = LAST.get(input.dim())
        if form is not None and input.is_contiguous(memory_format=form):
            return form
    return torch.contiguous_format


def suggests_channels_last(picture: Tensor) -> bool:
    """Whether PyTorch's convolutions go on with channels last after this tensor of four dimensions.

    As its ``suggest_memory_format``, which looks at strides of single samples too, and at slices of
    channels that lie side by side.
    """
    sizes, strides = picture.shape, picture.stride()
    least = 0
    for axis in (1, 3, 2, 0):
        if strides[axis] < least or (axis == 0 and least == strides[1]):
            return False
        least = strides[axis] * sizes[axis]
    return True


def in_order(tensor: Tensor) -> Tensor:
    """``tensor`` as it lies if it is contiguous or has its channels last, else a contiguous copy."""
    return tensor if tensor.is_contiguous(memory_format=memory_format(tensor)) else tensor.contiguous()


def is_dense(tensor: Tensor) -> bool:
    """Whether ``tensor`` is contiguous or has its channels last."""
    return tensor.is_contiguous() or is_channels_last(tensor)


def dense(tensor: Tensor, like: Tensor | None = None) -> Tensor:
    """``tensor`` without gaps: as it is, or copied in the order that PyTorch would go on with.

    A slice of channels that lie side by side stays so, which is the cheaper copy. A gradient whose strides
    say nothing, because it is expanded, takes the order of ``like``.
    """
    if is_dense(tensor):
        return tensor
    if tensor.dim() == 4 and suggests_channels_last(tensor if like is None or tensor.stride(-1) else like):
        return tensor.contiguous(memory_format=torch.channels_last)
    return tensor.contiguous()


def becomes_channels_last(tensor: Tensor) -> bool:
    """Whether :func:`dense` gives ``tensor`` with its channels last.

    >>> becomes_channels_last(torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last)[:, :, 1:])
    True
    """
    return is_channels_last(tensor) or (
        tensor.dim() == 4 and not tensor.is_contiguous() and suggests_channels_last(tensor)
    )
