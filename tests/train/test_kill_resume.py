"""A run that is killed again and again ends with the same bits; the benchmark's own hunt, small."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from striate.errors import UsageError
from striate.train.config import TrainConfig
from striate.train.fit import train_run
from striate.train.monitor import Monitor
from striate.train.run_folder import RunFolder

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "kill_resume.py"


@pytest.mark.skipif(sys.platform != "linux", reason="forks after importing torch")
def test_killed_runs_resume_to_the_same_bits():
    command = [sys.executable, str(SCRIPT), "--kills", "4", "--epochs", "2", "--no-record"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kills 4" in done.stdout and "broken 0, different 0" in done.stdout


def test_folder_of_a_run_killed_before_it_began_can_be_used(tmp_path: Path):
    for leftover in (".writable", ".config.yaml.4711.tmp"):
        (tmp_path / leftover).touch()
    assert RunFolder.create(tmp_path).path == tmp_path
    (tmp_path / ".hidden").touch()
    with pytest.raises(UsageError, match="not empty"):
        RunFolder.create(tmp_path)


def test_run_killed_right_after_its_settings_were_saved_is_resumed(tmp_path: Path):
    config = TrainConfig(source="digits", model="mlp", epochs=1, out=tmp_path / "run")
    RunFolder.create(tmp_path / "run").write_config(config)
    comparison, folder = train_run(config, Monitor(), resume=tmp_path / "run")
    assert comparison.learners[0].accuracy is not None
    assert {"splits.json", "data.json", "model.json", "report.html"} <= {
        path.name for path in folder.iterdir()
    }
