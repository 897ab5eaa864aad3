"""Classifiers on hand-crafted features: fitted on tensors, stored as tensors, asked through tensors."""

from __future__ import annotations

import torch

from striate.models.classifiers.base import Classifier, Fitted, Samples, Terms
from striate.models.classifiers.hidden_layer import HiddenLayerClassifier, fit_hidden_layer
from striate.models.classifiers.linear import LinearClassifier, fit_linear
from striate.models.classifiers.svm import SvmClassifier, fit_svm

__all__ = ["CLASSIFIERS", "Classifier", "Fitted", "Samples", "Terms", "fit_classifier", "restore_classifier"]

_FITS = {"linear": fit_linear, "mlp": fit_hidden_layer, "svm": fit_svm}
CLASSIFIERS: dict[str, type[Classifier]] = {
    kind.name: kind for kind in (LinearClassifier, HiddenLayerClassifier, SvmClassifier)
}


def fit_classifier(name: str, train: Samples, val: Samples, terms: Terms) -> Fitted:
    """Fit the classifier ``name``; ``val`` only chooses. ``train.features`` is overwritten."""
    return _FITS[name](train, val, terms)


def restore_classifier(name: str, tensors: dict[str, torch.Tensor]) -> Classifier:
    """The classifier that gave ``tensors``."""
    return CLASSIFIERS[name](**tensors)
