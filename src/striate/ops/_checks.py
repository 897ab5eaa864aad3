"""Argument checks that operators share.

An operator first tries; when PyTorch refuses, it asks these checks for an error that teaches. A
check names the argument, what came, what was wanted, and the formula with the numbers in it.
"""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor

from striate.errors import ArgumentError, ArgumentTypeError
from striate.geometry.arguments import Pads, Whole
from striate.geometry.window import output_size, same_padding

LARGEST = 2**31 - 1  # of a kernel, stride, padding or dilation: sums and products of two fit 64 bits
# What PyTorch and Python raise at arguments that cannot be: an operator that tries first explains these.
REFUSALS = (RuntimeError, ValueError, TypeError, IndexError, OverflowError, AttributeError, ZeroDivisionError)
ONES = (1, (1,), (1, 1), (1, 1, 1))  # how no stride and no dilation are written
SPATIAL_NAMES = {1: "(L)", 2: "(H, W)", 3: "(D, H, W)"}
AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def per_dimension(operator: str, name: str, value: Whole, rank: int, least: int = 1) -> tuple[int, ...]:
    """``value`` as one whole number for each spatial dimension, each from ``least`` to 2³¹ − 1.

    >>> per_dimension("conv2d", "stride", 2, 2)
    (2, 2)
    """
    if _fits(value, least):  # the common forms first: this runs at every call
        return (value,) * rank  # type: ignore[return-value]
    if isinstance(value, tuple) and len(value) == rank:
        for number in value:
            if not _fits(number, least):
                break
        else:
            return value
    if _is_whole(value):
        numbers: tuple[int, ...] = (value,) * rank  # type: ignore[assignment]
    elif isinstance(value, Sequence) and not isinstance(value, str):
        numbers = tuple(value) * rank if len(value) == 1 else tuple(value)
    else:
        raise ArgumentTypeError(
            f"{operator}: {name} came as {value!r}; wanted a whole number or {rank} of them"
        )
    if len(numbers) != rank:
        raise ArgumentError(
            f"{operator}: {name} came with {len(numbers)} numbers, {value!r}; wanted one or {rank}, {SPATIAL_NAMES[rank]}"
        )
    for number in numbers:
        if not _is_whole(number):
            raise ArgumentTypeError(f"{operator}: {name} came as {value!r}; wanted whole numbers")
        if number < least or number > LARGEST:
            raise ArgumentError(
                f"{operator}: {name} came as {value!r}; wanted numbers from {least} to {LARGEST}"
            )
    # NumPy's numbers would overflow in silence.
    return tuple(n if isinstance(n, int | torch.SymInt) else int(n) for n in numbers)


Pairs = tuple[tuple[int, int], ...]


def padding_numbers(operator: str, padding: int | Sequence[int | Sequence[int]], rank: int) -> Pairs:
    """``padding``, a number, one for each dimension or pairs, as ``(before, after)`` for each dimension.

    >>> padding_numbers("conv2d", (1, (0, 2)), 2)
    ((1, 1), (0, 2))
    """
    parts = padding if isinstance(padding, (tuple, list)) else ()
    for part in parts:
        if isinstance(part, (tuple, list)):
            break
    else:  # whole numbers, or what cannot be
        return tuple([(p, p) for p in per_dimension(operator, "padding", padding, rank, least=0)])  # type: ignore[arg-type]
    parts = parts * rank if len(parts) == 1 else parts
    if len(parts) != rank:
        raise _not_pairs(operator, padding, rank)
    pairs = []
    for part in parts:
        if isinstance(part, (tuple, list)) and len(part) != 2:
            raise _not_pairs(operator, padding, rank)
        pairs.append(per_dimension(operator, "padding", part, 2, least=0))
    return tuple(pairs)  # type: ignore[arg-type]


def padding_pairs(
    operator: str,
    padding: Pads,
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
) -> Pairs:
    """Any ``padding`` as ``(before, after)`` for each dimension: ``"valid"``, ``"same"`` (⌈n / s⌉
    positions), or what :func:`padding_numbers` takes.

    >>> padding_pairs("conv2d", "same", (8, 8), (3, 3), (1, 2), (1, 1))
    ((1, 1), (0, 1))
    """
    if not isinstance(padding, str):
        return padding_numbers(operator, padding, len(kernel))
    if padding == "valid":
        return ((0, 0),) * len(kernel)
    if padding == "same":
        return tuple(map(same_padding, sizes, kernel, stride, dilation))
    raise _no_such_padding(operator, padding)


