"""The pieces of the report on their own: axes, figures, pictures, kernels, findings, colours, numbers."""

from __future__ import annotations

import base64
import io
import itertools
import json
import re
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from report_helpers import comparison, digits, guesses, invented, row

from striate.data.findings import Findings
from striate.data.pictures import Dataset, Preprocessing
from striate.models.network import NetworkLearner
from striate.report.axis import Axis
from striate.report.closer import assemble_sheet, hardest, look_closer, safe_json
from striate.report.facts import command_words, provenance_rows, settings
from striate.report.figures import learning_curves, shift_panels, spread
from striate.report.findings import data_view
from striate.report.kernels import first_layers
from striate.report.pictures import SHEET_BYTES, image, picture_uri, sheet
from striate.report.svg import SLOTS
from striate.train.run_folder import RunFolder
from striate.verdict.results import Comparison, LearnerResult, ShiftResult

shares = st.floats(0, 1)


def decoded(uri: str) -> np.ndarray:
    header, data = uri.split(",")
    picture = Image.open(io.BytesIO(base64.b64decode(data)))
    assert header == f"data:image/{(picture.format or '').lower()};base64"
    return np.asarray(picture.convert("RGB" if picture.mode == "P" else picture.mode))


# ---- axes and labels ----


@given(st.lists(st.tuples(shares, shares).map(lambda pair: (min(pair), max(pair))), max_size=6))
def test_axis_holds_all_intervals_in_few_round_steps(intervals: list[tuple[float, float]]):
    axis = Axis(intervals)
    assert 2 <= len(axis.ticks) <= 5
    assert 0 <= axis.ticks[0] < axis.ticks[-1] <= 1
    for low, high in intervals:
        assert -0.01 <= axis.at(low) <= axis.at(high) <= 100.01


@given(st.lists(st.floats(0, 100), min_size=1, max_size=9))
def test_labels_are_spread_in_order(positions: list[float]):
    placed = spread(positions, 10, 0, 100)
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    ordered = [placed[i] for i in order]
    assert all(b - a > 10 - 1e-6 for a, b in itertools.pairwise(ordered))
    assert min(placed) > -1e-6 and max(placed) < 100 + 1e-6


def test_labels_apart_stay_where_they_are():
    assert spread([70.0, 10.0, 40.0], 10, 0, 100) == [70.0, 10.0, 40.0]


# ---- figures ----


def history(values: list[float]) -> list[dict[str, float]]:
    return [{"epoch": i + 1, "val_accuracy": v, "val_loss": 1 - v} for i, v in enumerate(values)]


def test_curves_need_a_history():
    assert learning_curves([LearnerResult("hog", "HOG", "hand-crafted")]) == []
    assert shift_panels([LearnerResult("hog", "HOG", "hand-crafted")]) == []


def test_figures_use_only_the_pages_colours_and_fonts():
    learners = [
        LearnerResult(f"n{i}", "", "", history=history([0.5, 0.7, 0.9 - i / 100])) for i in range(SLOTS + 2)
    ]
    panels = learning_curves(learners)
    assert [panel.title for panel in panels] == ["Accuracy", "Loss (log scale)"]
    for panel in panels:
        assert not re.search(
            r"#[0-9a-f]{6}\b(?!\d)", re.sub(r'href="#\w+"|id="\w+"|url\(#\w+\)', "", panel.svg)
        )
        assert "font-family" not in panel.svg and "<style" not in panel.svg and "<metadata" not in panel.svg
        for i in range(SLOTS):
            assert f"var(--s{i})" in panel.svg
        for i in range(SLOTS + 2):
            assert f">n{i}</text>" in panel.svg


def test_ids_of_two_figures_differ_and_all_are_used():
    learners = [
        LearnerResult(
            "cnn",
            "",
            "",
            history=history([0.5, 0.7]),
            shift=ShiftResult([-1, 0, 1], [0.1, 1, 0.2], [0.1, 1, 0.2], 9),
        )
    ]
    drawn = [panel.svg for panel in learning_curves(learners) + shift_panels(learners)]
    ids = [re.findall(r'id="(\w+)"', svg) for svg in drawn]
    assert len({i for some in ids for i in some}) == sum(map(len, ids)) > 0
    for svg, own in zip(drawn, ids, strict=True):
        assert set(re.findall(r'(?:href="|url\()#(\w+)', svg)) == set(own)


