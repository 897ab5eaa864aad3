"""What is remembered is what would be computed, for the very arguments."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from striate import functional
from striate.errors import ArgumentError, ArgumentTypeError
from striate.ops import _remembered
from striate.ops._remembered import remembered


def counting() -> tuple[Any, list[Any]]:
    seen: list[Any] = []

    @remembered
    def compute(first: Any, second: Any = None) -> tuple[Any, Any]:
        seen.append(first)
        return first, second

    return compute, seen


@pytest.mark.parametrize(
    "value", [3, (1, 2), [1, (2, 3)], "same", None, 1.5, True, ((0, 1), (2, 2)), torch.Size((1, 2))]
)
def test_python_s_own_values_are_computed_once(value: Any):
    compute, seen = counting()
    assert compute(value) == compute(value) == (value, None)
    assert len(seen) == 1


@pytest.mark.parametrize("value", [np.int64(3), np.array(3), torch.tensor(1), b"x", {1: 2}])
def test_other_values_are_computed_every_time(value: Any):
    compute, seen = counting()
    compute(value)
    compute(value)
    assert len(seen) == 2


def test_values_that_are_equal_but_of_other_types_are_other_values():
    compute, seen = counting()
    for value in (1, True, 1.0, (1, 2), (True, 2), (1.0, 2), [1, 2], ((1, 2),)):
        assert repr(compute(value)[0]) == repr(value)
    assert len(seen) == 8


def test_names_of_arguments_count():
    compute, seen = counting()
    assert compute(1, second=2) == compute(1, second=2) == compute(1, 2) == (1, 2)
    assert compute(1, second=3) == (1, 3)
    assert len(seen) == 3


def test_an_error_is_raised_every_time():
    @remembered
    def refuse(value: int) -> int:
        raise ValueError(value)

    for _ in range(2):
        with pytest.raises(ValueError, match="7"):
            refuse(7)


def test_old_answers_go_when_there_are_many(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_remembered, "MOST", 10)
    compute, seen = counting()
    for value in range(25):
        compute(value)
    assert compute(24) == (24, None)
    compute(0)
    assert len(seen) == 26


def test_a_wrong_argument_is_as_wrong_after_the_right_one():
    picture = torch.rand(1, 2, 48, 48)
    functional.max_pool2d(picture, (1, 2))
    functional.avg_pool2d(picture, 2, padding=1)
    with pytest.raises(ArgumentTypeError, match="kernel_size came as"):
        functional.avg_pool2d(picture, (1.0, 2), padding=((0, 1), (0, 1)))  # type: ignore[arg-type]
    with pytest.raises(ArgumentTypeError, match="kernel_size came as"):
        functional.max_pool2d(picture, (True, 2), padding=((0, 1), (0, 1)))
    with pytest.raises(ArgumentError, match="at most half"):
        functional.avg_pool2d(picture, 2, padding=2)
