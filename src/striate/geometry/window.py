"""Output sizes of sliding windows."""

from __future__ import annotations


def output_size(size: int, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> int:
    """Positions of a window along one dimension: ``(n + 2p − d(k − 1) − 1) // s + 1``.

    Args:
        size, kernel, stride, padding, dilation: in samples.

    Raises:
        ValueError: the window does not fit.

    >>> output_size(32, 5), output_size(28, 2, stride=2)
    (28, 14)
    """
    room = size + 2 * padding - dilation * (kernel - 1) - 1
    if room < 0:
        raise ValueError(
            f"a window of {kernel} (dilation {dilation}) does not fit in {size} + 2·{padding} samples:"
            f" ({size} + 2·{padding} − {dilation}·({kernel} − 1) − 1) // {stride} + 1 is below 1"
        )
    return room // stride + 1
