"""The levels of a pyramid and what is taken from their bins, as users give them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

from torch import Tensor

from striate.errors import ArgumentError, ArgumentTypeError
from striate.ops._checks import per_dimension

Kind = Literal["max", "avg", "lp"]
KINDS = get_args(Kind)


def checked_levels(
    operator: str, levels: Sequence[int], kind: Any, norm_type: float | Tensor | None
) -> tuple[int, ...]:
    """The levels; or the error that says what is wrong with one of the arguments."""
    if not isinstance(levels, tuple) and (isinstance(levels, str) or not isinstance(levels, Sequence)):
        raise ArgumentTypeError(
            f"{operator}: levels came as {levels!r}; wanted bins for each level: (1, 2, 4)"
        )
    if not levels:
        raise ArgumentError(f"{operator}: levels came empty; wanted one at least, such as (1, 2, 4)")
    bins = per_dimension(operator, "levels", levels if len(levels) > 1 else levels[0], len(levels))
    if kind not in KINDS:
        raise ArgumentError(f'{operator}: kind came as {kind!r}; wanted "max", "avg" or "lp"')
    if kind == "lp" and norm_type is None:
        raise ArgumentError(f'{operator}: norm_type is missing; kind="lp" wants its p, such as norm_type=2')
    if kind != "lp" and norm_type is not None:
        raise ArgumentError(
            f'{operator}: norm_type came as {norm_type!r} with kind={kind!r}; wanted it with kind="lp" only'
        )
    return bins
