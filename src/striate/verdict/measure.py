"""What a fitted learner says and what it costs: probabilities, time for one picture, bytes on disk."""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch

from striate.errors import StriateError
from striate.models.learner import Learner

CHUNK_BYTES = 256 * 2**20
MODEL_FILES = ("model.safetensors", "model.json")


def probabilities(learner: Learner, pixels: torch.Tensor, classes: int) -> torch.Tensor:
    """Class probabilities float32 ``(N, K)`` of uint8 pictures ``(N, C, H, W)``, checked.

    The pictures may be memory-mapped: they are read a few hundred megabytes at a time.

    Raises:
        StriateError: the learner's answer is no set of probabilities for these classes.
    """
    parts = [learner.predict(pixels[chunk]) for chunk in chunks(pixels)]
    result = torch.cat(parts) if parts else torch.zeros(0, classes)
    if result.shape != (len(pixels), classes):
        raise StriateError(
            f"{learner.name} answered {tuple(result.shape)} for {len(pixels)} pictures of {classes} classes; "
            f"wanted {(len(pixels), classes)}"
        )
    if not torch.isfinite(result).all():
        raise StriateError(f"{learner.name} answered with numbers that are not finite; its training diverged")
    return result


def chunks(pixels: torch.Tensor, most: int = sys.maxsize) -> Iterator[slice]:
    """Slices along the first dimension of at most 256 MB and ``most`` pictures each (at least one picture).

    >>> list(chunks(torch.zeros(3, 1, 2, 2, dtype=torch.uint8)))
    [slice(0, 3, None)]
    """
    bytes_each = max(1, pixels[:1].numel() * pixels.element_size())
    step = min(most, max(1, CHUNK_BYTES // bytes_each))
    for start in range(0, len(pixels), step):
        yield slice(start, min(start + step, len(pixels)))


def milliseconds_per_picture(
    learner: Learner, pixels: torch.Tensor, *, repeats: int = 30, seconds: float = 1.0
) -> float:
    """Median wall-clock time in ms to classify one decoded picture, alone, as a user would wait for it.

    Different pictures take turns, so that neither a cache nor an easy picture decides. Three unmeasured
    calls come first (lazy initialisation, allocation). It stops after ``repeats`` measurements, or
    after ``seconds`` if three are made by then.

    Args:
        learner: fitted.
        pixels: uint8 ``(N, C, H, W)``, N ≥ 1.
    """
    turns = [pixels[i : i + 1].clone() for i in range(min(len(pixels), repeats + 3))]
    for warm_up in range(3):
        learner.predict(turns[-1 - warm_up % len(turns)])
    times: list[float] = []
    end = time.perf_counter() + seconds
    while len(times) < repeats and (len(times) < 3 or time.perf_counter() < end):
        one = turns[len(times) % len(turns)]
        start = time.perf_counter()
        learner.predict(one)
        times.append(time.perf_counter() - start)
    return 1000 * statistics.median(times)


def disk_bytes(folder: Path) -> int:
    """Bytes of the saved model in a run folder: weights and the description beside them."""
    return sum((folder / name).stat().st_size for name in MODEL_FILES)
