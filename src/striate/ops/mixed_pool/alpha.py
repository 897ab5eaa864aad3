"""The share of max pooling in mixed pooling, as users give it."""

from __future__ import annotations

from numbers import Real
from typing import Any

from striate.errors import ArgumentError, ArgumentTypeError


def checked_alpha(operator: str, alpha: Any) -> float:
    """A share that comes as a number, from 0 to 1."""
    if type(alpha) is float and 0 <= alpha <= 1:  # the common form first
        return alpha
    if not isinstance(alpha, Real) or isinstance(alpha, bool):
        raise ArgumentTypeError(
            f"{operator}: alpha came as {alpha!r}; wanted a number from 0 to 1, or a tensor"
        )
    share = float(alpha)
    if not 0 <= share <= 1:
        raise ArgumentError(
            f"{operator}: alpha came as {alpha!r}; wanted a share from 0 (average pooling) to 1 (max pooling)"
        )
    return share
