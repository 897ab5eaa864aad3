"""The verbs end to end, on small real pictures."""

from __future__ import annotations

import csv
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from cli_helpers import QUICK, Striate
from PIL import Image

from striate.cli import main
from striate.verdict.results import Comparison


def rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


class TestTrain:
    def test_result_on_stdout_and_progress_on_stderr(self, striate: Striate, place: Path):
        done = striate("train", "digits", *QUICK)
        assert done.code == 0
        folder = next((place / "runs").iterdir())
        assert done.out.rstrip().splitlines()[-1] == f"Report: {folder.relative_to(place)}/report.html"
        assert "mlp" in done.out and "report.html" in done.out
        assert "training: epoch 1/1, loss" in done.err
        assert all(character.isprintable() or character == "\n" for character in done.out + done.err)
        names = {file.name for file in folder.iterdir()}
        assert names >= {"config.yaml", "log.jsonl", "model.json", "model.safetensors", "report.html"}

    def test_json_and_quiet(self, striate: Striate, place: Path):
        done = striate("train", "digits", *QUICK, "--json", "--quiet", "--out", "run")
        assert (done.code, done.err) == (0, "")
        result = json.loads(done.out)
        assert (result.pop("folder"), result.pop("report")) == ("run", "run/report.html")
        comparison = Comparison.from_dict(result)
        assert comparison.learners[0].name == "mlp"
        assert comparison == Comparison.from_dict(json.loads((place / "run" / "comparison.json").read_text()))

    def test_settings_file_and_flags(self, striate: Striate, place: Path):
        Path("run.yaml").write_text("source: digits\nmodel: mlp\nepochs: 3\nseed: 5\nbatch-size: 64\n")
        done = striate(
            "train", "--config", "run.yaml", "--epochs", "1", "--no-augment", "--quiet", "--out", "run"
        )
        assert done.code == 0, done.err
        saved = yaml.safe_load((place / "run" / "config.yaml").read_text())
        assert (saved["epochs"], saved["seed"], saved["batch_size"], saved["augment"]) == (1, 5, 64, False)
        again = striate("train", "--config", "run/config.yaml", "--quiet", "--out", "again")
        assert again.code == 0, again.err
        assert Path("again/model.safetensors").read_bytes() == Path("run/model.safetensors").read_bytes()

    def test_resume_of_a_finished_run_gives_its_result(self, striate: Striate):
        first = striate("train", "digits", *QUICK, "--out", "run", "--json", "--quiet")
        weights = Path("run/model.safetensors").read_bytes()
        second = striate("train", "--resume", "run", "--json", "--quiet")
        assert second.code == 0, second.err
        assert Path("run/model.safetensors").read_bytes() == weights
        told = [json.loads(done.out)["learners"][0]["correct"] for done in (first, second)]
        assert told[0] == told[1]

    def test_resume_refuses_other_settings(self, striate: Striate, finished_run: Path):
        done = striate("train", "mnist", "--resume", finished_run, "--epochs", "9")
        assert done.code == 2
        assert "SOURCE is 'mnist', the run has 'digits'" in done.err
        assert "--epochs is 9, the run has 1" in done.err

    def test_resume_of_another_verb(self, striate: Striate, finished_run: Path):
        done = striate("compare", "--resume", finished_run)
        assert done.code == 2 and f"striate train --resume {finished_run}" in done.err


class TestDryRun:
    def test_text(self, striate: Striate, place: Path):
        done = striate("compare", "digits", "--dry-run", "--models", "mlp,lenet,cnn,hog", "--quiet")
        assert done.code == 0, done.err
        assert done.err == ""
        assert not (place / "runs").exists()
        assert "source: digits" in done.out
        assert "of 10 classes, 8×8 pixels in grey" in done.out
        lines = {
            line.split()[0]: line.split()[1:] for line in done.out.splitlines() if len(line.split()) == 3
        }
        assert set(lines) >= {"mlp", "lenet", "cnn"}

    def test_json(self, striate: Striate):
        done = striate("train", "digits", "--model", "mlp", "--dry-run", "--json", "--quiet", "--epochs", "2")
        plan = json.loads(done.out)
        assert sum(plan["pictures"].values()) == 1797
        assert len(plan["classes"]) == 10
        assert plan["settings"]["source"] == "digits"
        (model,) = plan["models"]
        assert model["model"] == "mlp" and model["parameters"] > 0 and model["macs"] > 0
        assert model["settings"]["batch_size"] > 0, "what the model chooses itself is shown"


