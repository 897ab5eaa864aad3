"""Whether the operators' contract tests pass, for the sources and kernels that are here; remembered in ``build/``.

``python benchmarks/contract.py`` runs them all, so that a benchmark later need not.
"""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from stamp import ROOT
from striate.ops._library import KERNELS
from striate.ops._registry import operator_names

MEMORY = ROOT / "build" / "contract"


def failures(names: list[str]) -> dict[str, str]:
    """What failed, in words, of each operator whose contract tests do not all pass."""
    memory = MEMORY / f"{_state()}.json"
    known: dict[str, str] = json.loads(memory.read_text("utf-8")) if memory.is_file() else {}
    if missing := [name for name in names if name not in known]:
        known |= _run(missing)
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_text(json.dumps(known), "utf-8")
    return {name: known[name] for name in names if known[name]}


def _run(names: list[str]) -> dict[str, str]:
    """The first failure of each operator, or nothing, from one run of pytest."""
    report = MEMORY.with_suffix(".xml")
    chosen = " or ".join(f"[{name}{end}" for name in names for end in (":", "]"))
    command = [sys.executable, "-m", "pytest", "-q", str(ROOT / "tests" / "contract"), "-k", chosen]
    command += ["-n", "auto", "--maxprocesses=8", "--dist", "worksteal", f"--junitxml={report}"]
    command += ["-p", "no:cacheprovider", "-o", "junit_family=xunit1"]
    done = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise RuntimeError("the contract tests could not be run:\n" + (done.stdout + done.stderr)[-2000:])
    found = {}
    for name in names:
        cases = [
            c
            for c in ElementTree.parse(report).iter("testcase")
            if re.search(rf"\[{name}[\]:]", c.attrib["name"])
        ]
        failed = [
            c.attrib["name"] for c in cases if c.find("failure") is not None or c.find("error") is not None
        ]
        passed = [c for c in cases if len(c) == 0 or c.find("properties") is not None]
        if not passed:
            found[name] = "no contract test ran"
        else:
            found[name] = f"{len(failed)} contract tests failed, {failed[0]} first" if failed else ""
    return found


def _state() -> str:
    """Of all that the tests' result depends on: the package, its kernels, the contract tests, torch."""
    import torch

    digest = hashlib.sha256(torch.__version__.encode())
    files = sorted(
        path
        for folder in ("src/striate", "tests/contract")
        for path in (ROOT / folder).rglob("*")
        if path.suffix in (".py", ".cpp", ".h")
    )
    for path in [*files, Path(KERNELS)]:
        digest.update(str(path.relative_to(ROOT)).encode())
        digest.update(path.read_bytes() if path.is_file() else b"absent")
    return digest.hexdigest()[:16]


if __name__ == "__main__":
    told = failures(sorted(operator_names()))
    if told:
        sys.exit("\n".join(f"{name}: {why}" for name, why in told.items()))
