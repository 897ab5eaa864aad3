"""The folder of one run: never overwritten silently, every file whole or absent.

``config.yaml`` (resolved), ``log.jsonl``, ``checkpoints/``, ``model.safetensors`` + ``model.json``.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from striate.data.pictures import Preprocessing
from striate.errors import UsageError
from striate.train.checkpoint import write_bytes, write_json, write_tensors

if TYPE_CHECKING:
    from striate.models.learner import Learner
    from striate.train.config import DataConfig

MODEL_FORMAT = 1
LEFTOVER = re.compile(r"\.writable|\..+\.tmp")  # of a run that was killed before it had begun


def default_out(verb: str, source: str) -> Path:
    """``runs/<verb>-<source>-<time>``, from letters that every file system takes."""
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(source).name).strip("-.") or "pictures"
    return Path("runs") / f"{verb}-{name}-{time.strftime('%Y%m%d-%H%M%S')}"


class RunFolder:
    """An existing folder of a run; see :meth:`create` and :meth:`open`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @staticmethod
    def check_free(path: Path) -> None:
        """Tell early, before pictures are read, that :meth:`create` would refuse ``path``.

        Raises:
            UsageError: it is a file or a folder that is not empty, or nothing can be made there.
        """
        try:
            if path.is_dir() and not all(LEFTOVER.fullmatch(child.name) for child in path.iterdir()):
                raise UsageError(
                    f"{path} is not empty: choose another --out, or continue it with --resume {path}"
                )
            nearest = next(p for p in (path, *path.absolute().parents) if p.exists())
            if not nearest.is_dir() or not os.access(nearest, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, f"{nearest} is not a folder that you may write to")
        except OSError as error:
            raise _cannot_write(path, error) from None

    @classmethod
    def create(cls, path: Path) -> RunFolder:
        """Make a new run folder.

        Raises:
            UsageError: it exists and is not empty, or cannot be written.
        """
        cls.check_free(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
            probe = path / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise _cannot_write(path, error) from None
        return cls(path)

    @classmethod
    def open(cls, path: Path) -> RunFolder:
        """An existing run folder.

        Raises:
            UsageError: it holds no ``config.yaml``.
        """
        if not (path / "config.yaml").is_file():
            raise UsageError(f"{path} is not a run folder: it has no config.yaml")
        return cls(path)

    @property
    def checkpoints(self) -> Path:
        """Where checkpoints go."""
        return self.path / "checkpoints"

    def write_config(self, config: DataConfig) -> None:
        """Save the settings as ``config.yaml``, readable by ``--config``."""
        text = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False, allow_unicode=True)
        write_bytes(self.path / "config.yaml", text.encode())

    def read_config(self) -> dict[str, Any]:
        """The values in ``config.yaml``.

        Raises:
            UsageError: it is damaged.
        """
        try:
            values = yaml.safe_load((self.path / "config.yaml").read_text("utf-8"))
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise UsageError(f"{self.path / 'config.yaml'} cannot be read: {error}") from None
        if not isinstance(values, dict):
            raise UsageError(f"{self.path / 'config.yaml'} holds no settings")
        return values

    def log(self, record: dict[str, Any]) -> None:
        """Append a line to ``log.jsonl``."""
        with (self.path / "log.jsonl").open("a", encoding="utf-8") as file:
            file.write(json.dumps(record, ensure_ascii=False) + "\n")

    def read_json(self, name: str) -> dict[str, Any]:
        """The object in the JSON file ``name``.

        Raises:
            UsageError: it is missing or damaged.
        """
        try:
            values = json.loads((self.path / name).read_bytes())
        except (OSError, ValueError) as error:
            raise UsageError(f"{self.path / name} cannot be read ({error}); start a new run") from None
        if not isinstance(values, dict):
            raise UsageError(f"{self.path / name} holds no object; start a new run")
        return values

    def write_json(self, name: str, value: Any) -> None:
        """Write ``value`` to the file ``name``, all or nothing."""
        write_json(self.path / name, value)

    def save_model(
        self,
        learner: Learner,
        *,
        classes: tuple[str, ...],
        preprocessing: Preprocessing,
        scores: dict[str, Any],
        provenance: dict[str, Any],
    ) -> None:
        """Write ``model.safetensors``, then ``model.json`` with all that prediction needs."""
        digest = write_tensors(self.path / "model.safetensors", learner.tensors())
        self.write_json(
            "model.json",
            {
                "format": MODEL_FORMAT,
                "name": learner.name,
                "title": learner.title,
                "kind": learner.kind,
                "family": learner.family,
                "architecture": learner.architecture(),
                "classes": list(classes),
                "preprocessing": preprocessing.to_dict(),
                "parameters": learner.parameters,
                "macs": learner.macs,
                "scores": scores,
                "provenance": provenance,
                "sha256": digest,
            },
        )


@dataclass(frozen=True)
class SavedModel:
    """A model read back; ``info`` is all of ``model.json``."""

    learner: Learner
    classes: tuple[str, ...]
    preprocessing: Preprocessing
    info: dict[str, Any]


def load_model(path: Path) -> SavedModel:
    """Read the model of a run folder.

    Raises:
        UsageError: there is none, or it is damaged or from a newer Striate.
    """
    from striate.models.registry import restore

    try:
        info = json.loads((path / "model.json").read_bytes())
        data = (path / "model.safetensors").read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(f"{path}: {_what_is_missing(path)}") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: its model cannot be read: {error}") from None
    if not isinstance(info, dict) or info.get("format") != MODEL_FORMAT:
        raise UsageError(f"{path}/model.json has not format {MODEL_FORMAT}, which this Striate reads")
    if hashlib.sha256(data).hexdigest() != info.get("sha256"):
        raise UsageError(f"{path}/model.safetensors is damaged: its SHA-256 is not the one in model.json")
    try:
        learner = restore(info["name"], info["family"], info["architecture"], load_tensors(data))
        preprocessing = Preprocessing(**info["preprocessing"])
        return SavedModel(learner, tuple(info["classes"]), preprocessing, info)
    except (KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise UsageError(f"{path}: its model does not fit its description: {error}") from None


def _cannot_write(path: Path, error: OSError) -> UsageError:
    return UsageError(f"cannot write to {path}: {error.strerror}; choose another folder with --out")


def _what_is_missing(path: Path) -> str:
    if not path.exists():
        return "no such folder; give the folder of a finished run, as runs/cnn-digits-…"
    if (path / "checkpoints").is_dir():
        return f"this run is not finished; continue it with --resume {path}"
    members = sorted(child.parent.name for child in path.glob("*/model.json")) if path.is_dir() else []
    if members:
        return f"this is a comparison; name one of its learners, as {path / members[0]}"
    return "not a run folder (it has no model.json); give the folder of a finished run"
