"""The command line: one file per verb, discovered.

A file in this folder that defines ``register(app)`` adds its verb; files that begin with an underscore
are what the verbs share. Neither imports torch before a verb runs, so ``striate --help`` answers at once.
"""

from __future__ import annotations

import atexit
import gc
import io
import os
import pkgutil
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Annotated, Any

import typer

from striate import __version__
from striate.cli import _failures, _help

HELP = """Labelled pictures in, a judged classifier out.

Trains hand-crafted features, a feed-forward and convolutional networks on your own pictures, on the
same split and equal terms, and says with evidence which one to use.

Start with
  striate data inspect FOLDER    what is wrong with these pictures?
  striate compare FOLDER         which learner should I use, and why?
  striate compare digits         the same on pictures that come with Striate"""


def build(only: str | None = None) -> typer.Typer:
    """The application with every verb that this folder holds.

    Args:
        only: the verb that is going to run; the others are merely listed, which is faster.
    """
    app = typer.Typer(
        name="striate",
        help=HELP,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback()(_options)
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        if module.name.startswith(f"{__name__}._"):
            continue
        register = getattr(import_module(module.name), "register", None)
        if register is not None:
            register(app)
    _help.adopt(app)
    if only is not None:
        _help.outline(app, only)
    return app


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; ``arguments`` default to the process's own.

    0 success, 1 failure, 2 wrong usage, 3 something wrong with the pictures, 128 + n stopped by
    signal n. Whatever goes wrong is told in plain lines on stderr, never as a traceback.
    """
    if arguments is None:
        arguments = sys.argv[1:]
        _quiet_libraries()
        _collect_rarely()
        sys.path.append("")  # a network of the user's own may lie in the current folder
    for name in ("stdout", "stderr"):
        _make_printable(name)
    try:
        code = _run(list(arguments))
        sys.stdout.flush()
        return code
    except (Exception, KeyboardInterrupt) as error:
        return _failures.report(error, arguments)


def _run(arguments: list[str]) -> int:
    completing = "_STRIATE_COMPLETE" in os.environ
    verb = next((text for text in arguments if not text.startswith("-")), "")
    command = typer.main.get_command(build(only=None if completing else verb))
    try:
        result: Any = command.main(args=arguments, prog_name="striate", standalone_mode=False)
    except SystemExit as stop:  # typer's own way out when the reader of a pipe has gone
        result = stop.code if isinstance(stop.code, int) else _failures.FAILURE
    if result == _failures.INTERRUPTED:  # typer's own answer to Ctrl-C
        raise KeyboardInterrupt
    return result if isinstance(result, int) else 0


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"striate {__version__}")
        raise typer.Exit


def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", "-V", callback=_print_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Flags of ``striate`` itself."""


def _quiet_libraries() -> None:
    """Keep the libraries' warnings to developers off the user's screen."""
    if not sys.warnoptions and not _failures.debugging():
        import warnings

        warnings.simplefilter("ignore")
        os.environ.setdefault("PYTHONWARNINGS", "ignore")  # for worker processes


def _collect_rarely() -> None:
    """Search for garbage in cycles, of which there is little here, every 10,000 new objects instead of 700.

    It would go through all that importing and reading pictures make again and again, and once more on the
    way out, for as long as a small network trains.
    """
    gc.set_threshold(10_000, 20, 20)
    atexit.register(gc.freeze)


def _make_printable(name: str) -> None:
    """File names need not be UTF-8, not every terminal shows every letter, and a stream may be closed."""
    stream: Any = getattr(sys, name)
    if stream is None:
        setattr(sys, name, io.StringIO())
    elif hasattr(stream, "reconfigure"):
        utf8 = (stream.encoding or "").lower().replace("-", "") == "utf8"
        stream.reconfigure(errors="surrogateescape" if utf8 else "backslashreplace")
