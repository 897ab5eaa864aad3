"""``striate train`` killed with SIGKILL at random moments and resumed, again and again.

A checkpoint is written after every step, so most kills fall into the writing of one; every other
kill waits for a temporary file to appear and strikes right then. A run that comes to its end is
compared with the uninterrupted one, file by file and bit for bit, and the next run begins, until
enough kills have landed. Linux only (the lives are forked from one process that has imported
everything, which makes hundreds of kills affordable).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import struct
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path

import numpy as np

from stamp import write_result
from striate.cli import main as striate

MUST_BE_EQUAL = ("model.safetensors", "predictions.safetensors", "splits.json")
IMPORTED_BEFORE_FORKING = (
    "cli.compare",
    "cli.data",
    "cli.evaluate",
    "cli.predict",
    "cli.train",
    "models.network",
    "train.fit",
)
SUBSET = 1500


def main() -> None:
    """Kill, resume, compare; exits with 1 if anything was lost or differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--model", default="lenet")
    parser.add_argument(
        "--set", choices=("digits", "mnist"), default="digits", help=f"mnist: {SUBSET} of its pictures"
    )
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    for module in IMPORTED_BEFORE_FORKING:
        import_module(f"striate.{module}")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source = "digits" if options.set == "digits" else str(write_subset(folder / "mnist"))
        flags = [
            source,
            "--model",
            options.model,
            "--epochs",
            str(options.epochs),
            "--checkpoint-seconds",
            "0",
        ]
        row = hunt(flags, folder, options.kills, random.Random(options.seed))
    row |= {"set": options.set, "model": options.model, "epochs": options.epochs}
    print(", ".join(f"{key} {value}" for key, value in row.items()))
    if not options.no_record:
        print("recorded in", write_result("kill_resume", row))
    sys.exit(0 if row["broken"] == 0 and row["different"] == 0 else 1)


def hunt(flags: list[str], folder: Path, kills: int, chance: random.Random) -> dict[str, int | float]:
    """Kill runs until ``kills`` have landed; returns what was counted.

    ``broken`` counts lives that ended by themselves with an error, ``different`` the finished runs
    that differ from the uninterrupted one.
    """
    reference = folder / "reference"
    started = time.monotonic()
    if code := wait(live(flags, reference, folder / "log.txt")):
        sys.exit(
            f"the uninterrupted run ended with exit code {code}:\n{(folder / 'log.txt').read_text()[-2000:]}"
        )
    length = time.monotonic() - started
    counts = {"kills": 0, "while_writing": 0, "finished": 0, "broken": 0, "different": 0}
    run = folder / "run-0"
    while counts["kills"] < kills or run.exists():
        life = live(flags, run, folder / "log.txt")
        if counts["kills"] < kills and kill_at_random(life, run, length, counts, chance):
            continue
        if code := wait(life):
            print(
                f"broken after {counts['kills']} kills: exit code {code}\n{(folder / 'log.txt').read_text()[-1000:]}"
            )
            counts["broken"] += 1
        else:
            counts["finished"] += 1
            counts["different"] += any(
                (run / name).read_bytes() != (reference / name).read_bytes() for name in MUST_BE_EQUAL
            )
        run = folder / f"run-{counts['finished'] + counts['broken']}"
    return {**counts, "seconds_uninterrupted": round(length, 2)}


def kill_at_random(
    life: int, run: Path, length: float, counts: dict[str, int], chance: random.Random
) -> bool:
    """Kill the process ``life`` within ``length`` seconds; False if it had ended before."""
    time.sleep(chance.uniform(0, length))
    if counts["kills"] % 2:
        deadline = time.monotonic() + length
        while not has_temporary_file(run) and time.monotonic() < deadline:
            pass
    if os.waitid(os.P_PID, life, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        return False
    os.kill(life, signal.SIGKILL)
    if wait(life) != -signal.SIGKILL:
        return False
    counts["kills"] += 1
    counts["while_writing"] += any(run.rglob(f"*.{life}.tmp"))
    return True


def has_temporary_file(run: Path) -> bool:
    """Whether a file of the run, or of its checkpoints, is being written."""
    for folder in (run / "checkpoints", run):
        with contextlib.suppress(FileNotFoundError):
            if any(path.suffix == ".tmp" for path in folder.iterdir()):
                return True
    return False


def live(flags: list[str], run: Path, log: Path) -> int:
    """Start ``striate train`` in a child, or continue it if it has begun; returns the process id."""
    begun = (run / "config.yaml").is_file()
    arguments = ["train", "--resume", str(run)] if begun else ["train", *flags, "--out", str(run)]
    life = os.fork()
    if life:
        return life
    code = 1
    try:
        with log.open("w", encoding="utf-8") as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        code = striate([*arguments, "--quiet"])
        sys.stdout.flush()
    finally:
        os._exit(code)


def wait(life: int) -> int:
    """The exit code of a child, negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(life, 0)[1])


def write_subset(folder: Path) -> Path:
    """The first pictures of MNIST's training and test sets, as IDX files."""
    from striate.data.source import open_source
    from striate.train.config import DataConfig

    mnist = open_source(DataConfig(source="mnist"))
    is_test = np.array([split == "test" for split in mnist.splits])
    folder.mkdir()
    for name, chosen in (
        ("train", np.flatnonzero(~is_test)[:SUBSET]),
        ("t10k", np.flatnonzero(is_test)[:300]),
    ):
        write_idx(folder / f"{name}-images-idx3-ubyte", mnist.pixels[chosen, 0])
        write_idx(folder / f"{name}-labels-idx1-ubyte", mnist.labels[chosen].astype(np.uint8))
    return folder


def write_idx(path: Path, array: np.ndarray) -> None:
    """An array of bytes in the IDX format."""
    path.write_bytes(struct.pack(f">HBB{array.ndim}I", 0, 8, array.ndim, *array.shape) + array.tobytes())


if __name__ == "__main__":
    main()
