"""A feed-forward classifier with one hidden layer."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from striate.models.classifiers.base import (
    Classifier,
    Fitted,
    Samples,
    Terms,
    calibrating_factor,
    standardise_,
    standardised,
)
from striate.train.config import LearnConfig
from striate.train.schedule import derive_seed, one_cycle

HIDDEN = 256
DROPOUT = 0.5
EPOCHS = 15  # over a large set; a small one gets more, until STEPS are made
STEPS = 1000
BATCH = 128
LEARNING_RATE = 2e-3
WEIGHT_DECAY = 0.05
LABEL_SMOOTHING = 0.05
TIMED_STEPS = 8
MARGIN = 0.9  # of the time left is planned


class HiddenLayerClassifier(Classifier):
    """Logits V·max(0, W·x + b) + c.

    Args:
        hidden_weight: float32 ``(H, D)``, for features as they come (not standardised).
        hidden_bias: float32 ``(H,)``.
        weight: float32 ``(K, H)``.
        bias: float32 ``(K,)``.
    """

    name = "mlp"
    title = "feed-forward classifier"

    def __init__(
        self, hidden_weight: torch.Tensor, hidden_bias: torch.Tensor, weight: torch.Tensor, bias: torch.Tensor
    ) -> None:
        self.hidden_weight = hidden_weight
        self.hidden_bias = hidden_bias
        self.weight = weight
        self.bias = bias

    def logits(self, features: torch.Tensor) -> torch.Tensor:
        """See :meth:`Classifier.logits`."""
        hidden = torch.addmm(self.hidden_bias, features, self.hidden_weight.T).relu_()
        return torch.addmm(self.bias, hidden, self.weight.T)

    def tensors(self) -> dict[str, torch.Tensor]:
        """See :meth:`Classifier.tensors`."""
        return {
            "hidden_weight": self.hidden_weight,
            "hidden_bias": self.hidden_bias,
            "weight": self.weight,
            "bias": self.bias,
        }


def fit_hidden_layer(train: Samples, val: Samples, terms: Terms) -> Fitted:
    """AdamW on a one-cycle schedule; the pass with the best accuracy on ``val`` is kept.

    The standardisation is folded into the weights afterwards. ``train.features`` is overwritten.
    """
    mean, scale = standardise_(train.features)
    held_out = Samples(standardised(val.features, mean, scale), val.labels)
    with torch.random.fork_rng(devices=[]):
        training = _Training(train, held_out, terms)
        training.run()
    hidden, last = training.best["0.weight"].double(), training.best["3.weight"]
    network = HiddenLayerClassifier(
        (hidden / scale).float(),
        (training.best["0.bias"].double() - (hidden / scale) @ mean).float(),
        last,
        training.best["3.bias"],
    )
    factor = calibrating_factor(network.logits(val.features), val.labels, terms.weights(val.labels))
    network.weight, network.bias = network.weight * factor, network.bias * factor
    made = training.plan
    return Fitted(
        network,
        {
            "hidden_units": HIDDEN,
            "batch_size": made.batch,
            "learning_rate": made.learning_rate,
            "weight_decay": made.weight_decay,
            "label_smoothing": made.label_smoothing,
        },
        epochs=made.epochs,
        history=tuple(training.history),
    )


@dataclass(frozen=True)
class _Plan:
    batch: int
    per_epoch: int
    epochs: int
    learning_rate: float
    weight_decay: float
    label_smoothing: float


def _plan(config: LearnConfig, pictures: int) -> _Plan:
    batch = min(config.batch_size or BATCH, pictures)
    while config.batch_size is None and batch > 16 and pictures // batch < 16:
        batch //= 2
    per_epoch = pictures // batch
    return _Plan(
        batch,
        per_epoch,
        config.epochs or max(EPOCHS, min(100, -(-STEPS // per_epoch))),
        LEARNING_RATE if config.learning_rate is None else config.learning_rate,
        WEIGHT_DECAY if config.weight_decay is None else config.weight_decay,
        LABEL_SMOOTHING if config.label_smoothing is None else config.label_smoothing,
    )


class _Training:
    def __init__(self, train: Samples, val: Samples, terms: Terms) -> None:
        self.train = train
        self.val = val
        self.terms = terms
        self.weights = terms.weights(train.labels)
        self.val_weights = terms.weights(val.labels)
        self.plan = _plan(terms.config, len(train.labels))
        self.history: list[dict[str, Any]] = []
        self.best: dict[str, torch.Tensor] = {}
        self.best_score = (-1.0, 0.0)
        self.seconds = 0.0
        self._reset()

    def run(self) -> None:
        self._fit_plan_to_deadline()
        total = self.plan.epochs * self.plan.per_epoch * self.plan.batch
        self.terms.monitor.begin(f"{HiddenLayerClassifier.title} on features", total)
        for epoch in range(self.plan.epochs):
            record = self._epoch(epoch)
            self.history.append(record)
            self.terms.monitor.epoch(record)
            if self.terms.folder:
                self.terms.folder.log(record)
            if self.terms.seconds_left() <= 0:
                break
        self.terms.monitor.end()

    def _reset(self) -> None:
        torch.manual_seed(derive_seed(self.terms.config.seed, "classifier weights", 0))
        width = self.train.features.shape[1]
        self.network = nn.Sequential(
            nn.Linear(width, HIDDEN), nn.ReLU(), nn.Dropout(DROPOUT), nn.Linear(HIDDEN, self.terms.classes)
        )
        self.optimizer = torch.optim.AdamW(
            self.network.parameters(), self.plan.learning_rate, weight_decay=self.plan.weight_decay
        )

    def _fit_plan_to_deadline(self) -> None:
        """Plan as many passes as the time left allows, by timing a few steps on weights thrown away."""
        if self.terms.deadline is None:
            return
        order = torch.arange(len(self.train.labels))
        self._step(0, order[: self.plan.batch])
        started = time.perf_counter()
        for step in range(TIMED_STEPS):
            first = step * self.plan.batch % (len(order) - self.plan.batch + 1)
            self._step(step, order[first : first + self.plan.batch])
        pass_seconds = (time.perf_counter() - started) / TIMED_STEPS * self.plan.per_epoch
        epochs = max(1, min(self.plan.epochs, int(MARGIN * self.terms.seconds_left() / pass_seconds)))
        self.plan = _Plan(**{**self.plan.__dict__, "epochs": epochs})
        self._reset()

    def _epoch(self, epoch: int) -> dict[str, Any]:
        started = time.perf_counter()
        plan = self.plan
        generator = torch.Generator().manual_seed(
            derive_seed(self.terms.config.seed, "classifier order", epoch)
        )
        order = torch.randperm(len(self.train.labels), generator=generator)
        loss = correct = 0.0
        for position in range(plan.per_epoch):
            rows = order[position * plan.batch : (position + 1) * plan.batch]
            step_loss, step_correct = self._step(epoch * plan.per_epoch + position, rows)
            loss, correct = loss + step_loss, correct + step_correct
            seen = (epoch * plan.per_epoch + position + 1) * plan.batch
            self.terms.monitor.advance(seen, epoch=epoch + 1, epochs=plan.epochs)
        elapsed = time.perf_counter() - started
        val_loss, val_accuracy = self._judge()
        self.seconds += time.perf_counter() - started
        return {
            "event": "epoch",
            "epoch": epoch + 1,
            "epochs": plan.epochs,
            "train_loss": loss / plan.per_epoch,
            "train_accuracy": correct / (plan.per_epoch * plan.batch),
            "images_per_second": round(plan.per_epoch * plan.batch / elapsed, 1),
            "data_wait": 0.0,
            "val_loss": val_loss,
            "val_accuracy": val_accuracy,
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "seconds": round(self.seconds, 3),
        }

    def _step(self, step: int, rows: torch.Tensor) -> tuple[float, float]:
        plan = self.plan
        for group in self.optimizer.param_groups:
            group["lr"] = plan.learning_rate * one_cycle(step, plan.epochs * plan.per_epoch)
        torch.manual_seed(derive_seed(self.terms.config.seed, "classifier dropout", step))
        labels = self.train.labels[rows]
        self.network.train()
        logits = self.network(self.train.features[rows])
        losses = F.cross_entropy(logits, labels, reduction="none", label_smoothing=plan.label_smoothing)
        loss = (losses * self.weights[rows]).mean()
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        return loss.item(), (logits.argmax(1) == labels).sum().item()

    def _judge(self) -> tuple[float, float]:
        self.network.eval()
        with torch.inference_mode():
            logits = self.network(self.val.features)
        losses = F.cross_entropy(logits, self.val.labels, reduction="none")
        total = self.val_weights.sum()
        loss = float((losses * self.val_weights).sum() / total)
        right = (logits.argmax(1) == self.val.labels).float()
        accuracy = float((right * self.val_weights).sum() / total)
        if (accuracy, -loss) >= self.best_score:
            self.best_score = (accuracy, -loss)
            self.best = {name: tensor.detach().clone() for name, tensor in self.network.state_dict().items()}
        return loss, accuracy
