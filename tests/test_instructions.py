"""Kernels take no more instructions than they did: counted under valgrind, so that no clock is needed."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

PATH = Path(__file__).resolve().parent.parent / "benchmarks" / "instructions.py"
SPEC = importlib.util.spec_from_file_location("instructions", PATH)
assert SPEC and SPEC.loader
instructions = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(instructions)


@pytest.mark.timeout(1200)
def test_kernels_take_no_more_instructions_than_stored():
    if reason := instructions.obstacle():
        pytest.skip(reason)
    assert not instructions.regressions(instructions.count(), instructions.stored())


def test_more_instructions_and_missing_calls_are_named():
    told = instructions.regressions(
        {"a": 106, "b": 94, "c": 104, "d": 1}, {"a": 100, "b": 100, "c": 100, "e": 1}
    )
    assert told == [
        "a: 106 instructions, +6.0% of 100",
        "d: counted or stored only",
        "e: counted or stored only",
    ]
