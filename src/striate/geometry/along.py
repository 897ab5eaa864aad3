"""Which inputs an output reads, along one dimension.

Every class here says it the same way. ``taps(o)`` are the inputs that output ``o`` reads, also
where they lie outside the input, and the pattern repeats: ``taps(o + period) = taps(o) + shift``.
``sources`` is the same for a set of outputs, and stays inside the input.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from math import floor, gcd
from typing import Protocol

from striate.geometry.window import adaptive_windows

Indices = range | tuple[int, ...]  # rising, without repeats; a range wherever the steps are equal


class Along(Protocol):
    """How one dimension of an output reads one dimension of an input."""

    @property
    def period(self) -> int:
        """Outputs after which the pattern repeats."""

    @property
    def shift(self) -> int:
        """Inputs that the pattern has moved by then."""

    def taps(self, output: int) -> Sequence[int]:
        """The inputs of one output."""

    def sources(self, outputs: Indices, size: int) -> Indices:
        """The inputs, of ``size``, that any of ``outputs`` reads."""


def indices(values: Iterable[int]) -> Indices:
    """``values`` sorted, each once.

    >>> indices([4, 2, 0, 2]), indices([5, 0, 1])
    (range(0, 5, 2), (0, 1, 5))
    """
    ordered = sorted(set(values))
    if len(ordered) < 2:
        return range(ordered[0], ordered[0] + 1) if ordered else range(0)
    step = ordered[1] - ordered[0]
    steps = range(ordered[0], ordered[-1] + 1, step)
    return steps if len(steps) == len(ordered) and all(map(steps.__contains__, ordered)) else tuple(ordered)


def union(first: Indices, second: Indices) -> Indices:
    """What is in either.

    >>> union(range(3), range(2, 5)), union(range(2), (7,))
    (range(0, 5), (0, 1, 7))
    """
    if first == second or _within(second, first):
        return first
    return second if _within(first, second) else indices([*first, *second])


def contains(outer: Indices, inner: Indices) -> bool:
    """Whether all of ``inner`` is in ``outer``."""
    return _within(inner, outer) or set(outer).issuperset(inner)


def _within(inner: Indices, outer: Indices) -> bool:
    return isinstance(outer, range) and outer.step == 1 and outer.start <= inner[0] and inner[-1] < outer.stop


@dataclass(frozen=True)
class Window:
    """Taps at ``stride·o − before + dilation·j``; with ``kernel=1`` also a slice, a shift or a flip."""

    kernel: int = 1
    stride: int = 1
    before: int = 0
    dilation: int = 1
    period: int = 1

    @property
    def shift(self) -> int:
        """The stride."""
        return self.stride

    def taps(self, output: int) -> range:
        """See :class:`Along`."""
        first = self.stride * output - self.before
        return range(first, first + self.dilation * (self.kernel - 1) + 1, self.dilation)

    def sources(self, outputs: Indices, size: int) -> Indices:
        """See :class:`Along`."""
        if isinstance(outputs, range) and self.stride > 0:
            step = self.stride * outputs.step
            first, last = self.taps(outputs[0]), self.taps(outputs[-1])
            if len(outputs) == 1:
                return _inside(first, size)
            if self.kernel == 1:
                return _inside(range(first[0], last[0] + 1, step), size)
            if self.dilation == 1 and self.kernel >= step:
                return _inside(range(first[0], last[-1] + 1), size)
        return _read(self, outputs, size)


@dataclass(frozen=True)
class Transposed:
    """The transpose of a window: output ``o`` reads every ``i`` with ``stride·i − before + dilation·j = o``."""

    kernel: int
    stride: int = 1
    before: int = 0
    dilation: int = 1
    shift: int = 1

    @property
    def period(self) -> int:
        """The stride."""
        return self.stride

    def taps(self, output: int) -> list[int]:
        """See :class:`Along`."""
        reach = (output + self.before - self.dilation * j for j in range(self.kernel))
        return [place // self.stride for place in reach if place % self.stride == 0]

    def sources(self, outputs: Indices, size: int) -> Indices:
        """See :class:`Along`."""
        return _read(self, outputs, size)


@dataclass(frozen=True)
class Bins:
    """Adaptive pooling of ``size`` inputs into ``bins`` outputs."""

    size: int
    bins: int

    @property
    def period(self) -> int:
        """Bins until a window starts on a whole sample again."""
        return self.bins // gcd(self.size, self.bins)

    @property
    def shift(self) -> int:
        """Where that sample lies."""
        return self.size // gcd(self.size, self.bins)

    def taps(self, output: int) -> range:
        """See :class:`Along`."""
        rounds, within = divmod(output, self.bins)
        start, stop = _windows(self.size, self.bins)[within]
        return range(start + rounds * self.size, stop + rounds * self.size)

    def sources(self, outputs: Indices, size: int) -> Indices:
        """See :class:`Along`."""
        if isinstance(outputs, range) and outputs.step == 1:
            return range(self.taps(outputs[0])[0], self.taps(outputs[-1])[-1] + 1)
        return _read(self, outputs, size)


@dataclass(frozen=True)
class Resample:
    """Interpolation: output ``o`` lies at ``scale·o + offset`` and reads ``reach`` samples around.

    ``reach`` is 1 for the nearest sample (the floor of the place), 2 for linear and 4 for cubic
    interpolation. Where the place is a whole sample, linear and cubic read that one alone; places
    beyond the ends read the last sample.
    """

    scale: Fraction
    offset: Fraction
    reach: int

    @property
    def period(self) -> int:
        """Outputs until the place moves by whole samples."""
        return self.scale.denominator

    @property
    def shift(self) -> int:
        """Those samples."""
        return self.scale.numerator

    def taps(self, output: int) -> range:
        """See :class:`Along`."""
        place = self.scale * output + self.offset
        low = floor(place)
        if self.reach == 1 or place == low:
            return range(low, low + 1)
        return range(low - self.reach // 2 + 1, low + self.reach // 2 + 1)

    def sources(self, outputs: Indices, size: int) -> Indices:
        """See :class:`Along`."""
        return indices(min(max(tap, 0), size - 1) for o in outputs for tap in self.taps(o))


@dataclass(frozen=True)
class All:
    """Every output reads all ``size`` inputs: a sum, a softmax, a matrix product."""

    size: int
    period: int = 1
    shift: int = 0

    def taps(self, output: int) -> range:
        """See :class:`Along`."""
        return range(self.size)

    def sources(self, outputs: Indices, size: int) -> Indices:
        """See :class:`Along`."""
        return range(size)


@dataclass(frozen=True)
class One:
    """Every output reads input ``index``: a selection, or broadcasting from size 1."""

    index: int = 0
    period: int = 1
    shift: int = 0

    def taps(self, output: int) -> range:
        """See :class:`Along`."""
        return range(self.index, self.index + 1)

    def sources(self, outputs: Indices, size: int) -> Indices:
        """See :class:`Along`."""
        return self.taps(0)


@dataclass(frozen=True)
class Blocks:
    """Channels of a grouped operator: an output reads the inputs of its own group."""

    inputs: int  # in a group
    outputs: int

    @property
    def period(self) -> int:
        """Outputs in a group."""
        return self.outputs

    @property
    def shift(self) -> int:
        """Inputs in a group."""
        return self.inputs

    def taps(self, output: int) -> range:
        """See :class:`Along`."""
        group = output // self.outputs
        return range(group * self.inputs, (group + 1) * self.inputs)

    def sources(self, outputs: Indices, size: int) -> Indices:
        """See :class:`Along`."""
        if isinstance(outputs, range) and (outputs.step == 1 or len(outputs) == 1):
            return range(self.taps(outputs[0])[0], self.taps(outputs[-1])[-1] + 1)
        return _read(self, outputs, size)


@dataclass(frozen=True)
class Listed:
    """Output ``o`` reads input ``targets[o]``: padding by reflection, a roll, a lookup.

    ``inner`` is what holds away from the borders, where there is such a thing.
    """

    targets: tuple[int, ...]
    inner: Window | None = None
    shift: int = 0

    @property
    def period(self) -> int:
        """All of them."""
        return len(self.targets)

    def taps(self, output: int) -> range:
        """See :class:`Along`."""
        return range(self.targets[output], self.targets[output] + 1)

    def sources(self, outputs: Indices, size: int) -> Indices:
        """See :class:`Along`."""
        return indices(self.targets[o] for o in outputs)


SAME = Window()


@lru_cache(maxsize=64)
def _windows(size: int, bins: int) -> list[tuple[int, int]]:
    return adaptive_windows(size, bins)


def _read(along: Along, outputs: Indices, size: int) -> Indices:
    return indices(tap for o in outputs for tap in along.taps(o) if 0 <= tap < size)


def _inside(steps: range, size: int) -> range:
    """The part of rising ``steps`` that lies in ``[0, size)``."""
    start = steps.start if steps.start >= 0 else steps.start % steps.step
    return range(start, max(start, min(steps.stop, size)), steps.step)
