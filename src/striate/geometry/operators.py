"""What every operator makes of one picture: output size, parameters, multiply-adds, connections, memory.

Conventions
- Shapes are of one picture, ``(C, *size)``; a batch multiplies everything but the parameters.
- A multiply-add (MAC) is one weight applied once: weights × output positions (× input positions
  for a transposed convolution), taps on the padding included, as everybody counts. Biases,
  activations and pooling without weights are 0.
- A connection links one input number to one output number; a tap on the padding links nothing.
"""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Sequence
from math import prod

from striate.errors import ArgumentError
from striate.geometry.arguments import Pads, Shape, Whole, channels_and_size, check_groups, pads, whole
from striate.geometry.cost import BYTES, conv_macs, conv_parameters, links, transposed_links
from striate.geometry.window import output_size, transposed_output_size


class Layer(namedtuple("Layer", "input output weights biases macs connections", defaults=(0, 0, 0, 0))):
    """One operator on one picture.

    Attributes:
        input: ``(C, *size)`` that comes.
        output: ``(C, *size)`` that leaves.
        weights: learned numbers without the biases.
        biases: learned offsets.
        macs: multiply-adds for one picture.
        connections: pairs of an input and an output number that are linked.
    """

    __slots__ = ()
    input: Shape
    output: Shape
    weights: int
    biases: int
    macs: int
    connections: int

    @property
    def parameters(self) -> int:
        """Weights and biases."""
        return self.weights + self.biases

    def memory(self, dtype: str = "float32", batch: int = 1) -> int:
        """Bytes that the output takes.

        >>> conv((3, 32, 32), 6, 5).memory(), conv((3, 32, 32), 6, 5).memory("bfloat16", batch=10)
        (18816, 94080)
        """
        return BYTES[dtype] * batch * prod(self.output)


def linear(input: Sequence[int], out_features: int, bias: bool = True) -> Layer:
    """Every input number to every output number: a feed-forward layer.

    >>> linear((3, 1000, 1000), 20).weights  # a colour picture of 1 megapixel into 20 units
    60000000
    """
    numbers = prod(input)
    macs = numbers * out_features
    return Layer(tuple(input), (out_features,), macs, out_features if bias else 0, macs, macs)


def conv(
    input: Sequence[int],
    out_channels: int,
    kernel: Whole,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
    bias: bool = True,
) -> Layer:
    """Convolution; ``groups`` equal to the channels is depthwise.

    >>> homework = conv((3, 32, 32), 6, 5)
    >>> homework.output, homework.parameters, homework.macs
    ((6, 28, 28), 456, 352800)
    >>> conv((100, 9, 9), 100, 3, groups=10).weights, conv((100, 9, 9), 100, 3).weights
    (9000, 90000)
    """
    in_channels, size = channels_and_size(input)
    check_groups(in_channels, out_channels, groups)
    windows = along_each(size, kernel, stride, padding, dilation)
    kernels = tuple(window[1] for window in windows)
    output = tuple(output_size(*window) for window in windows)
    return Layer(
        tuple(input),
        (out_channels, *output),
        conv_parameters(in_channels, out_channels, kernels, groups, bias=False),
        out_channels if bias else 0,
        conv_macs(in_channels, out_channels, kernels, output, groups),
        out_channels * (in_channels // groups) * prod(links(*window) for window in windows),
    )


def conv_transpose(
    input: Sequence[int],
    out_channels: int,
    kernel: Whole,
    stride: Whole = 1,
    padding: Whole = 0,
    output_padding: Whole = 0,
    groups: int = 1,
    bias: bool = True,
    dilation: Whole = 1,
) -> Layer:
    """Transposed convolution, with the arguments in the order of PyTorch's layer.

    >>> conv_transpose((8, 2, 2), 4, 3).output, conv_transpose((8, 2, 2), 4, 3, stride=2).output
    ((4, 4, 4), (4, 5, 5))
    """
    in_channels, size = channels_and_size(input)
    check_groups(in_channels, out_channels, groups)
    rank = len(size)
    kernels, strides, dilations = (
        whole(name, value, rank)
        for name, value in (("kernel", kernel), ("stride", stride), ("dilation", dilation))
    )
    paddings = whole("padding", padding, rank, least=0)
    extras = whole("output_padding", output_padding, rank, least=0)
    for extra, step, spread in zip(extras, strides, dilations, strict=True):
        if extra >= max(step, spread):
            raise ArgumentError(
                f"output_padding={extra} must be smaller than stride={step} or dilation={spread}"
            )
    settings = list(zip(size, kernels, strides, paddings, extras, dilations, strict=True))
    output = tuple(transposed_output_size(*setting) for setting in settings)
    if min(output) < 1:
        raise ArgumentError(
            f"padding={padding} cuts {tuple(size)} down to {output}; wanted less than"
            f" {tuple(((n - 1) * s + d * (k - 1) + e + 1 + 1) // 2 for n, k, s, _, e, d in settings)}"
        )
    return Layer(
        tuple(input),
        (out_channels, *output),
        conv_parameters(in_channels, out_channels, kernels, groups, bias=False),
        out_channels if bias else 0,
        conv_macs(in_channels, out_channels, kernels, size, groups),
        out_channels * (in_channels // groups) * prod(transposed_links(*setting) for setting in settings),
    )


def local_conv(
    input: Sequence[int],
    out_channels: int,
    kernel: Whole,
    stride: Whole = 1,
    padding: Pads = 0,
    dilation: Whole = 1,
    groups: int = 1,
    bias: bool = True,
    shared_bias: bool = False,
) -> Layer:
    """Convolution whose weights are not shared: every output position has its own.

    >>> local_conv((3, 32, 32), 6, 5).weights, conv((3, 32, 32), 6, 5).weights
    (352800, 450)
    """
    shared = conv(input, out_channels, kernel, stride, padding, dilation, groups, bias)
    biases = shared.biases if shared_bias or not bias else prod(shared.output)
    return Layer(shared.input, shared.output, shared.macs, biases, shared.macs, shared.connections)


def along_each(
    size: Shape, kernel: Whole, stride: Whole, padding: Pads, dilation: Whole
) -> list[tuple[int, int, int, tuple[int, int], int]]:
    """The arguments of :func:`output_size` for each dimension."""
    rank = len(size)
    kernels, strides, dilations = (
        whole(name, value, rank)
        for name, value in (("kernel", kernel), ("stride", stride), ("dilation", dilation))
    )
    paddings = pads(padding, size, kernels, strides, dilations)
    return list(zip(size, kernels, strides, paddings, dilations, strict=True))
