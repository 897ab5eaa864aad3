"""One LeNet epoch on MNIST, batch 128: Striate against the best plain PyTorch loop and Keras 3.

Every contender is a process of its own that has the data in memory and has run one epoch before;
they take turns. First the variants of each peer race for a few rounds, then the fastest of each
races Striate. No figure is reported if an epoch of Striate does not reach 97 % on the test pictures.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from contender import Contender, race, speed_up
from stamp import ROOT, write_result
from striate.data.source import open_source
from striate.train.config import DataConfig

PEERS = ROOT / "benchmarks" / "peers"
LEAST_ACCURACY = 0.97
OURS = {"striate": ["striate_lenet.py"], "striate, default recipe": ["striate_lenet.py", "--augment"]}
PYTORCH = {
    "pytorch": ["torch_lenet.py"],
    "pytorch, channels-last": ["torch_lenet.py", "--channels-last"],
    "pytorch, slices of a shuffled copy": ["torch_lenet.py", "--slices"],
    "pytorch, compiled": ["torch_lenet.py", "--compile"],
    "pytorch, compiled, channels-last": ["torch_lenet.py", "--compile", "--channels-last"],
}
KERAS = {
    "keras, jax": ["--steps", "13"],
    "keras, jax, tf.data": ["--steps", "13", "--tf-data"],
    "keras, tensorflow, jit": ["--jit", "true", "--steps", "39"],
    "keras, tensorflow, tf.data": ["--jit", "false", "--steps", "39", "--tf-data"],
    "keras, torch": ["--jit", "false"],
    "keras, torch, channels-first": ["--jit", "false", "--channels-first"],
}


def main() -> None:
    """Race, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--trials", type=int, default=3, help="rounds in which the variants of a peer race")
    parser.add_argument("--pictures", type=int, help="try it out with fewer; nothing is checked or recorded")
    parser.add_argument("--no-keras", action="store_true")
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_mnist(folder, options.pictures)
        keras_python = None if options.no_keras else find_keras()
        best_pytorch, trials = fastest(PYTORCH, folder, options.trials)
        keras = None
        if keras_python:
            best_keras, keras_trials = fastest(KERAS, folder, options.trials, keras_python)
            trials |= keras_trials
            keras = (best_keras, keras_python)
        row = final(best_pytorch, keras, folder, options.rounds, options.pictures is None)
    row["trials"] = trials
    if not (options.no_record or options.pictures):
        print("recorded in", write_result("lenet_epoch", row))


def final(
    pytorch: str, keras: tuple[str, str] | None, folder: Path, rounds: int, check: bool
) -> dict[str, object]:
    """The race of the fastest; returns the row to record."""
    with (
        started({**OURS, pytorch: PYTORCH[pytorch]}, folder) as torch_runners,
        started(
            {keras[0]: KERAS[keras[0]]} if keras else {}, folder, keras[1] if keras else ""
        ) as keras_runners,
    ):
        runners = torch_runners + keras_runners
        race(runners, rounds, lambda number: print(f"round {number + 1} of {rounds}", flush=True))
        ours = runners[0]
        accuracy = min(row["accuracy"] for row in ours.rows)
        if check and accuracy <= LEAST_ACCURACY:
            sys.exit(
                f"Striate's epoch reached {accuracy:.2%} only, wanted more than {LEAST_ACCURACY:.0%}: no report"
            )
        row: dict[str, object] = {
            "rounds": rounds,
            "batch": 128,
            "seconds": {},
            "accuracy": {},
            "speed_up": {},
        }
        for runner in runners:
            figures = (runner.seconds(), runner.rows[-1]["accuracy"], speed_up(ours, runner))
            for key, value in zip(("seconds", "accuracy", "speed_up"), figures, strict=True):
                row[key][runner.name] = round(value, 4)  # type: ignore[index]
            print(
                f"{runner.name:40} {figures[0]:7.3f} s   {figures[1]:.2%}   Striate is {figures[2]:.2f}x as fast"
            )
        row["peers"] = {runner.name: runner.about for runner in runners[2:]}
        row["best_pytorch"] = pytorch
        row["best_keras"] = keras[0] if keras else None
    return row


def fastest(
    variants: dict[str, list[str]], folder: Path, rounds: int, python: str = ""
) -> tuple[str, dict[str, float]]:
    """Race the variants of one peer; returns the name of the fastest and everyone's median seconds."""
    with started(variants, folder, python) as runners:
        race(runners, rounds, lambda _: None)
        seconds = {runner.name: round(runner.seconds(), 4) for runner in runners}
    for name, value in sorted(seconds.items(), key=lambda item: item[1]):
        print(f"  {value:7.3f} s  {name}", flush=True)
    return min(seconds, key=lambda name: seconds[name]), seconds


@contextmanager
def started(variants: dict[str, list[str]], folder: Path, python: str = "") -> Iterator[list[Contender]]:
    """Contenders, one after another brought to readiness; one that cannot start is told and left out."""
    runners: list[Contender] = []
    try:
        for name, arguments in variants.items():
            try:
                runners.append(start(name, arguments, folder, python))
            except RuntimeError as error:
                if name in OURS:
                    raise
                print(f"  left out: {error}", flush=True)
        yield runners
    finally:
        for runner in runners:
            runner.close()


def start(name: str, arguments: list[str], folder: Path, python: str) -> Contender:
    """One contender; those of Keras are named after their backend."""
    environment = {}
    script = []
    if name.startswith("keras"):
        environment = {
            "KERAS_BACKEND": name.split(", ")[1],
            "TF_CPP_MIN_LOG_LEVEL": "2",
            "JAX_PLATFORMS": "cpu",
        }
        script = ["keras_lenet.py"]
    script = [*script, *arguments]
    command = [python or sys.executable, str(PEERS / script[0]), str(folder), *script[1:]]
    return Contender(name, command, folder / f"{name}.log", environment)


def save_mnist(folder: Path, most: int | None) -> None:
    """The 60,000 training and 10,000 test pictures, as uint8 arrays that every contender can read."""
    source = open_source(DataConfig(source="mnist"))
    is_test = np.array([split == "test" for split in source.splits])
    for suffix, chosen in (("", ~is_test), ("_test", is_test)):
        np.save(folder / f"x{suffix}.npy", source.pixels[chosen][:most])
        np.save(folder / f"y{suffix}.npy", source.labels[chosen][:most])


def find_keras() -> str | None:
    """A Python that has Keras: this one, or that of the environment of ``make bench``."""
    for python in (sys.executable, str(ROOT / ".venv-bench" / "bin" / "python")):
        if Path(python).exists():
            found = subprocess.run(
                [python, "-c", "import importlib.util as u; exit(not u.find_spec('keras'))"], check=False
            )
            if found.returncode == 0:
                return python
    print("Keras is not installed: it is left out; `make bench` installs it in .venv-bench", flush=True)
    return None


if __name__ == "__main__":
    main()
