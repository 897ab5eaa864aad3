"""``striate describe``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cli_helpers import Striate

from striate.cli.describe import parse_input
from striate.errors import UsageError

OWN = """
import torch
from torch import nn

def net(num_classes=10):
    return nn.Sequential(nn.Conv2d(3, 6, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(400, num_classes))

def sound(wide=8):
    return nn.Sequential(nn.Conv1d(1, wide, 9, 4), nn.ReLU(), nn.AdaptiveAvgPool1d(1))

class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.spare = nn.Linear(2, 2)
        self.scale = nn.Parameter(torch.ones(4, 1, 1))

    def forward(self, x):
        return self.conv(x.cumsum(2)) * self.scale

class Tokens(nn.Module):
    def forward(self, x):
        return torch.cat((torch.zeros(1, 5, 1), x.flatten(2)), 2)

def up(kernel=3):
    return nn.Sequential(nn.ConvTranspose2d(3, 2, kernel, 2))

def tokens():
    return nn.Sequential(Tokens(), nn.ReLU())

def lenet():
    return nn.Sequential(
        nn.Conv2d(1, 6, 5), nn.MaxPool2d(2), nn.Conv2d(6, 16, 5), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10),
    )

number = 3
"""


@pytest.fixture
def own(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A module of the user's in the current folder."""
    (place / "described.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(place))
    return place


def test_table(striate: Striate, own: Path):
    done = striate("describe", "described:lenet", "--input", "1x32x32")
    assert (done.code, done.err) == (0, "")
    lines = [line.split() for line in done.out.splitlines()]
    assert lines[0][:2] == ["layer", "kind"]
    assert lines[1] == ["0", "Conv2d", "1×32×32", "6×28×28", "156", "117,600", "5×5", "1", "2"]
    assert lines[8] == ["7", "Linear", "84", "10", "850", "840", "32×32", "–", "15.5"]
    assert done.out.splitlines()[-1] == (
        "61,706 parameters, 416,520 multiply-adds, 34.0 kB of activations in float32 for a picture of 1×32×32"
    )


def test_json(striate: Striate):
    done = striate("describe", "cnn", "--input", "3x64x48", "--classes", "7", "--json")
    told = json.loads(done.out)
    assert (told["model"], told["input"], told["output"]) == ("cnn", [3, 64, 48], [7])
    assert sum(layer["macs"] for layer in told["layers"]) == told["macs"] > 0
    assert sum(layer["parameters"] for layer in told["layers"]) == told["parameters"]
    assert told["layers"][0]["receptive_field"] == {
        "size": [3, 3],
        "stride": [1.0, 1.0],
        "centre": [0.0, 0.0],
        "closed": True,
    }


def test_markdown(striate: Striate):
    head, rule, first, *_ = striate("describe", "mlp", "--markdown").out.splitlines()
    assert head.startswith("| layer | kind | input | output |") and rule.startswith("|---|---|--:|")
    assert first == "| layers.0 | Flatten | 3×32×32 | 3,072 | – | – | 1×1 | 1 | 0 |"


def test_explain(striate: Striate, own: Path):
    arguments = ("describe", "described:lenet", "--input", "1x32x32", "--explain")
    done = striate(*arguments, "2")
    assert done.out.splitlines()[0] == "2 (Conv2d): 6×14×14 → 16×10×10"
    assert (
        "  receptive field, height: 6 + (5 − 1)·1·2 = 14; stride 2; centre of the first position 6.5"
        in done.out
    )
    told = json.loads(striate(*arguments, "5", "--json").out)
    assert told["name"] == "5" and "parameters: 400·120 = 48,000 weights" in told["explanation"][1]


def test_a_run_with_its_own_pictures(striate: Striate, finished_run: Path):
    done = striate("describe", finished_run, "--json")
    assert json.loads(done.out)["input"] == [1, 8, 8]
    other = striate("describe", finished_run, "--input", "1x9x9")
    assert other.code == 2
    assert "layer layers.1 (Linear): it takes 64 numbers, but 81 came: 1·9·9 = 81, flattened" in other.err


def test_a_network_of_the_users(striate: Striate, own: Path):
    done = striate("describe", "described:net")
    assert (done.code, done.out) == (2, "")
    assert done.errors == [
        "striate: error: described:net: layer 3 (Linear): it takes 400 numbers, but 1,176 came: 6·14·14 = 1176,"
        " flattened; make it Linear(1176, 10)"
    ]
    assert "AdaptiveAvgPool1d" in striate("describe", "described:sound", "--input", "1x16000").out


def test_training_says_the_same(striate: Striate, own: Path):
    done = striate("train", "digits", "--model", "described:net", "--channels", "3", "--dry-run")
    assert done.code == 2
    assert "layer 1 (MaxPool2d)" not in done.err
    assert "layer 3 (Linear): it takes 400 numbers, but 24 came: 6·2·2 = 24, flattened" in done.errors[0]


def test_notes(striate: Striate, own: Path):
    odd = striate("describe", "described:Odd").out.splitlines()
    assert odd[1].split()[-3:] == ["?", "–", "–"]
    assert odd[-3:] == [
        "4 of the parameters belong to no layer: scale",
        "Layers that did not run: spare",
        "? receptive field unknown after cumsum",
    ]
    up = striate("describe", "described:up").out.splitlines()
    assert up[-1] == (
        "0: taps that reach an output: 2, 1, 2, 1 …; uneven, a checkerboard may show: stride 2 does not divide kernel 3"
    )
    tokens = striate("describe", "described:tokens", "--input", "5x8x8").out
    assert "~1×1" in tokens
    assert tokens.splitlines()[-1].startswith("~ of the element in the middle, on this picture")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("lenett",), "did you mean lenet?"),
        (("hog",), "hog has no layers"),
        (("described:nothing",), "has no 'nothing'"),
        (("described:number",), "wanted a function or class"),
        (("nowhere:net",), "cannot import 'nowhere'"),
        (("lenet", "--input", "3by4"), "--input: wanted channels and sizes such as 3x224x224, got '3by4'"),
        (("lenet", "--input", "3x0x4"), "--input: wanted channels and sizes"),
        (("lenet", "--explain", "conv9"), "no layer 'conv9'; there are conv"),
        (("lenet", "--classes", "0"), "--classes"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], says: str, striate: Striate, own: Path):
    done = striate("describe", *arguments)
    assert (done.code, done.out) == (2, "")
    assert len(done.errors) == 1 and says in done.errors[0]


def test_inputs():
    assert parse_input(" 3X224,200 ") == (3, 224, 200)
    for text in ("", "3", "3x", "1x2x3x4x5", "-3x4x4", "٣x4x4"):
        with pytest.raises(UsageError):
            parse_input(text)
