"""Sizes of sliding windows along one dimension: every operator's output size comes from here.

Sizes, kernels, strides, paddings and dilations are whole samples. Padding is one number for both
ends or a pair ``(before, after)``.
"""

from __future__ import annotations

from striate.errors import ArgumentError

Padding = int | tuple[int, int]


def ends(padding: Padding) -> tuple[int, int]:
    """Padding as ``(before, after)``.

    >>> ends(1), ends((0, 2))
    ((1, 1), (0, 2))
    """
    return padding if isinstance(padding, tuple) else (padding, padding)


def extent(kernel: int, dilation: int = 1) -> int:
    """Samples from the first tap of a window to its last: ``d(k − 1) + 1``.

    >>> extent(3, dilation=2)
    5
    """
    return dilation * (kernel - 1) + 1


def output_size(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: Padding = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> int:
    """Positions of a window: ``(n + p_before + p_after − d(k − 1) − 1) // s + 1``.

    With ``ceil_mode`` the division rounds up, but a window that would start in the padding after
    the end is left out, as PyTorch's pooling does. The last window may then reach beyond the end,
    and so may the only one.

    Raises:
        ArgumentError: the window does not fit.

    >>> output_size(32, 5), output_size(28, 2, stride=2), output_size(5, 2, stride=2, ceil_mode=True)
    (28, 14, 3)
    >>> output_size(4, 5, stride=3, ceil_mode=True)
    1
    """
    before, after = ends(padding)
    room = size + before + after - extent(kernel, dilation)
    positions = -(-room // stride) + 1 if ceil_mode else room // stride + 1
    if positions < 1:
        opening, closing = ("⌈", "⌉") if ceil_mode else ("⌊", "⌋")
        more = -(-(extent(kernel, dilation) - size) // 2)
        fitting = (size + before + after - 1) // dilation + 1
        raise ArgumentError(
            f"a window of {kernel} (dilation {dilation}) does not fit in {size} + {before} + {after} samples:"
            f" {opening}({size} + {before} + {after} − {dilation}·({kernel} − 1) − 1) / {stride}{closing} + 1 is below 1;"
            f" padding={more}{f' or a kernel of {fitting}' if fitting > 0 else ''} would fit"
        )
    return positions - 1 if ceil_mode and (positions - 1) * stride >= size + before else positions


def same_padding(size: int, kernel: int, stride: int = 1, dilation: int = 1) -> tuple[int, int]:
    """Padding ``(before, after)`` that gives ``ceil(n / s)`` positions; an odd sample goes to the end.

    >>> same_padding(7, 4), same_padding(7, 3, stride=2), same_padding(8, 3, stride=2)
    ((1, 2), (1, 1), (0, 1))
    """
    positions = -(-size // stride)
    total = max((positions - 1) * stride + extent(kernel, dilation) - size, 0)
    return total // 2, total - total // 2


def transposed_output_size(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    dilation: int = 1,
) -> int:
    """Output of a transposed convolution: ``(n − 1)s − 2p + d(k − 1) + output_padding + 1``.

    >>> transposed_output_size(2, 3), transposed_output_size(2, 3, stride=2)
    (4, 5)
    """
    return (size - 1) * stride - 2 * padding + extent(kernel, dilation) + output_padding


def adaptive_windows(size: int, bins: int) -> list[tuple[int, int]]:
    """The ``[start, stop)`` of each of ``bins`` windows that cover ``size`` samples.

    ``start = ⌊i·n/b⌋``, ``stop = ⌈(i + 1)·n/b⌉``: the windows of adaptive and pyramid pooling.

    >>> adaptive_windows(5, 2)
    [(0, 3), (2, 5)]
    """
    return [(i * size // bins, -(-(i + 1) * size // bins)) for i in range(bins)]
