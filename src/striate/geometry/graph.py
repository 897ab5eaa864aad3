"""How the tensors of a model depend on the picture: forwards in closed form, backwards as exact sets.

A :class:`Node` is one tensor. Its links say, dimension by dimension, which elements of its parents
it reads. From them follow

- forwards, :class:`Term`: which dimension of the tensor runs along which dimension of the picture,
  and the :class:`Field` that a position sees: size, stride and centre on a picture without borders;
- backwards, :func:`trace_back`: exactly the elements of the picture that given elements can depend
  on, borders and gaps included.

Where the closed form does not exist (``terms`` is ``None``) the sets still do; where an operator
cannot be followed at all, ``unknown`` says which.
"""

from __future__ import annotations

import heapq
from collections.abc import Sequence

from striate.geometry.along import (
    SAME,
    Along,
    Indices,
    Window,
    contains,
    indices,
    union,
)
from striate.geometry.receptive_field import PICTURE, Field
from striate.geometry.reshape import Factor, refill, reshape_box
from striate.geometry.terms import Term, Terms, merged, send

Shape = tuple[int, ...]
Box = tuple[Indices, ...]  # one set for each dimension of a tensor

MOST_BOXES = 2_000


Reads = tuple["int | tuple[int, int] | None", Along]


class Link:
    """A node reads ``parent``: dimension ``d`` of it along ``dims[d]``.

    ``dims[d]`` is the dimension of the node that decides which elements are read, or ``None`` if
    none does, and how. Two dimensions ``(position, tap)`` decide together where windows are laid
    out side by side: tap ``t`` of position ``o`` reads ``taps(o)[t]``.
    """

    __slots__ = ("dims", "parent")

    def __init__(self, parent: Node, dims: Sequence[Reads]) -> None:
        self.parent = parent
        self.dims = dims

    def back(self, box: Box) -> list[Box]:
        """The boxes of the parent that ``box`` of the node reads."""
        read = []
        for (dim, along), size in zip(self.dims, self.parent.shape, strict=True):
            if along is SAME and isinstance(dim, int):
                read.append(box[dim])
                continue
            if isinstance(dim, tuple):
                taps = [along.taps(o) for o in box[dim[0]]]
                found = indices(tap[t] for tap in taps for t in box[dim[1]] if 0 <= tap[t] < size)
            else:
                found = along.sources(range(1) if dim is None else box[dim], size)
            if not found:
                return []
            read.append(found)
        return [tuple(read)]

    def forward(self, term: Term, shape: Shape) -> Term | None:
        """What becomes of one of the parent's terms in a node of ``shape``; ``None``: no closed form."""
        factors: list[tuple[Factor, ...]] = [() if size == 1 else (Factor(None, size),) for size in shape]
        taken: set[int] = set()
        fields = list(term.fields)
        for (dim, along), old, size in zip(self.dims, term.factors, self.parent.shape, strict=True):
            if dim is None:
                if send(old, fields, along, size, 1) is None:
                    return None
                continue
            position, *taps = dim if isinstance(dim, tuple) else (dim,)
            moved = old if along is SAME else send(old, fields, along, size, shape[position])
            if moved is None:
                return None
            for tap in taps:  # what the taps of one window see differs
                factors[tap] = (Factor(None, shape[tap], even=False, place=True),) if shape[tap] > 1 else ()
            if any(f.axis is not None or not f.even for f in moved):
                if position in taken:
                    return None  # two dimensions of the picture along one of the tensor
                taken.add(position)
                factors[position] = moved
        return Term(tuple(factors), tuple(fields), term.picture)


class Reshaped:
    """A node has the elements of ``parent`` in the same order under another shape."""

    __slots__ = ("parent", "shape")

    def __init__(self, parent: Node, shape: Shape) -> None:
        self.parent = parent
        self.shape = shape

    def back(self, box: Box) -> list[Box]:
        """See :meth:`Link.back`."""
        return reshape_box(box, self.shape, self.parent.shape)

    def forward(self, term: Term, shape: Shape) -> Term | None:
        """See :meth:`Link.forward`."""
        fields = list(term.fields)
        factors = refill(term.factors, shape, fields)
        return None if factors is None else Term(factors, tuple(fields), term.picture)


