"""Transposed convolution backwards: settings that reach a wanted size, and the overlap of its taps."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence

from striate.geometry.arguments import Shape, Whole, whole
from striate.geometry.window import extent, transposed_output_size

LARGEST_KERNEL = 7
LARGEST_STRIDE = 4


class Setting(namedtuple("Setting", "kernel stride padding output_padding dilation")):
    """Arguments of a transposed convolution, the same along every dimension."""

    __slots__ = ()
    kernel: int
    stride: int
    padding: int
    output_padding: int
    dilation: int


def transposed_settings(
    size: Whole,
    target: Whole,
    kernel: int | None = None,
    stride: int | None = None,
    *,
    dilation: int = 1,
    largest_kernel: int = LARGEST_KERNEL,
    largest_stride: int = LARGEST_STRIDE,
) -> list[Setting]:
    """All settings that turn ``size`` into ``target``, those with the least padding first.

    Kernels and strides are tried up to their largest values, the padding up to ``d(k − 1)`` (more
    would leave border samples without a tap), the output padding below stride or dilation.

    Args:
        size: of the input; one number, or one for each dimension.
        target: wanted size of the output.
        kernel: the only kernel to try.
        stride: the only stride to try.
        dilation: samples from one tap to the next.
        largest_kernel: to try.
        largest_stride: to try.

    >>> transposed_settings((2, 2), (4, 4), kernel=3)[0], transposed_settings(2, 5, kernel=3)[0]
    (Setting(kernel=3, stride=1, padding=0, output_padding=0, dilation=1), Setting(kernel=3, stride=2, padding=0, output_padding=0, dilation=1))
    """
    sizes, targets = _pairs(size, target)
    kernels = range(1, largest_kernel + 1) if kernel is None else whole("kernel", kernel, 1)
    strides = range(1, largest_stride + 1) if stride is None else whole("stride", stride, 1)
    (spread,) = whole("dilation", dilation, 1)
    found = []
    for k in kernels:
        for s in strides:
            for extra in range(max(s, spread)):
                cut = {
                    transposed_output_size(n, k, s, 0, extra, spread) - m
                    for n, m in zip(sizes, targets, strict=True)
                }
                if len(cut) > 1:
                    continue
                padding, odd = divmod(cut.pop(), 2)
                if not odd and 0 <= padding <= extent(k, spread) - 1:
                    found.append(Setting(k, s, padding, extra, spread))
    return sorted(found, key=lambda setting: (setting.output_padding, setting.padding))


def overlap(kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Shape:
    """How many taps reach the outputs of a transposed convolution, away from the borders.

    The numbers are those of one period of ``stride`` outputs. Where they differ, a checkerboard
    shines through (Odena, Dumoulin, Olah 2016, "Deconvolution and checkerboard artifacts"). They
    are equal if the stride divides the kernel.

    >>> overlap(3, stride=2), overlap(4, stride=2)
    ((2, 1), (2, 2))
    """
    kernel, stride, dilation = (
        whole(name, value, 1)[0]
        for name, value in (("kernel", kernel), ("stride", stride), ("dilation", dilation))
    )
    return tuple(
        sum((place + padding - dilation * tap) % stride == 0 for tap in range(kernel))
        for place in range(stride)
    )


def overlaps(
    size: int, kernel: int, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> Shape:
    """How many taps reach each output of a transposed convolution of ``size`` inputs, borders included.

    >>> overlaps(4, 3, stride=2)
    (1, 1, 2, 1, 2, 1, 2, 1, 1)
    """
    positions = transposed_output_size(size, kernel, stride, padding, output_padding, dilation)
    taps = [stride * i + dilation * j - padding for i in range(size) for j in range(kernel)]
    return tuple(taps.count(place) for place in range(positions))


def _pairs(size: Whole, target: Whole) -> tuple[Shape, Shape]:
    rank = max((len(value) for value in (size, target) if isinstance(value, Sequence)), default=1)
    return whole("size", size, rank), whole("target", target, rank)
