"""Parameters, multiply-adds and connections of layers, as exact integers.

Convention: one multiply-add (MAC) is one weight applied once; biases, normalisation, activation
and pooling are not counted. Taps on the padding are counted, as everybody does; they are no
connections.
"""

from __future__ import annotations

from math import prod

from striate.geometry.window import ends, output_size, transposed_output_size

BYTES = {"float64": 8, "float32": 4, "bfloat16": 2, "float16": 2, "int8": 1, "uint8": 1}


def conv_parameters(
    in_channels: int, out_channels: int, kernel: tuple[int, ...], groups: int = 1, bias: bool = True
) -> int:
    """Learned numbers of a convolution: ``C_out · C_in / groups · ∏k + bias``.

    >>> conv_parameters(1, 6, (5, 5)), conv_parameters(6, 16, (5, 5), bias=False)
    (156, 2400)
    """
    return out_channels * (in_channels // groups) * prod(kernel) + (out_channels if bias else 0)


def conv_macs(
    in_channels: int, out_channels: int, kernel: tuple[int, ...], output: tuple[int, ...], groups: int = 1
) -> int:
    """Multiply-adds of a convolution for one picture: weights × output positions.

    A transposed convolution applies its weights at every *input* position: give those.

    >>> conv_macs(3, 6, (5, 5), (28, 28))  # the lecture's homework
    352800
    """
    return conv_parameters(in_channels, out_channels, kernel, groups, bias=False) * prod(output)


def linear_macs(in_features: int, out_features: int, positions: int = 1) -> int:
    """Multiply-adds of a linear layer for one picture.

    >>> linear_macs(3_000_000, 20)  # 1 megapixel in colour into 20 units
    60000000
    """
    return in_features * out_features * positions


def links(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: int | tuple[int, int] = 0,
    dilation: int = 1,
    positions: int | None = None,
) -> int:
    """Taps of all positions of a window, along one dimension, that fall on the picture.

    >>> links(4, 3), links(4, 3, padding=1)  # 2·3; 2 + 3 + 3 + 2
    (6, 10)
    """
    before, _ = ends(padding)
    if positions is None:
        positions = output_size(size, kernel, stride, padding, dilation)
    total = 0
    for tap in range(kernel):
        shift = before - dilation * tap  # position o touches stride·o − shift
        first = max(0, -(-shift // stride))
        last = min(positions - 1, (size - 1 + shift) // stride)
        total += max(0, last - first + 1)
    return total


def transposed_links(
    size: int, kernel: int, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> int:
    """Taps of a transposed convolution along one dimension that fall on its output.

    >>> transposed_links(2, 3, stride=2), transposed_links(2, 3, stride=2, padding=1)
    (6, 4)
    """
    positions = transposed_output_size(size, kernel, stride, padding, output_padding, dilation)
    return links(positions, kernel, stride, padding, dilation, positions=size)
