"""The training loop: one function that reads top-down, around a state that can be saved and put back."""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F

from striate.data.augment import permute_pixels
from striate.data.feed import Feed
from striate.data.pictures import PictureSet
from striate.errors import InterruptedRunError, StriateError
from striate.models.learner import FitReport
from striate.train.checkpoint import Checkpoint, Checkpoints
from striate.train.interrupt import StopRequest
from striate.train.monitor import Monitor
from striate.train.optimizer import make_optimizer
from striate.train.run_folder import RunFolder
from striate.train.schedule import derive_seed, one_cycle
from striate.train.settings import Settings

Normalise = Callable[[torch.Tensor], torch.Tensor]
AVERAGE_DECAY = 0.995
EVALUATION_BATCH = 512
NAMES_SHOWN = 3


def train_network(
    network: nn.Module,
    normalise: Normalise,
    train: PictureSet,
    val: PictureSet,
    settings: Settings,
    *,
    monitor: Monitor,
    folder: RunFolder | None = None,
    permutation: torch.Tensor | None = None,
    checkpoint_seconds: float = 60.0,
) -> FitReport:
    """Train ``network`` in place; it ends with the weights of the best epoch on ``val``.

    With a folder, an interrupted run continues from its newest valid checkpoint and ends with the
    same bits as an uninterrupted one.

    Args:
        network: gives logits ``(B, K)`` of float32 pictures; already on the settings' device.
        normalise: uint8 ``(B, C, H, W)`` → what the network takes.
        train, val: uint8 pictures.
        settings: all choices made.
        monitor: is told of progress.
        folder: where checkpoints and the log go.
        permutation: see :meth:`striate.models.learner.Learner.fit`.
        checkpoint_seconds: save this often within an epoch; 0 after every step.

    Raises:
        InterruptedRunError: Ctrl-C or SIGTERM; a checkpoint was saved.
        StriateError: the loss is no longer finite.
    """
    feed = Feed(
        train, settings.batch_size, settings.seed, settings.augmentation, permutation, _device(settings)
    )
    state = TrainingState(network, normalise, feed, settings)
    checkpoints = Checkpoints(folder.checkpoints) if folder else None
    if checkpoints:
        state.restore(checkpoints)
    monitor.begin("training", settings.steps * feed.batch_size)
    last_saved = time.monotonic()
    with StopRequest() as stop, _deterministic(_device(settings)):
        while state.step < settings.steps:
            state.train_step()
            ended = state.step % feed.steps_per_epoch == 0 or state.step == settings.steps
            if ended:
                record = state.end_epoch(val, permutation, checkpoints)
                monitor.epoch(record)
                if folder:
                    folder.log(record)
            monitor.advance(state.step * feed.batch_size, **state.figures())
            due = time.monotonic() - last_saved >= checkpoint_seconds
            if checkpoints and (ended or due or stop.signal_number):
                state.save(checkpoints)
                last_saved = time.monotonic()
            if stop.signal_number:
                raise _interrupted(state, folder, stop.signal_number)
    monitor.end()
    state.take_best(checkpoints)
    return FitReport(
        seconds=state.seconds,
        pictures=len(train) if settings.steps >= feed.steps_per_epoch else settings.steps * feed.batch_size,
        epochs=-(-settings.steps // feed.steps_per_epoch),
        history=tuple(state.history),
        settings=settings.to_dict(),
        notes=state.notes(),
    )


class TrainingState:
    """Everything that changes while training; saved whole in a checkpoint."""

    def __init__(self, network: nn.Module, normalise: Normalise, feed: Feed, settings: Settings) -> None:
        self.network = network
        self.normalise = normalise
        self.feed = feed
        self.settings = settings
        self.average = copy.deepcopy(network).requires_grad_(False) if settings.weight_averaging else None
        self.optimizer = make_optimizer(network, settings)
        self.class_weights = _class_weights(feed.pictures).to(feed.device) if settings.balance else None
        self.step = 0
        self.history: list[dict[str, Any]] = []
        self.best_step: int | None = None
        self.best_tensors: dict[str, torch.Tensor] = {}
        self.best_score = (-1.0, 0.0)
        self.seconds = 0.0
        self._clear_epoch()

    def train_step(self) -> None:
        """One batch: forward, backward, update."""
        started = time.perf_counter()
        pixels, labels = self.feed.batch(self.step)
        self.epoch_totals["wait"] += time.perf_counter() - started
        _seed(self.feed.device, derive_seed(self.settings.seed, "dropout", self.step))
        if not self.network.training:
            self.network.train()
        with _autocast(self.settings):
            logits = self.network(self.normalise(pixels))
        loss = F.cross_entropy(
            logits.float(), labels, self.class_weights, label_smoothing=self.settings.label_smoothing
        )
        value = loss.item()
        if value != value or value in (float("inf"), float("-inf")):
            raise self._not_finite(value)
        self.optimizer.clear()
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step(self.settings.learning_rate * one_cycle(self.step, self.settings.steps))
        self.step += 1
        self._update_average()
        totals = self.epoch_totals
        totals["loss"] += value * len(labels)
        totals["correct"] += int((logits.argmax(1) == labels).sum())
        totals["seen"] += len(labels)
        elapsed = time.perf_counter() - started
        totals["seconds"] += elapsed
        self.seconds += elapsed

    def end_epoch(
        self, val: PictureSet, permutation: torch.Tensor | None, checkpoints: Checkpoints | None
    ) -> dict[str, Any]:
        """Judge the weights on ``val``, keep them if they are the best so far; returns the log record."""
        started = time.perf_counter()
        judged = self.average or self.network
        loss, accuracy = self._judge(judged, val, permutation)
        if (accuracy, -loss) >= self.best_score:
            self.best_score = (accuracy, -loss)
            self.best_step = self.step
            self.best_tensors = {name: t.detach().clone() for name, t in judged.state_dict().items()}
            if checkpoints:
                checkpoints.save("best", Checkpoint(self.step, self.best_tensors, {"val_accuracy": accuracy}))
        self.seconds += time.perf_counter() - started
        record = {
            "event": "epoch",
            "epoch": -(-self.step // self.feed.steps_per_epoch),
            "step": self.step,
            **self.figures(),
            "val_loss": loss,
            "val_accuracy": accuracy,
            "learning_rate": self.optimizer.learning_rate,
            "seconds": round(self.seconds, 3),
        }
        self.history.append(record)
        self._clear_epoch()
        return record

    def figures(self) -> dict[str, float]:
        """Running figures of the current epoch, or of the last one right after its end."""
        totals = self.epoch_totals
        if not totals["seen"]:
            keys = ("epoch", "epochs", "train_loss", "train_accuracy", "images_per_second", "data_wait")
            return {key: self.history[-1][key] for key in keys} if self.history else {}
        return {
            "epoch": -(-self.step // self.feed.steps_per_epoch),
            "epochs": -(-self.settings.steps // self.feed.steps_per_epoch),
            "train_loss": totals["loss"] / totals["seen"],
            "train_accuracy": totals["correct"] / totals["seen"],
            "images_per_second": round(totals["seen"] / max(totals["seconds"], 1e-9), 1),
            "data_wait": round(totals["wait"] / max(totals["seconds"], 1e-9), 4),
        }

    def save(self, checkpoints: Checkpoints) -> None:
        """Write a "last" checkpoint, unless the weights are no longer numbers."""
        if not all(bool(t.isfinite().all()) for t in self.network.parameters()):
            raise self._not_finite(float("nan"))
        tensors = {f"model/{k}": v for k, v in self.network.state_dict().items()}
        tensors |= {f"optimizer/{k}": v for k, v in self.optimizer.tensors().items()}
        if self.average:
            tensors |= {f"average/{k}": v for k, v in self.average.state_dict().items()}
        values = {
            "settings": self.settings.to_dict(),
            "history": self.history,
            "best_step": self.best_step,
            "best_score": list(self.best_score),
            "seconds": self.seconds,
            "epoch_totals": self.epoch_totals,
        }
        checkpoints.save("last", Checkpoint(self.step, tensors, values))

    def restore(self, checkpoints: Checkpoints) -> None:
        """Continue from the newest valid checkpoint, if there is one."""
        checkpoint = checkpoints.newest()
        if checkpoint is None:
            return
        tensors = checkpoint.tensors
        self.network.load_state_dict(_under("model/", tensors))
        self.optimizer.restore(_under("optimizer/", tensors))
        if self.average:
            self.average.load_state_dict(_under("average/", tensors))
        values = checkpoint.values
        self.step = checkpoint.step
        self.history = values["history"]
        self.best_step = values["best_step"]
        self.best_score = (values["best_score"][0], values["best_score"][1])
        self.seconds = values["seconds"]
        self.epoch_totals = values["epoch_totals"]

    def take_best(self, checkpoints: Checkpoints | None) -> None:
        """Put the best epoch's weights into the network."""
        if not self.best_tensors and checkpoints and self.best_step is not None:
            best = checkpoints.best(self.best_step)
            if best is None:
                raise StriateError(
                    f"the best checkpoint (step {self.best_step}) in {checkpoints.folder} is damaged"
                )
            self.best_tensors = best.tensors
        self.network.load_state_dict(self.best_tensors)
        self.network.eval()

    def notes(self) -> tuple[str, ...]:
        """What a reader of the result must know."""
        steps, whole = self.settings.steps, self.feed.steps_per_epoch
        return (f"the budget allowed {steps:,} of the {whole:,} steps of one pass",) if steps < whole else ()

    def _clear_epoch(self) -> None:
        self.epoch_totals = {"loss": 0.0, "correct": 0.0, "seen": 0.0, "seconds": 0.0, "wait": 0.0}

    def _judge(
        self, network: nn.Module, val: PictureSet, permutation: torch.Tensor | None
    ) -> tuple[float, float]:
        network.eval()
        loss = correct = 0.0
        with torch.inference_mode(), _autocast(self.settings):
            for start in range(0, len(val), EVALUATION_BATCH):
                pixels = permute_pixels(
                    val.pixels[start : start + EVALUATION_BATCH].to(self.feed.device), permutation
                )
                labels = val.labels[start : start + EVALUATION_BATCH].to(self.feed.device)
                logits = network(self.normalise(pixels)).float()
                loss += F.cross_entropy(logits, labels, reduction="sum").item()
                correct += int((logits.argmax(1) == labels).sum())
        return loss / len(val), correct / len(val)

    @torch.no_grad()
    def _update_average(self) -> None:
        if self.average is None:
            return
        weight = 1 - min(AVERAGE_DECAY, (1 + self.step) / (10 + self.step))
        averaged, current = self.average.state_dict(), self.network.state_dict()
        floating = [name for name, t in averaged.items() if t.is_floating_point()]
        torch._foreach_lerp_([averaged[n] for n in floating], [current[n] for n in floating], weight)

    def _not_finite(self, value: float) -> StriateError:
        names = [self.feed.pictures.names[i] for i in self.feed.indices(self.step).tolist()]
        more = f" and {len(names) - NAMES_SHOWN} more" if len(names) > NAMES_SHOWN else ""
        return StriateError(
            f"the loss became {value} at step {self.step + 1} (epoch {self.step // self.feed.steps_per_epoch + 1}),"
            f" on a batch of {', '.join(names[:NAMES_SHOWN])}{more}; the last good checkpoint is kept:"
            f" try a --learning-rate below {self.settings.learning_rate:g}"
        )


def _seed(device: torch.device, seed: int) -> None:
    """Seed the generator that dropout draws from.

    ``torch.manual_seed`` would also queue a call for every absent accelerator, with a stack trace
    each: half a millisecond a step.
    """
    torch.default_generator.manual_seed(seed)
    if device.type == "cuda":
        torch.cuda.manual_seed(seed)


def _device(settings: Settings) -> torch.device:
    return torch.device(settings.device)


def _under(prefix: str, tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name.removeprefix(prefix): t for name, t in tensors.items() if name.startswith(prefix)}


def _class_weights(pictures: PictureSet) -> torch.Tensor:
    """Inverse frequencies whose mean over the pictures is 1."""
    counts = pictures.counts().clamp(min=1)
    return len(pictures) / (len(counts) * counts.float())


def _autocast(settings: Settings) -> AbstractContextManager[Any]:
    if settings.precision != "bfloat16":
        return nullcontext()
    return torch.autocast(_device(settings).type, torch.bfloat16, cache_enabled=True)


@contextmanager
def _deterministic(device: torch.device) -> Iterator[None]:
    """Same seed, same bits on a GPU as well; the CPU kernels in use are so by themselves."""
    if device.type == "cpu":
        yield
        return
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(True, warn_only=True)
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before)


def _interrupted(state: TrainingState, folder: RunFolder | None, signal_number: int) -> InterruptedRunError:
    where = f"stopped at step {state.step} of {state.settings.steps}"
    kept = f"; everything is saved, continue with --resume {folder.path}" if folder else ""
    return InterruptedRunError(where + kept, signal_number)
