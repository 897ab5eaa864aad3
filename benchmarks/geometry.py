"""Seconds for ``geometry.trace`` of 200 layers, and for ``import striate.geometry``, which needs no torch.

The model is 200 convolutions, each with batch normalisation and ReLU, on 16×224×224; a receptive field
that is not 401 samples wide fails. Imports are timed in fresh processes, beyond Python's own start.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from statistics import median

from torch import nn

from stamp import write_result
from striate.geometry import trace

IMPORT = "import time; t = time.perf_counter(); import striate.geometry; print(time.perf_counter() - t)"


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    blocks = [(nn.Conv2d(16, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU()) for _ in range(200)]
    model = nn.Sequential(*(layer for block in blocks for layer in block))
    traces, imports = [], []
    for _ in range(options.rounds + 1):
        started = time.perf_counter()
        traced = trace(model, (16, 224, 224))
        traces.append(time.perf_counter() - started)
        imports.append(float(run([sys.executable, "-c", IMPORT])))
    size = traced.layers[-1].receptive_field.size
    if tuple(size) != (401, 401):
        sys.exit(f"not reported: the receptive field came as {size}; it is 401×401")
    row = {
        "layers": len(traced.layers),
        "trace_seconds": round(median(traces[1:]), 4),
        "import_seconds": round(median(imports[1:]), 5),
        "rounds": options.rounds,
        "load": round(os.getloadavg()[0], 2),
    }
    print(row)
    if not options.no_record:
        print("recorded in", write_result("geometry", row))


def run(command: list[str]) -> str:
    """What a process prints; with compiled modules left behind, as on a user's machine."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout


if __name__ == "__main__":
    main()
