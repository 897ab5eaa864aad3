"""The Python examples of every page run and print what the page says."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted(ROOT.glob("docs/**/*.md"))]


def _examples(page: Path) -> str:
    """The fenced Python of a page, each line where it stands, everything else blank.

    ``pytest --doctest-glob`` would take the fence after an example for its output.
    """
    kept, inside = [], False
    for line in page.read_text(encoding="utf-8").splitlines():
        if fence := re.match(r"\s*```(\w*)", line):
            inside = not inside and fence[1] in ("python", "pycon")
            kept.append("")
        else:
            kept.append(line if inside else "")
    return "\n".join(kept)


@pytest.mark.parametrize(
    "page", [page for page in PAGES if ">>> " in _examples(page)], ids=lambda page: page.stem
)
def test_examples_print_what_the_page_says(page: Path):
    test = doctest.DocTestParser().get_doctest(_examples(page), {}, page.name, str(page), 0)
    told: list[str] = []
    done = doctest.DocTestRunner().run(test, out=told.append)
    assert done.attempted and not done.failed, "".join(told)


def test_the_readme_runs_as_it_stands(capsys: pytest.CaptureFixture[str]):
    blocks = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert "Conv2d" in capsys.readouterr().out  # what striate.accelerate says


def test_no_example_stands_outside_a_fence():
    """It would not be run."""
    for page in PAGES:
        everywhere = page.read_text(encoding="utf-8").count(">>> ")
        assert everywhere == _examples(page).count(">>> "), page
