"""Results of operators whose sizes need no meta kernel.

PyTorch's are written in Python: they take ten times as long, and some import its whole compiler first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from striate.errors import ArgumentError
from striate.geometry.window import output_size

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
JOINS = {aten.add.Tensor, aten.sub.Tensor, aten.mul.Tensor}


def known_result(func: Any, args: Sequence[Any]) -> Tensor | None:
    """What ``func`` gives on the meta device; ``None``: ask its kernel, which may refuse."""
    if func in KEEPS_SHAPE or (func is aten.batch_norm.default and _fits(*args[:6])):
        return empty(args[0])
    if func in JOINS and _alike(*args[:2]):
        return empty(args[0])
    if func is aten.linear.default and _takes(*args):
        return torch.empty((*args[0].shape[:-1], args[1].shape[0]), dtype=args[0].dtype, device="meta")
    if func is aten.convolution.default:
        return _convolved(*args)
    if func is aten.max_pool2d.default:
        return _pooled(*args)
    if func is aten.amax.default:
        return _reduced(*args)
    if func is aten.upsample_bilinear2d.vec and args[1] and args[0].dim() == 4 and args[0].numel():
        return _resized(args[0], args[1])
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


def _alike(one: object, other: object) -> bool:
    if not (isinstance(one, Tensor) and isinstance(other, Tensor)):
        return False
    same = one.shape == other.shape and one.stride() == other.stride()
    return same and one.dtype is other.dtype and one.is_floating_point() and one.device == other.device


def _takes(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> bool:
    """Whether a linear layer takes ``x``."""
    fits = x.dim() > 0 and weight.dim() == 2 and x.shape[-1] == weight.shape[1] and x.dtype is weight.dtype
    return fits and (bias is None or (bias.shape == weight.shape[:1] and bias.dtype is x.dtype))


def _convolved(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    _: Sequence[int],
    groups: int,
) -> Tensor | None:
    dims = len(stride)
    fits = not transposed and x.dim() == weight.dim() == dims + 2 == len(padding) + 2 == len(dilation) + 2
    fits = fits and x.shape[1] == weight.shape[1] * groups and weight.shape[0] % groups == 0
    fits = fits and x.dtype is weight.dtype and (bias is None or bias.shape == weight.shape[:1])
    if not fits or not x.numel():
        return None
    lengths = zip(x.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    try:
        size = [output_size(n, k, stride=s, padding=p, dilation=d) for n, k, s, p, d in lengths]
    except ArgumentError:
        return None
    return torch.empty((x.shape[0], weight.shape[0], *size), dtype=x.dtype, device="meta")


def _pooled(
    x: Tensor,
    kernel: Sequence[int],
    stride: Sequence[int] = (),
    padding: Sequence[int] = (0,),
    dilation: Sequence[int] = (1,),
    ceil_mode: bool = False,
) -> Tensor | None:
    kernels, strides, paddings, dilations = (
        tuple(given) * (2 // len(given)) for given in (kernel, stride or kernel, padding, dilation)
    )
    if x.dim() != 4 or not x.numel() or any(2 * p > k for p, k in zip(paddings, kernels, strict=True)):
        return None
    lengths = zip(x.shape[2:], kernels, strides, paddings, dilations, strict=True)
    try:
        size = [output_size(*given, ceil_mode=ceil_mode) for given in lengths]
    except ArgumentError:
        return None
    return _resized(x, size)


def _reduced(x: Tensor, dims: Sequence[int] = (), keep: bool = False) -> Tensor | None:
    if not dims or not x.numel() or not all(-x.dim() <= dim < x.dim() for dim in dims):
        return None
    gone = {dim % x.dim() for dim in dims}
    if len(gone) < len(dims):
        return None
    shape = [1 if dim in gone else size for dim, size in enumerate(x.shape) if keep or dim not in gone]
    return torch.empty(shape, dtype=x.dtype, device="meta")


def _resized(x: Tensor, size: Sequence[int]) -> Tensor:
    last = x.is_contiguous(memory_format=torch.channels_last) and not x.is_contiguous()
    layout = torch.channels_last if last else torch.contiguous_format
    return torch.empty((*x.shape[:2], *size), dtype=x.dtype, device="meta", memory_format=layout)


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
