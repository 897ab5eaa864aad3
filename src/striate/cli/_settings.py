"""From flags, settings files and interrupted runs to checked settings."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar, get_origin

import yaml
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from striate.cli.flags import alternatives, choices, flag
from striate.errors import UsageError

LARGEST_FILE = 1 << 20  # bytes; a settings file is a page of text
STARTED_BY = {"model": "train", "models": "compare"}  # settings that only one verb has

Schema = TypeVar("Schema", bound=BaseModel)


def settings(
    schema: type[Schema], flags: Mapping[str, Any], file: Path | None = None, resume: Path | None = None
) -> Schema:
    """Flags over file over defaults; or, to resume, the settings of the run.

    Args:
        schema: of the verb.
        flags: values given on the command line by field name; what was not given is absent.
        file: of ``--config``.
        resume: folder of the run to go on with.

    Raises:
        UsageError: a line for every unknown key, wrong value or missing SOURCE; or what was given
            contradicts the run.
    """
    written = read_yaml(file) if file else {}
    asked = {**written, **flags}
    origins = {key: f"{key} in {file}" for key in written} | {key: flag(key) for key in flags}
    if resume is None:
        return checked(schema, asked, origins)
    saved = _saved(resume)
    for key, verb in STARTED_BY.items():
        if key in saved and key not in schema.model_fields:
            raise UsageError(f"{resume} is of striate {verb}: go on with striate {verb} --resume {resume}")
    of_run = checked(schema, saved, {key: f"{key} in {resume / 'config.yaml'}" for key in saved})
    wanted_now = checked(schema, {**saved, **asked}, {**{key: key for key in saved}, **origins})
    conflicts = [key for key in asked if getattr(wanted_now, key) != getattr(of_run, key)]
    if conflicts:
        told = "; ".join(
            f"{origins[key]} is {displayed(getattr(wanted_now, key))}, "
            f"the run has {displayed(getattr(of_run, key))}"
            for key in conflicts
        )
        raise UsageError(
            f"--resume keeps the run's own settings, but {told}: leave it out or start a new run"
        )
    return of_run


def read_yaml(path: Path) -> dict[str, Any]:
    """The keys and values of a settings file; keys may be written with dashes, as flags are.

    Raises:
        UsageError: the file cannot be read or is not a list of ``key: value`` lines.
    """
    try:
        if path.stat().st_size > LARGEST_FILE:
            raise UsageError(
                f"{path}: wanted a short file of key: value lines, got {path.stat().st_size:,} bytes"
            )
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read, {(error.strerror or str(error)).lower()}") from error
    except (UnicodeDecodeError, yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}: {getattr(error, 'problem', '')}" if mark else ""
        raise UsageError(f"{path}: not valid YAML{where}") from error
    if values is None:
        return {}
    if not isinstance(values, dict):
        raise UsageError(f"{path}: wanted key: value lines, got {displayed(values)}")
    return {str(key).replace("-", "_"): value for key, value in values.items()}


def checked(schema: type[Schema], values: Mapping[str, Any], origins: Mapping[str, str]) -> Schema:
    """``values`` as settings.

    Args:
        schema: what they must fit.
        values: by field name.
        origins: what a message calls each of them: a flag, or a key in a file.

    Raises:
        UsageError: with a line per problem.
    """
    fields = schema.model_fields
    problems = []
    for key, value in values.items():
        if key not in fields:
            near = difflib.get_close_matches(key, fields, n=1)
            hint = f"did you mean {near[0]}?" if near else f"the keys are {', '.join(fields)}"
            problems.append(f"{origins[key]}: no such setting; {hint}")
        elif isinstance(value, bool) and bool not in alternatives(fields[key].annotation):
            problems.append(_mismatch(fields[key], value, origins[key]))  # pydantic would take true for 1
    if not problems:
        try:
            return schema.model_validate(dict(values))
        except ValidationError as error:
            first = {str(details["loc"][0]): details for details in reversed(error.errors())}
            problems += [
                _problem(fields[key], key, first[key], values, origins) for key in fields if key in first
            ]
    raise UsageError("\n".join(problems))


def wanted(field: FieldInfo) -> str:
    """What a field takes, in words.

    >>> from typing import Annotated
    >>> wanted(FieldInfo.from_annotation(Annotated[int, FieldInfo(ge=8, le=1024)]))
    'a whole number, at least 8 and at most 1024'
    """
    (kind, *_) = alternatives(field.annotation)
    if words := choices(field):
        return f"one of {', '.join(words)}"
    if get_origin(kind) is tuple:
        return "a list of names"
    names = {bool: "true or false", int: "a whole number", float: "a number", str: "text", Path: "a path"}
    bounds = (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))
    limits = [
        f"{words} {value:.10g}"
        for name, words in bounds
        for limit in field.metadata
        if (value := getattr(limit, name, None)) is not None
    ]
    return names.get(kind, "another value") + (f", {' and '.join(limits)}" if limits else "")


def displayed(value: object) -> str:
    """A value in a message: short, and in YAML's words.

    >>> displayed(True), displayed("abc"), displayed(("hog", "cnn")), displayed([[[1]]] * 1000)
    ('true', "'abc'", 'hog,cnn', 'a list')
    """
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return ",".join(map(str, value)) or "nothing"
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "a mapping"
    text = str(value) if isinstance(value, Path) else repr(value)
    return text if len(text) <= 80 else f"{text[:79]}…"


def _saved(run: Path) -> dict[str, Any]:
    path = run / "config.yaml"
    if not path.is_file():
        reason = "it has no config.yaml" if run.is_dir() else "no such folder"
        raise UsageError(f"--resume {run}: {reason}; name the folder of an interrupted run")
    return read_yaml(path)


def _problem(
    field: FieldInfo,
    key: str,
    details: Mapping[str, Any],
    values: Mapping[str, Any],
    origins: Mapping[str, str],
) -> str:
    if details["type"] == "missing":
        return f"{flag(key)} is missing: name {field.description}"
    if details["type"] == "value_error":  # a validator of the schema said it in words
        return f"{origins[key]}: {details['ctx']['error']}"
    return _mismatch(field, values.get(key), origins.get(key, flag(key)))


def _mismatch(field: FieldInfo, value: object, origin: str) -> str:
    expected = wanted(field)
    quotes = "; put it in quotes" if expected == "text" and isinstance(value, int | float) else ""
    return f"{origin}: wanted {expected}, got {displayed(value)}{quotes}"
