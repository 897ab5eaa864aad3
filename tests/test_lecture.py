"""docs/lecture.md has every row, corrects the slips, and gives commands that exist.

Its Python examples are run by ``test_docs.py``.
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from striate.cli import build, main
from striate.models.registry import check_name

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "docs" / "lecture.md").read_text(encoding="utf-8")
SLIPS = {7, 11, 15, 18, 22, 26, 28}
QUICK = r"--dry-run|data inspect digits|describe (lenet|dilated)"
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]


def rows() -> dict[int, str]:
    """The text of each row by its number."""
    parts = re.split(r"^### (\d+)\. ", PAGE, flags=re.M)
    assert len(set(parts[1::2])) == len(parts[1::2])
    return {int(number): text for number, text in zip(parts[1::2], parts[2::2], strict=True)}


def commands() -> list[tuple[str, str]]:
    """Every ``striate`` command of a page, and the page."""
    found = []
    for page in PAGES:
        for block in re.findall(r"^```sh\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S):
            found += [(page.name, line) for line in block.splitlines() if line.startswith("striate ")]
    return found


def test_every_row_is_there_in_order():
    assert list(rows()) == list(range(1, 45))


def test_every_row_tells_what_the_lecture_says():
    assert not [number for number, text in rows().items() if "The lecture" not in text]


def test_every_row_shows_something_that_runs_or_is_read():
    bare = [number for number, text in rows().items() if ">>> " not in text and "striate " not in text]
    assert bare == [42]  # the readings


def test_the_slips_are_corrected_openly():
    assert {number for number, text in rows().items() if "**Correction.**" in text} == SLIPS


@pytest.mark.parametrize(("page", "line"), commands(), ids=lambda value: value)
def test_commands_have_verbs_and_flags_that_exist(page: str, line: str):
    command = typer.main.get_command(build())
    words = shlex.split(line, comments=True)[1:]
    while hasattr(command, "commands"):
        assert words[0] in command.commands, f"{page}: {line}"
        command = command.commands[words.pop(0)]
    given = command.make_context(command.name, words).params
    models = given.get("models") or (given.get("model") if command.name == "train" else None) or []
    for name in [models] if isinstance(models, str) else ",".join(models).split(","):
        if name:
            check_name(name)


@pytest.mark.parametrize("line", [line for _, line in commands() if re.search(QUICK, line)])
def test_quick_commands_run(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    assert main(shlex.split(line, comments=True)[1:]) == 0
