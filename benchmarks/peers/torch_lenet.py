"""A LeNet epoch in the best plain PyTorch loop we could write: a contender of ``lenet_epoch.py``.

Everything is in memory, normalised once to float32; fused Adam; no schedule, no metrics, no checks,
not even the loss is looked at. Usage: ``torch_lenet.py FOLDER [--channels-last] [--compile] [--slices]``
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from contender import serve

BATCH = 128


def lenet() -> nn.Sequential:
    """The same sequence as ``striate.models.lenet``, with ReLU after the pooling as well."""
    return nn.Sequential(
        *(nn.Conv2d(1, 6, 5), nn.MaxPool2d(2), nn.ReLU(inplace=True)),
        *(nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.ReLU(inplace=True)),
        *(nn.Flatten(), nn.Linear(256, 120), nn.ReLU(inplace=True)),
        *(nn.Linear(120, 84), nn.ReLU(inplace=True), nn.Linear(84, 10)),
    )


def main() -> None:
    """Load, warm up for one epoch, then serve epochs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--channels-last", action="store_true")
    parser.add_argument("--compile", action="store_true")
    parser.add_argument("--slices", action="store_true", help="shuffle the whole set once, then slice")
    options = parser.parse_args()
    layout = torch.channels_last if options.channels_last else torch.contiguous_format

    arrays = {name: np.load(options.folder / f"{name}.npy") for name in ("x", "y", "x_test", "y_test")}
    tensors = {name: torch.from_numpy(array) for name, array in arrays.items()}
    mean, std = tensors["x"].float().mean() / 255, tensors["x"].float().std() / 255
    x, x_test = (
        ((tensors[name].float() / 255 - mean) / std).to(memory_format=layout) for name in ("x", "x_test")
    )
    y, y_test = tensors["y"], tensors["y_test"]

    model = lenet().to(memory_format=layout)
    forward = torch.compile(model) if options.compile else model

    def run_epoch() -> dict[str, Any]:
        for module in model.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                module.reset_parameters()
        optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, fused=True)
        started = time.perf_counter()
        order = torch.randperm(len(x))
        xs, ys = (x[order], y[order]) if options.slices else (x, y)
        for start in range(0, len(x) - BATCH + 1, BATCH):
            batch = slice(start, start + BATCH) if options.slices else order[start : start + BATCH]
            loss = F.cross_entropy(forward(xs[batch]), ys[batch])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        seconds = time.perf_counter() - started
        with torch.inference_mode():
            accuracy = (model(x_test).argmax(1) == y_test).float().mean().item()
        return {"seconds": seconds, "accuracy": accuracy}

    run_epoch()
    serve({"torch": torch.__version__, "threads": torch.get_num_threads()}, run_epoch)


if __name__ == "__main__":
    main()
