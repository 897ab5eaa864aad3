"""Results of operators whose sizes need no meta kernel: PyTorch's are written in Python and take ten times as long."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

aten = torch.ops.aten
ASKS = {Tensor.item, Tensor.tolist, Tensor.__int__, Tensor.__float__, Tensor.__index__}

KEEPS_SHAPE = {
    aten.relu.default,
    aten.gelu.default,
    aten.silu.default,
    aten.sigmoid.default,
    aten.tanh.default,
    aten.hardswish.default,
    aten.hardsigmoid.default,
    aten.leaky_relu.default,
    aten.elu.default,
    aten.dropout.default,
}


def known_result(func: Any, args: Sequence[Any]) -> Tensor | None:
    """What ``func`` gives on the meta device; ``None``: ask its kernel, which may refuse."""
    if func in KEEPS_SHAPE or (func is aten.batch_norm.default and _fits(*args[:6])):
        return empty(args[0])
    return None


def empty(like: Tensor) -> Tensor:
    """A meta tensor of the same sizes and, if it lies densely, the same strides."""
    channels_last = {4: torch.channels_last, 5: torch.channels_last_3d}.get(like.dim())
    if like.is_contiguous() or (
        channels_last is not None and like.is_contiguous(memory_format=channels_last)
    ):
        return torch.empty_strided(like.shape, like.stride(), dtype=like.dtype, device="meta")
    return torch.empty(like.shape, dtype=like.dtype, device="meta")


def _fits(x: Tensor, weight: object, bias: object, mean: Tensor | None, var: object, training: bool) -> bool:
    """Whether batch normalisation with kept statistics takes ``x``."""
    return mean is not None and not training and x.dim() > 1 and x.shape[1] == mean.shape[0]


class Answers(TorchFunctionMode):
    """Tells the values that are known, where PyTorch would refuse because a tensor has none."""

    def __init__(self, value: Callable[[Tensor], Tensor | None]) -> None:
        """
        Args:
            value: gives a tensor with the values of a meta tensor, if they are known.
        """
        super().__init__()
        self._value = value

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func in ASKS and args[0].is_meta and (value := self._value(args[0])) is not None:
            return func(value)
        return func(*args, **(kwargs or {}))
