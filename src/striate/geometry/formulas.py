"""How a traced layer's numbers come about: the formulas with the numbers filled in."""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, Any

from striate.geometry.cost import BYTES
from striate.geometry.sentences import overlap_text, shape_text, transposed_formula, window_formula
from striate.geometry.window import adaptive_windows

if TYPE_CHECKING:
    from striate.geometry.tracing import Row

AXES = {1: ("length",), 2: ("height", "width"), 3: ("depth", "height", "width")}


def explanation(row: Row, dtype: str = "float32") -> list[str]:
    """Lines that tell how the numbers of ``row`` come about.

    Args:
        row: of a trace.
        dtype: of the activations.
    """
    came, left = (shape_text(shape) if shape is not None else "nothing" for shape in (row.input, row.output))
    lines = [f"{row.name or 'the model'} ({row.kind}): {came} → {left}"]
    for operator, settings in row.operators:
        lines += _of_operator(operator, settings)
    if not row.operators:
        lines.append(f"parameters: {row.parameters:,}; multiply-adds: {row.macs:,}")
    if row.output is not None:
        product = "·".join(map(str, row.output)) + " = " if len(row.output) > 1 else ""
        size = BYTES[dtype]
        lines.append(
            f"memory: {product}{row.activations:,} numbers · {size} bytes = {row.activations * size:,}"
        )
    return [*lines, *_field(row)]


def _of_operator(operator: str, settings: Any) -> Iterator[str]:
    if operator == "linear":
        yield from _linear(**settings)
        return
    came, left = settings["input"], settings["output"]
    sizes = list(zip(AXES[len(came) - 1], came[1:], left[1:], strict=True))
    if operator == "adaptive_pool":
        for axis, size, bins in sizes:
            windows = [f"{start}–{stop - 1}" for start, stop in adaptive_windows(size, bins)]
            shown = [*windows[:4], "…", windows[-1]] if len(windows) > 6 else windows
            yield f"{axis}: bin i of {bins} is ⌊i·{size}/{bins}⌋ to ⌈(i + 1)·{size}/{bins}⌉ − 1: {', '.join(shown)}"
        return
    for place, (axis, size, _) in enumerate(sizes):
        k, s, p, d = (settings[name][place] for name in ("kernel", "stride", "padding", "dilation"))
        if operator == "conv_transpose":
            yield f"{axis}: {transposed_formula(size, k, s, p, settings['output_padding'][place], d)}"
            yield f"{axis}: {overlap_text(k, s, p, d)}"
        else:
            yield f"{axis}: {window_formula(size, k, s, p, d, settings.get('ceil_mode', False))}"
    if operator != "pool":
        yield from _convolution(operator == "conv_transpose", settings)


def _convolution(is_transposed: bool, settings: Any) -> Iterator[str]:
    came, left, groups = settings["input"], settings["output"], settings["groups"]
    weights = left[0] * came[0] // groups * prod(settings["kernel"])
    shared = f"{came[0]}/{groups}" if groups > 1 else f"{came[0]}"
    taps = "·".join(map(str, settings["kernel"]))
    biases = f" + {left[0]} biases = {weights + left[0]:,}" if settings["bias"] else ", no bias"
    yield f"parameters: {left[0]}·{shared}·{taps} = {weights:,} weights{biases}"
    sizes = came[1:] if is_transposed else left[1:]
    where = "input" if is_transposed else "output"
    yield (
        f"multiply-adds: {weights:,} weights · {'·'.join(map(str, sizes))} {where} positions = "
        f"{weights * prod(sizes):,}"
    )


def _linear(inputs: int, outputs: int, positions: int, bias: bool) -> Iterator[str]:
    weights = inputs * outputs
    biases = f" + {outputs} biases = {weights + outputs:,}" if bias else ", no bias"
    yield f"parameters: {inputs}·{outputs} = {weights:,} weights{biases}"
    times = (
        f" weights · {positions} positions = {weights * positions:,}" if positions > 1 else ", one a weight"
    )
    yield f"multiply-adds: {weights:,}{times}"


def _field(row: Row) -> Iterator[str]:
    field = row.receptive_field
    if field is None:
        yield f"receptive field: unknown after {row.unknown}" if row.unknown else "receptive field: none"
        return
    names = AXES[len(field.size)]
    if not field.is_closed:
        told = ", ".join(f"{axis} {size}" for axis, size in zip(names, field.size, strict=True))
        yield f"receptive field of the element in the middle, on this picture: {told}"
        return
    for place, (axis, size, stride, centre) in enumerate(
        zip(names, field.size, field.stride, field.centre, strict=True)
    ):
        formula = _window_field(row, place)
        moves = f"; stride {number(stride)}" if stride is not None else ""
        yield f"receptive field, {axis}: {formula or size}{moves}; centre of the first position {number(centre)}"


def _window_field(row: Row, place: int) -> str | None:
    """The formula of a receptive field after a window, where it is that simple."""
    if len(row.operators) != 1 or row.operators[0][0] not in ("conv", "pool"):
        return None
    settings = row.operators[0][1]
    if row.before is None or row.receptive_field is None or not row.before.is_closed:
        return None
    before, after = row.before, row.receptive_field
    size, stride = before.size[place], before.stride[place]
    k, d = settings["kernel"][place], settings["dilation"][place]
    if stride is None or size + (k - 1) * d * stride != after.size[place]:
        return None
    return f"{size} + ({k} − 1)·{d}·{number(stride)} = {after.size[place]}"


def number(value: Fraction | int | None) -> str:
    """A fraction as people read it.

    >>> number(Fraction(5, 2)), number(Fraction(4)), number(Fraction(1, 3)), number(None)
    ('2.5', '4', '1/3', '–')
    """
    if value is None:
        return "–"
    fraction = Fraction(value)
    decimal = str(fraction.numerator) if fraction.denominator == 1 else f"{float(fraction):g}"
    return decimal if Fraction(decimal) == fraction else str(fraction)
