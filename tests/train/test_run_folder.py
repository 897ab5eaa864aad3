"""The run folder: never overwritten, and read back only if it is whole."""

import json
import os

import pytest
import torch

from striate.data.pictures import Preprocessing
from striate.errors import UsageError
from striate.models.network import NetworkLearner
from striate.train.config import TrainConfig
from striate.train.provenance import provenance
from striate.train.run_folder import RunFolder, default_out, load_model


@pytest.fixture
def run(tmp_path):
    folder = RunFolder.create(tmp_path / "run")
    folder.write_config(TrainConfig(source="digits", out=folder.path))
    folder.save_model(
        NetworkLearner("mlp", (1, 8, 8), 2),
        classes=("cat", "dög"),
        preprocessing=Preprocessing(8, 8, 1),
        scores={"accuracy": 0.5},
        provenance=provenance(TrainConfig(source="digits"), "0" * 64),
    )
    return folder


def test_a_model_comes_back_with_all_it_needs(run):
    saved = load_model(run.path)
    assert saved.classes == ("cat", "dög") and saved.preprocessing == Preprocessing(8, 8, 1)
    assert saved.info["scores"] == {"accuracy": 0.5} and saved.info["provenance"]["seed"] == 0
    pixels = torch.randint(0, 256, (5, 1, 8, 8), dtype=torch.uint8)
    assert torch.equal(saved.learner.predict(pixels), NetworkLearner("mlp", (1, 8, 8), 2).predict(pixels))


def test_a_folder_in_use_is_never_taken(run):
    before = sorted(path.name for path in run.path.iterdir())
    with pytest.raises(UsageError, match=r"not empty.*--resume"):
        RunFolder.create(run.path)
    assert sorted(path.name for path in run.path.iterdir()) == before


def test_a_folder_that_will_be_refused_is_told_before_anything_is_made(run):
    RunFolder.check_free(run.path.parent / "new" / "run")
    assert not (run.path.parent / "new").exists()
    for path, message in ((run.path, "not empty"), (run.path / "model.json" / "below", "not a folder")):
        with pytest.raises(UsageError, match=message):
            RunFolder.check_free(path)


def test_a_file_in_the_way(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="cannot write to"):
        RunFolder.create(tmp_path / "file")
    with pytest.raises(UsageError, match="cannot write to"):
        RunFolder.create(tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "mine"


def test_the_config_reads_back(run):
    assert TrainConfig(**run.read_config()).source == "digits"


@pytest.mark.parametrize("text", ["a: [", "- list\n", ""])
def test_a_damaged_config_is_told(run, text):
    (run.path / "config.yaml").write_text(text)
    with pytest.raises(UsageError, match=r"config\.yaml"):
        run.read_config()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (
            lambda p: (p / "model.safetensors").write_bytes((p / "model.safetensors").read_bytes()[:-1]),
            "damaged",
        ),
        (lambda p: (p / "model.json").write_text("{"), "cannot be read"),
        (lambda p: (p / "model.json").write_text("[]"), "has not format 1"),
        (lambda p: _change(p, "format", 99), "has not format 1"),
        (lambda p: _change(p, "family", "quantum"), "family 'quantum'"),
        (lambda p: _change(p, "architecture", {}), "does not fit its description"),
        (lambda p: _change(p, "preprocessing", {"height": 8}), "does not fit its description"),
        (lambda p: (p / "model.json").unlink(), "not a run folder"),
        (lambda p: ((p / "model.json").unlink(), (p / "checkpoints").mkdir()), r"not finished.*--resume"),
    ],
)
def test_a_damaged_or_wrong_run_is_told(run, damage, message):
    damage(run.path)
    with pytest.raises(UsageError, match=message):
        load_model(run.path)


def _change(path, key, value):
    info = json.loads((path / "model.json").read_text())
    (path / "model.json").write_text(json.dumps({**info, key: value}))


def test_no_folder_and_a_comparison(run):
    with pytest.raises(UsageError, match="no such folder"):
        load_model(run.path / "absent")
    with pytest.raises(UsageError, match=f"name one of its learners, as .*{run.path.name}"):
        load_model(run.path.parent)


def test_a_folder_of_something_else(tmp_path):
    with pytest.raises(UsageError, match=r"no config\.yaml"):
        RunFolder.open(tmp_path)


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("mnist", "mnist"),
        ("/data/my pets/", "my-pets"),
        ("../..", "pictures"),
        ("x/ÄÖ .csv", "csv"),
        ("a\nb", "a-b"),
    ],
)
def test_default_names_are_tame(source, name):
    assert default_out("cnn", source).name.startswith(f"cnn-{name}-")
    assert default_out("cnn", source).parent.name == "runs" and os.sep not in default_out("cnn", source).name
