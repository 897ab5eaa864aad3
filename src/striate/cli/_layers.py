"""The layers of a network as a table, for people, as Markdown, and one layer explained."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from striate.cli._results import print_columns, print_json
from striate.errors import UsageError
from striate.geometry import overlap
from striate.geometry.formulas import explanation, number
from striate.geometry.sentences import overlap_text, shape_text
from striate.verdict.units import file_size

if TYPE_CHECKING:
    from striate.geometry import ReceptiveField, Row, Trace

HEADINGS = ("layer", "kind", "input", "output", "params", "MACs", "field", "stride", "centre")
LEFT = 2  # columns of words


def show(trace: Trace, markdown: bool) -> None:
    """The table, then totals and what is to know about it."""
    lines = [cells(row) for row in trace.layers]
    if markdown:
        _print_markdown(lines)
    elif sys.stdout.isatty():
        _print_rich(lines)
    else:
        print_columns([HEADINGS, *lines])
    print()
    for line in notes(trace):
        print(line)


def cells(row: Row) -> tuple[str, ...]:
    """One line of the table."""
    return (
        row.name or "(model)",
        row.kind,
        _shape(row.input),
        _shape(row.output),
        f"{row.parameters:,}" if row.parameters else "–",
        f"{row.macs:,}" if row.macs else "–",
        *_field(row.receptive_field, row.unknown),
    )


def notes(trace: Trace) -> list[str]:
    """Totals, and what the marks in the table mean."""
    memory = file_size(trace.memory())
    lines = [
        f"{trace.parameters:,} parameters, {trace.macs:,} multiply-adds, "
        f"{memory} of activations in {trace.dtype} for a picture of {shape_text(trace.input)}"
    ]
    if trace.elsewhere:
        total = sum(trace.elsewhere.values())
        names = ", ".join(list(trace.elsewhere)[:3]) + (", …" if len(trace.elsewhere) > 3 else "")
        lines.append(f"{total:,} of the parameters belong to no layer: {names}")
    if trace.uncalled:
        names = ", ".join(trace.uncalled[:3]) + (", …" if len(trace.uncalled) > 3 else "")
        lines.append(f"Layers that did not run: {names}")
    lines += [f"{row.name}: {text}" for row in trace.layers for text in _uneven(row)]
    fields = [row.receptive_field for row in trace.layers]
    if any(field is not None and not field.is_closed for field in fields):
        lines.append("~ of the element in the middle, on this picture: it differs from place to place")
    reasons = dict.fromkeys(row.unknown for row in trace.layers if row.unknown)
    lines += [f"? receptive field unknown after {reason}" for reason in reasons]
    return lines


def _uneven(row: Row) -> list[str]:
    """Transposed convolutions whose taps overlap unevenly."""
    texts: dict[str, None] = {}
    for operator, settings in row.operators:
        if operator == "conv_transpose":
            names = ("kernel", "stride", "padding", "dilation")
            for setting in zip(*(settings[name] for name in names), strict=True):
                if len(set(overlap(*setting))) > 1:
                    texts[overlap_text(*setting)] = None
    return list(texts)


def show_explanation(trace: Trace, name: str, as_json: bool) -> None:
    """The formulas of one layer.

    Raises:
        UsageError: there is no such layer; the nearest names are told.
    """
    row = _find(trace, name)
    lines = explanation(row, trace.dtype)
    if as_json:
        print_json({**row.to_dict(), "explanation": lines})
        return
    print(lines[0])
    for line in lines[1:]:
        print(f"  {line}")


def _find(trace: Trace, name: str) -> Row:
    try:
        return trace[name]
    except KeyError:
        names = [row.name for row in trace.layers]
        near = difflib.get_close_matches(name, names, 3) or [n for n in names if name in n][:3] or names[:6]
        raise UsageError(f"--explain: no layer {name!r}; there are {', '.join(near)} …") from None


def _field(field: ReceptiveField | None, unknown: str | None) -> tuple[str, str, str]:
    if field is None:
        return "?" if unknown else "–", "–", "–"
    if not field.is_closed:
        return f"~{shape_text(field.size)}", "–", "–"
    return (
        shape_text(field.size),
        _each([number(stride) for stride in field.stride]),
        _each([number(centre) for centre in field.centre]),
    )


def _each(values: Sequence[str]) -> str:
    return values[0] if len(set(values)) == 1 else ", ".join(values)


def _shape(shape: tuple[int, ...] | None) -> str:
    return "–" if shape is None else shape_text(shape)


def _print_markdown(lines: Sequence[Sequence[str]]) -> None:
    print("| " + " | ".join(HEADINGS) + " |")
    print("|" + "|".join("---" if i < LEFT else "--:" for i in range(len(HEADINGS))) + "|")
    for line in lines:
        print("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |")


def _print_rich(lines: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for place, heading in enumerate(HEADINGS):
        table.add_column(heading, justify="left" if place < LEFT else "right", overflow="fold")
    for line in lines:
        table.add_row(*line)
    Console(highlight=False, markup=False).print(table)
