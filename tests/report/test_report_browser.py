"""The page in a real Chromium: it works, it stays silent, it fits, and hostile names do nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page
from report_helpers import comparison, digits, guesses, invented, row
from safetensors.torch import load_file
from test_report_page import HOSTILE

from striate.data.pictures import Dataset
from striate.report.build import build_report
from striate.verdict.results import Comparison

Opener = Callable[..., Page]


@pytest.fixture
def visit(browser: Browser) -> Iterator[Opener]:
    """Opens a report; afterwards nothing may have been complained of or asked from outside."""
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(path: Path, width: int = 1200, height: int = 900, **options: object) -> Page:
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: complaints.append(f"{message.type}: {message.text}"))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("dialog", lambda dialog: complaints.append(f"dialog: {dialog.message}"))
        page.on(
            "request",
            lambda request: complaints.append(request.url) if not request.url.startswith("data:") else None,
        )
        page.goto(path.as_uri())
        complaints.remove(path.as_uri())
        return page

    yield open_page
    for context in contexts:
        context.close()
    assert complaints == []


def panel_of(page: Page, learner: str) -> str:
    page.get_by_role("radio", name=learner).check(force=True)
    (panel,) = [p.get_attribute("id") for p in page.locator(".panel").all() if p.is_visible()]
    assert page.locator(f"#{panel}").get_attribute("aria-label") == learner
    return f"#{panel}"


def test_cell_opens_its_pictures(
    visit: Opener, digits_comparison: tuple[Comparison, Path, Dataset], digits_report: Path
):
    _, folder, data = digits_comparison
    page = visit(digits_report)
    predicted = load_file(folder / "predictions.safetensors")["probabilities/lbp"].argmax(1)
    places = list(zip(data.test.labels.tolist(), predicted.tolist(), strict=True))
    true, called = max({p for p in places if p[0] != p[1]}, key=lambda p: (places.count(p), p))
    members = {name for name, place in zip(data.test.names, places, strict=True) if place == (true, called)}
    assert len(members) > 2
    panel = panel_of(page, "lbp")
    cell = page.locator(
        f"{panel} table.matrix tbody tr:nth-child({true + 1}) > :nth-child({called + 2}) button"
    )
    assert cell.text_content() == str(len(members))
    cell.click()
    dialog = page.locator("dialog")
    assert dialog.is_visible()
    assert dialog.locator("h2").text_content() == f"lbp: {true} taken for {called}"
    shown = dialog.locator("figure")
    assert set(dialog.locator(".file").all_text_contents()) <= members
    assert (
        dialog.locator(".note").text_content().startswith(("All", f"{shown.count()} of {len(members)} shown"))
    )
    box = shown.first.locator(".thumb").bounding_box()
    assert box and box["width"] == box["height"] == 72
    page.keyboard.press("Escape")
    assert not dialog.is_visible()
    assert cell.evaluate("e => e === document.activeElement")


def test_thumbnail_shows_the_very_pixels(
    visit: Opener, digits_comparison: tuple[Comparison, Path, Dataset], digits_report: Path
):
    _, _, data = digits_comparison
    page = visit(digits_report)
    panel = panel_of(page, "lbp")
    page.locator(f"{panel} button.pair").first.click()
    name = page.locator("dialog .file").nth(1).text_content()
    picture = data.test.pixels[list(data.test.names).index(name)][0]
    drawn = page.locator("dialog .thumb").nth(1)
    seen = np.asarray(Image.open(BytesIO(drawn.screenshot())).convert("L").resize((72, 72)))[4::9, 4::9]
    inner = (slice(1, 7), slice(1, 7))  # the corners are rounded
    assert np.abs(seen[inner].astype(int) - picture.numpy()[inner]).max() <= 2


def test_keyboard_walks_the_matrix(visit: Opener, digits_report: Path):
    page = visit(digits_report)
    panel = panel_of(page, "hog")
    buttons = page.locator(f"{panel} table.matrix button")
    assert [b.get_attribute("tabindex") for b in buttons.all()].count("0") == 1
    buttons.first.focus()
    place = "(() => { const c = document.activeElement.closest('td'); return [c.parentElement.sectionRowIndex, c.cellIndex - 1]; })()"
    assert page.evaluate(place) == [0, 0]
    counts = page.locator(f"{panel} table.matrix tbody tr").evaluate_all(
        "rows => rows.map(row => [...row.querySelectorAll('td')].map(cell => Number(cell.textContent)))"
    )
    line = next(i for i in range(10) if sum(n > 0 for n in counts[i]) > 1)
    columns = [j for j in range(10) if counts[line][j]]
    page.locator(f"{panel} table.matrix tbody tr").nth(line).locator("button").first.focus()
    for column in columns[1:]:
        page.keyboard.press("ArrowRight")
        assert page.evaluate(place) == [line, column]
    page.keyboard.press("ArrowRight")  # the last one: stays
    assert page.evaluate(place) == [line, columns[-1]]
    for column in columns[-2::-1]:
        page.keyboard.press("ArrowLeft")
        assert page.evaluate(place) == [line, column]
    page.keyboard.press("Enter")
    what = "recognised" if columns[0] == line else f"taken for {columns[0]}"
    assert page.locator("dialog h2").text_content() == f"hog: {line} {what}"
    page.keyboard.press("Escape")
    assert page.evaluate(place) == [line, columns[0]]
    assert [b.get_attribute("tabindex") for b in buttons.all()].count("0") == 1
    readout = page.locator(f"{panel} .readout").text_content()
    assert readout.startswith(f"{line} {what}: {counts[line][columns[0]]} of {sum(counts[line])} pictures")


def test_mirror_shows_the_opposite_mistake(visit: Opener, digits_report: Path):
    page = visit(digits_report)
    panel = panel_of(page, "lbp")
    for pair in page.locator(f"{panel} button.pair").all():
        pair.click()
        title = page.locator("dialog h2").text_content()
        mirror = page.locator("dialog .mirror")
        if mirror.is_visible():
            mirror.click()
            before, after = (
                t.removeprefix("lbp: ").split(" taken for ")
                for t in (title, page.locator("dialog h2").text_content())
            )
            assert before == after[::-1]
            return
        page.keyboard.press("Escape")
    pytest.fail("no pair with an opposite")


def test_columns_sort_and_the_unmeasured_stay_last(visit: Opener, digits_report: Path):
    page = visit(digits_report)
    names = "#leaderboard tbody tr th b"
    by_accuracy = page.locator(names).all_text_contents()
    assert by_accuracy[-1] == "sift"
    header = page.locator("#leaderboard th", has_text="Test accuracy")
    assert header.get_attribute("aria-sort") == "descending"
    header.locator("button").click()
    assert header.get_attribute("aria-sort") == "ascending"
    assert page.locator(names).all_text_contents() == [*by_accuracy[-2::-1], "sift"]
    page.locator("#leaderboard th", has_text="Learner").locator("button").click()
    assert page.locator(names).all_text_contents() == ["hog", "lbp", "lenet", "mlp", "sift"]
    assert header.get_attribute("aria-sort") == "none"
    page.locator("#leaderboard th", has_text="Multiply-adds").locator("button").focus()
    page.keyboard.press("Enter")
    assert set(page.locator(names).all_text_contents()[:2]) == {"mlp", "lenet"}  # the others have none


def test_copy_button(visit: Opener, digits_report: Path):
    page = visit(digits_report, permissions=["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy").click()
    page.get_by_role("button", name="Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == "striate compare digits --epochs 2"


def test_no_horizontal_scrolling_at_any_width(visit: Opener, digits_report: Path):
    page = visit(digits_report)
    for width in (320, 360, 641, 768, 861, 1180, 1400, 2560):
        page.set_viewport_size({"width": width, "height": 800})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        page.locator(".panel:visible button.pair").first.click()
        box = page.locator("dialog").bounding_box()
        assert box and box["x"] >= 0 and box["x"] + box["width"] <= width
        assert page.locator("dialog").evaluate("e => e.scrollWidth <= e.clientWidth")
        page.keyboard.press("Escape")


def test_long_names_do_not_widen_the_page(visit: Opener, tmp_path: Path):
    names = ["W" * 120, "a/very-long_name.of.a.class" * 4, "short"]
    data = invented(3, 12, (3, 24, 24), names=names)
    learner = "package_with_a_long_name.module_with_a_long_name:factory_with_a_long_name"
    answers = {learner: guesses(data.test, 0.6, 0), "cnn": guesses(data.test, 0.9, 1)}
    told = comparison(
        data, [row(n, given, data.test) for n, given in answers.items()], answers, tmp_path, source="/s" * 99
    )
    page = visit(build_report(told, tmp_path, data), width=360)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_hundred_classes_stay_usable(visit: Opener, tmp_path: Path):
    data = invented(100, 6, (1, 16, 16))
    answers = {"cnn": guesses(data.test, 0.7, 0)}
    told = comparison(data, [row("cnn", answers["cnn"], data.test)], answers, tmp_path)
    page = visit(build_report(told, tmp_path, data))
    assert page.evaluate("document.documentElement.scrollWidth") <= 1200
    box = page.locator(".matrix-box").bounding_box()
    assert box and box["height"] <= 1100
    cell = page.locator("table.matrix tbody tr:nth-child(100) > :nth-child(101) button")
    cell.click()
    assert page.locator("dialog h2").text_content() == "cnn: class 99 recognised"


@pytest.mark.parametrize("bypass", [False, True], ids=["with the policy", "without it"])
def test_hostile_names_do_nothing(visit: Opener, tmp_path: Path, bypass: bool):
    data = digits(HOSTILE)
    hostile = "pkg.mod:<img src=x onerror=window.pwned=6>"
    answers = {"hog": guesses(data.test, 0.7, 0), hostile: guesses(data.test, 0.8, 1)}
    rows = [
        row(name, given, data.test, notes=["<img src=x onerror=window.pwned=9>"])
        for name, given in answers.items()
    ]
    told = comparison(data, rows, answers, tmp_path, source="</title><script>window.pwned=8</script>")
    page = visit(build_report(told, tmp_path, data), bypass_csp=bypass)
    panel = panel_of(page, hostile)
    for button in page.locator(f"{panel} button.pair").all()[:4]:
        button.click()
        page.keyboard.press("Escape")
    for cell in page.locator(f"{panel} table.matrix tbody tr").all():
        cell.locator("button").first.hover()
    page.wait_for_timeout(100)
    assert page.evaluate("window.pwned") is None
    assert page.evaluate("({}).polluted") is None
    assert page.locator(f"{panel} table.matrix tbody th").all_text_contents() == HOSTILE
    assert page.locator("img:not([src^='data:'])").count() == 0


def test_reads_without_scripts(visit: Opener, digits_report: Path):
    page = visit(digits_report, java_script_enabled=False)
    assert page.locator("#leaderboard tbody tr").count() == 5
    assert [p.get_attribute("aria-label") for p in page.locator(".panel").all() if p.is_visible()] == ["hog"]
    page.get_by_role("radio", name="mlp").check(force=True)
    assert [p.get_attribute("aria-label") for p in page.locator(".panel").all() if p.is_visible()] == ["mlp"]
    assert not page.locator("button.copy").is_visible()


def test_figures_follow_the_colour_scheme(visit: Opener, digits_report: Path):
    look = "getComputedStyle(document.querySelector('#shift svg text')).fill"
    light, dark = (visit(digits_report, color_scheme=scheme).evaluate(look) for scheme in ("light", "dark"))
    assert light != dark


def test_prints_the_chosen_learner(visit: Opener, digits_report: Path):
    page = visit(digits_report, width=703, color_scheme="dark")  # A4 without its margins
    page.emulate_media(media="print")
    assert page.evaluate("document.documentElement.scrollWidth") <= 703
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert page.locator(".panel:visible").count() == 1
    assert not page.locator(".contents").is_visible()
    assert page.evaluate("getComputedStyle(document.querySelector('.scroll')).overflowX") == "visible"
