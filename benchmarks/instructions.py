"""Instructions of a few kernel calls, counted by callgrind: a guard against regressions without a clock.

    python benchmarks/instructions.py            compare with benchmarks/instructions.json
    python benchmarks/instructions.py --write    store what is counted now, after a change that is wanted

A call is forward and backward in one thread with ``STRIATE_ISA=avx2`` (valgrind knows no AVX-512), its
few thousand instructions of Python and PyTorch included. The same program counts the same within some
thousandths, however busy the machine is. More than five hundredths above the stored count is a
regression. Fewer is none; ``--write`` makes it the new measure.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
EXPECTED = HERE / "instructions.json"
TOLERANCE = 0.05


def obstacle() -> str:
    """Why nothing can be counted here; empty where it can."""
    from striate.ops._library import NATIVE

    if shutil.which("valgrind") is None:
        return "valgrind is missing; on Debian or Ubuntu: apt install valgrind"
    if platform.machine() not in ("x86_64", "AMD64"):
        return "the client requests are written for x86-64"
    return "" if NATIVE.loaded else NATIVE.why


def count() -> dict[str, int]:
    """Instructions by call."""
    environment = {**os.environ, "STRIATE_ISA": "avx2", "OMP_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    with tempfile.TemporaryDirectory() as folder:
        command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder}/out"]
        command += [sys.executable, str(HERE / "counted.py")]
        done = subprocess.run(command, env=environment, check=False, capture_output=True, text=True)
        if done.returncode:
            raise RuntimeError(f"valgrind ended with {done.returncode}:\n{done.stderr[-2000:]}")
        found = {}
        for path in sorted(Path(folder).iterdir(), key=lambda path: int(path.suffix[1:] or 0)):
            text = path.read_text("utf-8")
            name = re.search(r"^desc: Trigger: Client Request: (.*)$", text, re.M)
            total = re.search(r"^summary: (\d+)$", text, re.M)
            if name and total:
                found[name[1]] = int(total[1])
    return found


def regressions(counted: dict[str, int], expected: dict[str, int]) -> list[str]:
    """What takes more instructions than it may, or is not counted on both sides, in words."""
    told = [f"{name}: counted or stored only" for name in counted.keys() ^ expected.keys()]
    for name in counted.keys() & expected.keys():
        change = counted[name] / expected[name] - 1
        if change > TOLERANCE:
            told.append(f"{name}: {counted[name]:,} instructions, {change:+.1%} of {expected[name]:,}")
    return sorted(told)


def stored() -> dict[str, int]:
    """The counts to compare with."""
    found: dict[str, int] = json.loads(EXPECTED.read_text("utf-8"))
    return found


def main() -> None:
    """Count, then compare or store."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    if reason := obstacle():
        sys.exit(f"striate: {reason}")
    counted = count()
    expected = stored() if EXPECTED.is_file() else {}
    for name, instructions in counted.items():
        change = f"{instructions / expected[name] - 1:+.1%}" if name in expected else "new"
        print(f"{name:28}{instructions:>14,}{change:>10}")
    if options.write:
        EXPECTED.write_text(json.dumps(counted, indent=2) + "\n", "utf-8")
    elif told := regressions(counted, expected):
        sys.exit("more instructions than before:\n" + "\n".join(told))


if __name__ == "__main__":
    main()
