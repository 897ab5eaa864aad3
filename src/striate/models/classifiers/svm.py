"""Support vector machine with a Gaussian kernel, small enough to store and quick on any number of pictures.

The kernel is seen through a fixed number of landmarks (the Nyström approximation): each sample is
described by its similarities to them, and one linear machine per class with squared hinge loss
separates it from the rest. With at least as many landmarks as samples this is the exact kernel
machine.

Source: Williams and Seeger 2001, "Using the Nyström method to speed up kernel machines".
"""

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
from striate.train.schedule import derive_seed

LANDMARKS = 1024
STRENGTHS = (0.1, 0.03, 0.01, 0.003, 0.001, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6)
RIDGE = 1e-6  # least eigenvalue of the landmarks' kernel that is kept, relative to the greatest


class SvmClassifier(Classifier):
    """Logits A·k(x) + b with k_j(x) = exp(−γ‖(x − m)/s − z_j‖²) for landmarks z_j.

    Args:
        mean, scale: float32 ``(D,)``, m and s.
        landmarks: float32 ``(L, D)``, standardised.
        gamma: float32 ``(1,)``.
        weight: float32 ``(K, L)``, A.
        bias: float32 ``(K,)``.
    """

    name = "svm"
    title = "support vector machine"

    def __init__(
        self,
        mean: torch.Tensor,
        scale: torch.Tensor,
        landmarks: torch.Tensor,
        gamma: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor,
    ) -> None:
        self.mean = mean
        self.scale = scale
        self.landmarks = landmarks
        self.gamma = gamma
        self.weight = weight
        self.bias = bias

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """See :meth:`Classifier.logits`."""
        similarities = gaussian_kernel((features - self.mean) / self.scale, self.landmarks, float(self.gamma))
        return torch.addmm(self.bias, similarities, self.weight.T)

    def tensors(self) -> dict[str, torch.Tensor]:
        """See :meth:`Classifier.tensors`."""
        names = ("mean", "scale", "landmarks", "gamma", "weight", "bias")
        return {name: getattr(self, name) for name in names}


def gaussian_kernel(a: torch.Tensor, b: torch.Tensor, gamma: float) -> torch.Tensor:
    """exp(−γ‖a_i − b_j‖²), ``(N, M)``, of rows ``(N, D)`` and ``(M, D)``.

    >>> gaussian_kernel(torch.tensor([[0.0], [1.0]]), torch.tensor([[0.0]]), 1.0).flatten().tolist()
    [1.0, 0.3678794503211975]
    """
    squares = torch.addmm(b.square().sum(1), a, b.T, alpha=-2) + a.square().sum(1, keepdim=True)
    return squares.clamp_(min=0).mul_(-gamma).exp_()


def fit_svm(train: Samples, val: Samples, terms: Terms) -> Fitted:
    """One machine per class by L-BFGS; ``val`` chooses the regularisation and calibrates.

    γ is the inverse of the mean squared distance between samples, which keeps the similarities away
    from 0 and 1. ``train.features`` is overwritten.
    """
    mean, scale = standardise_(train.features)
    val_features = standardised(val.features, mean, scale)
    landmarks = train.features[_choose_landmarks(len(train.labels), terms.config.seed)].clone()
    gamma = 1 / max(1e-12, float(2 * landmarks.var(0, correction=0).sum()))
    whiten = _inverse_root(gaussian_kernel(landmarks, landmarks, gamma))
    similar = _blockwise_kernel(train.features, landmarks, gamma, whiten, terms)
    val_similar = gaussian_kernel(val_features, landmarks, gamma) @ whiten
    weights, val_weights = terms.weights(train.labels), terms.weights(val.labels)
    sides = 2.0 * torch.nn.functional.one_hot(train.labels, terms.classes).T.float() - 1  # (K, N) of ±1

    def objective(w: torch.Tensor, strength: float) -> tuple[float, torch.Tensor]:
        return _loss_and_gradient(w, similar, sides, weights, strength)

    def judge(w: torch.Tensor) -> float:
        return calibrated_loss(_margins(w, val_similar).T, val.labels, val_weights)

    start = torch.zeros(terms.classes, similar.shape[1] + 1)
    found = descend(
        f"{SvmClassifier.title} on {len(train.labels):,} pictures", objective, start, judge, STRENGTHS, terms
    )
    factor = calibrating_factor(_margins(found.weights, val_similar).T, val.labels, val_weights)
    machine = SvmClassifier(
        mean.float(),
        scale.float(),
        landmarks,
        torch.tensor([gamma]),
        (found.weights[:, :-1] @ whiten.T) * factor,
        found.weights[:, -1] * factor,
    )
    return Fitted(
        machine,
        {
            "regularisation": found.strength,
            "iterations": found.iterations,
            "gamma": gamma,
            "landmarks": len(landmarks),
        },
        notes=() if found.in_time else ("the budget ended before the support vector machine had converged",),
    )


def _choose_landmarks(pictures: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(derive_seed(seed, "landmarks", 0))
    return torch.randperm(pictures, generator=generator)[:LANDMARKS].sort().values


def _inverse_root(kernel: torch.Tensor) -> torch.Tensor:
    """K^(−1/2) without the directions that rounding has spoilt, ``(L, R)`` with R ≤ L."""
    values, vectors = torch.linalg.eigh(kernel.double())
    kept = values > RIDGE * values[-1]
    root: torch.Tensor = vectors[:, kept] / values[kept].sqrt()
    return root.float()


def _blockwise_kernel(
    features: torch.Tensor, landmarks: torch.Tensor, gamma: float, whiten: torch.Tensor, terms: Terms
) -> torch.Tensor:
    result = torch.empty(len(features), whiten.shape[1])
    terms.monitor.begin("similarities to landmarks", total=len(features))
    for start in range(0, len(features), BLOCK):
        block = features[start : start + BLOCK]
        result[start : start + BLOCK] = gaussian_kernel(block, landmarks, gamma) @ whiten
        terms.monitor.advance(start + len(block))
    terms.monitor.end()
    return result


def _margins(w: torch.Tensor, similar: torch.Tensor) -> torch.Tensor:
    return torch.addmm(w[:, -1:], w[:, :-1], similar.T)


def _loss_and_gradient(
    w: torch.Tensor, similar: torch.Tensor, sides: torch.Tensor, weights: torch.Tensor, strength: float
) -> tuple[float, torch.Tensor]:
    """Mean squared hinge summed over the classes, plus strength/2 of the squared weights."""
    n = len(similar)
    gradient = torch.zeros_like(w)
    loss = 0.0
    for start in range(0, n, BLOCK):
        block, side = similar[start : start + BLOCK], sides[:, start : start + BLOCK]
        share = weights[start : start + BLOCK] / n
        missing = (1 - side * _margins(w, block)).clamp_(min=0)
        loss += float((missing.square() * share).sum(dtype=torch.float64))
        slope = -2 * side * missing * share
        gradient[:, :-1] += slope @ block
        gradient[:, -1] += slope.sum(1)
    gradient[:, :-1] += strength * w[:, :-1]
    return loss + strength / 2 * float(w[:, :-1].square().sum(dtype=torch.float64)), gradient
