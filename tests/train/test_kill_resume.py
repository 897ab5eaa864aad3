"""A run that is killed again and again ends with the same bits; the benchmark's own hunt, small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "kill_resume.py"


@pytest.mark.skipif(sys.platform != "linux", reason="forks after importing torch")
def test_killed_runs_resume_to_the_same_bits():
    command = [sys.executable, str(SCRIPT), "--kills", "6", "--epochs", "3", "--no-record"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kills 6" in done.stdout and "broken 0, different 0" in done.stdout
