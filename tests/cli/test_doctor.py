"""``striate doctor``."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import torch
from cli_helpers import Striate

from striate.ops._library import NATIVE
from striate.ops._registry import operators
from striate.ops._serving import served


def test_tells_versions_and_who_serves_what(striate: Striate):
    done = striate("doctor")
    assert (done.code, done.err) == (0, "")
    assert f"torch             {torch.__version__}" in done.out
    assert "conv_pool: conv 5×5 1→6 + ReLU + max-pool 2, batch 256, 28²" in done.out
    served = "kernel conv_pool" if NATIVE.loaded else f"PyTorch: {NATIVE.why}"
    assert served in done.out


def test_json(striate: Striate):
    told = json.loads(striate("doctor", "--json").out)
    assert told["instruction_sets"] == NATIVE.instruction_sets
    assert all(told["computes_rightly"].values())
    assert {row["operator"] for row in told["operators"]} == {
        name for name, spec in operators().items() if spec.benchmarks
    }


def test_every_case_names_a_kernel_or_a_reason():
    assert all(bool(case.by) != bool(case.why) for case in served())


def test_without_kernels():
    command = [sys.executable, "-c", "from striate.cli import main; raise SystemExit(main(['doctor']))"]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env={**os.environ, "STRIATE_NATIVE": "0"}
    )
    assert "kernels           turned off by STRIATE_NATIVE=0" in done.stdout
    assert "kernel conv_pool" not in done.stdout


def test_unknown_instruction_set_is_a_usage_error():
    command = [sys.executable, "-c", "from striate.cli import main; raise SystemExit(main(['doctor']))"]
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, "STRIATE_ISA": "mmx"}
    )
    assert done.returncode == 2
    assert done.stderr == "striate: error: STRIATE_ISA is 'mmx'; wanted one of avx512, avx2, portable\n"
