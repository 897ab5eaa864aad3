"""The data section: how many pictures of what, and what the inspection found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from striate.data.pictures import Dataset
from striate.verdict.results import Comparison

SPLITS = ("train", "val", "test")
NAMES_SHOWN = 30


@dataclass(frozen=True)
class Finding:
    """One line of the inspection.

    Attributes:
        good: nothing to worry about.
        text: the finding in words.
        details: names of the pictures concerned, at most :data:`NAMES_SHOWN`.
        more: how many details were left out.
    """

    good: bool
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
        findings: what the inspection found.
        fitting: how files became pixels.
    """

    totals: dict[str, int]
    per_class: list[tuple[str, dict[str, int], int]]
    largest: int
    findings: list[Finding]
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
        findings=_findings(comparison.findings),
        fitting=_fitting(comparison.preprocessing),
    )


def _findings(found: dict[str, Any]) -> list[Finding]:
    return []


def _fitting(preprocessing: dict[str, Any]) -> str:
    colour = "grey" if preprocessing["channels"] == 1 else "colour"
    return f"{preprocessing['height']}×{preprocessing['width']} pixels, {colour}"
