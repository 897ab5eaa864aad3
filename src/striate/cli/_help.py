"""The help pages: one look for every verb, narrow enough for 80 columns.

Typer's own page gives each ``--no-…`` a column and cuts long flags off at 80; it also imports
rich's Markdown and syntax machinery, a fifth of the time that ``striate --help`` may take.
"""

from __future__ import annotations

import inspect
import io
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from rich.console import Console

WIDEST = 100  # columns; longer lines are hard to read
FLAGS_WIDTH = 26


class Command(TyperCommand):
    """A verb with our help page."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page to ``formatter``."""
        formatter.write(_page(self, ctx))


class Group(TyperGroup):
    """A verb of verbs with our help page."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the page to ``formatter``."""
        formatter.write(_page(self, ctx))


def adopt(app: typer.Typer) -> None:
    """Give our help page to every verb registered on ``app`` and below it."""
    app.info.cls = Group
    for command in app.registered_commands:
        command.cls = Command
    for group in app.registered_groups:
        group.cls = Group
        if group.typer_instance is not None:
            adopt(group.typer_instance)


def outline(app: typer.Typer, but: str) -> None:
    """Reduce every verb of ``app`` except ``but`` to its name and description."""
    for command in app.registered_commands:
        name = command.name or getattr(command.callback, "__name__", "")
        if name != but:
            command.name, command.help = name, command.help or inspect.getdoc(command.callback)
            command.callback = _nothing
    for group in app.registered_groups:
        if group.typer_instance is not None and group.name != but:
            outline(group.typer_instance, "")


def _nothing() -> None:
    """Stands for a verb that is only listed."""


def _page(command: Any, context: Any) -> str:
    from rich.console import Console

    terminal = Console()
    page = io.StringIO()
    console = Console(
        file=page,
        force_terminal=terminal.is_terminal,
        no_color=terminal.no_color,
        width=min(terminal.width, WIDEST),
        highlight=False,
        markup=False,
        emoji=False,
    )
    console.print("Usage:", _usage(command, context), style="bold")
    _prose(console, command.help or "")
    if isinstance(command, TyperGroup):
        verbs = [(name, child.get_short_help_str(limit=200)) for name, child in command.commands.items()]
        _section(console, "Verbs", verbs)
    for title, rows in _panels(command, context).items():
        _section(console, title, rows)
    if isinstance(command, TyperGroup):
        console.print(f"\n{context.command_path} VERB --help tells more, with examples.")
    return "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"


def _usage(command: Any, context: Any) -> str:
    if isinstance(command, TyperGroup):
        return f"{context.command_path} VERB …"
    arguments = [_typed(p) for p in command.get_params(context) if p.param_type_name == "argument"]
    return " ".join([context.command_path, *arguments, "[FLAGS]"])


def _prose(console: Console, text: str) -> None:
    """Paragraphs are wrapped; indented lines, such as examples, stand as they are under a bold heading."""
    for paragraph in inspect.cleandoc(text).split("\n\n"):
        lines = paragraph.splitlines()
        console.print()
        if any(line.startswith(" ") for line in lines):
            for line in lines:
                console.print(line, style=None if line.startswith(" ") else "bold", soft_wrap=True)
        else:
            console.print(" ".join(lines))


def _panels(command: Any, context: Any) -> dict[str, list[tuple[str, str]]]:
    """Title → rows of what is typed and what it does; the panel without a title comes last."""
    panels: dict[str, list[tuple[str, str]]] = {}
    general: list[tuple[str, str]] = []
    for parameter in command.get_params(context):
        if getattr(parameter, "hidden", False):
            continue
        panel = getattr(parameter, "rich_help_panel", None)
        if parameter.param_type_name == "argument":
            panel = "Arguments"
        rows = panels.setdefault(panel, []) if panel else general
        rows.append((_typed(parameter), parameter.help or ""))
    return {**panels, "General": general}


def _typed(parameter: Any) -> str:
    """What the user types: ``--epochs <int>``, ``-q, --quiet``, ``--[no-]flip``."""
    if parameter.param_type_name == "argument":
        return str(parameter.metavar or parameter.name.upper())
    names = sorted(parameter.opts, key=len)
    if parameter.secondary_opts:
        return f"--[no-]{names[-1][2:]}"
    return " ".join([", ".join(names), *([parameter.metavar or "<text>"] if not parameter.is_flag else [])])


def _section(console: Console, title: str, rows: list[tuple[str, str]]) -> None:
    from rich.table import Table
    from rich.text import Text

    if not rows:
        return
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(width=FLAGS_WIDTH, no_wrap=True)
    table.add_column()
    for typed, text in rows:
        description = Text(text)
        description.highlight_regex(r"\[[^]]+\]", "dim")
        table.add_row(Text(f"  {typed}", style="cyan"), description)
    console.print(f"\n{title}", style="bold")
    console.print(table)
