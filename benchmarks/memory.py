"""Peak memory of calls, measured in a process of its own: ``memory.py`` is started by the benchmarks.

What a call takes beyond its arguments: how far the process's resident memory rises above what it was
before the call (``VmHWM`` of Linux, reset before each). Results, gradients, what is kept for the
backward pass, working memory of any library: all count. A first call, not counted, makes what stays.
glibc is told to give every block back (``MALLOC_MMAP_THRESHOLD_``), as the rest of the heap would hide
what a call takes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from racing import Step

ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_TRIM_THRESHOLD_": "65536"}


def peak(step: Step) -> float | None:
    """Mebibytes that a call takes; ``None`` where the system does not tell."""
    status, reset = Path("/proc/self/status"), Path("/proc/self/clear_refs")
    if not (status.is_file() and os.access(reset, os.W_OK)):
        return None
    step()

    def kibibytes(key: str) -> int:
        text = status.read_text("ascii")
        return int(text[text.index(key + ":") :].split()[1])

    highest = 0
    for _ in range(2):
        before = kibibytes("VmRSS")
        reset.write_text("5", "ascii")
        step()
        highest = max(highest, kibibytes("VmHWM") - before)
    return round(highest / 1024, 2)


def measure(dtype: str, threads: int, words: list[str]) -> dict[str, dict[str, dict[str, float]]]:
    """Peaks by case, by "forward" or "both", by contender: Striate and PyTorch in each layout."""
    command = [sys.executable, __file__, dtype, str(threads), *words]
    done = subprocess.run(
        command, stdout=subprocess.PIPE, text=True, check=True, env={**os.environ, **ENVIRONMENT}
    )
    found: dict[str, dict[str, dict[str, float]]] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure the cases that the words choose, in this process."""
    import torch

    from cases import Case, by_pytorch, chosen

    dtype, threads, *words = sys.argv[1:]
    torch.set_num_threads(int(threads))
    found: dict[str, Any] = {}
    for spec, call in chosen(words):
        case = Case(spec, call, getattr(torch, dtype))
        row = found[f"{spec.name} {call}"] = {"forward": {}, "both": {}}
        for last in case.layouts:
            added = ", channels last" if last else ""
            for what, step in zip(row, case.steps(last, case.run), strict=True):
                row[what]["striate" + added] = peak(step)
                row[what]["pytorch" + added] = peak(by_pytorch(step))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
