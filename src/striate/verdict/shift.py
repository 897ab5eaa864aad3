"""The translation experiment: does a learner still know a picture that is moved by some pixels?

Accuracy and consistency are kept apart: a learner that is always wrong in the same way is consistent
without being accurate, and the accuracy at offset 0 says nothing about either elsewhere.
"""

from __future__ import annotations

import numpy as np
import torch

from striate.data.pictures import PictureSet
from striate.errors import UsageError
from striate.models.learner import Learner
from striate.train.monitor import Monitor
from striate.verdict.measure import chunks
from striate.verdict.results import ShiftResult

MOST_PICTURES = 1000
FEWEST_PICTURES = 250
MOST_PIXELS = 150_000_000  # over all evaluations: keeps large pictures to minutes


def default_offset(width: int) -> int:
    """The largest translation in pixels: an eighth of the width, at least 1 and at most 8.

    >>> [default_offset(width) for width in (8, 28, 32, 96, 224)]
    [1, 4, 4, 8, 8]
    """
    return min(8, max(1, round(width / 8)))


def check_offset(largest: int, height: int, width: int) -> None:
    """Refuse a translation that moves a picture out of its own frame.

    Raises:
        UsageError: ``largest`` is not below both sides.
    """
    if largest >= min(height, width):
        raise UsageError(
            f"shift {largest}: the pictures are {width}×{height} pixels, so at most {min(height, width) - 1} "
            "leaves anything of them; give a smaller --shift, or 0 to leave the experiment out"
        )


def translate(pixels: torch.Tensor, dx: int, dy: int) -> torch.Tensor:
    """Pictures moved right by ``dx`` and down by ``dy`` whole pixels; nothing is interpolated.

    The uncovered border repeats the picture's own edge. Black (or white) would draw a bar that no
    learner has seen, and a circular shift would bring the far side in, so either would measure the
    reaction to that as well as to the translation. It is also what training's random crop does.

    Args:
        pixels: ``(N, C, H, W)`` of any dtype.

    Returns:
        ``(N, C, H, W)``, a copy.

    >>> translate(torch.tensor([[[[1, 2, 3]]]]), 1, 0).tolist()
    [[[[1, 1, 2]]]]
    """
    height, width = pixels.shape[-2:]
    rows = (torch.arange(height) - dy).clamp_(0, height - 1)
    columns = (torch.arange(width) - dx).clamp_(0, width - 1)
    return pixels[:, :, rows[:, None], columns]


def sample_size(height: int, width: int, largest: int) -> int:
    """How many pictures to move: 1,000, or fewer (not below 250) when they are large.

    The number depends on nothing but sizes, so that it is the same for every learner and every run.

    >>> sample_size(28, 28, 4), sample_size(96, 96, 8), sample_size(224, 224, 8)
    (1000, 493, 250)
    """
    evaluations = 4 * largest + 1
    return max(FEWEST_PICTURES, min(MOST_PICTURES, MOST_PIXELS // (evaluations * height * width)))


def stratified_sample(labels: torch.Tensor, limit: int, seed: int) -> torch.Tensor:
    """Indices (ascending) of at most ``limit`` pictures with the classes in their own proportions.

    Each class gets its share rounded down; the places left go to the largest remainders. Which pictures
    is decided by PCG64's raw stream, which numpy keeps the same for ever.

    Args:
        labels: int64 ``(N,)``.

    >>> stratified_sample(torch.tensor([0] * 6 + [1] * 2), 4, seed=0).shape
    torch.Size([4])
    """
    truth = labels.numpy()
    if len(truth) <= limit:
        return torch.arange(len(truth))
    counts = np.bincount(truth)
    exact = counts * (limit / len(truth))
    places = np.floor(exact).astype(np.int64)
    for label in np.argsort(places - exact, kind="stable")[: limit - places.sum()]:
        places[label] += 1
    order = np.argsort(np.random.PCG64(seed).random_raw(len(truth)), kind="stable")
    chosen = [order[truth[order] == k][: places[k]] for k in range(len(counts))]
    return torch.from_numpy(np.sort(np.concatenate(chosen)))


def shift_experiment(
    learner: Learner, test: PictureSet, largest: int, *, seed: int, monitor: Monitor
) -> ShiftResult:
    """Accuracy and consistency for translations of −largest…largest pixels.

    The pictures are moved sideways and, separately, up and down: 4·largest + 1 evaluations. At each
    offset both figures are the mean of the two directions.

    Args:
        learner: fitted.
        test: pictures it has never seen.
        largest: k in pixels, at least 1 and below both sides.
        seed: picks the pictures where there are more than are needed.

    Raises:
        UsageError: ``largest`` is not below both sides.
    """
    height, width = test.pixels.shape[-2:]
    check_offset(largest, height, width)
    index = stratified_sample(test.labels, sample_size(height, width, largest), seed)
    labels = test.labels[index]
    offsets = list(range(-largest, largest + 1))
    accuracy, consistency = [], []
    monitor.begin(f"{learner.name}: moved pictures", total=4 * largest + 1, unit="evaluations")
    still = _classes(learner, test.pixels, index, 0, 0)
    done = 1
    for offset in offsets:
        moves = ((offset, 0), (0, offset)) if offset else ()
        answers = [_classes(learner, test.pixels, index, dx, dy) for dx, dy in moves] or [still]
        accuracy.append(_mean_agreement(answers, labels))
        consistency.append(_mean_agreement(answers, still))
        done += len(moves)
        monitor.advance(done)
    monitor.end()
    return ShiftResult(offsets, accuracy, consistency, len(index))


def _classes(learner: Learner, pixels: torch.Tensor, index: torch.Tensor, dx: int, dy: int) -> torch.Tensor:
    step = next(chunks(pixels)).stop
    parts = [learner.predict(translate(pixels[part], dx, dy)).argmax(1) for part in torch.split(index, step)]
    return torch.cat(parts)


def _mean_agreement(answers: list[torch.Tensor], wanted: torch.Tensor) -> float:
    agreeing = sum(int((answer == wanted).sum()) for answer in answers)
    return agreeing / (len(answers) * len(wanted))
