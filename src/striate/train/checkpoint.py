"""Checkpoints that survive a kill at any moment.

A checkpoint is two files: ``<name>.safetensors`` and, written last, its manifest ``<name>.json``
with the SHA-256 of the first. Each is written to a temporary file, flushed to the disk, renamed,
and its folder flushed. A checkpoint without a valid manifest does not exist.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

KEPT = 2  # newest "last" checkpoints kept, so that one torn by a failing disk leaves another


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A file to write that replaces ``path`` in one step, or leaves it untouched on any error."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def write_bytes(path: Path, data: bytes) -> None:
    """Write ``data`` to ``path``, all or nothing, durably."""
    with replacing(path) as file:
        file.write(data)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as JSON to ``path``, all or nothing, durably."""
    write_bytes(path, (json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode())


def write_tensors(path: Path, tensors: dict[str, torch.Tensor]) -> str:
    """Write a safetensors file, all or nothing, durably; returns its SHA-256 in hexadecimal."""
    data = save({name: t.detach().to("cpu").contiguous() for name, t in tensors.items()})
    write_bytes(path, data)
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class Checkpoint:
    """Tensors by name and JSON values, as they were at ``step``."""

    step: int
    tensors: dict[str, torch.Tensor]
    values: dict[str, Any]


class Checkpoints:
    """The checkpoints of one run: a few ``last-<step>`` and the ``best-<step>`` they refer to.

    ``values["best_step"]`` of a "last" checkpoint names the best one at that time (or is ``None``).
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def save(self, role: str, checkpoint: Checkpoint) -> None:
        """Write a checkpoint whose role is ``"last"`` or ``"best"``, then drop what no longer counts."""
        self.folder.mkdir(parents=True, exist_ok=True)
        stem = f"{role}-{checkpoint.step:09d}"
        digest = write_tensors(self.folder / f"{stem}.safetensors", checkpoint.tensors)
        manifest = {"step": checkpoint.step, "sha256": digest, "values": checkpoint.values}
        write_json(self.folder / f"{stem}.json", manifest)
        if role == "last":
            self._prune()

    def newest(self) -> Checkpoint | None:
        """The newest valid "last" checkpoint whose best one is valid too; ``None`` if there is none."""
        for path in reversed(self._manifests("last")):
            checkpoint = _read(path)
            if checkpoint is None:
                continue
            best = checkpoint.values.get("best_step")
            if best is None or self.best(best) is not None:
                return checkpoint
        return None

    def best(self, step: int) -> Checkpoint | None:
        """The best checkpoint made at ``step``, if it is valid."""
        return _read(self.folder / f"best-{step:09d}.json")

    def _manifests(self, role: str) -> list[Path]:
        if not self.folder.is_dir():
            return []
        return sorted(p for p in self.folder.iterdir() if re.fullmatch(rf"{role}-\d+\.json", p.name))

    def _prune(self) -> None:
        kept = self._manifests("last")[-KEPT:]
        wanted = {path.stem for path in kept}
        for path in kept:
            best = _manifest(path).get("values", {}).get("best_step")
            if best is not None:
                wanted.add(f"best-{best:09d}")
        newest = max(int(path.stem.split("-")[1]) for path in kept)
        for path in sorted(self.folder.iterdir()):  # .json before .safetensors
            match = re.fullmatch(r"(?:last|best)-(\d+)", path.stem)
            if (match and path.stem not in wanted and int(match[1]) <= newest) or (
                path.name.startswith(".") and path.suffix == ".tmp"
            ):
                path.unlink(missing_ok=True)


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return {}
    return manifest if isinstance(manifest, dict) else {}


def _read(path: Path) -> Checkpoint | None:
    manifest = _manifest(path)
    try:
        data = path.with_suffix(".safetensors").read_bytes()
        if hashlib.sha256(data).hexdigest() != manifest.get("sha256"):
            return None
        return Checkpoint(manifest["step"], load(data), manifest["values"])
    except (OSError, KeyError, SafetensorError):
        return None
