"""What pooling makes of one picture; see :mod:`striate.geometry.operators`."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from striate.errors import ArgumentError
from striate.geometry.arguments import Pads, Whole, channels_and_size, whole
from striate.geometry.cost import links
from striate.geometry.operators import Layer, along_each
from striate.geometry.window import adaptive_windows, output_size


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
    windows = along_each(size, kernel, kernel if stride is None else stride, padding, dilation)
    output = tuple(output_size(*window, ceil_mode=ceil_mode) for window in windows)
    connections = prod(links(*w, positions=n) for w, n in zip(windows, output, strict=True))
    return Layer(tuple(input), (channels, *output), connections=channels * connections)


def lp_pool(
    input: Sequence[int],
    kernel: Whole,
    stride: Whole | None = None,
    padding: Pads = 0,
    dilation: Whole = 1,
    ceil_mode: bool = False,
    learnable: bool = False,
) -> Layer:
    """Lp-pooling; a learned p is one number.

    >>> lp_pool((8, 28, 28), 2, learnable=True).parameters
    1
    """
    layer = pool(input, kernel, stride, padding, dilation, ceil_mode)
    return layer._replace(weights=1) if learnable else layer


def mixed_pool(
    input: Sequence[int],
    kernel: Whole,
    stride: Whole | None = None,
    padding: Pads = 0,
    dilation: Whole = 1,
    ceil_mode: bool = False,
    mode: str = "fixed",
    channels: int | None = None,
) -> Layer:
    """Mixed pooling: ``"fixed"`` and ``"random"`` shares learn nothing.

    A ``"learned"`` share is one number, a ``"gated"`` one a kernel that is applied to every window; one
    for each channel if ``channels`` is given.

    >>> mixed_pool((8, 28, 28), 2, mode="learned", channels=8).parameters
    8
    >>> gated = mixed_pool((8, 28, 28), 2, mode="gated")
    >>> gated.parameters, gated.macs  # 4 taps, 8·14·14 windows
    (4, 6272)
    """
    layer = pool(input, kernel, stride, padding, dilation, ceil_mode)
    if mode == "learned":
        return layer._replace(weights=channels or 1)
    if mode == "gated":
        taps = prod(whole("kernel", kernel, len(layer.input) - 1))
        return layer._replace(weights=taps * (channels or 1), macs=taps * prod(layer.output))
    if mode not in ("fixed", "random"):
        raise ArgumentError(f'mode came as {mode!r}; wanted "fixed", "learned", "gated" or "random"')
    return layer


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