def test_hostile_names_and_perfect_scores_can_be_drawn():
    name = '$\\frac{<script>"&'
    once = [{"epoch": 1, "val_accuracy": 1.0, "val_loss": 0.5, "train_accuracy": None}]
    twice = [*once, {"epoch": 2, "val_accuracy": 1.0, "val_loss": 0.1}]
    learners = [LearnerResult(name, "", "", history=once), LearnerResult("b", "", "", history=twice)]
    accuracy, loss = learning_curves(learners)
    assert "<script>" not in accuracy.svg + loss.svg
    assert "&lt;script&gt;" in accuracy.svg
    assert learning_curves(learners[:1]) == []  # one epoch is no curve


def test_the_wild_start_of_a_long_training_does_not_flatten_the_rest():
    slow = [LearnerResult("cnn", "", "", history=history([0.1, 0.3] + [0.9 + i / 1000 for i in range(20)]))]
    accuracy, _ = learning_curves(slow)
    ticks = [float(t) for t in re.findall(r">([\d.]+)%</text>", accuracy.svg)]
    assert min(ticks) >= 89
    short = [LearnerResult("cnn", "", "", history=history([0.1, 0.3, 0.9]))]
    ticks = [float(t) for t in re.findall(r">([\d.]+)%</text>", learning_curves(short)[0].svg)]
    assert min(ticks) <= 20


def test_a_loss_of_zero_has_no_place_on_the_log_scale():
    records = [{"epoch": 1, "val_loss": 0.5}, {"epoch": 2, "val_loss": 0.0}]
    assert len(learning_curves([LearnerResult("cnn", "", "", history=records)])) == 1
    zero = [{"epoch": e, "val_loss": 0.0} for e in (1, 2)]
    assert learning_curves([LearnerResult("cnn", "", "", history=zero)]) == []


# ---- pictures ----


@pytest.mark.parametrize("shape", [(1, 8, 8), (1, 28, 20), (3, 12, 12)])
def test_small_pictures_are_stored_exactly(shape: tuple[int, int, int]):
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    seen = decoded(picture_uri(pixels))
    assert np.array_equal(seen, np.asarray(image(pixels)))


def test_large_pictures_are_scaled_down_and_stay_alike():
    y, x = np.mgrid[0:200, 0:300]
    pixels = np.stack([y, x * 0.8, 255 - y]).astype(np.uint8)
    seen = decoded(picture_uri(pixels, side=150))
    assert seen.shape == (100, 150, 3)
    assert np.abs(seen.astype(int) - pixels.transpose(1, 2, 0)[::2, ::2]).mean() < 3


@pytest.mark.parametrize("shape", [(1, 8, 8), (3, 50, 30), (3, 96, 96)])
def test_tiles_lie_where_the_sheet_says(shape: tuple[int, int, int]):
    flat = np.linspace(0, 255, 23).astype(np.uint8)
    pictures = np.broadcast_to(flat[:, None, None, None], (23, *shape)).copy()
    painted = sheet(pictures)
    seen = decoded(painted.uri)
    assert seen.shape[:2] == (painted.rows * painted.pitch_y, painted.columns * painted.pitch_x)
    assert max(painted.width, painted.height) <= 80
    for i, level in enumerate(flat):
        top, left = i // painted.columns * painted.pitch_y, i % painted.columns * painted.pitch_x
        tile = seen[top : top + painted.height, left : left + painted.width]
        assert np.abs(tile.astype(int) - int(level)).max() <= 3


# ---- closer look ----


def test_sheet_keeps_its_budget_and_empties_rare_cells_first():
    data = invented(60, 9, (3, 64, 64))
    noise = torch.randint(
        0, 256, data.test.pixels.shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0)
    )
    test = type(data.test)(noise, data.test.labels, data.test.names, data.test.classes)
    answers = {name: guesses(test, 0.3, i) for i, name in enumerate("abcdef")}
    closers = look_closer([row(n, a, test) for n, a in answers.items()], answers, test)
    painted, tiles = assemble_sheet(closers, test)
    assert painted and len(painted.uri) * 3 / 4 < SHEET_BYTES * 1.1
    assert 0 < len(tiles) < len(test)
    empty = [len(c.cells[cell]) for c in closers for cell, shown in c.shown.items() if not shown]
    full = [len(c.cells[cell]) for c in closers for cell, shown in c.shown.items() if shown]
    assert not empty or np.mean(empty) <= np.mean(full)