class TestCompare:
    def test_two_learners(self, striate: Striate, place: Path):
        flags = ("--models", "mlp", "--models", "lbp,hog", "--epochs", "1", "--shift", "0", "--no-shuffle")
        done = striate("compare", "digits", *flags, "--json", "--quiet", "--out", "both")
        assert done.code == 0, done.err
        result = json.loads(done.out)
        assert [learner["name"] for learner in result["learners"]] == ["mlp", "lbp", "hog"]
        assert Path(result["report"]).exists()
        again = striate("compare", "--resume", "both", "--quiet")
        assert again.code == 0, again.err
        assert "Report: both/report.html" in again.out
        one = striate("predict", "both/mlp", Path("both"))
        assert one.code == 3 and "no pictures" in one.err
        told = striate("predict", "both", Path("both"))
        assert told.code == 2 and "this is a comparison" in told.err

    def test_nobody_judged_is_a_failure_that_still_reports(self, striate: Striate):
        done = striate("compare", "digits", "--models", "sift", "--quiet", "--out", "none")
        assert done.code == 1
        assert "No learner could be judged" in done.out
        assert Path("none/report.html").exists()


class TestEvaluate:
    def test_same_test_split_as_the_run(self, striate: Striate, finished_run: Path):
        done = striate("evaluate", finished_run, "digits", "--json", "--quiet")
        assert (done.code, done.err) == (0, "")
        result = json.loads(done.out)
        judged = json.loads((finished_run / "comparison.json").read_text())["learners"][0]
        assert result["correct"] == judged["correct"]
        assert result["run"] == str(finished_run)

    def test_table(self, striate: Striate, finished_run: Path):
        done = striate("evaluate", finished_run, "digits", "--quiet")
        lines = done.out.splitlines()
        assert "pictures right (95% interval" in lines[0]
        assert lines[2].split() == ["class", "pictures", "right", "recall", "precision", "F1"]
        assert len(lines) == 3 + 10


class TestPredict:
    def test_folder_as_csv(self, striate: Striate, pictures: Path, finished_run: Path):
        (pictures / "notes.txt").write_text("no picture by its name")
        (pictures / ".hidden.png").write_bytes(b"")
        (pictures / ".git").mkdir()
        (pictures / ".git" / "x.png").write_bytes(b"")
        done = striate("predict", finished_run, "pictures", "pictures/class 0/0.png", "--quiet")
        assert (done.code, done.err) == (0, "")
        table = rows(done.out)
        assert [row["path"] for row in table] == [
            f"pictures/class {label}/{number}.png" for label in range(3) for number in range(12)
        ]
        for row in table:
            assert 1 >= float(row["probability"]) >= float(row["runner_up_probability"]) >= 0
            assert row["label"] != row["runner_up"]
        right = [row["path"].startswith(f"pictures/class {row['label']}/") for row in table]
        assert sum(right) > len(right) / 2, "the classes of the run and of its answers are the same"

    def test_unreadable_files_are_told_and_the_rest_is_not_lost(
        self, striate: Striate, pictures: Path, finished_run: Path
    ):
        (pictures / "class 0" / "0.png").write_bytes(b"")
        (pictures / "class 1" / "1.png").write_bytes(b"GIF89a")
        done = striate("predict", finished_run, "pictures", "--out", "x.csv", "--json", "--quiet")
        assert done.code == 3
        assert len(rows(Path("x.csv").read_text())) == 34
        document = json.loads(done.out)
        assert len(document["predictions"]) == 34
        bad = ["pictures/class 0/0.png", "pictures/class 1/1.png"]
        assert [entry["path"] for entry in document["unreadable"]] == bad
        assert [line.split(": ")[2] for line in done.errors[:2]] == bad
        assert done.errors[2] == "striate: error: 2 of 36 files could not be read"

    @pytest.mark.parametrize("mode", ["RGB", "RGBA", "P", "CMYK", "1", "LA", "I;16"])
    def test_pictures_of_other_kinds_follow_the_runs_preprocessing(
        self, mode: str, striate: Striate, pictures: Path, finished_run: Path
    ):
        name = "x.tif" if mode == "CMYK" else "x.png"
        Image.open(pictures / "class 0" / "0.png").resize((30, 20)).convert(mode).save(name)
        done = striate("predict", finished_run, name)
        assert done.code == 0, done.err
        assert len(rows(done.out)) == 1

    def test_files_by_name_are_taken_whatever_their_ending(
        self, striate: Striate, pictures: Path, finished_run: Path
    ):
        Path("scan.dat").write_bytes((pictures / "class 0" / "0.png").read_bytes())
        assert striate("predict", finished_run, "scan.dat").code == 0

    @pytest.mark.parametrize("ending", ["csv", "json", "parquet"])
    def test_out_is_replaced_only_by_force(
        self, ending: str, striate: Striate, pictures: Path, finished_run: Path
    ):
        out = f"x.{ending}"
        first = striate("predict", finished_run, "pictures", "--out", out)
        assert first.code == 0 and first.out == ""
        assert f"36 predictions written to {out}" in first.err
        content = Path(out).read_bytes()
        assert striate("predict", finished_run, "pictures", "--out", out).code == 2
        assert Path(out).read_bytes() == content
        assert striate("predict", finished_run, "pictures/class 0", "--out", out, "--force").code == 0
        assert Path(out).read_bytes() != content

    def test_parquet_without_pyarrow_is_refused_before_the_work(
        self, striate: Striate, finished_run: Path, monkeypatch: pytest.MonkeyPatch
    ):
        monkeypatch.setitem(sys.modules, "pyarrow", None)
        done = striate("predict", finished_run, "none", "--out", "x.parquet")
        assert done.code == 2 and "pip install 'striate[parquet]'" in done.err

    def test_paths_that_are_missing_or_hold_nothing(self, striate: Striate, place: Path, finished_run: Path):
        (place / "empty").mkdir()
        done = striate("predict", finished_run, "empty")
        assert done.code == 3 and done.errors == [
            "striate: error: empty: no pictures in this folder or below it"
        ]
        done = striate("predict", finished_run, "*.png")
        assert done.code == 2 and done.errors == ["striate: error: *.png: no such file or folder"]


