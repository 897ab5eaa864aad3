"""Where a result comes from: versions, machine, seed, data."""

from __future__ import annotations

import platform
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

import striate
from striate.train.config import DataConfig

LIBRARIES = ("torch", "numpy", "pillow", "simplejpeg", "scikit-image", "scikit-learn")


def provenance(config: DataConfig, data_hash: str) -> dict[str, Any]:
    """Plain values for ``model.json`` and the report."""
    return {
        "striate": striate.__version__,
        "python": platform.python_version(),
        "libraries": {name: version(name) for name in LIBRARIES},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "threads": torch.get_num_threads(),
        "seed": config.seed,
        "data_hash": data_hash,
        "command": sys.argv[1:],
        "started": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def processor() -> str:
    """The processor's name, as the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
