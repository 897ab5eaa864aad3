"""Steps that take turns in one process, and what this machine can do at most."""

from __future__ import annotations

import ctypes
import platform
import random
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch

Step = Callable[[], Any]
SHORTEST_TURN = 0.003  # seconds; shorter steps are repeated in a turn
SHORTEST_RACE = 2.0  # seconds: nine turns of a step of a millisecond give ratios from 0.7 to 1.3 by chance
LONGEST_WARM_UP = 0.05
FAR_BEHIND = 2.5  # times the fastest
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's mallopt


def race(
    steps: dict[str, Step], rounds: int, ours: str = "striate", seconds: float = SHORTEST_RACE
) -> dict[str, list[float]]:
    """Seconds of each round: everybody once a round, in an order that is drawn anew for each, so that nobody always
    comes after the same one. There are ``rounds`` at least, and more until ``seconds`` have gone by.

    A turn begins with a call that does not count, because the threads of whoever came before may still
    be spinning, and one's own have to be woken. Peers far behind the fastest after the first round
    leave the race with the one time that they have; those whose name begins with ``ours`` stay.
    """
    times: dict[str, list[float]] = {name: [] for name in steps}
    expected = {}
    for name, step in steps.items():
        step()
        started = time.perf_counter()
        step()
        expected[name] = time.perf_counter() - started
    names, draw = list(steps), random.Random(0)
    number, started = 0, time.perf_counter()
    while number < rounds or time.perf_counter() - started < seconds:
        for name in draw.sample(names, len(names)):
            times[name].append(turn(steps[name], expected[name]))
        if number == 0:
            fastest = min(times[name][0] for name in names)
            names = [n for n in names if n.startswith(ours) or times[n][0] <= FAR_BEHIND * fastest]
        number += 1
    return times


def keep_memory() -> bool:
    """Tell the allocator to keep what is freed; whether it could be told.

    Otherwise large tensors go back to the system now and then, and a step pays for new pages, a multiple of its
    own time, or does not, depending on what others freed before it.
    """
    if platform.libc_ver()[0] != "glibc":
        return False
    mallopt = ctypes.CDLL(None).mallopt
    return bool(mallopt(M_TRIM_THRESHOLD, -1) and mallopt(M_MMAP_MAX, 0))


def turn(step: Step, expected: float) -> float:
    """Seconds of one call, which takes about as long as ``expected``."""
    if expected < LONGEST_WARM_UP:
        step()
    count = max(1, int(SHORTEST_TURN / expected))
    started = time.perf_counter()
    for _ in range(count):
        step()
    return (time.perf_counter() - started) / count


def compare(times: dict[str, list[float]], mine: str, peers: list[str]) -> tuple[str, float]:
    """The fastest peer, and how many times faster than it ``mine`` is: the median of the rounds' ratios.

    Of a peer that left after one round, which may have been a bad one for ``mine``, the ratio of the medians.
    """
    best = min(peers, key=lambda name: median(times[name]))
    if len(times[best]) < len(times[mine]):
        return best, median(times[best]) / median(times[mine])
    pairs = zip(times[mine], times[best], strict=False)
    return best, median(theirs / own for own, theirs in pairs)


def measure_rates(dtype: torch.dtype) -> dict[str, float]:
    """What this machine can do: floating-point operations (a matrix product) and bytes (a copy) a second."""
    a, b = torch.randn(2, 1536, 1536).to(dtype)
    source = torch.randn(2**25)
    target = torch.empty_like(source)
    best = {}
    for name, work, step in (
        ("flops", 2 * 1536**3, lambda: a @ b),
        ("bytes", 2 * source.numel() * 4, lambda: target.copy_(source)),
    ):
        best[name] = work / min(race({"striate": step}, 12, seconds=0)["striate"])
    return best
