"""How long ``make demo`` takes once everything is installed: the very command of the Makefile."""

from __future__ import annotations

import argparse
import re
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from stamp import ROOT, write_result


def main() -> None:
    """Run it, check how it ends, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    arguments = command()
    program = Path(sys.executable).with_name("striate")
    with tempfile.TemporaryDirectory() as folder:
        started = time.monotonic()
        done = subprocess.run([program, *arguments], cwd=folder, check=True, capture_output=True, text=True)
        seconds = time.monotonic() - started
        reports = list(Path(folder).glob("runs/*/report.html"))
    print(done.stdout)
    if len(reports) != 1 or "report.html" not in "".join(done.stdout.splitlines()[-2:]):
        sys.exit("the demo does not end with the path of its report")
    print(f"{seconds:.1f} s")
    if not options.no_record:
        row = {"seconds": round(seconds, 2), "command": shlex.join(["striate", *arguments])}
        print("recorded in", write_result("demo", row))


def command() -> list[str]:
    """What ``make demo`` gives to ``striate``."""
    recipe = re.search(r"^demo:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M)
    assert recipe is not None
    return shlex.split(recipe[1].strip().partition("/bin/striate")[2])


if __name__ == "__main__":
    main()
