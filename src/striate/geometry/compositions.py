"""What operators made of several make of one picture; see :mod:`striate.geometry.operators`."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from striate.errors import ArgumentError
from striate.geometry.arguments import Pads, Shape, Whole, channels_and_size
from striate.geometry.operators import Layer, along_each, conv
from striate.geometry.poolings import pool


def chain(input: Sequence[int], *steps: Callable[[Shape], Layer]) -> Layer:
    """Operators one after the other, as one; connections are those of the steps, added.

    >>> chain((3, 32, 32), lambda x: conv(x, 6, 5), lambda x: pool(x, 2)).output
    (6, 14, 14)
    """
    layers: list[Layer] = []
    shape = tuple(input)
    for step in steps:
        layers.append(step(shape))
        shape = layers[-1].output
    return _together(tuple(input), shape, layers)


def separable_conv(
    input: Sequence[int],
    out_channels: int,
    kernel: Whole,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    depth_multiplier: int = 1,
    bias: bool = True,
) -> Layer:
    """Depthwise separable convolution: each channel by itself, then 1×1 across them; one bias at the end.

    >>> separable_conv((32, 16, 16), 64, 3, padding=1, bias=False).weights  # 9·32 + 32·64
    2336
    """
    middle = input[0] * depth_multiplier
    return chain(
        input,
        lambda x: conv(x, middle, kernel, stride, padding, dilation, groups=input[0], bias=False),
        lambda x: conv(x, out_channels, 1, bias=bias),
    )


def spatial_separable_conv(
    input: Sequence[int],
    out_channels: int,
    kernel: Whole,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
    bias: bool = True,
    mid_channels: int | None = None,
) -> Layer:
    """One kernel for each dimension, the first dimension first: k×1, then 1×k; one bias at the end.

    >>> spatial_separable_conv((1, 9, 9), 1, 3, bias=False).weights
    6
    """
    _, size = channels_and_size(input)
    rank = len(size)
    middle = out_channels if mid_channels is None else mid_channels

    def step(dimension: int) -> Callable[[Shape], Layer]:
        last = dimension == rank - 1
        settings = _one_dimension(size, kernel, stride, padding, dilation, dimension)
        return lambda x: conv(
            x, out_channels if last else middle, *settings, groups=groups, bias=bias and last
        )

    return chain(input, *map(step, range(rank)))


def flattened_conv(
    input: Sequence[int],
    out_channels: int,
    kernel: Whole,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    bias: bool = True,
) -> Layer:
    """Across the channels, then along each dimension by itself, channel by channel; a bias after each step.

    >>> flattened_conv((3, 9, 9), 8, 3, bias=False).weights  # 8·(3 + 3 + 3)
    72
    """
    _, size = channels_and_size(input)

    def step(dimension: int) -> Callable[[Shape], Layer]:
        settings = _one_dimension(size, kernel, stride, padding, dilation, dimension)
        return lambda x: conv(x, out_channels, *settings, groups=out_channels, bias=bias)

    order = (1, 2, 0) if len(size) == 3 else range(len(size))  # vertical, horizontal, depth
    return chain(input, lambda x: conv(x, out_channels, 1, bias=bias), *map(step, order))


def parallel(input: Sequence[int], *branches: Callable[[Shape], Layer]) -> Layer:
    """Branches side by side on the same picture, their channels concatenated.

    >>> parallel((8, 9, 9), lambda x: conv(x, 4, 3, padding=1), lambda x: conv(x, 2, 1)).output
    (6, 9, 9)
    """
    if not branches:
        raise ArgumentError("no branches came; wanted at least one")
    layers = [branch(tuple(input)) for branch in branches]
    sizes = {layer.output[1:] for layer in layers}
    if len(sizes) > 1:
        raise ArgumentError(
            f"the branches give {', '.join(str(layer.output) for layer in layers)};"
            " wanted one size, so that their channels can be concatenated: pad the smaller ones"
        )
    channels = sum(layer.output[0] for layer in layers)
    return _together(tuple(input), (channels, *layers[0].output[1:]), layers)


def conv_pool(
    input: Sequence[int],
    out_channels: int,
    kernel: Whole,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
    pool_size: Whole = 2,
    pool_stride: Whole | None = None,
    bias: bool = True,
) -> Layer:
    """Convolution, activation and pooling in one pass.

    >>> conv_pool((1, 28, 28), 6, 5).output
    (6, 12, 12)
    """
    return chain(
        input,
        lambda x: conv(x, out_channels, kernel, stride, padding, dilation, groups, bias),
        lambda x: pool(x, pool_size, pool_stride),
    )


def _one_dimension(
    size: Shape, kernel: Whole, stride: Whole, padding: Pads, dilation: Whole, dimension: int
) -> tuple[Shape, Shape, tuple[tuple[int, int], ...], Shape]:
    """Kernel, stride, padding and dilation that work along one dimension and leave the others."""
    window = along_each(size, kernel, stride, padding, dilation)[dimension]
    _, k, s, p, d = window

    def only(value: int) -> Shape:
        return tuple(value if i == dimension else 1 for i in range(len(size)))

    return only(k), only(s), tuple(p if i == dimension else (0, 0) for i in range(len(size))), only(d)


def _together(input: Shape, output: Shape, layers: Sequence[Layer]) -> Layer:
    return Layer(
        input,
        output,
        sum(layer.weights for layer in layers),
        sum(layer.biases for layer in layers),
        sum(layer.macs for layer in layers),
        sum(layer.connections for layer in layers),
    )
