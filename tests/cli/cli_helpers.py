"""What the tests of the command line share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

QUICK = ("--model", "mlp", "--epochs", "1", "--threads", "1")


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    out: str
    err: str

    @property
    def errors(self) -> list[str]:
        """The lines that tell what went wrong."""
        return [line for line in self.err.splitlines() if line.startswith("striate: error: ")]


Striate = Callable[..., Done]
