"""Answers that depend on numbers and words alone are computed once: every call of an operator asks for them."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import torch

MOST = 4096  # answers of one function

P = ParamSpec("P")
R = TypeVar("R")


def remembered(compute: Callable[P, R]) -> Callable[P, R]:
    """``compute``, which keeps its answers to Python's own numbers, words, tuples and lists of them.

    Unlike ``functools.lru_cache`` it tells 1 from ``True`` and 1.0 in tuples too, so that a wrong argument is
    as wrong as the first time, and simply computes for what it cannot keep: symbols, NumPy's numbers. Graphs
    are traced through ``compute`` itself. An error is not kept.

    >>> double = remembered(lambda numbers: numbers * 2)
    >>> double((1, 2)), double((1, 2)), double((True, 2))
    ((1, 2, 1, 2), (1, 2, 1, 2), (True, 2, True, 2))
    """
    kept: dict[str, R] = {}

    @wraps(compute)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if torch.compiler.is_compiling():
            return compute(*args, **kwargs)
        given: Any = (args, *kwargs.items())
        key = repr(given)  # in which 1, True and 1.0 differ
        found = kept.get(key)
        if found is None:
            found = compute(*args, **kwargs)
            if _are_pythons_own(given):  # what else looks alike in words may differ
                if len(kept) >= MOST:
                    kept.clear()
                kept[key] = found
        return found

    return call


def _are_pythons_own(value: object) -> bool:
    if isinstance(value, tuple | list):
        return all(map(_are_pythons_own, value))
    return value is None or type(value) in (int, bool, float, str)
