"""What the positions of a layer see of the picture: in closed form, and exactly for any of them."""

from __future__ import annotations

from fractions import Fraction
from functools import cached_property
from typing import Any

from striate.errors import ArgumentError
from striate.geometry.along import Indices
from striate.geometry.graph import Node, trace_back
from striate.geometry.receptive_field import Span, View
from striate.geometry.terms import views

Shape = tuple[int, ...]


class ReceptiveField:
    """What the positions of a layer's output see of the picture.

    Size, stride and centre are those on a picture without borders, as they are usually given, and
    united over channels. Where there is no such closed form (``is_closed`` is false: after
    attention, say), they are those of the element in the middle on this very picture. What any position
    really sees, borders and gaps included, say :meth:`seen_by` and :meth:`pixels`.
    """

    def __init__(self, node: Node, picture: Node, rank: int) -> None:
        self._node = node
        self._picture = picture
        self._rank = rank

    @cached_property
    def views(self) -> tuple[View, ...] | None:
        """What is seen along each dimension of the picture, in closed form."""
        return views(self._node.terms)

    @property
    def is_closed(self) -> bool:
        """Whether there is a closed form."""
        return self.views is not None

    @cached_property
    def size(self) -> Shape:
        """Pixels from the first to the last one seen; where it differs, the largest."""
        if self.views is not None:
            return tuple(view.size for view in self.views)
        return tuple(0 if span is None else span[1] - span[0] + 1 for span in self._middle)

    @cached_property
    def stride(self) -> tuple[Fraction | None, ...]:
        """Pixels from one position to the next; ``None``: there is one position, or it differs."""
        if self.views is not None:
            return tuple(view.stride for view in self.views)
        return (None,) * self._rank

    @cached_property
    def centre(self) -> tuple[Fraction | None, ...]:
        """The middle of what the first position sees; the first pixel is at 0."""
        if self.views is not None:
            return tuple(view.centre() for view in self.views)
        return tuple(None if span is None else Fraction(sum(span), 2) for span in self._middle)

    def to_dict(self) -> dict[str, Any]:
        """Size, stride and centre as numbers."""
        return {
            "size": self.size,
            "stride": [None if stride is None else float(stride) for stride in self.stride],
            "centre": [None if centre is None else float(centre) for centre in self.centre],
            "closed": self.is_closed,
        }

    def seen_by(self, *position: int | None) -> tuple[Span | None, ...]:
        """First and last pixel, along each dimension, that a position can depend on.

        Args:
            position: an index for each dimension of the output but the batch; ``None`` for all of
                it. Of a map, that of the channels may be left out.
        """
        boxes = self.pixels(*position)
        spans: list[Span | None] = []
        for axis in range(self._rank):
            ends = [(box[axis][0], box[axis][-1]) for box in boxes]
            spans.append((min(e[0] for e in ends), max(e[1] for e in ends)) if ends else None)
        return tuple(spans)

    def pixels(self, *position: int | None) -> list[tuple[Indices, ...]]:
        """Exactly the pixels that a position can depend on: boxes of rows × columns, which may overlap.

        Raises:
            ArgumentError: there is no such position, or too many paths lead to it.
        """
        shape = self._node.shape[1:]
        if len(position) == len(shape) - 1:
            position = (None, *position)
        if len(position) != len(shape):
            raise ArgumentError(f"position came as {position}; wanted an index for each of {shape}")
        box: list[Indices] = [range(1)]
        for index, size in zip(position, shape, strict=True):
            if index is not None and not 0 <= index < size:
                raise ArgumentError(f"position came as {position}; wanted indices within {shape}")
            box.append(range(size) if index is None else range(index, index + 1))
        found = trace_back(self._node, tuple(box), self._picture)
        if found is None:
            raise ArgumentError(f"position {position} depends on the picture in too many ways to list")
        return [one[-self._rank :] for one in found]

    @cached_property
    def _middle(self) -> tuple[Span | None, ...]:
        shape = self._node.shape[1:]
        if len(shape) == self._rank + 1:
            return self.seen_by(None, *(size // 2 for size in shape[1:]))
        return self.seen_by(*(size // 2 for size in shape))
