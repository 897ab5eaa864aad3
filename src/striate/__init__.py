"""Striate: convolutional networks, from the operators to a judged classifier."""

from __future__ import annotations

TYPE_CHECKING = False  # typing takes longer to import than all the rest
if TYPE_CHECKING:
    from typing import Any

__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """``striate.accelerate``, which needs torch; ``import striate`` alone stays quick."""
    if name == "accelerate":
        from striate.acceleration import accelerate

        return accelerate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
