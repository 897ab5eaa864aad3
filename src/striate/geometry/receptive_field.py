"""What a position of a layer sees of the picture: size, stride and centre, exactly.

A :class:`Field` is that along one dimension of a picture without borders. It is exact for
windows, dilation, uneven padding, transposed convolution, adaptive and global pooling and
interpolation, and for unions of them over branches: what is seen may then differ from position to
position, with a period.

>>> PICTURE.window(3).window(3).size  # two convolutions of 3
5
>>> PICTURE.window(3, dilation=2).centre(0), PICTURE.window(3, stride=2, padding=1).stride
(Fraction(2, 1), Fraction(2, 1))
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import gcd, lcm

from striate.errors import ArgumentError
from striate.geometry.along import All, Along, Bins, Transposed, Window
from striate.geometry.window import Padding, ends

Span = tuple[int, int]  # first and last sample, both seen

LONGEST_PERIOD = 10_000


@dataclass(frozen=True)
class Field:
    """What the positions along one dimension see.

    Attributes:
        spans: first and last sample seen by position r, or ``None`` where nothing is.
        advance: position ``r + q·len(spans)`` sees ``spans[r]`` moved by ``q·advance`` samples.
    """

    spans: tuple[Span | None, ...]
    advance: int

    def at(self, position: int) -> Span | None:
        """First and last sample that ``position`` sees, borders of the picture ignored."""
        rounds, phase = divmod(position, len(self.spans))
        span = self.spans[phase]
        return None if span is None else (span[0] + rounds * self.advance, span[1] + rounds * self.advance)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Samples from the first to the last one seen, for each position of a period."""
        return tuple(0 if span is None else span[1] - span[0] + 1 for span in self.spans)

    @property
    def size(self) -> int:
        """The largest of :attr:`sizes`."""
        return max(self.sizes)

    @property
    def stride(self) -> Fraction:
        """Samples of the picture from one position to the next, on average."""
        return Fraction(self.advance, len(self.spans))

    def centre(self, position: int) -> Fraction | None:
        """The middle of what ``position`` sees; sample 0 is at 0."""
        span = self.at(position)
        return None if span is None else Fraction(span[0] + span[1], 2)

    def window(self, kernel: int, stride: int = 1, padding: Padding = 0, dilation: int = 1) -> Field:
        """After a convolution or pooling."""
        return self._surely(Window(kernel, stride, ends(padding)[0], dilation))

    def transposed(self, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Field:
        """After a transposed convolution: a period of ``stride``."""
        return self._surely(Transposed(kernel, stride, padding, dilation))

    def adaptive(self, size: int, bins: int) -> Field:
        """After adaptive pooling of ``size`` positions to ``bins``; global pooling has one bin."""
        return self._surely(Bins(size, bins))

    def everything(self, size: int) -> Field:
        """After a layer whose outputs all depend on all ``size`` positions."""
        return self._surely(All(size))

    def union(self, other: Field) -> Field:
        """After adding or concatenating two branches.

        Raises:
            ArgumentError: they move over the picture at different paces.
        """
        if self == other:
            return self
        together = _union((self, other))
        if together is None:
            raise ArgumentError(
                f"the branches move by {self.stride} and {other.stride} samples from one position to the next"
            )
        return together

    def through(self, along: Along) -> Field | None:
        """After any dependency along the dimension; ``None`` if its period gets out of hand."""
        if len(self.spans) == 1 and along.period == 1:
            taps = along.taps(0)
            first, last = self.at(taps[0]), self.at(taps[-1])
            return Field((_hull((first, last)),), self.advance * along.shift)
        own = len(self.spans)
        rounds = own // gcd(own, along.shift)
        period = along.period * rounds
        if period > LONGEST_PERIOD:
            return None
        spans = tuple(_hull(map(self.at, along.taps(o))) for o in range(period))
        return _shortest(spans, self.advance * along.shift * rounds // own)

    def _surely(self, along: Along) -> Field:
        field = self.through(along)
        if field is None:
            raise ArgumentError(f"what is seen repeats only after more than {LONGEST_PERIOD} positions")
        return field


PICTURE = Field(((0, 0),), 1)


@dataclass(frozen=True)
class View:
    """What the positions along one dimension of a layer see, through all paths.

    Attributes:
        fields: one for each group of paths that move at the same pace. Those that do not move, after
            global pooling, are told on the picture as it is; the others on one without borders.
        positions: their number.
        samples: of the picture.
    """

    fields: tuple[Field, ...]
    positions: int
    samples: int

    def at(self, position: int) -> Span | None:
        """First and last sample that ``position`` sees."""
        span = _hull(field.at(position) for field in self.fields)
        if span is None or not any(field.advance == 0 for field in self.fields):
            return span
        return clipped(span, self.samples)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Samples from the first to the last one seen: one number, or one for each position of a period."""
        (first, *more) = self.fields
        alike = len(first.spans) if not more else self.positions
        spans = [self.at(position) for position in range(min(alike, self.positions))]
        sizes = tuple(0 if span is None else span[1] - span[0] + 1 for span in spans)
        return sizes[:1] if len(set(sizes)) == 1 else sizes

    @property
    def size(self) -> int:
        """The largest of :attr:`sizes`."""
        return max(self.sizes)

    @property
    def stride(self) -> Fraction | None:
        """Samples from one position to the next; ``None`` if there is one position or paths differ."""
        if self.positions == 1 or len(self.fields) > 1:
            return None
        return self.fields[0].stride

    def centre(self, position: int = 0) -> Fraction | None:
        """The middle of what ``position`` sees; sample 0 is at 0."""
        span = self.at(position)
        return None if span is None else Fraction(span[0] + span[1], 2)


def clipped(span: Span, samples: int) -> Span | None:
    """The part of ``span`` that lies on a picture of ``samples``."""
    first, last = max(span[0], 0), min(span[1], samples - 1)
    return (first, last) if first <= last else None


def combine(fields: Iterable[Field]) -> tuple[Field, ...] | None:
    """``fields`` with those of one pace united; ``None`` if a period gets out of hand."""
    by_pace: dict[Fraction, Field] = {}
    for field in fields:
        before = by_pace.setdefault(field.stride, field)
        if before != field:
            together = _union((before, field))
            if together is None:
                return None
            by_pace[field.stride] = together
    return tuple(by_pace.values())


def _union(fields: Sequence[Field]) -> Field | None:
    if len({field.stride for field in fields}) > 1:
        return None
    period = lcm(*(len(field.spans) for field in fields))
    if period > LONGEST_PERIOD:
        return None
    spans = tuple(_hull(field.at(position) for field in fields) for position in range(period))
    first = fields[0]
    return _shortest(spans, first.advance * (period // len(first.spans)))


def _hull(spans: Iterable[Span | None]) -> Span | None:
    seen = [span for span in spans if span is not None]
    if not seen:
        return None
    return min(first for first, _ in seen), max(last for _, last in seen)


def _shortest(spans: tuple[Span | None, ...], advance: int) -> Field:
    """The field with the shortest period that says the same."""
    length = len(spans)
    for period in range(1, length // 2 + 1):
        if length % period or advance * period % length:
            continue
        field = Field(spans[:period], advance * period // length)
        if all(field.at(position) == span for position, span in enumerate(spans)):
            return field
    return Field(spans, advance)
