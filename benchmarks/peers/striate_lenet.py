"""A LeNet epoch by Striate's own learner, as ``striate train mnist --model lenet`` runs it: a contender.

Everything that a run does is timed: normalisation statistics, seeds, schedule, progress, the check
for a finite loss, running accuracy, validation (on 128 pictures), log and checkpoints on the disk.
Usage: ``striate_lenet.py FOLDER [--augment]``
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from contender import serve
from striate.data.pictures import PictureSet
from striate.models.network import NetworkLearner
from striate.train.config import TrainConfig
from striate.train.monitor import Monitor
from striate.train.run_folder import RunFolder

BATCH = 128
CLASSES = tuple("0123456789")


def main() -> None:
    """Load, warm up for one epoch, then serve epochs."""
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--augment", action="store_true", help="the default recipe, with random crops")
    options = parser.parse_args()
    train, test = _pictures(options.folder, "x", "y"), _pictures(options.folder, "x_test", "y_test")
    val = test.subset(range(BATCH))
    config = TrainConfig(source="mnist", model="lenet", epochs=1, batch_size=BATCH, augment=options.augment)

    def run_epoch() -> dict[str, Any]:
        learner = NetworkLearner("lenet", (1, 28, 28), len(CLASSES))
        with tempfile.TemporaryDirectory() as folder:
            run = RunFolder.create(Path(folder))
            started = time.perf_counter()
            learner.fit(train, val, config, monitor=Monitor(), folder=run)
            seconds = time.perf_counter() - started
        accuracy = (learner.predict(test.pixels).argmax(1) == test.labels).float().mean().item()
        return {"seconds": seconds, "accuracy": accuracy}

    run_epoch()
    serve({"torch": torch.__version__, "threads": torch.get_num_threads()}, run_epoch)


def _pictures(folder: Path, pixels: str, labels: str) -> PictureSet:
    x, y = (torch.from_numpy(np.load(folder / f"{name}.npy")) for name in (pixels, labels))
    return PictureSet(x, y, [f"{pixels}/{i:05d}" for i in range(len(x))], CLASSES)


if __name__ == "__main__":
    main()
