"""Flags and YAML keys, both read off the settings schema in ``train/config.py``.

A field becomes ``--its-name``; its description is the help text, and a ``[…]`` that ends the
description says what happens without the flag. Values are checked by the schema alone, so that a
flag and a YAML key get the same answer.
"""

from __future__ import annotations

import inspect
import re
import types
from collections.abc import Callable, Collection
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Union, get_args, get_origin

import typer
from typer.models import ArgumentInfo

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

DATA, TRAINING, OUTPUT = PANELS = ("Data", "Training", "Output")

Config = Annotated[
    Path | None,
    typer.Option("--config", metavar="FILE", help="YAML file whose keys are flags; flags win over it."),
]
Resume = Annotated[
    Path | None,
    typer.Option("--resume", metavar="RUN", help="Go on with an interrupted run, with its own settings."),
]
DryRun = Annotated[
    bool,
    typer.Option(
        "--dry-run",
        help="Show settings, pictures and sizes of the models; train nothing.",
        rich_help_panel=OUTPUT,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="The result as JSON on stdout.", rich_help_panel=OUTPUT)]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet", "-q", help="No progress; only the result, warnings and errors.", rich_help_panel=OUTPUT
    ),
]
Run = Annotated[Path, typer.Argument(metavar="RUN", help="Folder of a finished run.", show_default=False)]


class SettingsVerb:
    """A verb that takes the flags of a schema; to be registered with typer like a function.

    The schema is looked at only when typer asks for the parameters, because importing pydantic is
    most of what ``striate --help`` would cost.
    """

    def __init__(
        self,
        verb: Callable[..., int | None],
        schema: Callable[[], type[BaseModel]],
        only: Collection[str] | None = None,
    ) -> None:
        """
        Args:
            verb: called with a dictionary of the flags that were given, by field name, and by
                keyword with its own parameters, which are declared in typer's way.
            schema: returns the schema; every field becomes a flag, ``source`` the argument SOURCE.
            only: the names of the fields that become flags; all by default.
        """
        self._verb, self._schema, self._only = verb, schema, only
        self.__name__, self.__doc__ = verb.__name__, verb.__doc__

    def __call__(self, **values: Any) -> int | None:
        typed = {name: _from_text(field, values.pop(name)) for name, field in self._fields().items()}
        return self._verb({name: value for name, value in typed.items() if value is not None}, **values)

    @property
    def __signature__(self) -> inspect.Signature:
        schema = self._schema()
        flags = [_parameter(schema, name, field) for name, field in self._fields().items()]
        _, *own = inspect.signature(self._verb, eval_str=True).parameters.values()
        own = [parameter.replace(kind=parameter.KEYWORD_ONLY) for parameter in own]
        # arguments are told apart by their place: a verb's own stand before SOURCE
        return inspect.Signature(sorted([*flags, *own], key=lambda p: not (p in own and _is_argument(p))))

    @property
    def __annotations__(self) -> dict[str, Any]:  # type: ignore[override]  # typer asks for it
        return {name: parameter.annotation for name, parameter in self.__signature__.parameters.items()}

    def _fields(self) -> dict[str, FieldInfo]:
        """In the order of the help page: a verb's own settings come first in their panel."""
        schema = self._schema()
        fields = {n: f for n, f in schema.model_fields.items() if self._only is None or n in self._only}
        own = inspect.get_annotations(schema)
        return dict(
            sorted(fields.items(), key=lambda kv: (PANELS.index(_panel(schema, kv[0])), kv[0] not in own))
        )


def flag(name: str) -> str:
    """What the user types for a field.

    >>> flag("batch_size"), flag("source")
    ('--batch-size', 'SOURCE')
    """
    return "SOURCE" if name == "source" else f"--{name.replace('_', '-')}"


def alternatives(annotation: Any) -> list[Any]:
    """The types that a field takes, without None.

    >>> alternatives(int | None)
    [<class 'int'>]
    """
    if get_origin(annotation) in (Union, types.UnionType):
        return [kind for kind in get_args(annotation) if kind is not type(None)]
    return [annotation]


def choices(field: FieldInfo) -> list[str]:
    """The words that a field takes, if it takes only certain ones."""
    (kind, *_) = alternatives(field.annotation)
    return [str(value) for value in get_args(kind)] if get_origin(kind) is Literal else []


def _parameter(schema: type[BaseModel], name: str, field: FieldInfo) -> inspect.Parameter:
    kind: Any
    info: Any
    if name == "source":
        kind = str
        info = typer.Argument(metavar="SOURCE", help=_help(field), show_default=False)
    else:
        (alternative, *_) = alternatives(field.annotation)
        kind = list[str] if get_origin(alternative) is tuple else bool if alternative is bool else str
        words = choices(field)
        info = typer.Option(
            f"{flag(name)}/--no-{flag(name)[2:]}" if kind is bool else flag(name),
            help=_help(field),
            metavar=None if kind is bool else _metavar(alternative),
            show_default=False,
            rich_help_panel=_panel(schema, name),
            autocompletion=(lambda: words) if words else None,
        )
    annotation = Annotated[kind | None, info]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _panel(schema: type[BaseModel], name: str) -> str:
    """Where the help shows a flag: with those of the class that introduced the field."""
    if name == "out":
        return OUTPUT
    introduced = [cls for cls in schema.__mro__ if name in inspect.get_annotations(cls)][-1]
    return DATA if introduced.__name__ == "DataConfig" else TRAINING


def _help(field: FieldInfo) -> str:
    """The description, the choices and the default."""
    text, otherwise = field.description or "", None
    if found := re.fullmatch(r"(.*?)\s*\[(.+)\]", text, re.DOTALL):
        text, otherwise = found.groups()
    elif not field.is_required() and field.default is not None:
        otherwise = _default(field.default)
    notes = ["|".join(choices(field)), f"default: {otherwise}" if otherwise else ""]
    return " ".join([text, *(f"[{note}]" for note in notes if note)])


def _default(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(value) if isinstance(value, tuple) else str(value)


def _metavar(kind: Any) -> str:
    if get_origin(kind) is tuple:
        return "NAME,NAME…"
    if get_origin(kind) is Literal:
        return "CHOICE"
    return {int: "N", float: "X", Path: "PATH"}.get(kind, "TEXT")


def _is_argument(parameter: inspect.Parameter) -> bool:
    return any(isinstance(info, ArgumentInfo) for info in getattr(parameter.annotation, "__metadata__", ()))


def _from_text(field: FieldInfo, value: Any) -> Any:
    """What was typed, as the schema expects it: names split at commas, choices in their own type."""
    (kind, *_) = alternatives(field.annotation)
    if get_origin(kind) is tuple and value is not None:
        names = (part.strip() for text in value for part in text.split(","))
        return tuple(name for name in names if name)
    if get_origin(kind) is Literal:
        return {str(choice): choice for choice in get_args(kind)}.get(value, value)
    return value
