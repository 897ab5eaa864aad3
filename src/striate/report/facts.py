"""The facts around a result: how to repeat it, its settings, what it ran on."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from typing import Any

from striate.train.config import CompareConfig, TrainConfig
from striate.verdict.results import Comparison
from striate.verdict.units import duration

_LABELS = {
    "striate": "Striate",
    "python": "Python",
    "system": "System",
    "processor": "Processor",
    "gpu": "Accelerator",
    "threads": "Threads",
    "seed": "Seed",
    "data_hash": "SHA-256 of the data",
    "started": "Started",
    "seconds": "Took",
}


@dataclass(frozen=True)
class Setting:
    """One key of the configuration; ``chosen`` if it is not the default."""

    key: str
    value: str
    chosen: bool


def command_words(config: dict[str, Any]) -> list[str]:
    """The command that repeats a run, quoted for a shell: its source, every setting that is not the default.

    >>> words = command_words({"source": "my pictures", "models": ["hog", "cnn"], "epochs": 3, "augment": False})
    >>> " ".join(words)
    "striate compare 'my pictures' --epochs 3 --no-augment --models hog,cnn"
    """
    verb, schema = _schema(config)
    words = ["striate", verb, str(config["source"])]
    for key in schema.model_fields:
        if key in ("source", "out") or not _chosen(schema, key, config):
            continue
        flag, value = key.replace("_", "-"), config[key]
        if isinstance(value, bool):
            words.append(f"--{flag}" if value else f"--no-{flag}")
        else:
            words += [f"--{flag}", _text(value)]
    return [shlex.quote(word) for word in words]


def settings(config: dict[str, Any]) -> list[Setting]:
    """Every setting in the order of the schema; ``None`` reads "auto"."""
    _, schema = _schema(config)
    return [
        Setting(key.replace("_", "-"), _text(config[key]), _chosen(schema, key, config))
        for key in schema.model_fields
        if key in config and key != "out"  # the report lies there
    ]


def provenance_rows(comparison: Comparison) -> list[tuple[str, str]]:
    """Label and value of everything known about where the result comes from."""
    known = comparison.provenance
    rows = []
    for key, label in _LABELS.items():
        value = known.get(key)
        if value is not None:
            rows.append((label, _written(key, value)))
    rows += [(name, str(number)) for name, number in (known.get("libraries") or {}).items()]
    return rows


def source_name(source: str) -> str:
    """The last part of a path, or the name of a set.

    >>> source_name("/home/ann/leaves/"), source_name("mnist")
    ('leaves', 'mnist')
    """
    return source.replace("\\", "/").rstrip("/").rpartition("/")[2] or source


def _written(key: str, value: object) -> str:
    if key == "seconds" and isinstance(value, int | float):
        return duration(value)
    return str(value).replace("T", " ", 1) if key == "started" else str(value)


def _schema(config: dict[str, Any]) -> tuple[str, type[CompareConfig] | type[TrainConfig]]:
    return ("train", TrainConfig) if "model" in config else ("compare", CompareConfig)


def _chosen(schema: type[CompareConfig] | type[TrainConfig], key: str, config: dict[str, Any]) -> bool:
    field = schema.model_fields[key]
    if key not in config or config[key] is None:
        return False
    value = config[key]
    return field.is_required() or (tuple(value) if isinstance(value, list) else value) != field.default


def _text(value: object) -> str:
    if value is None:
        return "auto"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