def test_hardest_pictures_are_wrong_for_all():
    data = digits()
    answers = {name: guesses(data.test, 0.6, i) for i, name in enumerate("ab")}
    closers = look_closer([row(n, a, data.test) for n, a in answers.items()], answers, data.test)
    count, shown = hardest(closers, data.test)
    wrong = [given.argmax(1) != data.test.labels for given in answers.values()]
    assert count == int((wrong[0] & wrong[1]).sum())
    assert all(picture.true != picture.predicted for picture in shown)
    assert [p.probability for p in shown] == sorted((p.probability for p in shown), reverse=True)
    assert hardest(closers[:1], data.test) == (0, [])


def test_json_is_safe_and_true():
    value = {"</script>": ["<!--", "\u2028", "&amp;", '"']}
    text = str(safe_json(value))
    assert not set("<>&\u2028") & set(text)
    assert json.loads(text) == value
    with pytest.raises(ValueError, match="Out of range float"):
        safe_json([float("nan")])


# ---- kernels ----


def saved(folder: Path, learner: NetworkLearner, shape: tuple[int, int, int]) -> LearnerResult:
    run = RunFolder(folder / "run")
    run.path.mkdir()
    made = Preprocessing(shape[1], shape[2], shape[0])
    run.save_model(learner, classes=("a", "b"), preprocessing=made, scores={}, provenance={})
    return LearnerResult(learner.name, "", learner.kind, folder="run")


@pytest.mark.parametrize("shape", [(1, 28, 28), (3, 32, 32)])
def test_kernels_are_pictures_of_the_weights(tmp_path: Path, shape: tuple[int, int, int]):
    learner = NetworkLearner("lenet", shape, 2)
    result = saved(tmp_path, learner, shape)
    picture = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    (layer,), failures = first_layers([result], tmp_path, picture)
    assert failures == [] and layer.convolution and layer.total == len(layer.units) == 6
    weights = learner.network.conv1.weight.detach().numpy()
    for unit in layer.units:
        kernel = weights[unit.number - 1]
        seen = decoded(unit.weights).astype(int)
        assert seen.shape == (5, 5, 3)
        if shape[0] == 1:  # red for positive, blue for negative
            clear = np.abs(kernel[0]) > 0.05 * np.abs(kernel).max()
            redness = seen[..., 0] - seen[..., 2]
            assert np.array_equal(redness[clear] > 0, kernel[0][clear] > 0)
        else:
            assert (
                np.abs(seen.transpose(2, 0, 1) - (127.5 + 127.5 * kernel / np.abs(kernel).max())).max()
                <= 0.51
            )
        assert unit.answer and decoded(unit.answer).shape[:2] == (shape[1] - 4, shape[2] - 4)


def test_first_weights_of_a_feed_forward_network_are_pictures(tmp_path: Path):
    result = saved(tmp_path, NetworkLearner("mlp", (1, 12, 10), 2), (1, 12, 10))
    (layer,), _ = first_layers([result], tmp_path, torch.zeros(1, 12, 10, dtype=torch.uint8))
    assert not layer.convolution and layer.total == 512 and 0 < len(layer.units) < 512
    assert all(decoded(unit.weights).shape == (12, 10, 3) and unit.answer is None for unit in layer.units)


def test_a_missing_model_is_told_not_raised(tmp_path: Path):
    result = LearnerResult("cnn", "", "convolutional", folder="nowhere")
    layers, failures = first_layers([result], tmp_path, torch.zeros(1, 8, 8, dtype=torch.uint8))
    assert layers == [] and failures[0].startswith("cnn: ")


# ---- facts and findings ----


def told(data: Dataset, tmp_path: Path, **changes: object) -> Comparison:
    answers = {"hog": guesses(data.test, 0.9, 0)}
    return comparison(data, [row("hog", answers["hog"], data.test)], answers, tmp_path, **changes)


