"""Looks for what is wrong with a set of labelled pictures, before anything is learned from it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from striate.data.duplicates import exact_groups, near_pairs
from striate.data.findings import LISTED, UNSPLIT, Finding, Findings, Leak, Spread
from striate.data.naming import SPLITS
from striate.errors import DataError

if TYPE_CHECKING:
    from striate.data.pictures import Preprocessing
    from striate.data.source import Source
    from striate.data.store import Store
    from striate.train.config import DataConfig
    from striate.train.monitor import Monitor

__all__ = ["Finding", "Findings", "Inspection", "inspect", "inspect_source"]


@dataclass(frozen=True)
class Inspection:
    """A source with what was found in it."""

    source: Source
    preprocessing: Preprocessing
    findings: Findings

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        facts = {"source": self.source.source, "kind": self.source.kind}
        return {**facts, "preprocessing": self.preprocessing.to_dict(), **self.findings.to_dict()}


def inspect_source(config: DataConfig, monitor: Monitor) -> Inspection:
    """Open, decode, split and inspect a source; what keeps it from being learned from is a finding.

    Raises:
        UsageError: no such source.
        DataError: it holds no labelled pictures at all.
    """
    from striate.data.source import open_source
    from striate.data.split import assign_splits
    from striate.data.store import choose_preprocessing, decode_all

    source = open_source(config, monitor)
    preprocessing = choose_preprocessing(source, config)
    store = decode_all(source, preprocessing, monitor=monitor)
    good = store.readable
    splits = np.array([split or "" for split in source.splits], dtype="<U5")
    error = None
    try:
        splits[good] = assign_splits(
            source.labels[good],
            [source.splits[i] for i in good.tolist()],
            val_fraction=config.val_fraction,
            test_fraction=config.test_fraction,
            seed=config.seed,
            classes=source.classes,
            groups=[store.hashes[i] for i in good.tolist()],
        )
    except DataError as reason:
        error = str(reason)
    return Inspection(source, preprocessing, inspect(source, store, splits, error))


def inspect(
    source: Source, store: Store, splits: Sequence[str] | NDArray[np.str_], split_error: str | None = None
) -> Findings:
    """Look for whatever would make a result wrong.

    Args:
        source, store: the pictures.
        splits: per picture its split; anything for unreadable ones, ``""`` where there is none.
        split_error: why no split could be made.
    """
    names, classes = source.names, list(source.classes)
    placed = np.where(np.asarray(splits) == "", UNSPLIT, splits)
    split_of = placed.tolist()
    good = store.readable
    counts = _counts(source, placed, good)
    groups = exact_groups(store.hashes)
    near = near_pairs(store.signatures, store.pixels.numpy(), _parts(placed, good, groups))
    unreadable = [(names[i], error) for i, error in store.errors.items()]
    conflicts = [group for group in groups if len({int(source.labels[i]) for i in group}) > 1]
    copied = [_leak(names, split_of, i, j, 1.0) for i, j in _copies_across(groups, split_of)]
    alike = _nearest(names, split_of, near)
    twins = [(names[i], names[j], value) for i, j, value in near if split_of[i] == split_of[j]]
    return Findings(
        pictures=len(names),
        classes=classes,
        counts=counts,
        width=_spread(store.widths[good]),
        height=_spread(store.heights[good]),
        unreadable=unreadable[:LISTED],
        ignored=source.ignored[:LISTED],
        duplicates=[[names[i] for i in group] for group in groups[:LISTED]],
        near_duplicates=twins[:LISTED],
        conflicts=[[(names[i], classes[source.labels[i]]) for i in group] for group in conflicts[:LISTED]],
        leakage=copied[:LISTED],
        near_leakage=alike[:LISTED],
        missing=[
            (classes[i], split)
            for split in SPLITS
            if split in counts
            for i, n in enumerate(counts[split])
            if not n
        ],
        split_error=split_error,
        totals={
            "unreadable": len(unreadable),
            "ignored": len(source.ignored),
            "duplicates": len(groups),
            "copies": sum(len(group) - 1 for group in groups),
            "near_duplicates": len(twins),
            "conflicts": len(conflicts),
            "leakage": len(copied),
            "near_leakage": len(alike),
        },
    )


def _counts(source: Source, placed: NDArray[np.str_], good: NDArray[np.int64]) -> dict[str, list[int]]:
    """Readable pictures per class by split; every split that the source declares is there."""
    size = len(source.classes)
    counts: dict[str, list[int]] = {
        split: np.bincount(source.labels[good[placed[good] == split]], minlength=size).tolist()
        for split in _in_use(placed[good])
    }
    for declared in dict.fromkeys(source.splits):
        if declared:
            counts.setdefault(declared, [0] * size)
    return dict(sorted(counts.items(), key=lambda item: _rank(item[0])))


def _in_use(placed: NDArray[np.str_]) -> list[str]:
    """The splits that occur, in the order of their first pictures."""
    return list(dict.fromkeys(placed.tolist()))


def _rank(split: str) -> int:
    return SPLITS.index(split) if split in SPLITS else len(SPLITS)


def _parts(
    placed: NDArray[np.str_], good: NDArray[np.int64], groups: Iterable[Sequence[int]]
) -> list[NDArray[np.int64]]:
    """Readable pictures by split, one of every group of exact duplicates in it."""
    copies = []
    for group in groups:
        met: set[str] = set()
        for i in group:
            split = str(placed[i])
            if split in met:
                copies.append(i)
            met.add(split)
    alone = np.ones(len(placed), np.bool_)
    alone[copies] = False
    single = good[alone[good]]
    return [single[placed[single] == split] for split in _in_use(placed[good])]


def _copies_across(groups: Iterable[Sequence[int]], split_of: Sequence[str]) -> list[tuple[int, int]]:
    """Every picture outside the earliest split of its group, with its copy there."""
    pairs = []
    for group in groups:
        first, *others = sorted(group, key=lambda i: (_rank(split_of[i]), i))
        pairs += [(other, first) for other in others if split_of[other] != split_of[first]]
    return pairs


def _nearest(
    names: Sequence[str], split_of: Sequence[str], near: Iterable[tuple[int, int, float]]
) -> list[Leak]:
    """Every picture that is nearly the same as one of an earlier split, with the nearest of those."""
    leaks: dict[str, Leak] = {}
    for one, other, likeness in near:
        if split_of[one] != split_of[other]:
            # never told as 1, which means the very same pixels
            leak = _leak(names, split_of, one, other, min(likeness, 0.999999))
            leaks.setdefault(leak.name, leak)
    return list(leaks.values())


def _leak(names: Sequence[str], split_of: Sequence[str], one: int, other: int, likeness: float) -> Leak:
    early, late = sorted((one, other), key=lambda i: _rank(split_of[i]))
    return Leak(names[late], split_of[late], names[early], split_of[early], likeness)


def _spread(values: NDArray[np.int64]) -> Spread | None:
    return Spread(int(values.min()), float(np.median(values)), int(values.max())) if len(values) else None