def settled_padding(operator: str, padding: Pads, rank: int) -> str | tuple[int, ...] | Pairs:
    """``padding`` in its simplest form: ``"same"``, ``"valid"``, a number for each dimension, or pairs.

    >>> settled_padding("conv2d", 1, 2), settled_padding("conv2d", ((2, 2), (0, 1)), 2)
    ((1, 1), ((2, 2), (0, 1)))
    """
    if _fits(padding, 0):  # the common form first
        return (padding,) * rank  # type: ignore[return-value]
    if isinstance(padding, str):
        if padding in ("same", "valid"):
            return padding
        raise _no_such_padding(operator, padding)
    pairs = padding_numbers(operator, padding, rank)
    if all(before == after for before, after in pairs):
        return tuple(before for before, _ in pairs)
    return pairs


def output_sizes(
    operator: str,
    sizes: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[tuple[int, int]],
    dilation: Sequence[int],
    ceil_mode: bool = False,
) -> tuple[int, ...]:
    """Positions of a window in every spatial dimension; an error says the operator and the dimension.

    >>> output_sizes("conv2d", (32, 32), (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1))
    (28, 28)
    """
    positions = []
    for axis, n, k, s, pair, d in zip(
        AXES[len(kernel)], sizes, kernel, stride, padding, dilation, strict=True
    ):
        try:
            positions.append(output_size(n, k, s, pair, d, ceil_mode))
        except ArgumentError as error:
            raise ArgumentError(f"{operator}: {axis}: {error}") from None
    return tuple(positions)


def windows(
    operator: str,
    sizes: tuple[int, ...],
    kernel: tuple[int, ...],
    stride: Whole,
    padding: Pads,
    dilation: Whole,
    ceil_mode: bool = False,
) -> tuple[tuple[int, ...], Pairs, tuple[int, ...], tuple[int, ...]]:
    """Stride, padding, dilation and the output's size, each for every dimension, all checked.

    >>> windows("conv2d", (7, 8), (3, 3), 2, "same", 1)
    ((2, 2), ((1, 1), (0, 1)), (1, 1), (4, 4))
    """
    rank = len(kernel)
    kernels = per_dimension(operator, "the kernel", kernel, rank)
    strides = per_dimension(operator, "stride", stride, rank)
    dilations = per_dimension(operator, "dilation", dilation, rank)
    pairs = padding_pairs(operator, padding, sizes, kernels, strides, dilations)
    output = output_sizes(operator, sizes, kernels, strides, pairs, dilations, ceil_mode)
    return strides, pairs, dilations, output


def check_floating(operator: str, **tensors: Tensor | None) -> None:
    """Every tensor is real floating point, of one dtype (unless autocast casts) and on one device."""
    input = tensors.get("input")
    if isinstance(input, Tensor) and input.is_floating_point() and _are_alike(input, tensors):
        return  # the common case first: this runs at every call
    for name, tensor in tensors.items():
        if isinstance(tensor, Tensor) and not tensor.is_floating_point():
            raise ArgumentError(
                f"{operator}: {name} came as {tensor.dtype}; wanted real floating point: {name}.float()"
            )
    check_alike(operator, **tensors)


def check_alike(operator: str, **tensors: Tensor | None) -> None:
    """Every tensor is one, of one dtype (unless autocast casts) and on one device."""
    input = tensors.get("input")
    if isinstance(input, Tensor) and _are_alike(input, tensors):
        return
    first: tuple[str, Tensor] | None = None
    for name, tensor in tensors.items():
        if tensor is None and name != "input":
            continue
        if not isinstance(tensor, Tensor):
            raise ArgumentTypeError(f"{operator}: {name} came as {type(tensor).__name__}; wanted a tensor")
        if first is None:
            first = (name, tensor)
        elif tensor.dtype != first[1].dtype and not autocasts(tensor):
            raise ArgumentError(
                f"{operator}: {name} came as {tensor.dtype} and {first[0]} as {first[1].dtype}; wanted one dtype"
            )
        elif tensor.device != first[1].device:
            raise ArgumentError(
                f"{operator}: {name} is on {tensor.device} and {first[0]} on {first[1].device}; wanted one device"
            )


def _are_alike(input: Tensor, tensors: dict[str, Tensor | None]) -> bool:
    dtype, device = input.dtype, input.device
    for tensor in tensors.values():
        if tensor is input or tensor is None:
            continue
        if not isinstance(tensor, Tensor) or tensor.dtype != dtype or tensor.device != device:
            return False
    return True


