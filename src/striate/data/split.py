"""Train, validation and test: stratified by class, by seed, and the same on every machine."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from striate.data.duplicates import exact_groups
from striate.data.naming import SPLITS, listed, shown
from striate.errors import DataError

_Counts = tuple[tuple[int, int], ...]  # (label, how many)


def assign_splits(
    labels: NDArray[np.int64],
    declared: Sequence[str | None],
    *,
    val_fraction: float,
    test_fraction: float,
    seed: int,
    classes: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
) -> NDArray[np.str_]:
    """Which split every picture belongs to.

    What the source declares is kept. Without a declared test split, ``test_fraction`` of the pictures
    that are declared neither val nor test is held out for it; then, without a declared val split,
    ``val_fraction`` of what is left. Both are drawn from every class by the same share, rounded (at
    least one picture, and one stays for train). Pictures of one group are never drawn apart; a class
    may then miss its share by less than its largest group.

    The order of drawing comes from the raw stream of PCG64, which numpy keeps the same for ever, and
    from nothing else: the split is a function of the arguments.

    Args:
        labels: int64 ``(N,)`` of class indices.
        declared: per picture ``"train"``, ``"val"``, ``"test"`` or ``None``.
        val_fraction: share of the training pictures held out to choose the best epoch.
        test_fraction: share of all pictures held out as the test split.
        seed: of the draw.
        classes: names for messages; every class must have a picture in every split.
        groups: per picture a key; pictures of equal key (exact duplicates) stay together, "" is no key.

    Returns:
        ``"train"``, ``"val"`` or ``"test"`` for every picture, ``(N,)``.

    Raises:
        DataError: a class would be missing from a split; the message names it.

    >>> labels = np.array([0, 0, 0, 0, 1, 1, 1, 1])
    >>> splits = assign_splits(labels, [None] * 8, val_fraction=0.25, test_fraction=0.25, seed=0)
    >>> [int((splits == name).sum()) for name in ("train", "val", "test")]
    [4, 2, 2]
    """
    count = int(labels.max(initial=-1)) + 1 if classes is None else len(classes)
    names = [shown(name) for name in classes] if classes is not None else [str(i) for i in range(count)]
    splits = np.array([name or "train" for name in declared], dtype="<U5")
    drawn = [name for name in ("test", "val") if name not in declared]
    free = np.flatnonzero(splits == "train")
    if not len(free):
        there = " and ".join(sorted(set(splits.tolist()))) or "nothing"
        raise DataError(f"no training pictures: the source has {there} only; wanted train too")
    _check_present(splits, labels, names, [name for name in SPLITS if name not in drawn])
    draw = _Draw(labels[free], None if groups is None else [groups[i] for i in free.tolist()], count, seed)
    _check_enough(draw, names, ["train", *reversed(drawn)])
    for position, name in enumerate(drawn):
        fraction = test_fraction if name == "test" else val_fraction
        splits[free[draw.take(fraction, keep=len(drawn) - position)]] = name
    _check_present(splits, labels, names, SPLITS)
    return splits


class _Draw:
    """Draws pictures in units that stay together, in an order given by the seed.

    A unit goes by its first picture; nearly always that is all of it, and then neither ``members`` nor
    ``counted`` has an entry for it.
    """

    def __init__(
        self, labels: NDArray[np.int64], groups: Sequence[str] | None, classes: int, seed: int
    ) -> None:
        self.labels: list[int] = labels.tolist()
        self.members = {group[0]: group for group in exact_groups(groups or ())}
        self.counted: dict[int, _Counts] = {
            first: tuple(Counter(self.labels[i] for i in group).items())
            for first, group in self.members.items()
        }
        later = [i for group in self.members.values() for i in group[1:]]
        firsts = np.delete(np.arange(len(labels)), later)
        order = np.argsort(np.random.PCG64(seed).random_raw(len(firsts)), kind="stable")
        self.waiting: list[int] = firsts[order].tolist()
        self.pictures: list[int] = np.bincount(labels, minlength=classes).tolist()  # waiting, per class
        self.units: list[int] = np.bincount(labels[firsts], minlength=classes).tolist()  # waiting, per class
        for first, counted in self.counted.items():
            for label, _ in counted:
                self.units[label] += label != self.labels[first]

    def take(self, fraction: float, *, keep: int) -> list[int]:
        """Positions of ``fraction`` of the pictures of every class, or of its smallest unit where none is as
        small as that; ``keep`` units of every class stay."""
        quota = [max(1, math.floor(n * fraction + 0.5)) for n in self.pictures]
        without = set(range(len(quota)))
        giving = {label for label, units in enumerate(self.units) if units > keep}  # that can give another
        taken: list[int] = []
        passed: list[int] = []
        for place, unit in enumerate(self.waiting):
            if not giving:
                passed += self.waiting[place:]
                break
            counted = self._count(unit)
            if all(n <= quota[label] and self.units[label] > keep for label, n in counted):
                taken += self._remove(unit, quota)
                for label, _ in counted:
                    without.discard(label)
                    if not quota[label] or self.units[label] <= keep:
                        giving.discard(label)
            else:
                passed.append(unit)
        self.waiting = passed
        for label in sorted(without):
            taken += self._take_smallest(label, quota, keep)
        return taken

    def _take_smallest(self, label: int, quota: list[int], keep: int) -> list[int]:
        fitting = [
            unit
            for unit in self.waiting
            if any(other == label for other, _ in self._count(unit))
            and all(self.units[other] > keep for other, _ in self._count(unit))
        ]
        if not fitting:
            return []
        smallest = min(fitting, key=lambda unit: len(self.members.get(unit, (unit,))))
        self.waiting.remove(smallest)
        return self._remove(smallest, quota)

    def _count(self, unit: int) -> _Counts:
        return self.counted.get(unit) or ((self.labels[unit], 1),)

    def _remove(self, unit: int, quota: list[int]) -> list[int]:
        for label, n in self._count(unit):
            quota[label] -= n
            self.pictures[label] -= n
            self.units[label] -= 1
        return self.members.get(unit, [unit])


def _check_present(
    splits: NDArray[np.str_], labels: NDArray[np.int64], names: Sequence[str], wanted: Sequence[str]
) -> None:
    """Every class has a picture in every wanted split."""
    missing = [
        f"{names[i]} from {split}"
        for split in wanted
        for i in np.flatnonzero(np.bincount(labels[splits == split], minlength=len(names)) == 0).tolist()
    ]
    if missing:
        raise DataError(
            f"class missing from a split: {listed(missing)}; give every class a picture in each split, or remove it"
        )


def _check_enough(draw: _Draw, names: Sequence[str], shares: Sequence[str]) -> None:
    """Every class has a unit for each of ``shares``."""
    few = [
        f"{names[i]} has {draw.pictures[i] if units == draw.pictures[i] else f'{units} different'}"
        for i, units in enumerate(draw.units)
        if units < len(shares)
    ]
    if few:
        raise DataError(
            f"too few pictures: class {listed(few)}; at least {len(shares)} are needed, for {', '.join(shares)}"
        )
