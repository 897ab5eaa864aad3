"""Flags win over the file, the file over the defaults; every mistake is named, with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from striate.cli._settings import read_yaml, settings
from striate.errors import UsageError
from striate.train.config import CompareConfig, TrainConfig


def file_of(folder: Path, text: str) -> Path:
    path = folder / "run.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def test_flags_win_over_the_file_and_the_file_over_defaults(tmp_path: Path):
    file = file_of(tmp_path, "source: digits\nepochs: 5\nbatch-size: 32\naugment: no\n")
    chosen = settings(TrainConfig, {"epochs": "7"}, file)
    assert (chosen.source, chosen.epochs, chosen.batch_size, chosen.augment) == ("digits", 7, 32, False)
    assert chosen.seed == TrainConfig(source="digits").seed


def test_what_a_run_saves_is_read_back_as_it_was(tmp_path: Path):
    config = CompareConfig(source="digits", models=("hog", "cnn"), learning_rate=1e-4, out=Path("runs/x"))
    file = file_of(tmp_path, yaml.safe_dump(config.model_dump(mode="json")))
    assert settings(CompareConfig, {}, file) == config


def test_yaml_floats_without_a_point(tmp_path: Path):
    # YAML 1.1 reads 1e-3 as text
    assert (
        settings(TrainConfig, {"source": "x"}, file_of(tmp_path, "learning_rate: 1e-3")).learning_rate == 1e-3
    )


@pytest.mark.parametrize(
    ("flags", "text", "message"),
    [
        ({}, "", "SOURCE is missing: name digits, mnist"),
        ({}, "source: digits\nepoch: 5", "epoch in run.yaml: no such setting; did you mean epochs?"),
        ({}, "source: digits\nqqq: 5", "qqq in run.yaml: no such setting; the keys are source, data_dir"),
        ({}, "source: digits\n7: x", "7 in run.yaml: no such setting"),
        ({}, "source: 7", "source in run.yaml: wanted text, got 7; put it in quotes"),
        (
            {"source": "x"},
            "epochs: many",
            "epochs in run.yaml: wanted a whole number, at least 1, got 'many'",
        ),
        ({"source": "x"}, "epochs: true", "epochs in run.yaml: wanted a whole number, at least 1, got true"),
        (
            {"source": "x"},
            "seed: 3.5",
            "seed in run.yaml: wanted a whole number, at least 0 and below 4294967296",
        ),
        ({"source": "x"}, "seed: null", "seed in run.yaml: wanted a whole number"),
        ({"source": "x"}, "models: cnn", "models in run.yaml: wanted a list of names, got 'cnn'"),
        ({"source": "x"}, "models: []", "models in run.yaml: wanted a list of names, got a list"),
        ({"source": "x"}, "models: [1]", "models in run.yaml: wanted a list of names, got a list"),
        ({"source": "x"}, "out: {a: b}", "out in run.yaml: wanted a path, got a mapping"),
        ({"source": "x"}, "augment: 7", "augment in run.yaml: wanted true or false, got 7"),
        ({"source": "x", "fit": "crap"}, "", "--fit: wanted one of crop, pad, stretch, got 'crap'"),
        ({"source": "x", "channels": "2"}, "", "--channels: wanted one of 1, 3, got '2'"),
        (
            {"source": "x", "val_fraction": "1"},
            "",
            "--val-fraction: wanted a number, above 0 and below 1, got '1'",
        ),
        ({"source": "x", "seed": "-1"}, "", "--seed: wanted a whole number, at least 0"),
        ({"source": "x", "epochs": "9" * 5000}, "", "--epochs: wanted a whole number, at least 1, got '999"),
        ({"source": "x", "learning_rate": "nan"}, "", "--learning-rate: wanted a number, above 0, got 'nan'"),
    ],
)
def test_mistakes(
    flags: dict[str, str], text: str, message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.chdir(tmp_path)
    file_of(tmp_path, text)
    with pytest.raises(UsageError) as caught:
        settings(CompareConfig, flags, Path("run.yaml"))
    assert str(caught.value).startswith(message)
    assert len(str(caught.value)) < 700 and "\n" not in str(caught.value)


def test_a_line_for_every_problem():
    with pytest.raises(UsageError) as caught:
        settings(TrainConfig, {"source": "x", "epochs": "0", "fit": "crap", "seed": "x"})
    assert [line.partition(":")[0] for line in str(caught.value).splitlines()] == [
        "--fit",
        "--seed",
        "--epochs",
    ]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"- a\n- b", "wanted key: value lines, got a list"),
        (b"just words", "wanted key: value lines, got 'just words'"),
        (b"a: [1", "not valid YAML, line 1"),
        (b"a: 1\n\tb: 2", "not valid YAML, line 2"),
        (b"\xff\xfe\x00", "not valid YAML"),
        (b"a: !!python/object/apply:os.system [echo]", "not valid YAML, line 1"),
        (b"? {x: y}\n: 1", "not valid YAML, line 1"),
        (b"[" * 1000, "not valid YAML"),
        (b"#" * 2_000_000, "wanted a short file of key: value lines, got 2,000,000 bytes"),
    ],
)
def test_files_that_are_no_settings(content: bytes, message: str, tmp_path: Path):
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(UsageError) as caught:
        read_yaml(path)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_file_that_is_missing_or_a_folder(tmp_path: Path):
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(UsageError, match="cannot be read"):
            read_yaml(path)


def test_a_bomb_of_aliases_is_refused_at_once(tmp_path: Path):
    lines = ["a: &a [x, x, x, x, x, x, x, x, x]"]
    lines += [f"{b}: &{b} [{', '.join(['*' + a] * 9)}]" for a, b in zip("abcdefgh", "bcdefghi", strict=True)]
    with pytest.raises(UsageError, match="no such setting"):
        settings(TrainConfig, {}, file_of(tmp_path, "\n".join(lines)))
    bomb = "\n".join([*lines, "models: *i"]).replace("a: &a", "source: &a", 1)
    with pytest.raises(UsageError):
        settings(CompareConfig, {}, file_of(tmp_path, bomb))


class TestResume:
    @pytest.fixture
    def run(self, tmp_path: Path) -> Path:
        config = TrainConfig(source="digits", epochs=3, model="mlp", out=tmp_path / "run")
        (tmp_path / "run").mkdir()
        (tmp_path / "run" / "config.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json")))
        return tmp_path / "run"

    def test_settings_are_the_runs(self, run: Path):
        chosen = settings(TrainConfig, {}, None, run)
        assert (chosen.source, chosen.epochs, chosen.model) == ("digits", 3, "mlp")

    def test_repeating_them_is_no_conflict(self, run: Path):
        flags = {"source": "digits", "epochs": "3", "augment": True}
        assert settings(TrainConfig, flags, None, run).epochs == 3

    def test_conflicts_are_named(self, run: Path):
        with pytest.raises(UsageError) as caught:
            settings(TrainConfig, {"source": "mnist", "epochs": "3", "model": "cnn"}, None, run)
        message = str(caught.value)
        assert "SOURCE is 'mnist', the run has 'digits'" in message
        assert "--model is 'cnn', the run has 'mlp'" in message
        assert "--epochs" not in message

    def test_conflicts_from_a_file_are_named(self, run: Path, tmp_path: Path):
        with pytest.raises(UsageError, match=r"epochs in .*run.yaml is 4, the run has 3"):
            settings(TrainConfig, {}, file_of(tmp_path, "epochs: 4"), run)

    def test_no_run(self, tmp_path: Path):
        with pytest.raises(UsageError, match="no such folder; name the folder of an interrupted run"):
            settings(TrainConfig, {}, None, tmp_path / "none")
        with pytest.raises(UsageError, match=r"it has no config.yaml"):
            settings(TrainConfig, {}, None, tmp_path)

    def test_run_of_another_verb(self, run: Path):
        with pytest.raises(UsageError, match="striate train --resume"):
            settings(CompareConfig, {}, None, run)