def process(*arguments: str, **options: object) -> subprocess.Popen[str]:
    code = "import sys; from striate.cli import main; sys.exit(main())"
    return subprocess.Popen([sys.executable, "-c", code, *arguments], text=True, **options)  # type: ignore[call-overload]


def test_help_imports_nothing_heavy():
    code = "import sys; from striate.cli import main; code = main(sys.argv[1:]); print(*sorted(sys.modules)); sys.exit(code)"
    heavy = {"torch", "numpy", "skimage", "sklearn", "matplotlib", "pandas", "PIL", "scipy", "pyarrow"}
    for arguments in (["--help"], ["train", "--help"], ["describe", "--help"], ["data", "inspect", "--help"]):
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
        )
        loaded = set(done.stdout.splitlines()[-1].split())
        assert not heavy & loaded, arguments
        assert ("pydantic" in loaded) == (arguments != ["--help"])


def test_a_process_of_its_own_spends_no_time_on_collections():
    code = (
        "import gc, sys; from striate.cli import main; before = gc.get_threshold();"
        " main(['--version']); assert gc.get_threshold() == before, 'a caller keeps its own';"
        " sys.argv[1:] = ['--version']; main(); assert gc.get_threshold()[0] > before[0]"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_ctrl_c_saves_and_says_how_to_go_on(place: Path):
    running = process(
        *("train", "digits", "--model", "mlp", "--epochs", "5000", "--threads", "1", "--out", "run"),
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert running.stderr and running.stdout
    for line in running.stderr:
        if "epoch 2/" in line:
            break
    running.send_signal(signal.SIGINT)
    err = running.stderr.read()
    assert running.wait(120) == 130
    assert running.stdout.read() == ""
    assert "Traceback" not in err and "--resume run" in err.splitlines()[-1]
    running.stderr.close()
    running.stdout.close()


def test_a_network_in_the_current_folder(place: Path):
    Path("mine.py").write_text(
        "import torch\n\n"
        "def net(in_channels, image_size, num_classes):\n"
        "    size = in_channels * image_size[0] * image_size[1]\n"
        "    return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(size, num_classes))\n"
    )
    flags = ("--model", "mine:net", "--epochs", "1", "--dry-run", "--json", "--quiet")
    done = process("train", "digits", *flags, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = done.communicate()
    assert done.returncode == 0, err
    assert json.loads(out)["models"][0]["parameters"] == 650


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["train", "--help"]])
def test_reader_that_leaves_early_hears_no_complaint(arguments: list[str]):
    reading, writing = os.pipe()
    os.close(reading)
    done = process(*arguments, stdout=writing, stderr=subprocess.PIPE)
    os.close(writing)
    _, err = done.communicate()
    assert (done.returncode, err) == (1, "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_stdout_on_a_full_disk():
    with Path("/dev/full").open("w") as full:
        done = process("--version", stdout=full, stderr=subprocess.PIPE)
        _, err = done.communicate()
    assert done.returncode == 1
    assert err.startswith("striate: error: no space left on the disk") and err.count("\n") == 1


def test_version(capsys: pytest.CaptureFixture[str]):
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("striate 0.")
