"""Hand-crafted features and a classifier on top: what recognition was before features were learned."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any, Literal

import torch

from striate.data.pictures import PictureSet, Preprocessing
from striate.errors import NotApplicableError
from striate.models.classifiers import (
    CLASSIFIERS,
    Classifier,
    Fitted,
    Samples,
    Terms,
    fit_classifier,
    restore_classifier,
)
from striate.models.features.bag_of_words import learn_vocabulary, word_histograms
from striate.models.features.extract import (
    Extracted,
    View,
    choose_settings,
    extract,
    restore_settings,
    seconds_per_picture,
)
from striate.models.features.sift import Keypoints, SiftSettings
from striate.models.learner import FitReport, Kind, Learner
from striate.models.subset import affordable_share, stratified_subset
from striate.train.config import LearnConfig
from striate.train.monitor import Monitor
from striate.train.run_folder import RunFolder
from striate.train.schedule import derive_seed, parse_duration

Feature = Literal["hog", "lbp", "sift"]

TITLES = {"hog": "HOG", "lbp": "LBP", "sift": "bag of SIFT words"}
LEAST_SHARE = 0.5  # of the pictures must have keypoints, or SIFT is no description of them
CHECKED = 2000  # pictures at most in which keypoints are looked for beforehand
COMPARED = 8  # pictures on which features are compared with scikit-image's
TIMED = 64  # pictures
EXTRACTION_SHARE = 0.6  # of a budget goes to the features at most


class HandcraftedLearner(Learner):
    """HOG, LBP or SIFT, computed as their inventors wrote them down, and a classifier that learns.

    Args:
        feature: ``"hog"``, ``"lbp"`` or ``"sift"``.
        classifier: ``"linear"``, ``"mlp"`` or ``"svm"``.
        preprocessing: of the pictures.
        classes: class names.
    """

    family = "handcrafted"
    kind: Kind = "hand-crafted"

    def __init__(
        self, feature: str, classifier: str, preprocessing: Preprocessing, classes: tuple[str, ...]
    ) -> None:
        self.name = feature
        self.title = f"{TITLES[feature]} + {CLASSIFIERS[classifier].title}"
        self.classifier_name = classifier
        self.shape = preprocessing.shape
        self.num_classes = len(classes)
        self.settings = choose_settings(feature, preprocessing.height, preprocessing.width)
        self.vocabulary: torch.Tensor | None = None
        self.classifier: Classifier | None = None

    def fit(
        self,
        train: PictureSet,
        val: PictureSet,
        config: LearnConfig,
        *,
        monitor: Monitor,
        folder: RunFolder | None = None,
        flip: bool = False,
        permutation: torch.Tensor | None = None,
    ) -> FitReport:
        """See :meth:`Learner.fit`.

        Under a budget the features of a sample are timed first. If those of all pictures do not fit
        into three fifths of it, a stratified part of them is used, and the report says so; the
        classifier has the rest. Features from the cache count with the time that they took when
        they were made, so that a second run is neither better nor reported as faster.

        Raises:
            NotApplicableError: SIFT finds keypoints in fewer than half of the training pictures.
        """
        started = time.perf_counter()
        self._check(train, config.seed, permutation)
        part = self._affordable_part(train, val, config, permutation)
        monitor.message(f"{self.name}: features of {len(part.train) + len(part.val):,} pictures")
        raw = extract(self.name, self.settings, View(train.pixels, part.train, permutation), monitor)
        held_out = extract(self.name, self.settings, View(val.pixels, part.val, permutation), monitor)
        if self.name == "sift":
            words_seed = derive_seed(config.seed, "vocabulary", 0) % 2**32
            self.vocabulary = learn_vocabulary(raw.arrays["descriptors"], words_seed)
        saved = raw.saved_seconds + held_out.saved_seconds
        fitted = fit_classifier(
            self.classifier_name,
            Samples(self._features(raw), train.labels[part.train]),
            Samples(self._features(held_out), val.labels[part.val]),
            self._terms(config, monitor, folder, started - saved),
        )
        self.classifier = fitted.classifier
        seconds = time.perf_counter() - started + saved
        return self._report(fitted, part, seconds, saved, View(train.pixels, None, permutation))

    def predict(self, pixels: torch.Tensor) -> torch.Tensor:
        """See :meth:`Learner.predict`; pictures are taken as they are, without any permutation."""
        if self.classifier is None:
            raise RuntimeError(f"{self.title} was asked before it was fitted")
        if len(pixels) == 0:
            return torch.empty(0, self.num_classes)
        found = extract(self.name, self.settings, View(pixels), Monitor())
        return self.classifier.probabilities(self._features(found))

    @property
    def parameters(self) -> int:
        """See :attr:`Learner.parameters`; the vocabulary counts, the recipe of the features does not."""
        return sum(tensor.numel() for tensor in self.tensors().values())

    @property
    def macs(self) -> int | None:
        """``None``: what a feature costs depends on the picture, and is not made of multiply-adds."""
        return None

    def tensors(self) -> dict[str, torch.Tensor]:
        """See :meth:`Learner.tensors`."""
        learned = {} if self.classifier is None else self.classifier.tensors()
        named = {f"classifier.{name}": tensor for name, tensor in learned.items()}
        return named if self.vocabulary is None else {**named, "vocabulary": self.vocabulary}

    def architecture(self) -> dict[str, Any]:
        """See :meth:`Learner.architecture`."""
        return {
            "feature": self.name,
            "settings": asdict(self.settings),
            "classifier": self.classifier_name,
            "shape": list(self.shape),
            "num_classes": self.num_classes,
        }

    @classmethod
    def restore(cls, architecture: dict[str, Any], tensors: dict[str, torch.Tensor]) -> HandcraftedLearner:
        """See :meth:`Learner.restore`."""
        channels, height, width = architecture["shape"]
        classes = tuple(str(number) for number in range(architecture["num_classes"]))
        preprocessing = Preprocessing(height=height, width=width, channels=channels)
        learner = cls(architecture["feature"], architecture["classifier"], preprocessing, classes)
        learner.settings = restore_settings(learner.name, architecture["settings"])
        learner.vocabulary = tensors.get("vocabulary")
        prefix = "classifier."
        own = {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}
        learner.classifier = restore_classifier(learner.classifier_name, own)
        return learner

    def _features(self, raw: Extracted) -> torch.Tensor:
        """Float32 ``(N, D)`` for the classifier."""
        if self.vocabulary is None:
            return torch.from_numpy(raw.arrays["features"])
        return word_histograms(Keypoints(**raw.arrays), self.vocabulary, *self.shape[1:])

    def _check(self, train: PictureSet, seed: int, permutation: torch.Tensor | None) -> None:
        """Are there enough pictures with keypoints? Asked before hours are spent on the others."""
        if self.name != "sift":
            return
        sample = stratified_subset(train.labels, CHECKED / len(train), derive_seed(seed, "sample", 0))
        view = View(train.pixels, sample, permutation)
        counts = extract(self.name, SiftSettings(enlarge=1), view, Monitor()).arrays["counts"]
        described, pictures = int((counts > 0).sum()), len(sample)
        if described < LEAST_SHARE * pictures:
            height, width = self.shape[1:]
            some = "a sample of " if pictures < len(train) else ""
            raise NotApplicableError(
                f"SIFT found keypoints in {described:,} of {some}{pictures:,} pictures of {height}×{width} pixels;"
                " it needs them in at least half, and so larger pictures or more contrast"
            )

    def _affordable_part(
        self, train: PictureSet, val: PictureSet, config: LearnConfig, permutation: torch.Tensor | None
    ) -> _Part:
        if config.budget is None:
            return _Part(torch.arange(len(train)), torch.arange(len(val)))
        seed = derive_seed(config.seed, "part", 0)
        sample = stratified_subset(train.labels, TIMED / len(train), seed)
        each = seconds_per_picture(self.name, self.settings, View(train.pixels, sample, permutation))
        seconds = EXTRACTION_SHARE * parse_duration(config.budget)
        share = affordable_share(seconds, each * (len(train) + len(val)))
        return _Part(stratified_subset(train.labels, share, seed), stratified_subset(val.labels, share, seed))

    def _terms(
        self, config: LearnConfig, monitor: Monitor, folder: RunFolder | None, started: float
    ) -> Terms:
        deadline = None if config.budget is None else started + parse_duration(config.budget)
        return Terms(self.num_classes, config, monitor, deadline, folder)

    def _report(self, fitted: Fitted, part: _Part, seconds: float, saved: float, given: View) -> FitReport:
        notes = list(fitted.notes)
        if len(part.train) < len(given):
            notes.append(
                f"the budget allowed the features of {len(part.train):,} of {len(given):,} training pictures"
            )
        if saved:
            notes.append(f"features that took {saved:.0f} s came from the cache; the time counts")
        from striate.models.features.reference import agreement  # scikit-image, which prediction needs not

        checked = agreement(given.array(0, min(COMPARED, len(given))), self.settings)
        return FitReport(
            seconds=seconds,
            pictures=len(part.train),
            epochs=fitted.epochs,
            history=fitted.history,
            settings={
                "feature": self.name,
                **asdict(self.settings),
                "classifier": self.classifier_name,
                **fitted.settings,
                "checked_against_scikit_image": asdict(checked),
            },
            notes=tuple(notes),
        )


@dataclass(frozen=True)
class _Part:
    """Indices of the pictures used."""

    train: torch.Tensor
    val: torch.Tensor
