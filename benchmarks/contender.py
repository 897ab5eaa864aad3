"""Contenders of a race: worker processes that run one epoch when asked, so that they can alternate.

Only one works at a time; the others wait on a pipe. Each lives in its own process, and maybe in its
own environment, so none shares another's threads, allocator or library versions.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any


class Contender:
    """A worker process; ``command`` starts a script that calls :func:`serve`.

    Raises:
        RuntimeError: the worker ended; the message holds the end of what it wrote.
    """

    def __init__(
        self, name: str, command: list[str], log: Path, environment: dict[str, str] | None = None
    ) -> None:
        self.name = name
        self.log = log
        self.rows: list[dict[str, Any]] = []
        with log.open("w", encoding="utf-8") as errors:
            self.process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=errors,
                text=True,
                env={**os.environ, **(environment or {})},
            )
        self.about = self._answer()

    def epoch(self) -> dict[str, Any]:
        """Ask for one epoch; returns and keeps its row, with ``seconds`` and ``accuracy``."""
        assert self.process.stdin is not None
        self.process.stdin.write("epoch\n")
        self.process.stdin.flush()
        row = self._answer()
        self.rows.append(row)
        return row

    def seconds(self) -> float:
        """Median of the epochs so far."""
        return median(row["seconds"] for row in self.rows)

    def close(self) -> None:
        """End the worker."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)

    def _answer(self) -> dict[str, Any]:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            raise RuntimeError(f"{self.name} ended:\n{self.log.read_text(encoding='utf-8')[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def serve(about: dict[str, Any], run_epoch: Callable[[], dict[str, Any]]) -> None:
    """The worker's side: tell ``about`` when ready, then answer each line of stdin with an epoch's row.

    Whatever libraries print goes to stderr; the answers have stdout for themselves.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    print(json.dumps(about), file=answers, flush=True)
    for _ in sys.stdin:
        print(json.dumps(run_epoch()), file=answers, flush=True)


def race(contenders: list[Contender], rounds: int, on_round: Callable[[int], None]) -> None:
    """``rounds`` rounds in which every contender runs once, in an order that rotates."""
    for number in range(rounds):
        start = number % len(contenders)
        for contender in contenders[start:] + contenders[:start]:
            contender.epoch()
        on_round(number)


def speed_up(ours: Contender, other: Contender) -> float:
    """How many times faster ``ours`` is: the median of the rounds' ratios."""
    pairs = zip(ours.rows, other.rows, strict=True)
    return median(theirs["seconds"] / mine["seconds"] for mine, theirs in pairs)
