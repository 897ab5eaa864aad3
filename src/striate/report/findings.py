"""The data section: how many pictures of what, and what the inspection found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from striate.data.pictures import Dataset
from striate.verdict.results import Comparison

SPLITS = ("train", "val", "test")
NAMES_SHOWN = 30
_LOOKED_FOR = {
    ("unreadable",): "Every file can be read.",
    ("conflicts",): "No picture is in two classes.",
    ("leakage", "near_leakage"): "No picture of one split is in another, not even nearly.",
    ("duplicates",): "No picture occurs twice.",
}


@dataclass(frozen=True)
class Finding:
    """One line of the inspection.

    Attributes:
        kind: ``"problem"``, ``"warning"``, ``"note"``, or ``"good"``: looked for and not found.
        text: the finding in words.
        details: names of the pictures concerned, at most :data:`NAMES_SHOWN`.
        more: how many details were left out.
    """

    kind: str
    text: str
    details: tuple[str, ...] = ()
    more: int = 0


@dataclass(frozen=True)
class DataView:
    """What the data section shows.

    Attributes:
        totals: pictures by split.
        per_class: class name, pictures by split, and their sum.
        largest: the largest such sum.
        findings: what the inspection found, the worst first, then what it looked for in vain.
        sizes: of the files, in words; empty where they are not known.
        fitting: how files became pixels.
    """

    totals: dict[str, int]
    per_class: list[tuple[str, dict[str, int], int]]
    largest: int
    findings: list[Finding]
    sizes: str
    fitting: str


def data_view(comparison: Comparison, dataset: Dataset) -> DataView:
    """Everything about the pictures themselves."""
    counts = {split: comparison.counts[split] for split in SPLITS if split in comparison.counts}
    per_class = []
    for i, name in enumerate(comparison.classes):
        by_split = {split: numbers[i] for split, numbers in counts.items()}
        per_class.append((name, by_split, sum(by_split.values())))
    return DataView(
        totals={split: sum(numbers) for split, numbers in counts.items()},
        per_class=per_class,
        largest=max((total for _, _, total in per_class), default=1) or 1,
        findings=[*_told(comparison.findings), *_in_vain(comparison.findings)],
        sizes=_sizes(comparison.findings),
        fitting=_fitting(comparison.preprocessing),
    )


def _told(found: dict[str, Any]) -> Iterator[Finding]:
    for told in found.get("told", ()):
        text = told["text"]
        details = tuple(told["details"][:NAMES_SHOWN])
        yield Finding(
            told["severity"], f"{text[:1].upper()}{text[1:]}.", details, max(0, told["total"] - len(details))
        )


def _in_vain(found: dict[str, Any]) -> Iterator[Finding]:
    totals = found.get("totals")
    if totals is None:
        return
    for keys, text in _LOOKED_FOR.items():
        if not any(totals.get(key) for key in keys):
            yield Finding("good", text)


def _sizes(found: dict[str, Any]) -> str:
    width, height = found.get("width"), found.get("height")
    if not width or not height:
        return ""
    if width["min"] == width["max"] and height["min"] == height["max"]:
        return f"{height['min']}×{width['min']} pixels"
    spread = [f"{side['min']:,} to {side['max']:,}" for side in (height, width)]
    return f"{spread[0]} pixels high, {spread[1]} wide"


def _fitting(preprocessing: dict[str, Any]) -> str:
    colour = "grey" if preprocessing["channels"] == 1 else "colour"
    return f"{preprocessing['height']}×{preprocessing['width']} pixels, {colour}"
