"""A labelled axis for intervals drawn inside a table."""

from __future__ import annotations

from collections.abc import Iterable

_STEPS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.25, 0.5)
_MOST_STEPS = 4


class Axis:
    """From a round share below all ``intervals`` to one above, in at most four round steps.

    >>> axis = Axis([(0.952, 0.961), (0.978, 0.984)])
    >>> axis.ticks, axis.at(0.97)
    ([0.95, 0.96, 0.97, 0.98, 0.99], 50.0)
    """

    def __init__(self, intervals: Iterable[tuple[float, float]]) -> None:
        bounds = list(intervals) or [(0.0, 1.0)]
        low, high = min(b[0] for b in bounds), max(b[1] for b in bounds)
        for step in _STEPS:
            first, last = int(low / step + 1e-9), -int(-(high / step) - 1 + 1e-9)
            first, last = (first, last) if last > first else (first, first + 1)
            if last - first <= _MOST_STEPS:
                break
        last = min(last, round(1 / step))
        first = min(first, last - 1)
        self.ticks = [round(i * step, 6) for i in range(first, last + 1)]

    def at(self, share: float) -> float:
        """Where ``share`` lies, in per cent of the axis' length."""
        low, high = self.ticks[0], self.ticks[-1]
        return round(100 * (share - low) / (high - low), 2)
