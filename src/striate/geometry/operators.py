"""What every operator makes of one picture: output size, parameters, multiply-adds, connections, memory.

Conventions
- Shapes are of one picture, ``(C, *size)``; a batch multiplies everything but the parameters.
- A multiply-add (MAC) is one weight applied once: weights × output positions (× input positions
  for a transposed convolution), taps on the padding included, as everybody counts. Biases,
  activations and pooling without weights are 0.
- A connection links one input number to one output number; a tap on the padding links nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod

from striate.errors import ArgumentError
from striate.geometry.arguments import Pads, Shape, Whole, channels_and_size, check_groups, pads, whole
from striate.geometry.cost import BYTES, conv_macs, conv_parameters, links, transposed_links
from striate.geometry.window import adaptive_windows, output_size, transposed_output_size


@dataclass(frozen=True)
class Layer:
    """One operator on one picture.

    Attributes:
        input: ``(C, *size)`` that comes.
        output: ``(C, *size)`` that leaves.
        weights: learned numbers without the biases.
        biases: learned offsets.
        macs: multiply-adds for one picture.
        connections: pairs of an input and an output number that are linked.
    """

    input: Shape
    output: Shape
    weights: int = 0
    biases: int = 0
    macs: int = 0
    connections: int = 0

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
    windows = _windows(size, kernel, stride, padding, dilation)
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
    """Across the channels, then along each dimension by itself, channel by channel; one bias at the end.

    >>> flattened_conv((3, 9, 9), 8, 3, bias=False).weights  # 8·(3 + 3 + 3)
    72
    """
    _, size = channels_and_size(input)
    rank = len(size)

    def step(dimension: int) -> Callable[[Shape], Layer]:
        settings = _one_dimension(size, kernel, stride, padding, dilation, dimension)
        return lambda x: conv(
            x, out_channels, *settings, groups=out_channels, bias=bias and dimension == rank - 1
        )

    return chain(input, lambda x: conv(x, out_channels, 1, bias=False), *map(step, range(rank)))


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


def pool(
    input: Sequence[int],
    kernel: Whole,
    stride: Whole | None = None,
    padding: Pads = 0,
    dilation: Whole = 1,
    ceil_mode: bool = False,
) -> Layer:
    """Max-, average-, Lp- and mixed pooling: a window over each channel; the stride is the kernel's size.

    >>> pool((1, 4, 4), 2).output, pool((1, 4, 4), 2, stride=1).output
    ((1, 2, 2), (1, 3, 3))
    """
    channels, size = channels_and_size(input)
    windows = _windows(size, kernel, kernel if stride is None else stride, padding, dilation)
    output = tuple(output_size(*window, ceil_mode=ceil_mode) for window in windows)
    connections = prod(links(*w, positions=n) for w, n in zip(windows, output, strict=True))
    return Layer(tuple(input), (channels, *output), connections=channels * connections)


def adaptive_pool(input: Sequence[int], output_size: int | Sequence[int | None]) -> Layer:
    """Pooling to a wanted size; ``None`` keeps a dimension.

    >>> adaptive_pool((8, 7, 5), (3, None)).output
    (8, 3, 5)
    """
    channels, size = channels_and_size(input)
    wanted: Sequence[int | None] = (
        output_size if isinstance(output_size, Sequence) else (output_size,) * len(size)
    )
    if len(wanted) != len(size):
        raise ArgumentError(f"output_size came as {output_size!r}; wanted one number or {len(size)}")
    numbers = [n if b is None else b for n, b in zip(size, wanted, strict=True)]
    output = whole("output_size", numbers, len(size))
    seen = [
        sum(stop - start for start, stop in adaptive_windows(n, b)) for n, b in zip(size, output, strict=True)
    ]
    return Layer(tuple(input), (channels, *output), connections=channels * prod(seen))


def global_pool(input: Sequence[int]) -> Layer:
    """Pooling of each channel to one number.

    >>> global_pool((512, 7, 7)).output
    (512, 1, 1)
    """
    return adaptive_pool(input, 1)


def pyramid_pool(input: Sequence[int], levels: Sequence[int]) -> Layer:
    """Spatial pyramid pooling: bins of every level in one vector, whatever the picture's size.

    >>> pyramid_pool((256, 13, 13), (4, 2, 1)).output
    (5376,)
    """
    if not levels:
        raise ArgumentError("no levels came; wanted at least one, such as (4, 2, 1)")
    layers = [adaptive_pool(input, whole("levels", (level,), 1)[0]) for level in levels]
    features = sum(prod(layer.output) for layer in layers)
    return Layer(tuple(input), (features,), connections=sum(layer.connections for layer in layers))


def spectral_pool(input: Sequence[int], output_size: Whole) -> Layer:
    """Keep the lowest frequencies: along a dimension that changes, every output reads every input.

    >>> spectral_pool((8, 28, 28), 14).output
    (8, 14, 14)
    """
    channels, size = channels_and_size(input)
    wanted = whole("output_size", output_size, len(size))
    linked = prod(n * m if n != m else n for n, m in zip(size, wanted, strict=True))
    return Layer(tuple(input), (channels, *wanted), connections=channels * linked)


def _windows(
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


def _one_dimension(
    size: Shape, kernel: Whole, stride: Whole, padding: Pads, dilation: Whole, dimension: int
) -> tuple[Shape, Shape, tuple[tuple[int, int], ...], Shape]:
    """Kernel, stride, padding and dilation that work along one dimension and leave the others."""
    window = _windows(size, kernel, stride, padding, dilation)[dimension]
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
