"""Runs the benchmarks, one after another, then writes ``docs/benchmarks.md``.

``run.py`` runs all, the short ones first; ``run.py NAME…`` runs those. Each is a script of its own
with options of its own; here they run with their defaults.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
NAMES = (
    "startup",
    "geometry",
    "overhead",
    "kernel_overhead",
    "demo",
    "operators",
    "models",
    "jpeg_loading",
    "lenet_epoch",
    "time_to_accuracy",
    "kill_resume",
    "accuracy",
)


def main() -> None:
    """Run them; exits with 1 if one failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"of {', '.join(NAMES)}")
    wanted = parser.parse_args().names or NAMES
    if unknown := set(wanted) - set(NAMES):
        parser.error(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    failed = []
    for name in wanted:
        print(f"== {name}", flush=True)
        if subprocess.run([sys.executable, str(HERE / f"{name}.py")], check=False).returncode:
            failed.append(name)
    subprocess.run([sys.executable, str(HERE / "report.py")], check=True)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
