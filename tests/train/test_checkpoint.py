"""Checkpoints: whole or absent, whatever happens."""

import errno
import json
import os

import pytest
import torch

from striate.train import checkpoint as module
from striate.train.checkpoint import KEPT, Checkpoint, Checkpoints, write_bytes, write_json


def make(step, best=None):
    return Checkpoint(step, {"w": torch.arange(5.0) + step}, {"best_step": best})


def test_round_trip_is_exact(tmp_path):
    checkpoints = Checkpoints(tmp_path / "new")
    saved = Checkpoint(
        3,
        {"a": torch.randn(2, 3), "b": torch.tensor(7), "c": torch.randn(2, 2).bfloat16()},
        {"best_step": None, "x": [1.5]},
    )
    checkpoints.save("last", saved)
    read = checkpoints.newest()
    assert (read.step, read.values) == (saved.step, saved.values)
    assert all(
        torch.equal(read.tensors[k], v) and read.tensors[k].dtype == v.dtype for k, v in saved.tensors.items()
    )


def test_channels_last_tensors_keep_their_values(tmp_path):
    tensor = torch.randn(4, 3, 5, 5).contiguous(memory_format=torch.channels_last)
    Checkpoints(tmp_path).save("last", Checkpoint(1, {"w": tensor}, {}))
    assert torch.equal(Checkpoints(tmp_path).newest().tensors["w"], tensor)


def test_only_the_newest_and_their_best_are_kept(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    for step in range(1, 9):
        checkpoints.save("best", make(step))
        checkpoints.save("last", make(step, best=step))
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {
        f"{role}-{s:09d}.{end}"
        for role in ("last", "best")
        for s in (7, 8)
        for end in ("json", "safetensors")
    }
    assert KEPT == 2


@pytest.mark.parametrize(
    "damage", ["truncate", "flip", "empty", "no tensors", "no manifest", "manifest cut", "manifest list"]
)
def test_damage_falls_back_to_the_one_before(tmp_path, damage):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save("last", make(1))
    checkpoints.save("last", make(2))
    tensors, manifest = tmp_path / "last-000000002.safetensors", tmp_path / "last-000000002.json"
    data = tensors.read_bytes()
    match damage:
        case "truncate":
            tensors.write_bytes(data[:-1])
        case "flip":
            tensors.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        case "empty":
            tensors.write_bytes(b"")
        case "no tensors":
            tensors.unlink()
        case "no manifest":
            manifest.unlink()
        case "manifest cut":
            manifest.write_bytes(manifest.read_bytes()[:20])
        case "manifest list":
            manifest.write_text("[]")
    assert checkpoints.newest().step == 1


def test_a_last_whose_best_is_damaged_does_not_count(tmp_path):
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save("best", make(1))
    checkpoints.save("last", make(1, best=1))
    checkpoints.save("best", make(2))
    checkpoints.save("last", make(2, best=2))
    (tmp_path / "best-000000002.safetensors").write_bytes(b"x")
    assert checkpoints.newest().step == 1


def test_nothing_at_all(tmp_path):
    assert Checkpoints(tmp_path / "absent").newest() is None
    assert Checkpoints(tmp_path).best(3) is None


def test_a_full_disk_leaves_the_old_file_and_no_litter(tmp_path, monkeypatch):
    path = tmp_path / "value.json"
    write_json(path, {"kept": 1})

    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(module.os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_bytes(path, b"new")
    assert json.loads(path.read_text()) == {"kept": 1}
    assert [p.name for p in tmp_path.iterdir()] == ["value.json"]


def test_json_refuses_what_json_cannot_say(tmp_path):
    with pytest.raises(ValueError, match="Out of range"):
        write_json(tmp_path / "x.json", {"a": float("nan")})
    assert not list(tmp_path.iterdir())
