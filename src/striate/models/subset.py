"""Part of a training set, where a budget does not allow all of it."""

from __future__ import annotations

import math

import torch

STEPS = 16  # shares are multiples of a sixteenth, and powers of two below


def affordable_share(seconds: float, needed: float) -> float:
    """The share of a job of ``needed`` seconds that ``seconds`` allow, rounded down to a coarse grid.

    Timings never repeat exactly; on the grid the same budget mostly gives the same share.

    >>> affordable_share(10, 5), affordable_share(10, 11), affordable_share(1, 100)
    (1.0, 0.875, 0.0078125)
    """
    if needed <= seconds:
        return 1.0
    share = seconds / needed
    return math.floor(STEPS * share) / STEPS if STEPS * share >= 1 else 2.0 ** math.floor(math.log2(share))


def stratified_subset(labels: torch.Tensor, share: float, seed: int) -> torch.Tensor:
    """Ascending indices of about ``share`` of the samples of each class, at least one of each.

    A smaller share of the same samples with the same seed is a part of a larger one.

    Args:
        labels: int64 ``(N,)``.
        share: all from 1 up.

    >>> stratified_subset(torch.tensor([0, 0, 0, 0, 1]), 0.5, seed=0).shape
    torch.Size([3])
    """
    if share >= 1:
        return torch.arange(len(labels))
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(labels), generator=generator)
    chosen = []
    for label in torch.unique(labels).tolist():
        members = order[labels[order] == label]
        chosen.append(members[: max(1, round(share * len(members)))])
    return torch.cat(chosen).sort().values