class Node:
    """One tensor that depends on the picture."""

    __slots__ = ("links", "number", "shape", "terms", "unknown")

    def __init__(
        self, number: int, shape: Shape, links: Sequence[Link | Reshaped], unknown: str | None = None
    ) -> None:
        """
        Args:
            number: larger than those of the nodes that it reads.
            shape: of the tensor.
            links: what it reads.
            unknown: the operator that cannot be followed, if so.
        """
        self.number = number
        self.shape = shape
        self.links = links
        parents = [link.parent for link in links]
        self.unknown: str | None = unknown or next((p.unknown for p in parents if p.unknown), None)
        self.terms: Terms = None if self.unknown else _forward(links, shape)


def picture(number: int, shape: Shape, rank: int) -> Node:
    """The model's input: its last ``rank`` dimensions are those of the picture."""
    node = Node(number, shape, ())
    first = len(shape) - rank
    factors = tuple(
        () if size == 1 else (Factor(dim - first if dim >= first else None, size),)
        for dim, size in enumerate(shape)
    )
    fields = tuple(PICTURE if size > 1 else Field(PICTURE.spans, 0) for size in shape[first:])
    node.terms = (Term(factors, fields, shape[first:]),)
    return node


def concatenated(
    number: int, parents: Sequence[Node | None], sizes: Sequence[int], shape: Shape, dim: int
) -> Node:
    """The tensors of ``parents`` one after the other along ``dim``; ``None`` depends on nothing.

    Args:
        number: see :class:`Node`.
        parents: in order.
        sizes: of each along ``dim``.
        shape: of the result.
        dim: from 0.
    """
    links = []
    start = 0
    for parent, size in zip(parents, sizes, strict=True):
        if parent is not None:
            piece = Window(before=start)
            links.append(Link(parent, [(d, piece if d == dim else SAME) for d in range(len(shape))]))
        start += size
    node = Node(number, shape, links)
    node.terms = _side_by_side([link.parent for link in links], shape, dim) if not node.unknown else None
    return node


def trace_back(node: Node, box: Box, first: Node) -> list[Box] | None:
    """The boxes of ``first`` whose elements the elements ``box`` of ``node`` can depend on.

    ``None`` if that is unknown, or takes more than a few thousand boxes.
    """
    if node.unknown:
        return None
    wanted: dict[int, tuple[Node, list[Box]]] = {node.number: (node, [box])}
    waiting = [-node.number]
    while waiting:
        current, boxes = wanted.pop(-heapq.heappop(waiting))
        if current is first:
            return boxes
        if len(boxes) > MOST_BOXES:
            return None
        for link in current.links:
            parent = link.parent
            if parent.number not in wanted:
                wanted[parent.number] = (parent, [])
                heapq.heappush(waiting, -parent.number)
            for one in boxes:
                for read in link.back(one):
                    add_box(wanted[parent.number][1], read)
    return []


def add_box(boxes: list[Box], box: Box) -> None:
    """Add ``box``, without leaving one that lies in another or that differs from it along one dimension only."""
    for place, other in enumerate(boxes):
        unlike = [d for d, (mine, its) in enumerate(zip(box, other, strict=True)) if mine != its]
        if len(unlike) > 1:
            if all(contains(other[d], box[d]) for d in unlike):
                return
            if not all(contains(box[d], other[d]) for d in unlike):
                continue
        elif unlike:
            d = unlike[0]
            box = (*box[:d], union(other[d], box[d]), *box[d + 1 :])
        if box == other:
            return
        del boxes[place]
        add_box(boxes, box)
        return
    boxes.append(box)


def _forward(links: Sequence[Link | Reshaped], shape: Shape) -> Terms:
    """The terms of a node; ``None``: no closed form."""
    found: list[Term] = []
    for link in links:
        if link.parent.terms is None:
            return None
        for term in link.parent.terms:
            moved = link.forward(term, shape)
            if moved is None:
                return None
            found.append(moved)
    return merged(found) if len(found) > 1 else tuple(found)


def _side_by_side(parents: Sequence[Node], shape: Shape, dim: int) -> Terms:
    """The terms of a concatenation along ``dim``."""
    if any(parent.terms is None for parent in parents):
        return None
    alike = len({parent.terms for parent in parents}) == 1
    whole = sum(parent.shape[dim] for parent in parents) == shape[dim]
    found = []
    for parent in parents:
        for term in parent.terms or ():
            if any(f.axis is not None for f in term.factors[dim]):
                return None  # along the picture
            factors = list(term.factors)
            even = alike and whole and all(f.even for f in term.factors[dim])
            factors[dim] = (Factor(None, shape[dim], even),)
            found.append(Term(tuple(factors), term.fields, term.picture))
    return merged(found)
