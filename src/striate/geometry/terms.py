"""The closed form of what a tensor depends on: sums of paths, each along dimensions of the picture."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod
from typing import NamedTuple

from striate.geometry.along import All, Along, Blocks, Listed, Resample
from striate.geometry.receptive_field import Field, View, combine
from striate.geometry.reshape import Factor

MOST_TERMS = 12


class Term(NamedTuple):
    """One group of paths to the picture.

    Attributes:
        factors: for each dimension of the tensor, what it is made of.
        fields: for each dimension of the picture, what a position sees; a dimension that no
            factor runs along is seen alike from everywhere.
        picture: samples along its dimensions.
    """

    factors: tuple[tuple[Factor, ...], ...]
    fields: tuple[Field, ...]
    picture: tuple[int, ...]


Terms = tuple[Term, ...] | None  # None: there is no closed form


def views(terms: Terms) -> tuple[View, ...] | None:
    """What the positions along each dimension of the picture see; ``None``: no closed form.

    Where several dimensions of the picture lie in one of the tensor, as in a list of patches,
    the positions are those along the dimension of the picture.
    """
    if not terms or (len(terms) > 1 and any(map(_has_gaps, terms))):
        return None
    if any(factors and all(f.place for f in factors) for term in terms for factors in term.factors):
        return None  # places of the picture lie along more dimensions than it has
    found = []
    for axis in range(len(terms[0].fields)):
        places = {place for term in terms if (place := _place(term, axis)) is not None}
        seen = [_laid_out(term, axis) for term in terms]
        fields = combine(field for field in seen if field is not None)
        if None in seen or fields is None or len(places) > 1:
            return None
        found.append(View(fields, places.pop()[1] if places else 1, terms[0].picture[axis]))
    return tuple(found)


def merged(terms: Sequence[Term]) -> Terms:
    """``terms`` with those united that lie alike and move at the same paces."""
    groups: dict[object, list[Term]] = {}
    for term in terms:
        lie = tuple(tuple((f.axis, f.size) for f in factors) for factors in term.factors)
        groups.setdefault((lie, tuple(field.stride for field in term.fields)), []).append(term)
    if len(groups) > MOST_TERMS:
        return None
    united_terms = []
    for alike in groups.values():
        first, *others = alike
        if not any(term != first for term in others):
            united_terms.append(first)
            continue
        if any(map(_has_gaps, alike)):
            return None  # where one dimension sees nothing, neither do the others
        factors = tuple(
            tuple(
                parts[0]._replace(
                    even=all(part.even for part in parts), place=any(part.place for part in parts)
                )
                for parts in zip(*same, strict=True)
            )
            for same in zip(*(term.factors for term in alike), strict=True)
        )
        fields = []
        for same in zip(*(term.fields for term in alike), strict=True):
            united = combine(same)
            if united is None:
                return None
            fields.append(united[0])
        united_terms.append(Term(factors, tuple(fields), first.picture))
    return tuple(united_terms)


def send(
    old: tuple[Factor, ...], fields: list[Field], along: Along, size: int, positions: int
) -> tuple[Factor, ...] | None:
    """The factors of a dimension after ``along``; updates ``fields``. ``None``: no closed form."""
    even = all(f.even for f in old)
    axes = [f for f in old if f.axis is not None]
    if isinstance(along, All):
        for factor in axes:
            if not _move(fields, factor, All(factor.size), positions=1):
                return None
        return () if positions == 1 else (Factor(None, positions),)
    if not axes:
        if even:
            return () if positions == 1 else (Factor(None, positions),)
        # what the channels see differs: grouped channels are all used, a slice may leave some out
        return (Factor(None, positions, even=False),) if isinstance(along, Blocks) else None
    if isinstance(along, Listed):
        if along.inner is None:
            return None
        along = along.inner
    first, *rest = old
    if first.axis is None or len(axes) > 1 or not even:
        return None
    for factor in rest:  # each position as often as the inert rest is long
        if not _move(fields, first, _repeat(factor.size), positions=2):
            return None
    if not _move(fields, first, along, positions):
        return None
    return () if positions == 1 else (Factor(first.axis, positions),)


def _move(fields: list[Field], factor: Factor, along: Along, positions: int) -> bool:
    """Send the field of ``factor`` through ``along``; what one position sees moves no more."""
    assert factor.axis is not None
    field = fields[factor.axis].through(along)
    if field is None:
        return False
    fields[factor.axis] = Field((field.at(0),), 0) if positions == 1 else field
    return True


def _place(term: Term, axis: int) -> tuple[int, int] | None:
    """The dimension of the tensor that runs along ``axis``, and how many positions it has there."""
    for dim, factors in enumerate(term.factors):
        for factor in factors:
            if factor.axis == axis:
                alone = factors[0] is factor and all(f.axis is None for f in factors[1:])
                return dim, prod(f.size for f in factors) if alone else factor.size
    return None


def _laid_out(term: Term, axis: int) -> Field | None:
    """The field of ``axis`` as the positions of :func:`_place` see it; ``None``: no closed form."""
    field: Field | None = term.fields[axis]
    place = _place(term, axis)
    if place is None:
        return field
    factors = term.factors[place[0]]
    if not all(f.even for f in factors):
        return None
    times = place[1] // next(f.size for f in factors if f.axis == axis)
    return field if field is None or times == 1 else field.through(_repeat(times))


def _repeat(times: int) -> Resample:
    """Each position several times in a row."""
    return Resample(Fraction(1, times), Fraction(0), 1)


def _has_gaps(term: Term) -> bool:
    return any(None in field.spans for field in term.fields)
