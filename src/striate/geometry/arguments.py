"""Arguments of the geometry functions, as whole numbers for every dimension."""

from __future__ import annotations

from collections.abc import Sequence

from striate.errors import ArgumentError, ArgumentTypeError
from striate.geometry.window import same_padding

Whole = int | Sequence[int]  # of every dimension, or of each
Pads = int | str | Sequence[int | Sequence[int]]  # the same, "same", "valid", or (before, after) pairs
Shape = tuple[int, ...]


def whole(name: str, value: Whole, rank: int, least: int = 1) -> Shape:
    """``value`` as ``rank`` whole numbers of at least ``least``.

    >>> whole("stride", 2, 2), whole("kernel", (5, 3), 2)
    ((2, 2), (5, 3))
    """
    numbers = (value,) * rank if not isinstance(value, Sequence) else tuple(value)
    if len(numbers) == 1:
        numbers *= rank
    if isinstance(value, str) or any(isinstance(n, float | bool | str) for n in numbers):
        raise ArgumentTypeError(f"{name} came as {value!r}; wanted whole numbers")
    if len(numbers) != rank:
        raise ArgumentError(f"{name} came with {len(numbers)} numbers, {value!r}; wanted one or {rank}")
    for number in numbers:
        if number < least:
            raise ArgumentError(f"{name} came as {value!r}; wanted at least {least}")
    return numbers


def pads(
    padding: Pads, size: Shape, kernel: Shape, stride: Shape, dilation: Shape
) -> tuple[tuple[int, int], ...]:
    """``padding`` as one ``(before, after)`` for each dimension.

    >>> pads("same", (7, 8), (3, 3), (2, 2), (1, 1)), pads((0, (1, 2)), (7, 8), (3, 3), (1, 1), (1, 1))
    (((1, 1), (0, 1)), ((0, 0), (1, 2)))
    """
    rank = len(size)
    if isinstance(padding, str):
        if padding not in ("same", "valid"):
            raise ArgumentError(f'padding came as {padding!r}; wanted "same", "valid" or whole numbers')
        if padding == "valid":
            return ((0, 0),) * rank
        return tuple(map(same_padding, size, kernel, stride, dilation))
    each: tuple[Whole, ...] = (padding,) * rank if isinstance(padding, int) else tuple(padding)
    if len(each) == 1:
        each *= rank
    if len(each) != rank:
        raise ArgumentError(f"padding came with {len(each)} entries, {padding!r}; wanted one or {rank}")
    ends = []
    for pad in each:
        before, after = whole("padding", pad, 2, least=0)
        ends.append((before, after))
    return tuple(ends)


def channels_and_size(shape: Sequence[int]) -> tuple[int, Shape]:
    """``(C, *size)`` of one picture, taken apart.

    >>> channels_and_size((3, 28, 32))
    (3, (28, 32))
    """
    if len(shape) < 2:
        raise ArgumentError(f"a picture came as {tuple(shape)}; wanted channels and sizes: (C, H, W)")
    channels, *size = whole("the picture", shape, len(shape))
    return channels, tuple(size)


def check_groups(in_channels: int, out_channels: int, groups: int) -> None:
    """Do the groups divide the channels on both sides?"""
    for name, channels in (("input", in_channels), ("output", out_channels)):
        if groups < 1 or channels % groups:
            raise ArgumentError(
                f"groups={groups} does not divide {channels} {name} channels;"
                f" wanted one of {', '.join(map(str, divisors(in_channels, out_channels)))}"
            )


def divisors(*numbers: int) -> list[int]:
    """What divides all of ``numbers``.

    >>> divisors(12, 18)
    [1, 2, 3, 6]
    """
    least = min(numbers)
    return [d for d in range(1, least + 1) if not any(n % d for n in numbers)] if least <= 100_000 else [1]