def check_rank(operator: str, input: Tensor, rank: int) -> None:
    """The input has ``rank`` spatial dimensions, a channel dimension and perhaps a batch."""
    if input.dim() not in (rank + 1, rank + 2):
        sizes = SPATIAL_NAMES[rank][1:-1]
        raise ArgumentError(
            f"{operator}: input came with {input.dim()} dimensions, {tuple(input.shape)}; "
            f"wanted {rank + 2}, (N, C, {sizes}), or {rank + 1} without a batch, (C, {sizes})"
        )


def check_weight(
    operator: str, name: str, weight: Tensor, rank: int, channels: str = "C_out, C_in / groups"
) -> None:
    """A convolution's weight has ``rank`` dimensions after those of the channels."""
    if not isinstance(weight, Tensor):
        raise ArgumentTypeError(f"{operator}: {name} came as {type(weight).__name__}; wanted a tensor")
    if weight.dim() != rank + 2:
        raise ArgumentError(
            f"{operator}: {name} came with {weight.dim()} dimensions, {tuple(weight.shape)}; wanted {rank + 2}: "
            f"({channels}, {', '.join('k' + size for size in SPATIAL_NAMES[rank][1:-1].split(', '))})"
        )


def check_bias(operator: str, name: str, bias: Tensor | None, shape: Sequence[int]) -> None:
    """The bias, if there is one, has ``shape``."""
    if bias is not None and tuple(bias.shape) != tuple(shape):
        raise ArgumentError(f"{operator}: {name} came with shape {tuple(bias.shape)}; wanted {tuple(shape)}")


def check_groups(operator: str, weight: str, in_channels: int, shape: Sequence[int], groups: int) -> None:
    """``groups`` divides the channels, and ``shape`` of the weight, ``(C_out, C_in / groups, …)``, fits."""
    if not _is_whole(groups):
        raise ArgumentTypeError(f"{operator}: groups came as {groups!r}; wanted a whole number")
    if groups < 1 or in_channels % groups or shape[0] % groups:
        raise ArgumentError(
            f"{operator}: groups came as {groups}; wanted a number from 1 that divides the {in_channels} "
            f"channels of the input and the {shape[0]} output channels of {weight}"
        )
    if shape[1] * groups != in_channels:
        raise ArgumentError(
            f"{operator}: input came with {in_channels} channels and {weight} with shape {tuple(shape)}; wanted "
            f"C_in / groups = {in_channels} / {groups} = {in_channels // groups} in place of the {shape[1]}, "
            f"or an input with {shape[1]}·{groups} = {shape[1] * groups} channels"
        )


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


def check_addressable(operator: str, shape: Sequence[int], dtype: torch.dtype) -> None:
    """A result of ``shape`` has fewer than 2⁶³ bytes, which is what PyTorch can count."""
    if torch.compiler.is_compiling():
        return  # sizes may be symbols, and a bound on them is no business of the graph
    size = dtype.itemsize
    for samples in shape:
        if samples > 1:  # of an empty batch too: PyTorch multiplies up its strides
            size *= samples
    if size >= 2**63:
        raise ArgumentError(
            f"{operator}: the result would have shape {tuple(shape)} in {dtype}; wanted one below 2⁶³ bytes"
        )


def in_step(operator: str, error: Exception) -> Exception:
    """The error of an operator that is a step of ``operator``, under both names; any other as it is."""
    return type(error)(f"{operator}: its step {error}") if isinstance(error, ArgumentError) else error


def autocasts(tensor: Tensor) -> bool:
    """Whether autocast may change the dtype of what is computed from ``tensor``."""
    kind = tensor.device.type
    return torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)


def _fits(number: object, least: int) -> bool:
    """A whole number of Python's own from ``least`` to 2³¹ − 1."""
    return type(number) is int and least <= number <= LARGEST


def _no_such_padding(operator: str, padding: str) -> ArgumentError:
    return ArgumentError(
        f'{operator}: padding came as {padding!r}; wanted "same", "valid", whole numbers or pairs'
    )


def _not_pairs(operator: str, padding: object, rank: int) -> ArgumentError:
    return ArgumentError(
        f"{operator}: padding came as {padding!r}; wanted {rank} numbers or (before, after) pairs, "
        f"{SPATIAL_NAMES[rank]}"
    )


def _is_whole(number: object) -> bool:
    """A whole number of Python, of NumPy, or a symbol for one while a graph is traced."""
    return isinstance(number, int | torch.SymInt | Integral) and not isinstance(number, bool)
