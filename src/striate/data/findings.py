"""What an inspection found, as records and in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

LISTED = 1000
"""Longest list of names in the findings; ``totals`` has the full numbers."""

IMBALANCED = 3.0
"""From this ratio of the largest class to the smallest on, there is a warning."""

UNSPLIT = "unsplit"
EXAMPLES = 3  # names in a sentence

Severity = Literal["problem", "warning", "note"]


@dataclass(frozen=True)
class Spread:
    """Least, median and largest of a number of pixels."""

    min: int
    median: float
    max: int


@dataclass(frozen=True)
class Leak:
    """A picture that another split has too.

    Attributes:
        name, split: the picture, in the later split (val or test).
        copy, copy_split: its copy, in the earlier one.
        likeness: correlation of the two; 1 for the very same pixels, and only for them.
    """

    name: str
    split: str
    copy: str
    copy_split: str
    likeness: float


@dataclass(frozen=True)
class Finding:
    """One thing found, in words.

    Attributes:
        severity: ``"problem"`` makes results wrong or impossible, ``"warning"`` less trustworthy.
        text: what it is.
        details: the pictures or classes concerned.
        total: how many details there are; ``details`` may be cut short.
    """

    severity: Severity
    text: str
    details: tuple[str, ...] = ()
    total: int = 0

    def sentence(self) -> str:
        """The text with the first few details.

        >>> Finding("problem", "cannot be read", ("a.jpg", "b.jpg"), 2).sentence()
        'cannot be read: a.jpg, b.jpg'
        """
        if not self.details:
            return self.text
        more = f" and {self.total - EXAMPLES:,} more" if self.total > EXAMPLES else ""
        return f"{self.text}: {', '.join(self.details[:EXAMPLES])}{more}"


@dataclass(frozen=True)
class Findings:
    """What an inspection found. Lists of names end at :data:`LISTED`.

    Attributes:
        pictures: all of the source, unreadable ones included.
        classes: their names, in label order.
        counts: by split, readable pictures per class; under ``"unsplit"`` where no split could be made.
        width, height: of the readable files, in pixels; ``None`` if there are none.
        unreadable: (name, reason).
        ignored: (file that was passed over, reason).
        duplicates: names of pictures with the very same pixels, group by group.
        near_duplicates: (name, name, correlation), most alike first; those in one split.
        conflicts: like ``duplicates``, as (name, class), where the classes differ.
        leakage: the very same pixels in two splits.
        near_leakage: nearly the same picture in two splits, most alike first.
        missing: (class, split that has none of it).
        split_error: why no split could be made, or ``None``.
        totals: the full lengths of these lists, and ``copies``: pictures that exact duplicates could do
            without.
    """

    pictures: int
    classes: list[str]
    counts: dict[str, list[int]]
    width: Spread | None
    height: Spread | None
    unreadable: list[tuple[str, str]]
    ignored: list[tuple[str, str]]
    duplicates: list[list[str]]
    near_duplicates: list[tuple[str, str, float]]
    conflicts: list[list[tuple[str, str]]]
    leakage: list[Leak]
    near_leakage: list[Leak]
    missing: list[tuple[str, str]]
    split_error: str | None
    totals: dict[str, int]

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; ``told`` has the findings in words."""
        return {**asdict(self), "imbalance": self.imbalance, "told": [asdict(told) for told in self.told]}

    @property
    def imbalance(self) -> float | None:
        """Pictures of the largest class for one of the smallest; ``None`` if one has none."""
        least = min(self.per_class, default=0)
        return max(self.per_class) / least if least else None

    @property
    def per_class(self) -> list[int]:
        """Readable pictures per class, over all splits."""
        return [sum(row[i] for row in self.counts.values()) for i in range(len(self.classes))]

    @property
    def problems(self) -> list[str]:
        """What makes results wrong or impossible, a sentence each."""
        return [told.sentence() for told in self.told if told.severity == "problem"]

    @property
    def warnings(self) -> list[str]:
        """What makes results less trustworthy, a sentence each."""
        return [told.sentence() for told in self.told if told.severity == "warning"]

    @property
    def told(self) -> list[Finding]:
        """Everything found, the worst first."""
        return [*self._about_files(), *self._about_classes(), *self._about_copies(), *self._remarks()]

    def _about_files(self) -> Iterator[Finding]:
        number = self.totals["unreadable"]
        if number:
            text = f"{number:,} of {pictures(self.pictures)} cannot be read"
            yield Finding("problem", text, tuple(f"{name} ({why})" for name, why in self.unreadable), number)

    def _about_classes(self) -> Iterator[Finding]:
        if len(self.classes) < 2:
            yield Finding("problem", f"only one class, {''.join(self.classes)}; wanted two or more")
        empty = [name for name, number in zip(self.classes, self.per_class, strict=True) if not number]
        if empty:
            yield Finding("problem", "classes without a readable picture", tuple(empty), len(empty))
        missing = [f"{name} from {split}" for name, split in self.missing if name not in empty]
        if missing:
            yield Finding("problem", "class missing from a split", tuple(missing), len(missing))
        elif self.split_error and not empty:
            yield Finding("problem", self.split_error)

    def _about_copies(self) -> Iterator[Finding]:
        number = self.totals["conflicts"]
        if number:
            text = f"{pictures(number)} under more than one class"
            yield Finding("problem", text, tuple(map(_conflict, self.conflicts)), number)
        number = self.totals["leakage"]
        if number:
            text = f"{pictures(number)} of one split also in another"
            yield Finding("problem", text, tuple(_leak(leak, "=") for leak in self.leakage), number)
        number = self.totals["near_leakage"]
        if number:
            text = f"{pictures(number)} of one split nearly the same in another"
            yield Finding("warning", text, tuple(_leak(leak, "≈") for leak in self.near_leakage), number)

    def _remarks(self) -> Iterator[Finding]:
        sums = self.per_class
        if self.imbalance is not None and self.imbalance >= IMBALANCED:
            most, least = sums.index(max(sums)), sums.index(min(sums))
            yield Finding(
                "warning",
                f"unequal classes: {pictures(sums[most])} of {self.classes[most]}, {sums[least]:,} of "
                f"{self.classes[least]}; consider --balance",
            )
        if self.duplicates:
            copies = self.totals["copies"]
            text = f"{pictures(copies)} {'is' if copies == 1 else 'are'} an exact copy of another"
            details = tuple(" = ".join(_shortened(group)) for group in self.duplicates)
            yield Finding("warning", text, details, self.totals["duplicates"])
        number = self.totals["near_duplicates"]
        if number:
            text = f"{number:,} {'pair' if number == 1 else 'pairs'} of nearly the same picture in one split"
            details = tuple(f"{one} ≈ {other}" for one, other, _ in self.near_duplicates)
            yield Finding("note", text, details, number)
        number = self.totals["ignored"]
        if number:
            text = f"{number:,} {'file' if number == 1 else 'files'} passed over"
            yield Finding("note", text, tuple(f"{name} ({why})" for name, why in self.ignored), number)


def pictures(number: int) -> str:
    """A number of pictures in words.

    >>> pictures(1), pictures(1200)
    ('1 picture', '1,200 pictures')
    """
    return f"{number:,} {'picture' if number == 1 else 'pictures'}"


def _conflict(group: Sequence[tuple[str, str]]) -> str:
    """The first name of a group and the first that has another class."""
    (name, label), *others = group
    other, other_label = next(pair for pair in others if pair[1] != label)
    return f"{name} ({label}) = {other} ({other_label})"


def _leak(leak: Leak, sign: str) -> str:
    return f"{leak.name} ({leak.split}) {sign} {leak.copy} ({leak.copy_split})"


def _shortened(group: Sequence[str]) -> list[str]:
    return [*group[:2], *([f"{len(group) - 2:,} more"] if len(group) > 2 else [])]
