"""The raw features of many pictures: in parallel, block by block, cached where that is worth it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from striate.data.augment import permute_pixels
from striate.models.features import cache, hog, lbp, sift
from striate.models.features.cache import Arrays
from striate.train.monitor import Monitor

BLOCK = 8192  # pictures to a cache entry: an interrupted extraction loses no more
CACHED_FROM = 1000  # pictures: for fewer not even the content is hashed
WORTH_SECONDS = 2.0  # what a block must have taken to be kept
# Values taken at once: few enough for the working memory to stay in the processor's cache, and for
# SIFT, whose pictures differ in work, enough to share out.
BATCH_PIXELS = {"hog": 50_000, "lbp": 50_000, "sift": 50_000}

Settings = hog.HogSettings | lbp.LbpSettings | sift.SiftSettings


@dataclass(frozen=True)
class View:
    """Some pictures of a tensor (all without ``index``), rearranged by ``permutation`` if there is one."""

    pixels: torch.Tensor
    index: torch.Tensor | None = None
    permutation: torch.Tensor | None = None

    def __len__(self) -> int:
        return len(self.pixels) if self.index is None else len(self.index)

    def array(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Pictures start…stop−1, uint8 ``(N, C, H, W)``."""
        chosen = slice(start, stop) if self.index is None else self.index[start:stop]
        return permute_pixels(self.pixels[chosen], self.permutation).contiguous().numpy()


@dataclass(frozen=True)
class Extracted:
    """Arrays by name (rows along the pictures, or the fields of ``Keypoints``), and what they took.

    ``seconds`` is wall-clock time; ``saved_seconds`` is what the cached part took when it was made.
    """

    arrays: Arrays
    seconds: float
    saved_seconds: float


def choose_settings(feature: str, height: int, width: int) -> Settings:
    """The settings of ``feature`` for pictures of this size."""
    if feature == "hog":
        return hog.choose_settings(height, width)
    if feature == "lbp":
        return lbp.choose_settings(height, width)
    return sift.choose_settings(height, width)


def restore_settings(feature: str, values: dict[str, Any]) -> Settings:
    """The settings that gave ``values`` as a dict, after a journey through JSON."""
    if feature == "lbp":
        return lbp.LbpSettings(tuple(values["radii"]), values["grid"])
    return hog.HogSettings(**values) if feature == "hog" else sift.SiftSettings(**values)


def extract(feature: str, settings: Settings, view: View, monitor: Monitor) -> Extracted:
    """Raw features of all pictures in ``view``; the same at any number of threads."""
    describe = _describer(feature, settings)
    blocks: list[Arrays] = []
    started, saved = time.perf_counter(), 0.0
    monitor.begin(f"{feature.upper()} features", len(view))
    for start in range(0, len(view), BLOCK):
        block = view.array(start, min(start + BLOCK, len(view)))
        name = cache.key(block, _identity(settings)) if len(view) >= CACHED_FROM else None
        entry = cache.read(name) if name else None
        if entry is None:
            began = time.perf_counter()
            parts = []
            done = start
            for part, pictures in _in_batches(feature, describe, block):
                parts.append(part)
                done += pictures
                monitor.advance(done)
            entry = cache.Entry(_joined(parts), time.perf_counter() - began)
            if name and entry.seconds >= WORTH_SECONDS:
                cache.write(name, entry)
        else:
            saved += entry.seconds
            monitor.advance(start + len(block))
        blocks.append(entry.arrays)
    monitor.end()
    return Extracted(_joined(blocks), time.perf_counter() - started, saved)


def seconds_per_picture(feature: str, settings: Settings, view: View) -> float:
    """What one picture takes on all cores together, measured on the pictures of ``view``."""
    pixels = view.array(0, len(view))
    describe = _describer(feature, settings)
    describe(pixels[:1])  # the first call also fills tables
    started = time.perf_counter()
    for _ in _in_batches(feature, describe, pixels):
        pass
    return (time.perf_counter() - started) / len(pixels)


Describe = Callable[[NDArray[np.uint8]], Arrays]


def _describer(feature: str, settings: Settings) -> Describe:
    if isinstance(settings, hog.HogSettings):
        return lambda pixels: {"features": hog.hog(pixels, settings)}
    if isinstance(settings, lbp.LbpSettings):
        return lambda pixels: {"features": lbp.lbp(pixels, settings)}
    return lambda pixels: vars(sift.sift(pixels, settings))


def _identity(settings: Settings) -> dict[str, Any]:
    """What the values depend on besides the pixels."""
    module = sys.modules[type(settings).__module__]
    return {"feature": module.__name__, "version": module.VERSION, "settings": asdict(settings)}


def _joined(parts: list[Arrays]) -> Arrays:
    if len(parts) == 1:
        return parts[0]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _in_batches(feature: str, describe: Describe, pixels: NDArray[np.uint8]) -> Iterator[tuple[Arrays, int]]:
    """Features of successive pictures, and of how many.

    NumPy lets other threads work while it loops, so hog and lbp are given one batch per thread;
    sift is made of torch operators, which share out their own work.
    """
    step = max(1, BATCH_PIXELS[feature] // pixels[0].size)
    batches = [pixels[start : start + step] for start in range(0, len(pixels), step)]
    threads = torch.get_num_threads()
    if feature == "sift" or threads == 1 or len(batches) == 1:
        yield from ((describe(batch), len(batch)) for batch in batches)
        return
    with ThreadPoolExecutor(threads) as pool:
        yield from zip(pool.map(describe, batches), map(len, batches), strict=True)
