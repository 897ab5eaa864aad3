"""Test accuracy of ``striate train`` with its defaults, mean over seeds, on MNIST and Fashion-MNIST.

Each run is recorded as it ends. A run that the same commit has already recorded is not repeated, so
a stopped benchmark goes on where it was; ``--again`` repeats it. ``report.py`` takes the means.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stamp import commit, read_results, write_result
from striate.train.config import TrainConfig
from striate.train.fit import train_run
from striate.train.monitor import Monitor


@dataclass(frozen=True)
class Case:
    """One figure: the mean over ``seeds`` of one model on one set."""

    set: str
    model: str
    seeds: int


CASES = (
    Case("mnist", "mlp", 5),
    Case("mnist", "lenet", 5),
    Case("mnist", "cnn", 5),
    Case("fashion-mnist", "cnn", 3),
)


def main() -> None:
    """Run what is missing."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--sets", nargs="+", help="only these sets; one that is not listed runs all models once"
    )
    parser.add_argument("--models", nargs="+", help="only these models")
    parser.add_argument("--seeds", type=int, help="at most so many seeds")
    parser.add_argument("--epochs", type=int, help="instead of the recipe's; such runs are not recorded")
    parser.add_argument("--again", action="store_true", help="also what this commit has recorded")
    options = parser.parse_args()
    known = {case.set for case in CASES}
    others = [
        Case(name, model, 1)
        for name in options.sets or ()
        if name not in known
        for model in ("mlp", "lenet", "cnn")
    ]
    for case in (*CASES, *others):
        if (options.sets and case.set not in options.sets) or (
            options.models and case.model not in options.models
        ):
            continue
        for seed in range(min(case.seeds, options.seeds or case.seeds)):
            if not options.again and is_recorded(case, seed):
                continue
            row = measure(case, seed, options.epochs)
            print(
                f"{case.set} {case.model} seed {seed}: {row['accuracy']:.2%} in {row['seconds']:.0f} s",
                flush=True,
            )
            if options.epochs is None and case in CASES:
                write_result("accuracy", row)


def measure(case: Case, seed: int, epochs: int | None = None) -> dict[str, Any]:
    """One run of ``striate train``; ``seconds`` are wall-clock, data, judging and report included."""
    with tempfile.TemporaryDirectory() as name:
        config = TrainConfig(
            source=case.set, model=case.model, seed=seed, epochs=epochs, out=Path(name) / "run"
        )
        started = time.monotonic()
        comparison, _ = train_run(config, Monitor())
        seconds = time.monotonic() - started
    (learner,) = comparison.learners
    assert learner.accuracy is not None and learner.train_seconds is not None
    return {
        "set": case.set,
        "model": case.model,
        "seed": seed,
        "accuracy": learner.accuracy,
        "correct": learner.correct,
        "seconds": round(seconds, 1),
        "train_seconds": round(learner.train_seconds, 1),
        "epochs": learner.epochs,
        "parameters": learner.parameters,
        "data_hash": comparison.provenance["data_hash"],
    }


def is_recorded(case: Case, seed: int) -> bool:
    """Whether this commit has a row of this run."""
    key = (commit(), case.set, case.model, seed)
    return any(
        (row["commit"], row["set"], row["model"], row["seed"]) == key for row in read_results("accuracy")
    )


if __name__ == "__main__":
    main()
