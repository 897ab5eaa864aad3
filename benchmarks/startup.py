"""Seconds for ``striate --help``, and for ``import striate`` beyond ``import torch``: medians."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path
from statistics import median

from stamp import write_result

COMMANDS = {
    "help": [str(Path(sys.executable).with_name("striate")), "--help"],
    "torch": [sys.executable, "-c", "import torch"],
    "torch_and_striate": [sys.executable, "-c", "import torch, striate"],
}


def main() -> None:
    """Run the commands in turn, record the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    times: dict[str, list[float]] = {name: [] for name in COMMANDS}
    for _ in range(options.rounds):
        for name, command in COMMANDS.items():
            started = time.perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            times[name].append(time.perf_counter() - started)
    beyond = [both - alone for both, alone in zip(times["torch_and_striate"], times["torch"], strict=True)]
    row = {
        "help_seconds": round(median(times["help"]), 3),
        "import_torch_seconds": round(median(times["torch"]), 3),
        "import_beyond_torch_seconds": round(median(beyond), 4),
        "rounds": options.rounds,
    }
    print(row)
    if not options.no_record:
        print("recorded in", write_result("startup", row))


if __name__ == "__main__":
    main()
