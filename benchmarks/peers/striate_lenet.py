"""A LeNet epoch by Striate's own learner, as ``striate train mnist --model lenet`` runs it: a contender.

Everything that a run does in an epoch is timed: shuffling, normalisation of every batch, seeds, schedule,
progress, the check for a finite loss, running accuracy, validation (on 128 pictures), log and checkpoints on
the disk. What is done once before, such as the statistics for the normalisation, is not, as with the peers.
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


class Stopwatch(Monitor):
    """Runs from the beginning of the training to its end."""

    started = seconds = 0.0

    def begin(self, title: str, total: int, unit: str = "pictures") -> None:
        """The loop starts."""
        self.started = time.perf_counter()

    def end(self) -> None:
        """The last epoch is judged and saved."""
        self.seconds = time.perf_counter() - self.started


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
        watch = Stopwatch()
        learner = NetworkLearner("lenet", (1, 28, 28), len(CLASSES))
        with tempfile.TemporaryDirectory() as folder:
            run = RunFolder.create(Path(folder))
            learner.fit(train, val, config, monitor=watch, folder=run)
        accuracy = (learner.predict(test.pixels).argmax(1) == test.labels).float().mean().item()
        return {"seconds": watch.seconds, "accuracy": accuracy}

    run_epoch()
    serve({"torch": torch.__version__, "threads": torch.get_num_threads()}, run_epoch)


def _pictures(folder: Path, pixels: str, labels: str) -> PictureSet:
    x, y = (torch.from_numpy(np.load(folder / f"{name}.npy")) for name in (pixels, labels))
    return PictureSet(x, y, [f"{pixels}/{i:05d}" for i in range(len(x))], CLASSES)


if __name__ == "__main__":
    main()