def test_findings_are_told_with_their_details(tmp_path: Path):
    data = invented(2, 5, (1, 16, 16))
    bad = [(f"bad{i}.jpg", "is empty") for i in range(40)]
    totals = {
        "unreadable": 40,
        "ignored": 0,
        "duplicates": 0,
        "near_duplicates": 0,
        "conflicts": 0,
        "copies": 0,
    }
    totals |= {"leakage": 0, "near_leakage": 0, "missing": 0}
    found = Findings(
        70, list(data.classes), {"train": [8, 8]}, None, None, bad, [], [], [], [], [], [], [], None, totals
    )
    view = data_view(told(data, tmp_path, findings=found.to_dict()), data)
    assert view.findings[0].kind == "problem"
    assert view.findings[0].text == "40 of 70 pictures cannot be read."
    assert len(view.findings[0].details) == 30 and view.findings[0].more == 10
    assert {f.text for f in view.findings if f.kind == "good"} >= {"No picture is in two classes."}
    assert "Every file can be read." not in {f.text for f in view.findings}


def test_provenance_and_settings(tmp_path: Path):
    what = told(invented(2, 5, (1, 16, 16)), tmp_path)
    rows = dict(provenance_rows(what))
    assert rows["Seed"] == "0" and rows["torch"] == "2.13.0" and rows["Took"] == "1 min 01 s"
    assert "Accelerator" not in rows
    assert [s.key for s in settings(what.config) if s.chosen] == ["source", "epochs"]


def test_command_repeats_what_was_set():
    from striate.train.config import CompareConfig

    config = CompareConfig(
        source="-x; rm", models=("hog", "cnn"), skip_bad=True, shuffle=False, learning_rate=0.01
    )
    words = command_words(config.model_dump(mode="json"))
    assert words[:2] == ["striate", "compare"]
    line = " ".join(words)
    assert "'-x; rm'" in line
    for part in ("--models hog,cnn", "--skip-bad", "--no-shuffle", "--learning-rate 0.01"):
        assert part in line
    assert "--out" not in line and "--epochs" not in line


# ---- colours ----


def palette(scheme: str) -> dict[str, tuple[float, float, float]]:
    css = files("striate.report").joinpath("report.css").read_text("utf-8")
    light, dark = css.split("@media screen and (prefers-color-scheme: dark)")[:2]
    chosen = light if scheme == "light" else dark[: dark.index("* {")]
    found = re.findall(r"--([\w-]+): #([0-9a-f]{6});", chosen)
    return {name: tuple(int(c[i : i + 2], 16) / 255 for i in (0, 2, 4)) for name, c in found}


def linear(colour: tuple[float, ...]) -> np.ndarray:
    c = np.array(colour)
    return np.where(c <= 0.04045, c / 12.92, ((c + 0.055) / 1.055) ** 2.4)


def contrast(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """WCAG 2.2's contrast ratio."""
    low, high = sorted(float(linear(c) @ (0.2126, 0.7152, 0.0722)) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_lines_stand_out(scheme: str):
    colours = palette(scheme)
    for ground in ("paper", "card"):
        for text in ("ink", "muted", "accent", "good", "warn"):
            assert contrast(colours[text], colours[ground]) >= 4.5
        for slot in range(SLOTS):
            assert contrast(colours[f"s{slot}"], colours[ground]) >= 3
    for cell in ("good-cell", "bad-cell", "accent-soft"):
        assert contrast(colours["ink"], colours[cell]) >= 4.5


# Machado, Oliveira, Fernandes 2009, "A physiologically-based model for simulation of color vision
# deficiency", severity 1.0, on linear RGB.
VISIONS = {
    "full": np.eye(3),
    "protanopia": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopia": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
    ),
    "tritanopia": np.array(
        [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.3039]]
    ),
}


def oklab(rgb: np.ndarray) -> np.ndarray:
    """Ottosson 2020, "A perceptual color space for image processing"; linear RGB in."""
    lms = np.array([[0.41222, 0.53633, 0.05145], [0.2119, 0.6807, 0.1074], [0.0883, 0.28172, 0.62998]])
    lab = np.array([[0.21045, 0.79362, -0.00407], [1.978, -2.42859, 0.45059], [0.0259, 0.78277, -0.80868]])
    return lab @ np.cbrt(lms @ np.clip(rgb, 0, 1))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("vision", VISIONS)
def test_learners_colours_can_be_told_apart(scheme: str, vision: str):
    colours = palette(scheme)
    seen = [oklab(VISIONS[vision] @ linear(colours[f"s{i}"])) for i in range(SLOTS)]
    nearest = min(np.linalg.norm(seen[i] - seen[j]) for i in range(SLOTS) for j in range(i))
    assert nearest >= 0.06  # about three just noticeable differences
