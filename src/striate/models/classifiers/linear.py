"""Multinomial logistic regression."""

from __future__ import annotations

import torch

from striate.models.classifiers.base import (
    BLOCK,
    Classifier,
    Fitted,
    Samples,
    Terms,
    calibrated_loss,
    calibrating_factor,
    standardise_,
    standardised,
)
from striate.models.classifiers.descent import descend

STRENGTHS = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001, 3e-4, 1e-4, 3e-5)


class LinearClassifier(Classifier):
    """Logits W·x + b.

    Args:
        weight: float32 ``(K, D)``, for features as they come (not standardised).
        bias: float32 ``(K,)``.
    """

    name = "linear"
    title = "linear classifier"

    def __init__(self, weight: torch.Tensor, bias: torch.Tensor) -> None:
        self.weight = weight
        self.bias = bias

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """See :meth:`Classifier.logits`."""
        return torch.addmm(self.bias, features, self.weight.T)

    def tensors(self) -> dict[str, torch.Tensor]:
        """See :meth:`Classifier.tensors`."""
        return {"weight": self.weight, "bias": self.bias}


def fit_linear(train: Samples, val: Samples, terms: Terms) -> Fitted:
    """Logistic regression by L-BFGS; ``val`` chooses the strength of the L2 regularisation.

    The objective is mean log-loss + λ/2·‖W‖² on standardised features; the standardisation is
    folded into the weights afterwards. ``train.features`` is overwritten.
    """
    mean, scale = standardise_(train.features)
    val_features = standardised(val.features, mean, scale)
    weights, val_weights = terms.weights(train.labels), terms.weights(val.labels)

    def objective(w: torch.Tensor, strength: float) -> tuple[float, torch.Tensor]:
        return _loss_and_gradient(w, train, weights, strength)

    def judge(w: torch.Tensor) -> float:
        return calibrated_loss(_logits(w, val_features).T, val.labels, val_weights)

    start = torch.zeros(terms.classes, train.features.shape[1] + 1)
    found = descend(
        f"{LinearClassifier.title} on {len(train.labels):,} pictures",
        objective,
        start,
        judge,
        STRENGTHS,
        terms,
    )
    factor = calibrating_factor(_logits(found.weights, val_features).T, val.labels, val_weights)
    weight = found.weights[:, :-1].double() * factor / scale
    bias = found.weights[:, -1].double() * factor - weight @ mean
    return Fitted(
        LinearClassifier(weight.float(), bias.float()),
        {"regularisation": found.strength, "iterations": found.iterations},
        notes=() if found.in_time else ("the budget ended before the linear classifier had converged",),
    )


def _logits(w: torch.Tensor, features: torch.Tensor) -> torch.Tensor:
    """``(K, N)``: with the long side last, which is several times faster for few classes."""
    return torch.addmm(w[:, -1:], w[:, :-1], features.T)


def _loss_and_gradient(
    w: torch.Tensor, train: Samples, weights: torch.Tensor, strength: float
) -> tuple[float, torch.Tensor]:
    n = len(train.labels)
    gradient = torch.zeros_like(w)
    loss = 0.0
    for start in range(0, n, BLOCK):
        features, labels = train.features[start : start + BLOCK], train.labels[start : start + BLOCK]
        share = weights[start : start + BLOCK] / n
        columns = torch.arange(len(labels))
        log_p = _logits(w, features).log_softmax(0)
        loss -= float((log_p[labels, columns] * share).sum(dtype=torch.float64))
        error = log_p.exp_()
        error[labels, columns] -= 1
        error *= share
        gradient[:, :-1] += error @ features
        gradient[:, -1] += error.sum(1)
    gradient[:, :-1] += strength * w[:, :-1]
    return loss + strength / 2 * float(w[:, :-1].square().sum(dtype=torch.float64)), gradient
