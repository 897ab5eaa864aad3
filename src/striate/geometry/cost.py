"""Parameters and multiply-adds of layers, as exact integers.

Convention: one multiply-add (MAC) is one weight applied once; biases, normalisation, activation
and pooling are not counted.
"""

from __future__ import annotations

from math import prod


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
