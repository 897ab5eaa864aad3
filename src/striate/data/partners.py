"""Tells which pictures can have a near duplicate at all, so that only those are looked up in a search tree.

Signatures, made unit vectors of zero mean, correlate at ``alike`` or more exactly where they lie within
``sqrt(2 - 2 * alike)`` of each other, and no orthonormal projection moves them apart. So they are projected
on the directions in which this set differs most; sorted into strips along the first and within each along
the second, every picture has few left to be compared with, by matrix products. What those take for alike
is compared as a whole. The directions only decide how long it takes, never what is found.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

_DIRECTIONS = 31
_SAMPLE = 4096  # pictures that the directions are chosen by
_ROWS = 256
_BLOCK = 4096
_MOST = 16384  # pictures to compare one with; those in denser places count as alike unseen
_PAIRS = 2048  # of one block to look at closely; of more, all count as alike
_SLACK = 1e-4  # far above float32's rounding: nothing is missed

Span = tuple[int, int]


def with_partner(marks: NDArray[np.uint8], alike: float) -> NDArray[np.bool_]:
    """Whether another signature correlates with it at ``alike`` or more.

    True for some others, too: where more pictures are nearly alike than can be compared with each other.

    Args:
        marks: signatures, uint8 ``(N, 256)``; none of them flat.
        alike: a correlation close to 1.

    >>> marks = np.arange(768, dtype=np.uint16).reshape(3, 256).astype(np.uint8)
    >>> marks[2] = marks[2, ::-1]
    >>> with_partner(marks, 0.998).tolist()
    [True, True, False]
    """
    found = np.zeros(len(marks), np.bool_)
    if len(marks) < 2:
        return found
    places = _project(marks)
    width = float(np.sqrt(2 - 2 * alike)) + _SLACK
    strips = np.floor(places[:, 0] / width).astype(np.int64)
    order = np.lexsort((places[:, 1], strips))
    places = places[order]
    for (start, stop), (left, right) in _windows(strips[order], places[:, 1], width):
        dense = right - left > _MOST
        if not dense:
            near = places[start:stop] @ places[left:right].T >= alike - _SLACK
        if dense or np.count_nonzero(near) > _PAIRS:
            found[order[start:stop]] = found[order[left:right]] = True
            continue
        hits = np.flatnonzero(near)
        one, other = hits // (right - left) + start, hits % (right - left) + left
        one, other = order[one[one < other]], order[other[one < other]]
        true = _correlation(marks[one], marks[other]) >= alike - _SLACK
        found[one[true]] = found[other[true]] = True
    return found


def _windows(
    strips: NDArray[np.int64], second: NDArray[np.float32], width: float
) -> Iterator[tuple[Span, Span]]:
    """Spans of pictures, each with a span of those at or behind them that can be near: in their own strip
    and in the next."""
    edges = np.flatnonzero(np.diff(strips, prepend=strips[0] - 1, append=strips[-1] + 1)).tolist()
    for begin, end, after in zip(edges, edges[1:], [*edges[2:], edges[-1]], strict=False):
        adjoins = end < after and strips[end] == strips[begin] + 1
        for start in range(begin, end, _ROWS):
            stop = min(start + _ROWS, end)
            low, high = second[start] - width, second[stop - 1] + width
            yield (start, stop), (start, begin + int(np.searchsorted(second[begin:end], high, "right")))
            if adjoins:
                left, right = np.searchsorted(second[end:after], (low, high))
                if left < right:
                    yield (start, stop), (end + int(left), end + int(right))


def _project(marks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Unit vectors ``(N, 32)``: each signature along the chosen directions, and the length of the rest of it."""
    sample = _centred(marks[:: -(-len(marks) // _SAMPLE)])
    axes = np.linalg.eigh((sample.T @ sample).astype(np.float64))[1][:, -_DIRECTIONS:].astype(np.float32)
    axes = axes[:, np.argsort(-(sample @ axes).var(axis=0))]
    result = np.empty((len(marks), _DIRECTIONS + 1), np.float32)
    for start in range(0, len(marks), _BLOCK):
        block = result[start : start + _BLOCK]
        block[:, :-1] = _centred(marks[start : start + _BLOCK]) @ axes
        block[:, -1] = np.sqrt(np.maximum(0, 1 - (block[:, :-1] ** 2).sum(axis=1)))
    return result


def _correlation(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.float32]:
    result: NDArray[np.float32] = np.einsum("ij,ij->i", _centred(one), _centred(other))
    return result


def _centred(marks: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Zero mean and unit length."""
    values = marks.astype(np.float32)
    values -= values.mean(axis=1, keepdims=True)
    values /= np.sqrt(np.einsum("ij,ij->i", values, values))[:, None]
    return values
