"""What a failure looks like: plain lines on stderr, each with what to do, and an exit code."""

from __future__ import annotations

import errno
import os
import platform
import re
import sys
import tempfile
import traceback
from collections.abc import Sequence

import typer

from striate import __version__
from striate.data.naming import shown
from striate.errors import StriateError, UsageError

FAILURE = 1
INTERRUPTED = 130  # 128 + SIGINT

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
NO_PERMISSION = (errno.EACCES, errno.EPERM)


def report(error: BaseException, arguments: Sequence[str]) -> int:
    """Say on stderr what went wrong and return the exit code.

    Args:
        error: whatever a command raised.
        arguments: of the command line, for the file that a bug is saved in.
    """
    error = cause(error)
    if debugging() and not isinstance(error, KeyboardInterrupt):
        traceback.print_exception(error)
    if not _can_print():
        _forget_stdout()
    if isinstance(error, BrokenPipeError):
        return FAILURE
    if type(error).__name__ == "NoArgsIsHelpError":  # its message is the help page
        print(error)
        return UsageError.exit_code
    message, code = explain(error, arguments)
    for line in message.split("\n"):
        print(f"striate: error: {shown(line)}", file=sys.stderr)
    return code


def explain(error: BaseException, arguments: Sequence[str]) -> tuple[str, int]:
    """The message, a line per problem, and the exit code for whatever was raised."""
    if isinstance(error, StriateError):
        return str(error), error.exit_code
    if isinstance(error, KeyboardInterrupt):
        return "stopped by Ctrl-C", INTERRUPTED
    if hasattr(error, "format_message"):  # what typer says about arguments
        return _usage(error), UsageError.exit_code
    if _is_out_of_memory(error):
        return "out of memory: try a smaller --batch-size or --image-size, or close other programs", FAILURE
    number = _errno(error)
    if number is not None:
        return _operating_system(error, number), FAILURE
    return _bug(error, arguments), FAILURE


def cause(error: BaseException) -> BaseException:
    """``error`` itself, or what typer hid behind it: it takes the EOFError of a broken file for Ctrl-D."""
    return error.__cause__ if isinstance(error, typer.Abort) and error.__cause__ else error


def debugging() -> bool:
    """Whether the user asked for tracebacks."""
    return os.environ.get("STRIATE_DEBUG", "0") not in ("", "0")


def _usage(error: BaseException) -> str:
    """Typer's message in our words. Its classes are private, so their fields are asked for."""
    kind = type(error).__name__
    context = getattr(error, "ctx", None)
    hint = f"; see {context.command_path} --help" if context else ""
    if kind == "NoSuchOption":
        near = sorted(getattr(error, "possibilities", None) or ())
        meant = f"; did you mean {' or '.join(near)}?" if near else hint
        return f"{getattr(error, 'option_name', '')}: no such flag{meant}"
    if kind == "MissingParameter":
        parameter = getattr(error, "param", None)
        name = getattr(parameter, "metavar", None) or getattr(parameter, "name", "an argument")
        return f"{name} is missing{hint}"
    message: str = error.format_message()  # type: ignore[attr-defined]  # explain() looked
    message = " ".join(message.split()).rstrip(".")
    message = (message[:1].lower() + message[1:]).replace(". Did you mean", "; did you mean")
    return message if "did you mean" in message else message + hint


def _operating_system(error: BaseException, number: int) -> str:
    name = getattr(error, "filename", None)
    path = os.fsdecode(name) if isinstance(name, str | bytes) else ""
    where = path or "a file"
    if number in NO_SPACE:
        return (
            f"no space left on the disk{f' of {path}' if path else ''}: free some, or choose another "
            "(--out for results, STRIATE_CACHE for decoded pictures)"
        )
    if number == errno.EROFS:
        return f"{where} is on a read-only file system: choose another place with --out"
    if number in NO_PERMISSION:
        return f"no permission for {where}: change its permissions or choose another place"
    if number == errno.EMFILE:
        return "too many open files: raise the limit with `ulimit -n 4096` and try again"
    if number == errno.ENOMEM:
        return "out of memory: try a smaller --batch-size or --image-size, or close other programs"
    reason = os.strerror(number).lower()
    return f"{path}: {reason}" if path else f"{reason}: {error}"


def _errno(error: BaseException) -> int | None:
    """The operating system's number for what failed, also out of messages of Rust libraries."""
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def _is_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, MemoryError):
        return True
    text = str(error)
    return isinstance(error, RuntimeError) and (
        type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text
    )


def _bug(error: BaseException, arguments: Sequence[str]) -> str:
    """Save the traceback with what is needed to understand it, and say where it lies."""
    first = str(error).strip().partition("\n")[0]
    summary = f"unexpected {type(error).__name__}{': ' + first if first else ''}"
    text = "\n".join(
        (
            f"striate {__version__}, Python {platform.python_version()}, {platform.platform()}",
            f"arguments: {list(arguments)}",
            "",
            "".join(traceback.format_exception(error)),
        )
    )
    try:
        with tempfile.NamedTemporaryFile(
            "w",
            prefix="striate-error-",
            suffix=".txt",
            delete=False,
            encoding="utf-8",
            errors="backslashreplace",
        ) as file:
            file.write(text)
    except OSError:
        return (
            f"{summary}; this is a bug in Striate: run again with STRIATE_DEBUG=1 and report what it prints"
        )
    return f"{summary}; this is a bug in Striate: please report it with the file {file.name}"


def _can_print() -> bool:
    try:
        sys.stdout.flush()
    except OSError:
        return False
    return True


def _forget_stdout() -> None:
    """Nobody reads the pipe any more, or the disk is full: let the interpreter's last flush go nowhere."""
    try:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (OSError, ValueError):  # not a real file, as under a test
        return
