"""The only list of operators: the folders beside this file."""

from __future__ import annotations

from functools import cache
from importlib import import_module
from pathlib import Path

from striate.ops._spec import OpSpec


def operator_names() -> list[str]:
    """Folder names, sorted.

    >>> "max_pool" in operator_names()
    True
    """
    return sorted(path.parent.name for path in Path(__file__).parent.glob("*/spec.py"))


@cache
def operators() -> dict[str, OpSpec]:
    """The spec of every operator by its name."""
    return {name: import_module(f"striate.ops.{name}.spec").SPEC for name in operator_names()}
