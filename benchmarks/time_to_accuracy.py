"""Seconds to a wanted mean test accuracy, from the shell: ``striate train`` against itself without kernels.

The peer is the same command with ``STRIATE_NATIVE=0``: the same network, loop and pictures through PyTorch's
own operators. The two take turns, seed by seed; every run is a process of its own, timed from its start to
its end, and says itself how long it trained. A case whose mean accuracy misses its target is recorded as such.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, median
from typing import Any

from stamp import write_result


@dataclass(frozen=True)
class Case:
    """A target and the flags that reach it, over so many seeds; the peer runs the first few."""

    source: str
    target: float
    flags: tuple[str, ...]
    seeds: int
    peer_seeds: int

    def __str__(self) -> str:
        return f"{self.source} {self.target:.1%}"


QUICK = ("--no-augment", "--learning-rate", "9e-3", "--label-smoothing", "0.05")
FIRST_SEED = 100  # the flags were chosen with smaller ones
CASES = (
    Case("mnist", 0.99, ("--model", "lenet", "--epochs", "2", *QUICK), 10, 5),
    Case("fashion-mnist", 0.92, ("--model", "cnn", "--epochs", "5"), 3, 1),
    Case("fashion-mnist", 0.93, ("--model", "cnn"), 3, 1),
)


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="+", default=[], metavar="WORD", help="cases with one of these words")
    parser.add_argument("--seeds", type=int, help="at most so many; such runs are not recorded")
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    for case in CASES:
        if options.only and not any(word in str(case) for word in options.only):
            continue
        row = measure(case, options.seeds or case.seeds)
        print(told(row), flush=True)
        if not (options.no_record or options.seeds):
            write_result("time_to_accuracy", row)


def measure(case: Case, seeds: int) -> dict[str, Any]:
    """All runs of a case."""
    runs: dict[str, list[dict[str, float]]] = {"striate": [], "pytorch": []}
    for number in range(seeds):
        seed = FIRST_SEED + number
        runs["striate"].append(train(case, seed, native=True))
        if number < case.peer_seeds:
            runs["pytorch"].append(train(case, seed, native=False))
    row: dict[str, Any] = {"source": case.source, "target": case.target, "flags": " ".join(case.flags)}
    for name, found in runs.items():
        row[name] = {
            "accuracy": round(mean(run["accuracy"] for run in found), 5),
            "accuracies": [run["accuracy"] for run in found],
            "train_seconds": round(median(run["train_seconds"] for run in found), 2),
            "process_seconds": round(median(run["process_seconds"] for run in found), 2),
        }
    return row


def train(case: Case, seed: int, native: bool) -> dict[str, float]:
    """One process."""
    with tempfile.TemporaryDirectory() as name:
        command = [sys.executable, "-m", "striate", "train", case.source, *case.flags, "--seed", str(seed)]
        environment = {**os.environ, "STRIATE_NATIVE": str(int(native))}
        started = time.perf_counter()
        subprocess.run(
            [*command, "--out", f"{name}/run", "--quiet"], check=True, capture_output=True, env=environment
        )
        seconds = time.perf_counter() - started
        learner = json.loads((Path(name) / "run" / "comparison.json").read_text())["learners"][0]
    return {
        "accuracy": learner["accuracy"],
        "train_seconds": learner["train_seconds"],
        "process_seconds": seconds,
    }


def told(row: dict[str, Any]) -> str:
    """A row in a line."""
    ours, peer = row["striate"], row["pytorch"]
    words = "reached" if ours["accuracy"] >= row["target"] else "MISSED"
    return (
        f"{row['source']} {row['target']:.1%} {words}: {ours['accuracy']:.2%}, trained in {ours['train_seconds']} s, "
        f"process {ours['process_seconds']} s; through PyTorch {peer['train_seconds']} s, {peer['process_seconds']} s"
    )


if __name__ == "__main__":
    main()
