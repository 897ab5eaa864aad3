"""Durations, seeds and the one-cycle schedule: pure functions of their arguments."""

from __future__ import annotations

import hashlib
import math
import re

from striate.errors import UsageError

_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}


def parse_duration(text: str) -> float:
    """Seconds of a duration such as ``90``, ``60s``, ``1.5m`` or ``1h``.

    Raises:
        UsageError: it is none, or not positive.

    >>> parse_duration("1.5m")
    90.0
    """
    match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([smh]?)\s*", text)
    if not match or float(match[1]) == 0:
        raise UsageError(f"budget {text!r}: wanted a positive time such as 60s, 10m or 1h")
    return float(match[1]) * _UNITS[match[2]]


def derive_seed(seed: int, purpose: str, index: int) -> int:
    """A 63-bit seed for one purpose and index, independent of every other.

    >>> derive_seed(0, "order", 1) == derive_seed(0, "order", 1) != derive_seed(0, "order", 2)
    True
    """
    digest = hashlib.sha256(f"{seed}/{purpose}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def one_cycle(step: int, steps: int, warmup: float = 0.2, start: float = 0.1, end: float = 0.002) -> float:
    """Factor on the peak learning rate at ``step`` of ``steps``: linear up, then cosine down.

    Source: Smith and Topin 2017 (arXiv 1708.07120).

    >>> [round(one_cycle(s, 11), 3) for s in (0, 2, 10)]
    [0.1, 1.0, 0.002]
    """
    done = step / max(1, steps - 1)
    if done < warmup:
        return start + (1 - start) * done / warmup
    return end + (1 - end) * 0.5 * (1 + math.cos(math.pi * (done - warmup) / (1 - warmup)))
