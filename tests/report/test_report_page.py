"""The page as text: structure, self-containment, escaping, size, and every shape of comparison."""

from __future__ import annotations

import base64
import hashlib
import itertools
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import torch
from report_helpers import comparison, digits, guesses, invented, row
from safetensors.torch import load_file, save_file

from striate.data.pictures import Dataset
from striate.report.build import build_report
from striate.verdict.results import Comparison, LearnerResult, ShiftResult, ShuffleResult

HOSTILE = [
    "<script>window.pwned=1</script>",
    '"><img src=x onerror=window.pwned=2>',
    "</script><script>window.pwned=3</script>",
    "'; window.pwned=4; '",
    "</title></style><svg onload=window.pwned=5>",
    "{{ 7 * 7 }}",
    "&lt;b&gt; & co",
    "]]><!--",
    "__proto__",
    "$x^2$ \u2028 Ünï😀",
]
VOID = {"meta", "img", "br", "input", "link", "hr"}


class Page(HTMLParser):
    """Elements with their attributes, the open ones checked to nest, text by element."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text(self) -> str:
        return " ".join(data for tag, data in self.texts if tag not in ("script", "style"))


def read(path: Path) -> tuple[str, Page]:
    text = path.read_text("utf-8")
    return text, Page(text)


def cells(page: Page) -> dict[str, object]:
    (data,) = [data for tag, data in page.texts if tag == "script" and data.startswith("{")]
    value = json.loads(data)
    assert isinstance(value, dict)
    return value


def test_every_section_is_there_and_in_order(digits_report: Path):
    _, page = read(digits_report)
    ids = [a["id"] for a in page.all("section")]
    wanted = "leaderboard learning closer hard kernels shift shuffle data provenance"
    assert " ".join(ids) == wanted
    links = [a["href"] for a in page.all("a") if a["href"] != "#main"]
    assert links == [f"#{i}" for i in ids]


def test_verdict_reason_and_command_are_told(
    digits_comparison: tuple[Comparison, Path, Dataset], digits_report: Path
):
    told, _, _ = digits_comparison
    text = " ".join(read(digits_report)[1].text().split())
    for sentence in told.verdict:
        assert sentence in text
    assert "SIFT finds no keypoints in pictures of 8×8 pixels" in text
    assert "A note." in text
    assert "striate compare digits --epochs 2" in text
    assert "Wilson" in text and "How to read" in text


def test_headings_do_not_skip_a_level_and_ids_are_unique(digits_report: Path):
    _, page = read(digits_report)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))


def test_names_and_scopes_for_those_who_do_not_see(digits_report: Path):
    _, page = read(digits_report)
    assert page.all("html")[0]["lang"] == "en"
    assert all("alt" in a for a in page.all("img"))
    assert all(a.get("scope") in ("col", "row") for a in page.all("th"))
    assert all(a.get("aria-hidden") or a.get("aria-label") for a in page.all("svg"))
    ids = {a["id"] for _, a in page.elements if "id" in a}
    referred = {a["aria-labelledby"] for _, a in page.elements if "aria-labelledby" in a}
    assert referred <= ids
    for region in (a for a in page.all("div") if a.get("tabindex")):
        assert region["role"] == "region" and region["aria-label"]


def test_nothing_comes_from_outside(digits_report: Path):
    text, page = read(digits_report)
    assert not page.all("link") and not page.all("iframe")
    for attributes in page.all("img"):
        assert attributes["src"].startswith("data:image/")
    for _, attributes in page.elements:
        for key in ("src", "href", "action", "srcset", "poster", "data"):
            assert (attributes.get(key) or "#").startswith(("#", "data:image/"))
    for address in re.findall(r"url\(([^)]{0,20})", text):
        assert address.startswith(('"data:image/', "#"))
    addresses = set(re.findall(r"https?://[^\s\"'<)]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "@import" not in text


def test_policy_allows_the_one_script_and_nothing_else(digits_report: Path):
    text, page = read(digits_report)
    (policy,) = [a["content"] for a in page.all("meta") if a.get("http-equiv") == "Content-Security-Policy"]
    (script,) = [data for tag, data in page.texts if tag == "script" and data.startswith('"use strict"')]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert f"script-src 'sha256-{digest}'" in policy
    assert not [key for _, a in page.elements for key in a if key.startswith("on")]
    assert text.index("Content-Security-Policy") < text.index("<style>")


def test_same_input_same_bytes(digits_comparison: tuple[Comparison, Path, Dataset], digits_report: Path):
    before = digits_report.read_bytes()
    assert build_report(*digits_comparison).read_bytes() == before


def test_cells_hold_the_right_pictures(
    digits_comparison: tuple[Comparison, Path, Dataset], digits_report: Path
):
    _, folder, data = digits_comparison
    held = cells(read(digits_report)[1])
    answers = load_file(folder / "predictions.safetensors")
    names = dict(zip(data.test.names, range(len(data.test)), strict=True))
    for learner in held["learners"]:
        predicted = answers[f"probabilities/{learner['name']}"].argmax(1)
        total = 0
        for key, (count, tiles, given, deserved) in learner["cells"].items():
            true, called = map(int, key.split(","))
            members = ((data.test.labels == true) & (predicted == called)).sum()
            assert count == members
            total += count
            assert len(tiles) == len(given) == len(deserved) == len(set(tiles)) > 0
            for tile in tiles:
                index = names[held["names"][tile]]
                assert (data.test.labels[index], predicted[index]) == (true, called)
            assert given == sorted(given, reverse=true != called)
        assert total == len(data.test)


def test_names_from_files_are_inert_text(tmp_path: Path):
    data = digits(HOSTILE)
    answers = {
        name: guesses(data.test, 0.8, i)
        for i, name in enumerate(["hog", "pkg.mod:<svg onload=window.pwned=6>"])
    }
    rows = [
        row(name, given, data.test, title="<i>title</i>", notes=["<b>note</b>"])
        for name, given in answers.items()
    ]
    rows.append(LearnerResult("x", "x", "", reason="<script>window.pwned=7</script>"))
    told = comparison(data, rows, answers, tmp_path, source="/home/<script>window.pwned=8</script>")
    text, page = read(build_report(told, tmp_path, data))
    assert [a.get("type") for a in page.all("script")] == ["application/json", None]
    assert not page.all("i") or all("class" in a or "style" in a for a in page.all("i"))
    assert all(a["src"].startswith("data:") for a in page.all("img"))
    assert not [a for a in page.all("svg") if "onload" in a]
    shown = page.text()
    for name in HOSTILE:
        assert name in shown
    held = cells(page)
    assert held["classes"] == HOSTILE
    block = text[text.index('<script type="application/json"') :]
    assert "<" not in block[block.index(">") + 1 : block.index("</script>")]


def test_two_classes_one_learner(tmp_path: Path):
    data = invented(2, 10, (1, 16, 12))
    answers = {"cnn": guesses(data.test, 0.9, 0)}
    told = comparison(data, [row("cnn", answers["cnn"], data.test)], answers, tmp_path)
    told.config = {"source": "pictures", "model": "cnn", "seed": 3}
    _, page = read(build_report(told, tmp_path, data))
    ids = [a["id"] for a in page.all("section")]
    assert ids == ["leaderboard", "closer", "data", "provenance"]
    assert "striate train pictures --seed 3" in " ".join(page.text().split())


def test_no_learner_applies(tmp_path: Path):
    data = invented(3, 5, (3, 16, 16))
    rows = [LearnerResult(name, name, "", reason=f"{name} cannot") for name in ("hog", "sift")]
    told = comparison(data, rows, {}, tmp_path)
    _, page = read(build_report(told, tmp_path, data))
    assert [a["id"] for a in page.all("section")] == ["leaderboard", "data", "provenance"]
    assert "hog cannot" in page.text()


def test_no_predictions_saved(tmp_path: Path):
    data = invented(3, 5, (3, 16, 16))
    answers = {"hog": guesses(data.test, 0.9, 0)}
    told = comparison(data, [row("hog", answers["hog"], data.test)], answers, tmp_path)
    (tmp_path / "predictions.safetensors").unlink()
    _, page = read(build_report(told, tmp_path, data))
    assert [a["id"] for a in page.all("section")] == ["leaderboard", "data", "provenance"]


def test_predictions_of_other_pictures_are_refused(tmp_path: Path):
    data = invented(3, 5, (3, 16, 16))
    answers = {"hog": guesses(data.test, 0.9, 0)}
    told = comparison(data, [row("hog", answers["hog"], data.test)], answers, tmp_path)
    save_file({"labels": data.test.labels.flip(0).contiguous()}, tmp_path / "predictions.safetensors")
    with pytest.raises(ValueError, match="labels are not those of the"):
        build_report(told, tmp_path, data)


def test_a_hundred_classes(tmp_path: Path):
    data = invented(100, 10, (3, 32, 32))
    answers = {
        name: guesses(data.test, accuracy, i) for i, (name, accuracy) in enumerate([("a", 0.6), ("b", 0.8)])
    }
    told = comparison(
        data, [row(name, given, data.test) for name, given in answers.items()], answers, tmp_path
    )
    path = build_report(told, tmp_path, data)
    _, page = read(path)
    assert path.stat().st_size < 3e6
    matrices = [a for a in page.all("table") if "matrix" in (a.get("class") or "")]
    assert len(matrices) == 2 and all("small" in a["class"] for a in matrices)


def test_large_colour_pictures_stay_small_in_the_file(tmp_path: Path):
    data = invented(6, 60, (3, 96, 96))
    answers = {name: guesses(data.test, 0.5, i) for i, name in enumerate("abcd")}
    told = comparison(
        data, [row(name, given, data.test) for name, given in answers.items()], answers, tmp_path
    )
    path = build_report(told, tmp_path, data)
    assert path.stat().st_size < 3e6
    held = cells(read(path)[1])
    assert held["sheet"]["pitchX"] % 8 == 0 and held["sheet"]["zoom"] == 1


def test_perfect_learner_has_no_mistakes_to_show(tmp_path: Path):
    data = invented(2, 8, (1, 16, 16))
    right = torch.nn.functional.one_hot(data.test.labels, 2).float()
    told = comparison(data, [row("cnn", right, data.test)], {"cnn": right}, tmp_path)
    _, page = read(build_report(told, tmp_path, data))
    assert "every test picture was recognised" in page.text()


def test_mnist_sized_comparison_is_small_and_quick(tmp_path: Path):
    source = digits()
    random = np.random.default_rng(0)
    some = torch.from_numpy(random.integers(0, len(source.train), 13_000))
    small = source.train.pixels[some].float()
    large = torch.nn.functional.interpolate(small, (28, 28), mode="bilinear")
    pixels = (
        (large * torch.from_numpy(random.uniform(0.7, 1, (13_000, 1, 1, 1))).float()).clamp(0, 255).byte()
    )
    data = Dataset(
        *(
            type(source.test)(
                pixels[a:b], source.train.labels[some[a:b]], [f"{i:05d}" for i in range(a, b)], source.classes
            )
            for a, b in ((0, 2000), (2000, 3000), (3000, 13_000))
        ),
        type(source.preprocessing)(28, 28, 1),
        "mnist",
        "named",
        "0" * 64,
        False,
        source.findings,
    )
    levels = {"hog": 0.98, "lbp": 0.8, "sift": 0.9, "mlp": 0.98, "lenet": 0.99, "cnn": 0.995}
    answers = {name: guesses(data.test, level, i) for i, (name, level) in enumerate(levels.items())}
    rows = []
    for name, given in answers.items():
        shift = ShiftResult(list(range(-4, 5)), [0.5] * 9, [0.6] * 9, 10_000)
        rows.append(row(name, given, data.test, shift=shift, shuffle=ShuffleResult(0.5, (0.49, 0.51), 1.0)))
    told = comparison(data, rows, answers, tmp_path)
    began = time.process_time()
    path = build_report(told, tmp_path, data)
    assert time.process_time() - began < 15  # about 3 on an idle core
    assert path.stat().st_size < 3e6
    (hog, *_) = cells(read(path)[1])["learners"]
    assert hog["cells"]["0,0"][0] > len(hog["cells"]["0,0"][1]) > 0
