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


def dense(tensor: Tensor) -> Tensor:
    """``tensor``, without gaps in one of the two orders."""
    return tensor if tensor.is_contiguous() or is_channels_last(tensor) else tensor.contiguous()
