"""``striate data``: what is wrong with a set of labelled pictures."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import typer

from striate.cli.flags import Config, Json, Quiet, SettingsVerb
from striate.cli.progress import watch

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from striate.data.findings import Finding, Findings
    from striate.data.inspect import Inspection
    from striate.train.config import DataConfig

# every one that this verb obeys: it leaves unreadable files out and tells them, asked or not
FIELDS = (
    *("source", "data_dir", "image_size", "channels", "fit", "background"),
    *("val_fraction", "test_fraction", "seed"),
)
LINES = 10  # details shown of a finding
SIGNS = {"problem": ("✗", "bold red"), "warning": ("!", "yellow"), "note": ("·", "dim")}


def register(app: typer.Typer) -> None:
    """Add the verb."""
    data = typer.Typer(no_args_is_help=True)
    data.callback()(_data)
    data.command()(SettingsVerb(inspect, _schema, FIELDS))
    app.add_typer(data, name="data")


def _data() -> None:
    """Look at pictures before learning from them."""


def inspect(flags: dict[str, Any], config: Config = None, as_json: Json = False, quiet: Quiet = False) -> int:
    """Check labelled pictures: counts, sizes, bad files, duplicates, leakage between splits, balance.

    Exit code 0: no problem. 3: files that cannot be read, a class missing from a split, a picture under
    more than one class, or the same picture in two splits. What only makes results less trustworthy, as
    near duplicates and unequal classes do, is told and does not change the exit code.

    Examples
      striate data inspect photos/
      striate data inspect fashion-mnist
      striate data inspect table.csv --json
    """
    from striate.cli._settings import settings

    chosen = settings(_schema(), flags, config)
    from striate.data.inspect import inspect_source
    from striate.errors import DataError

    with watch(quiet) as monitor:
        inspection = inspect_source(chosen, monitor)
    if as_json:
        from striate.cli._results import print_json

        print_json(inspection.to_dict())
    else:
        show(inspection)
    return DataError.exit_code if inspection.findings.problems else 0


def show(inspection: Inspection) -> None:
    """Tables and lists on stdout; in colour and folded on a terminal, in whole lines elsewhere."""
    from rich.console import Console

    live = sys.stdout.isatty()
    console = Console(highlight=False, markup=False, emoji=False, width=None if live else 10_000)
    findings = inspection.findings
    console.print(_summary(inspection), style="bold")
    console.print(_counts(findings))
    for finding in findings.told:
        _print_finding(console, finding)
    console.print(_conclusion(findings))


def _summary(inspection: Inspection) -> str:
    from striate.data.findings import pictures
    from striate.data.naming import shown

    findings, preprocessing = inspection.findings, inspection.preprocessing
    classes = f"{len(findings.classes):,} {'class' if len(findings.classes) == 1 else 'classes'}"
    parts = [f"{shown(inspection.source.source)}: {pictures(findings.pictures)} of {classes}"]
    if findings.width and findings.height:
        width, height = findings.width, findings.height
        if width.min == width.max and height.min == height.max:
            parts.append(f"all {width.min}×{height.min} pixels")
        else:
            parts.append(
                f"{width.min:,} to {width.max:,} pixels wide (median {width.median:,g}), "
                f"{height.min:,} to {height.max:,} high (median {height.median:,g})"
            )
    colour = "grey" if preprocessing.channels == 1 else "colour"
    parts.append(f"read as {preprocessing.width}×{preprocessing.height} {colour}")
    return "; ".join(parts)


def _counts(findings: Findings) -> Table:
    """Readable pictures by class and split."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, show_footer=True, pad_edge=False)
    table.add_column("class", footer="all", overflow="fold")
    splits = {**findings.counts, **({"all": findings.per_class} if len(findings.counts) != 1 else {})}
    for split, numbers in splits.items():
        table.add_column(split, footer=f"{sum(numbers):,}", justify="right", no_wrap=True)
    for i, name in enumerate(findings.classes):
        cells = [Text(f"{row[i]:,}", style="" if row[i] else "bold red") for row in splits.values()]
        table.add_row(Text(name), *cells)
    return table


def _print_finding(console: Console, finding: Finding) -> None:
    from rich.padding import Padding
    from rich.text import Text

    sign, style = SIGNS[finding.severity]
    console.print(Text.assemble((f"{sign} ", style), (finding.text, style)))
    for detail in finding.details[:LINES]:
        console.print(Padding(Text(detail, overflow="fold"), (0, 0, 0, 4), expand=False))
    if finding.total > LINES:
        console.print(Text(f"    and {finding.total - LINES:,} more; --json lists them", style="dim"))


def _conclusion(findings: Findings) -> str:
    problems = [told for told in findings.told if told.severity == "problem"]
    warnings = [told for told in findings.told if told.severity == "warning"]
    if not problems and not warnings:
        return "Nothing wrong was found."
    said = [
        f"{len(found)} {word}{'' if len(found) == 1 else 's'}"
        for found, word in ((problems, "problem"), (warnings, "warning"))
        if found
    ]
    return f"{' and '.join(said)}."


def _schema() -> type[DataConfig]:
    from striate.train.config import DataConfig

    return DataConfig
