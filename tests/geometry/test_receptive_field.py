"""Receptive fields against autograd on random weights: exactly, for every position."""

from __future__ import annotations

from itertools import product

import torch
from hypothesis import given, settings
from random_models import (
    CHANNELS,
    across,
    average,
    branches,
    convolution,
    models,
    support,
    transposed,
    upsample,
)
from torch import Tensor, nn

from striate.geometry import ReceptiveField, trace


def claimed(field: ReceptiveField, position: tuple[int, ...], size: tuple[int, ...]) -> Tensor:
    """The pixels that ``position`` is said to depend on."""
    mask = torch.zeros(size, dtype=torch.bool)
    for box in field.pixels(*position):
        mask[torch.meshgrid(*(torch.tensor(list(part)) for part in box), indexing="ij")] = True
    return mask


@settings(max_examples=150)
@given(models())
def test_every_position_sees_exactly_what_autograd_says(drawn: tuple[nn.Sequential, tuple[int, int]]):
    model, size = drawn
    truth = support(model, size)
    result = trace(model, (CHANNELS, *size))
    assert result.receptive_field is not None, result.unknown
    for position in product(*map(range, truth.shape[:2])):
        assert torch.equal(claimed(result.receptive_field, position, size), truth[position]), position


LOCAL = (convolution, convolution, transposed, average, upsample, across, branches)


@settings(max_examples=100)
@given(models(LOCAL, sizes=(150, 170), largest=400))
def test_the_closed_form_is_what_positions_far_from_the_borders_see(
    drawn: tuple[nn.Sequential, tuple[int, int]],
):
    model, size = drawn
    field = trace(model, (CHANNELS, *size)).receptive_field
    assert field is not None
    if not field.is_closed:
        return
    middle = [view.positions // 2 for view in field.views]
    for shift in range(-2, 3):
        position = [place + shift for place in middle]
        if not all(0 <= at < view.positions for at, view in zip(position, field.views, strict=True)):
            continue
        exact = field.seen_by(*position)
        closed = [view.at(place) for view, place in zip(field.views, position, strict=True)]
        if None in closed:
            assert exact == (None, None), "where one dimension sees nothing, neither does the other"
        elif all(span[0] >= 40 and span[1] < n - 40 for span, n in zip(closed, size, strict=True)):
            assert exact == tuple(closed)
