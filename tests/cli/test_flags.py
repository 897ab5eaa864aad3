"""Every setting is a flag, every flag is a setting, and the help page shows them all."""

from __future__ import annotations

import inspect

import pytest
from pydantic import BaseModel, Field

from striate.cli import main
from striate.cli.flags import SettingsVerb, flag
from striate.train.config import CompareConfig, TrainConfig

SCHEMAS = {"train": TrainConfig, "compare": CompareConfig}


def help_page(capsys: pytest.CaptureFixture[str], *verb: str) -> str:
    assert main([*verb, "--help"]) == 0
    page, errors = capsys.readouterr()
    assert not errors
    return page


@pytest.mark.parametrize("verb", SCHEMAS)
def test_help_lists_exactly_the_settings(verb: str, capsys: pytest.CaptureFixture[str]):
    page = help_page(capsys, verb)
    rows = [line.split()[0].rstrip(",") for line in page.splitlines() if line.startswith("  -")]
    shown = {row.replace("[no-]", "") for row in rows if row.startswith("--")}
    own = {"--config", "--resume", "--dry-run", "--json"}
    assert shown == {flag(name) for name in SCHEMAS[verb].model_fields if name != "source"} | own
    assert "SOURCE" in page


@pytest.mark.parametrize("verb", SCHEMAS)
def test_help_text_is_the_description(verb: str, capsys: pytest.CaptureFixture[str]):
    page = " ".join(help_page(capsys, verb).split())
    for field in SCHEMAS[verb].model_fields.values():
        description = (field.description or "").partition(" [")[0]
        assert description and description in page


@pytest.mark.parametrize(
    "verb", [(), ("train",), ("compare",), ("evaluate",), ("predict",), ("describe",), ("data", "inspect")]
)
def test_help_fits_80_columns_and_gives_examples(
    verb: tuple[str, ...], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("COLUMNS", "80")
    page = help_page(capsys, *verb)
    assert max(map(len, page.splitlines())) <= 80
    examples = [line for line in page.splitlines() if line.startswith(f"  striate {' '.join(verb)}".rstrip())]
    assert len(examples) >= 2


def test_panels(capsys: pytest.CaptureFixture[str]):
    page = help_page(capsys, "train")
    places = [page.index(f"\n{title}\n") for title in ("Arguments", "Data", "Training", "Output", "General")]
    assert places == sorted(places)
    assert places[1] < page.index("\n  --image-size") < places[2] < page.index("\n  --epochs") < places[3]
    assert places[3] < page.index("\n  --out ") < places[4]


class Odd(BaseModel):
    """A schema with every kind of field; there is no such verb."""

    source: str = Field(description="where from")
    size: int | None = Field(None, ge=2, description="Size [as it comes]")
    names: tuple[str, ...] = Field(("a", "b"), description="Names")
    clean: bool = Field(True, description="Clean up")
    depth: int = Field(3, description="Depth, in [brackets] too")


def test_a_new_field_is_a_flag_at_once():
    verb = SettingsVerb(lambda flags: None, lambda: Odd)
    options = {name: p.annotation.__metadata__[0] for name, p in inspect.signature(verb).parameters.items()}
    assert list(options) == ["source", "size", "names", "clean", "depth"]
    assert options["size"].help == "Size [default: as it comes]"
    assert options["names"].help == "Names [default: a,b]"
    assert options["clean"].help == "Clean up [default: yes]"
    assert options["depth"].help == "Depth, in [brackets] too [default: 3]"
    assert options["clean"].default == "--clean/--no-clean"


def test_what_is_not_given_is_absent():
    seen: list[dict[str, object]] = []

    def collect(flags: dict[str, object]) -> None:
        seen.append(flags)

    verb = SettingsVerb(collect, lambda: Odd)
    verb(source="x", size=None, names=["a, b", "c,"], clean=False, depth=None)
    assert seen == [{"source": "x", "names": ("a", "b", "c"), "clean": False}]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("striate tr", ["train"]),
        ("striate train digits --ep", ["--epochs"]),
        ("striate train digits --fit ", ["crop", "pad", "stretch"]),
        ("striate train digits --channels ", ["1", "3"]),
    ],
)
def test_completion(
    words: str, expected: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("_STRIATE_COMPLETE", "complete_bash")
    monkeypatch.setenv("COMP_WORDS", words)
    monkeypatch.setenv("COMP_CWORD", str(len(words.split(" ")) - 1))
    assert main([]) == 0
    assert capsys.readouterr().out.split() == expected
