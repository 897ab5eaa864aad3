"""The only list of learners."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from striate.errors import UsageError
from striate.train.config import MODELS, LearnConfig

if TYPE_CHECKING:
    import torch

    from striate.data.pictures import Preprocessing
    from striate.models.learner import Learner

HANDCRAFTED = ("hog", "lbp", "sift")


def check_name(name: str) -> None:
    """Is ``name`` a learner, or spelt like ``package.module:factory``?

    Raises:
        UsageError: it is not; the nearest name is told.
    """
    if name in MODELS or ":" in name.strip(":"):
        return
    near = difflib.get_close_matches(name, MODELS, 1)
    hint = f"did you mean {near[0]}?" if near else f"wanted one of {', '.join(MODELS)}"
    raise UsageError(f"unknown model {name!r}: {hint} (your own: package.module:factory)")


def create(
    name: str,
    *,
    preprocessing: Preprocessing,
    classes: tuple[str, ...],
    train_size: int,
    config: LearnConfig,
) -> Learner:
    """A fresh learner for such pictures.

    Args:
        name: what the user typed.
        preprocessing: says channels and size of the pictures.
        classes: class names.
        train_size: number of training pictures.
        config: its seed, classifier and budget matter here.

    Raises:
        UsageError: there is no such learner, or a user's own network does not fit the pictures.
    """
    check_name(name)
    if name in HANDCRAFTED:
        from striate.models.handcrafted import HandcraftedLearner

        return HandcraftedLearner(name, config.classifier, preprocessing, classes)
    from striate.models.network import NetworkLearner

    options: dict[str, Any] = {}
    if name == "cnn":
        from striate.models.cnn import choose_width

        options["width"] = choose_width(preprocessing.shape, train_size, config)
    return NetworkLearner(name, preprocessing.shape, len(classes), options, config.seed)


def restore(
    name: str, family: str, architecture: dict[str, Any], tensors: dict[str, torch.Tensor]
) -> Learner:
    """The learner that a saved model describes.

    Raises:
        UsageError: this Striate has no such family.
    """
    if family == "handcrafted":
        from striate.models.handcrafted import HandcraftedLearner

        return HandcraftedLearner.restore(architecture, tensors)
    if family == "network":
        from striate.models.network import NetworkLearner

        return NetworkLearner.restore(architecture, tensors)
    raise UsageError(f"model {name!r} belongs to the family {family!r}, which this Striate does not have")
