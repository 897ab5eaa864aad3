"""What a reshape does to dependencies: the same elements in the same order under another shape."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import product
from math import prod
from typing import NamedTuple

from striate.geometry.along import Indices, Window, indices
from striate.geometry.receptive_field import Field

Box = tuple[Indices, ...]


class Factor(NamedTuple):
    """A part of a dimension; the parts of one dimension multiply to its size, the last one runs fastest.

    Attributes:
        axis: the dimension of the picture that it runs along, or ``None``: channels and the like.
        size: above 1.
        even: whether all its elements see the same; otherwise a field is the union over them.
        place: whether its elements are places in the picture, laid out beside an axis.
    """

    axis: int | None
    size: int
    even: bool = True
    place: bool = False


def refill(
    factors: Sequence[tuple[Factor, ...]], shape: Sequence[int], fields: list[Field]
) -> tuple[tuple[Factor, ...], ...] | None:
    """The factors of ``shape`` when those of the old shape are poured into it in order.

    A factor may have to be split. If it runs along the picture, its outer part goes on to do so,
    with what the inner part sees, and ``fields`` is updated. ``None``: no closed form.

    >>> channels, rows = Factor(None, 8), Factor(0, 5)
    >>> refill([(channels,), (rows,)], (2, 4, 5), [])[2], refill([(channels,), (rows,)], (40,), [])[0]
    ((Factor(axis=0, size=5, even=True, place=False),), (Factor(axis=None, size=8, even=True, place=False), Factor(axis=0, size=5, even=True, place=False)))
    """
    waiting: list[Factor] = []
    for factor in (f for dim in reversed(factors) for f in reversed(dim)):
        if waiting and factor.axis is None and factor == waiting[-1]._replace(size=factor.size):
            factor = factor._replace(size=factor.size * waiting.pop().size)
        waiting.append(factor)
    poured = []
    for size in shape:
        dim = []
        room = size
        while room > 1:
            factor = waiting.pop()
            if factor.size > room:
                if factor.size % room:
                    return None
                inner = factor.size // room
                if factor.axis is not None:
                    field = fields[factor.axis].through(Window(inner, inner))
                    if field is None:
                        return None
                    fields[factor.axis] = field
                laid_out = factor.axis is not None
                waiting.append(Factor(None, inner, factor.even and not laid_out, factor.place or laid_out))
                factor = factor._replace(size=room)
            elif room % factor.size:
                return None
            dim.append(factor)
            room //= factor.size
        poured.append(tuple(dim))
    return tuple(poured)


def reshape_box(box: Box, shape: tuple[int, ...], target: tuple[int, ...]) -> list[Box]:
    """The elements ``box`` of a tensor of ``shape``, as boxes of the same tensor seen as ``target``.

    >>> reshape_box((range(1), range(6, 7)), (1, 20), (1, 4, 5))
    [(range(0, 1), range(1, 2), range(1, 2))]
    """
    parts: list[list[Box]] = []
    for start, stop, target_start, target_stop in _groups(shape, target):
        sizes, wanted = shape[start:stop], target[target_start:target_stop]
        if sizes == wanted:
            parts.append([box[start:stop]])
        elif all(len(box[dim]) == shape[dim] for dim in range(start, stop)):
            parts.append([tuple(map(range, wanted))])
        else:
            parts.append(_split(_flat(box[start:stop], sizes), wanted))
    return [tuple(part for parts in chosen for part in parts) for chosen in product(*parts)]


@lru_cache(maxsize=256)
def _groups(shape: tuple[int, ...], target: tuple[int, ...]) -> list[tuple[int, int, int, int]]:
    """The smallest runs of dimensions, of both shapes, that hold as many elements."""
    groups = []
    i = j = 0
    while i < len(shape) or j < len(target):
        start, target_start = i, j
        have = want = 1
        while have != want or i == start or j == target_start:
            if (have <= want and i < len(shape)) or j >= len(target):
                have *= shape[i]
                i += 1
            else:
                want *= target[j]
                j += 1
            if i >= len(shape) and j >= len(target):
                break
        groups.append((start, i, target_start, j))
    if len(groups) > 1 and (groups[-1][0] == groups[-1][1] or groups[-1][2] == groups[-1][3]):
        last = groups.pop()  # nothing but sizes of 1 on one side
        before = groups.pop()
        groups.append((before[0], last[1], before[2], last[3]))
    return groups


def _flat(box: Box, sizes: Sequence[int]) -> Indices:
    """The elements of ``box`` counted through."""
    flat: Indices = range(1)
    stride = 1
    for part, size in zip(reversed(box), reversed(sizes), strict=True):
        first = part[0] * stride
        if len(part) == 1:
            flat = (
                range(flat.start + first, flat.stop + first, flat.step)
                if isinstance(flat, range)
                else tuple(first + f for f in flat)
            )
        elif isinstance(part, range) and part.step == 1 and len(flat) == stride:
            flat = range(first, first + len(part) * stride)
        elif isinstance(part, range) and len(flat) == 1:
            flat = range(first + flat[0], part[-1] * stride + flat[0] + 1, part.step * stride)
        else:
            flat = indices(p * stride + f for p in part for f in flat)
        stride *= size
    return flat


def _split(flat: Indices, sizes: Sequence[int]) -> list[Box]:
    """Elements counted through, as boxes of ``sizes``."""
    if len(sizes) == 1:
        return [(flat,)]
    stride = prod(sizes[1:])
    (first, head), (last, tail) = divmod(flat[0], stride), divmod(flat[-1], stride)
    if isinstance(flat, range) and flat.step == 1 and head == 0 and tail == stride - 1:
        return [(range(first, last + 1), *map(range, sizes[1:]))]
    inner_of: dict[int, list[int]] = {}
    for place in flat:
        outer, inner = divmod(place, stride)
        inner_of.setdefault(outer, []).append(inner)
    outers_of: dict[tuple[int, ...], list[int]] = {}
    for outer, within in inner_of.items():
        outers_of.setdefault(tuple(within), []).append(outer)
    return [
        (indices(outers), *rest)
        for within, outers in outers_of.items()
        for rest in _split(indices(within), sizes[1:])
    ]
