"""Formulas with the numbers filled in."""

from __future__ import annotations

from fractions import Fraction

import pytest
import torch
from torch import nn

from striate.geometry import trace
from striate.geometry.formulas import explanation, number
from striate.geometry.sentences import overlap_text, sizes_do_not_fit, transposed_formula, window_formula


def explained(layer: nn.Module, *shape: int) -> list[str]:
    return explanation(trace(nn.Sequential(layer), shape)["0"])


def test_the_homework():
    assert explained(nn.Conv2d(3, 6, 5), 3, 32, 32) == [
        "0 (Conv2d): 3×32×32 → 6×28×28",
        "height: ⌊(32 + 0 + 0 − 1·(5 − 1) − 1) / 1⌋ + 1 = 28",
        "width: ⌊(32 + 0 + 0 − 1·(5 − 1) − 1) / 1⌋ + 1 = 28",
        "parameters: 6·3·5·5 = 450 weights + 6 biases = 456",
        "multiply-adds: 450 weights · 28·28 output positions = 352,800",
        "memory: 6·28·28 = 4,704 numbers · 4 bytes = 18,816",
        "receptive field, height: 1 + (5 − 1)·1·1 = 5; stride 1; centre of the first position 2",
        "receptive field, width: 1 + (5 − 1)·1·1 = 5; stride 1; centre of the first position 2",
    ]


def test_groups_dilation_and_no_bias():
    lines = explained(nn.Conv1d(4, 8, 3, 2, 1, 2, groups=2, bias=False), 4, 20)
    assert lines[1] == "length: ⌊(20 + 1 + 1 − 2·(3 − 1) − 1) / 2⌋ + 1 = 9"
    assert lines[2] == "parameters: 8·4/2·3 = 48 weights, no bias"
    assert lines[-1] == (
        "receptive field, length: 1 + (3 − 1)·2·1 = 5; stride 2; centre of the first position 1"
    )


def test_a_transposed_convolution_and_its_checkerboard():
    lines = explained(nn.ConvTranspose2d(2, 1, 3, 2), 2, 2, 2)
    assert lines[1] == "height: (2 − 1)·2 − 2·0 + 1·(3 − 1) + 0 + 1 = 5"
    assert lines[2] == (
        "height: taps that reach an output: 2, 1, 2, 1 …; uneven, a checkerboard may show:"
        " stride 2 does not divide kernel 3"
    )
    assert "multiply-adds: 18 weights · 2·2 input positions = 72" in lines
    assert lines[-1].startswith("receptive field, width: 2; stride 0.5; ")
    assert overlap_text(2, 2, dilation=2).endswith("dilation 2 lets the taps miss")
    assert overlap_text(4, 2) == "taps that reach an output: 2 everywhere"


def test_pools():
    lines = explained(nn.MaxPool2d(2, ceil_mode=True), 1, 5, 6)
    assert lines[1] == "height: ⌈(5 + 0 + 0 − 1·(2 − 1) − 1) / 2⌉ + 1 = 3"
    assert explained(nn.AdaptiveAvgPool1d(2), 1, 5)[1] == (
        "length: bin i of 2 is ⌊i·5/2⌋ to ⌈(i + 1)·5/2⌉ − 1: 0–2, 2–4"
    )
    assert "0–0, 1–1, 2–2, 3–3, …, 8–8" in explained(nn.AdaptiveAvgPool1d(9), 1, 9)[1]


def test_linear_layers():
    assert explained(nn.Linear(6, 4), 3, 5, 6)[1:3] == [
        "parameters: 6·4 = 24 weights + 4 biases = 28",
        "multiply-adds: 24 weights · 15 positions = 360",
    ]
    flat = nn.Sequential(nn.Flatten(), nn.Linear(6, 4, bias=False))
    lines = explanation(trace(flat, (1, 2, 3))["1"])
    assert lines[1:4] == [
        "parameters: 6·4 = 24 weights, no bias",
        "multiply-adds: 24, one a weight",
        "memory: 4 numbers · 4 bytes = 16",
    ]
    assert lines[4] == "receptive field, height: 2; centre of the first position 0.5"


def test_what_is_not_known_is_said():
    class Sums(nn.Module):
        def forward(self, x):
            return x.cumsum(2)

    lines = explanation(trace(nn.Sequential(Sums(), nn.ReLU()), (1, 4, 4))["1"])
    assert lines[-1] == "receptive field: unknown after cumsum in 0"


def test_positions_that_differ():
    class Tokens(nn.Module):
        """Patches in a row after one that stands for the class."""

        def forward(self, x):
            rows = x.unfold(2, 2, 2).unfold(3, 2, 2).flatten(4).flatten(2, 3)
            return torch.cat((torch.zeros_like(rows[:, :, :1]), rows), 2)

    lines = explanation(trace(nn.Sequential(Tokens(), nn.ReLU()), (1, 4, 6))["1"])
    assert lines[-1] == "receptive field of the element in the middle, on this picture: height 1, width 1"


@pytest.mark.parametrize(
    ("value", "text"),
    [(Fraction(5, 2), "2.5"), (Fraction(1, 3), "1/3"), (7, "7"), (None, "–"), (1_000_000, "1000000")],
)
def test_numbers(value: Fraction | int | None, text: str):
    assert number(value) == text


def test_formulas_alone():
    assert window_formula(5, 3, 2, 1, ceil_mode=True).endswith("⌉ + 1 = 3")
    assert "it would start beyond the picture" in window_formula(4, 2, 3, ceil_mode=True, padding=1)
    assert transposed_formula(2, 3) == "(2 − 1)·1 − 2·0 + 1·(3 − 1) + 0 + 1 = 4"
    assert sizes_do_not_fit((1, 2), (1, 2, 3)) == "1×2 and 1×2×3 came"
