"""What a long job tells whoever watches: one silent base, overridden by the terminal's faces."""

from __future__ import annotations

from typing import Any


class Monitor:
    """Receives the events of a job; this base ignores them all.

    A job calls ``begin`` once, ``advance`` often, ``epoch`` after each pass, ``end`` once. Jobs do not
    nest; one that failed never calls ``end``, and the next one takes its place.
    """

    def begin(self, title: str, total: int, unit: str = "pictures") -> None:
        """A job starts: ``total`` is the number of ``unit`` in all."""

    def advance(self, done: int, **figures: float) -> None:
        """``done`` units so far; figures have keys of the record of an epoch."""

    def epoch(self, record: dict[str, Any]) -> None:
        """A pass over the training pictures ended; ``record`` is the line written to ``log.jsonl``."""

    def message(self, text: str) -> None:
        """Something worth a line."""

    def warn(self, text: str) -> None:
        """Something the user should act on."""

    def end(self) -> None:
        """The job that began last is over."""
