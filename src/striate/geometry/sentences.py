"""Formulas with the numbers filled in, and what to write instead of what does not fit.

>>> window_formula(32, 5), transposed_formula(2, 3, stride=2)
('⌊(32 + 0 + 0 − 1·(5 − 1) − 1) / 1⌋ + 1 = 28', '(2 − 1)·2 − 2·0 + 1·(3 − 1) + 0 + 1 = 5')
"""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

from striate.geometry.transposed import overlap
from striate.geometry.window import Padding, ends, extent, output_size, transposed_output_size


def shape_text(shape: Sequence[int]) -> str:
    """A shape as people write it.

    >>> shape_text((3, 224, 224)), shape_text((400,))
    ('3×224×224', '400')
    """
    return "×".join(f"{size:,}" for size in shape) or "one number"


def window_formula(
    size: int,
    kernel: int,
    stride: int = 1,
    padding: Padding = 0,
    dilation: int = 1,
    ceil_mode: bool = False,
) -> str:
    """:func:`~striate.geometry.output_size` with the numbers filled in."""
    before, after = ends(padding)
    room = f"({size} + {before} + {after} − {dilation}·({kernel} − 1) − 1)"
    steps = f"⌈{room} / {stride}⌉" if ceil_mode else f"⌊{room} / {stride}⌋"
    result = output_size(size, kernel, stride, padding, dilation, ceil_mode)
    full = -(-(size + before + after - extent(kernel, dilation)) // stride) + 1
    dropped = " − 1 (it would start beyond the picture)" if ceil_mode and result < full else ""
    return f"{steps} + 1{dropped} = {result}"


def transposed_formula(
    size: int, kernel: int, stride: int = 1, padding: int = 0, output_padding: int = 0, dilation: int = 1
) -> str:
    """:func:`~striate.geometry.transposed_output_size` with the numbers filled in."""
    result = transposed_output_size(size, kernel, stride, padding, output_padding, dilation)
    return (
        f"({size} − 1)·{stride} − 2·{padding} + {dilation}·({kernel} − 1) + {output_padding} + 1 = {result}"
    )


def channels_do_not_fit(came: Sequence[int], wanted: int, argument: str = "in_channels") -> str:
    """Why a layer refuses its input's channels, and what it should take.

    Args:
        came: shape of the input, without the batch.
        wanted: channels.
        argument: of the layer that sets them.

    >>> channels_do_not_fit((6, 14, 14), 3)
    'it takes 3 channels, but 6×14×14 came; make it take 6 (in_channels=6), or give it 3'
    """
    return (
        f"it takes {wanted} channels, but {shape_text(came)} came; make it take {came[0]} "
        f"({argument}={came[0]}), or give it {wanted}"
    )


def features_do_not_fit(
    came: Sequence[int], takes: int, gives: int, before: Sequence[int] | None = None
) -> str:
    """Why a linear layer refuses its input, and which ``in_features`` it should have.

    Args:
        came: shape of the input, without the batch.
        takes: its ``in_features``.
        gives: its ``out_features``.
        before: shape before flattening, if that is where the features come from.

    >>> features_do_not_fit((400,), 256, 120, (16, 5, 5))
    'it takes 256 numbers, but 400 came: 16·5·5 = 400, flattened; make it Linear(400, 120)'
    >>> features_do_not_fit((16, 5, 5), 400, 120)
    'it takes 400 numbers, but 16×5×5 came: 16·5·5 = 400, so flatten first: x.flatten(1)'
    """
    start = f"it takes {takes:,} numbers, but {shape_text(came)} came"
    if len(came) > 1 and prod(came) == takes:
        return f"{start}: {'·'.join(map(str, came))} = {takes}, so flatten first: x.flatten(1)"
    if len(came) > 1:
        flat = prod(came)
        return (
            f"{start}, whose last dimension is {came[-1]}; make it Linear({came[-1]}, {gives}), or flatten "
            f"first, x.flatten(1), and make it Linear({flat}, {gives})"
        )
    numbers = came[-1] if came else 1
    if before and numbers != prod(before) and numbers % prod(before) == 0:
        return (
            f"{start}: {numbers // prod(before)} pictures of {'·'.join(map(str, before))} = {prod(before)} were "
            f"flattened together; keep the batch: x.flatten(1)"
        )
    made = f": {'·'.join(map(str, before))} = {prod(before)}, flattened" if before else ""
    return f"{start}{made}; make it Linear({numbers}, {gives})"


def sizes_do_not_fit(first: Sequence[int], second: Sequence[int]) -> str:
    """Why two tensors cannot be added, multiplied or concatenated.

    >>> sizes_do_not_fit((6, 28, 28), (6, 14, 14))
    '6×28×28 and 6×14×14 came, which differ in height (28, 14) and width (28, 14)'
    """
    names = {2: ("channels", "length"), 3: ("channels", "height", "width")}.get(len(first))
    if len(first) != len(second) or names is None:
        return f"{shape_text(first)} and {shape_text(second)} came"
    unlike = [f"{name} ({a}, {b})" for name, a, b in zip(names, first, second, strict=True) if a != b]
    return f"{shape_text(first)} and {shape_text(second)} came, which differ in {' and '.join(unlike)}"


def overlap_text(kernel: int, stride: int, padding: int = 0, dilation: int = 1) -> str:
    """How many taps of a transposed convolution reach an output, and whether a checkerboard may show.

    >>> overlap_text(3, 2)
    'taps that reach an output: 2, 1, 2, 1 …; uneven, a checkerboard may show: stride 2 does not divide kernel 3'
    >>> overlap_text(4, 2)
    'taps that reach an output: 2 everywhere'
    """
    taps = overlap(kernel, stride, padding, dilation)
    if len(set(taps)) == 1:
        return f"taps that reach an output: {taps[0]} everywhere"
    told = ", ".join(map(str, taps * 2))
    why = f"stride {stride} does not divide kernel {kernel}"
    if kernel % stride == 0:
        why = f"dilation {dilation} lets the taps miss"
    return f"taps that reach an output: {told} …; uneven, a checkerboard may show: {why}"
