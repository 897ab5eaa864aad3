"""Where and when a figure was measured: no row is written without it."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def stamp() -> dict[str, Any]:
    """Date (UTC), commit, machine and versions, for a row of results.

    ``commit`` ends in ``+dirty`` when tracked source files differ from it. ``threads`` is what torch
    uses in this process, so call :func:`stamp` after setting them.
    """
    import torch

    from striate.train.provenance import processor

    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit(),
        "machine": processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **{name: installed(name) for name in ("torch", "numpy", "pillow")},
    }


def write_result(name: str, row: dict[str, Any]) -> Path:
    """Append ``row`` with its stamp to ``benchmarks/results/<name>.jsonl``; returns that file.

    Keys of ``row`` win over the stamp's, so that a row can carry the peers' versions or the threads
    of another process.
    """
    path = RESULTS / f"{name}.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps({**stamp(), **row}, ensure_ascii=False, allow_nan=False)
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
    return path


def read_results(name: str) -> list[dict[str, Any]]:
    """All rows of ``benchmarks/results/<name>.jsonl``, oldest first; empty if there is no such file."""
    path = RESULTS / f"{name}.jsonl"
    if not path.is_file():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


@cache
def commit() -> str:
    """Short hash of the commit that is checked out, with ``+dirty`` if the code differs from it."""
    try:
        head = _git("rev-parse", "--short=10", "HEAD")
        changed = _git("status", "--porcelain", "--", "src", "benchmarks/*.py", "pyproject.toml")
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return f"{head}+dirty" if changed else head


def installed(name: str) -> str | None:
    """The installed version of a distribution, or ``None``."""
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str:
    command = ["git", "-C", str(ROOT), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
