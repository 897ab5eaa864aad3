"""Seconds for ``striate --help``, and for ``import striate`` beyond ``import torch``: medians.

The processes take turns, so that a busy moment of the machine hits all of them. The import is timed
inside a process that has imported torch: two processes differ by more than the 50 ms in question.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from stamp import write_result

STRIATE = str(Path(sys.executable).with_name("striate"))
COMMANDS = {
    "python": [sys.executable, "-c", "pass"],
    "help": [STRIATE, "--help"],
    "train_help": [STRIATE, "train", "--help"],
    "torch": [sys.executable, "-c", "import torch"],
}
BEYOND = "import time, torch; t = time.perf_counter(); import striate; print(time.perf_counter() - t)"
# As on a user's machine, where the first start leaves compiled modules behind.
ENVIRONMENT = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}


def main() -> None:
    """Run the commands in turn, record the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    for command in COMMANDS.values():
        run(command)  # the first start only fills caches
    times: dict[str, list[float]] = {name: [] for name in [*COMMANDS, "beyond"]}
    for _ in range(options.rounds):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            run(command)
            times[name].append(time.perf_counter() - started)
        times["beyond"].append(float(run([sys.executable, "-c", BEYOND])))
    row = {
        "help_seconds": round(median(times["help"]), 3),
        "help_least_seconds": round(min(times["help"]), 3),
        "train_help_seconds": round(median(times["train_help"]), 3),
        "python_seconds": round(median(times["python"]), 3),
        "import_torch_seconds": round(median(times["torch"]), 3),
        "import_beyond_torch_seconds": round(median(times["beyond"]), 4),
        "rounds": options.rounds,
        "load": round(os.getloadavg()[0], 2),
    }
    print(row)
    if not options.no_record:
        print("recorded in", write_result("startup", row))


def run(command: list[str]) -> str:
    """What a process prints."""
    return subprocess.run(command, check=True, capture_output=True, text=True, env=ENVIRONMENT).stdout


if __name__ == "__main__":
    main()
