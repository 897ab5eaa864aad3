"""What can go wrong, each with the exit code that the command line gives it.

A message is one line: what came, what was wanted, and what to do about it.
"""

from __future__ import annotations


class StriateError(Exception):
    """A failure that the user can understand; exit code 1."""

    exit_code = 1


class UsageError(StriateError):
    """The request itself is off: a flag, a name, a path; exit code 2."""

    exit_code = 2


class DataError(StriateError):
    """The pictures or their labels are off; exit code 3."""

    exit_code = 3


class UnreadablePictureError(DataError):
    """One picture cannot be decoded; the message is the reason, without the file's name."""


class NotApplicableError(StriateError):
    """A learner cannot work on these pictures; the message is the reason shown in its row."""


class InterruptedRunError(StriateError):
    """The user stopped the run (Ctrl-C, SIGTERM); what was learned is saved."""

    def __init__(self, message: str, signal_number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class ArgumentError(StriateError, ValueError, RuntimeError):
    """An operator, a layer or a geometry function was called with something that cannot be.

    It is a ``ValueError`` and a ``RuntimeError``, whichever PyTorch raises at the same place.
    """


class ArgumentTypeError(ArgumentError, TypeError):
    """An argument is of the wrong kind; also a ``TypeError``."""
