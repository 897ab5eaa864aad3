"""``striate compare``: every learner on the same split and equal terms, saved after each step."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors

from striate.data.load import load_dataset, split_names
from striate.data.pictures import Dataset
from striate.errors import DataError, InterruptedRunError, NotApplicableError, StriateError, UsageError
from striate.models.learner import FitReport, Learner
from striate.models.registry import check_name, create
from striate.report.build import build_report
from striate.train.checkpoint import write_json, write_tensors
from striate.train.config import CompareConfig, TrainConfig
from striate.train.monitor import Monitor
from striate.train.provenance import provenance
from striate.train.run_folder import RunFolder, default_out, load_model
from striate.train.schedule import parse_duration
from striate.train.settings import as_trained, choose_device
from striate.verdict.judge import judge
from striate.verdict.results import PREDICTIONS, RESULT, Comparison, LearnerResult
from striate.verdict.shift import check_offset, default_offset, shift_experiment, stratified_sample
from striate.verdict.shuffle import shuffle_experiment
from striate.verdict.summary import summarise
from striate.verdict.units import percent


def compare(config: CompareConfig, monitor: Monitor, resume: Path | None = None) -> tuple[Comparison, Path]:
    """Train and judge every learner, run the experiments, and reach a verdict.

    The folder holds ``config.yaml``, ``splits.json``, ``comparison.json``, ``predictions.safetensors``,
    ``report.html`` and one complete run folder per learner. ``comparison.json`` is written anew after
    every step, all or nothing, so that what is done is never lost.

    Args:
        config: the settings.
        monitor: is told of progress.
        resume: folder of a stopped comparison with these settings. What is finished there is read
            back; a learner in the middle of its training goes on from its newest checkpoint.

    Returns:
        the comparison and its folder.

    Raises:
        UsageError: an unknown learner, a bad flag, a folder that cannot be used.
        DataError: the pictures cannot be compared on, or are not those of the run to resume.
        InterruptedRunError: Ctrl-C or SIGTERM; what is finished is saved.
    """
    names = list(dict.fromkeys(config.models))
    _check_early(config, names)
    if resume is None and config.out:
        RunFolder.check_free(config.out)
    dataset = load_dataset(config, monitor)
    config = _resolved(config, dataset)
    _check_learners(config, names, dataset)
    if resume is None:
        folder = RunFolder.create(config.out or default_out("compare", config.source))
        config = config.model_copy(update={"out": folder.path})
    else:
        folder = RunFolder.open(resume)
    run = _Run(config, names, dataset, folder, monitor)
    with _stoppable(folder.path):
        if resume is None:
            run.start()
        else:
            run.read_back()
        for name in names:
            run.learner(name)
        comparison = run.save()
        build_report(comparison, folder.path, dataset)
    return comparison, folder.path


class _Run:
    """The state of a comparison; :meth:`save` writes all of it."""

    def __init__(
        self, config: CompareConfig, names: list[str], dataset: Dataset, folder: RunFolder, monitor: Monitor
    ) -> None:
        self.config = config
        self.names = names
        self.dataset = dataset
        self.folder = folder
        self.monitor = monitor
        self.splits = split_names(dataset)
        self.rows: dict[str, LearnerResult] = {}
        self.answers: dict[str, torch.Tensor] = {}
        self.provenance = provenance(config, dataset.data_hash)
        self.seconds_before = 0.0
        self.began = time.monotonic()

    def start(self) -> None:
        """Write what is known before any training."""
        self.folder.write_config(self.config)
        self.folder.write_json("splits.json", self.splits)
        self.save()

    def read_back(self) -> None:
        """Take over what a stopped comparison had finished."""
        try:
            saved = Comparison.from_dict(json.loads((self.folder.path / RESULT).read_bytes()))
        except FileNotFoundError:  # stopped before its first save
            self.start()
            return
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(
                f"{self.folder.path / RESULT} cannot be read ({error}); start a new comparison"
            ) from None
        if saved.provenance["data_hash"] != self.dataset.data_hash:
            raise DataError(
                f"{self.config.source} is not what it was when {self.folder.path} was started: pictures, labels or "
                "splits have changed, so its learners cannot be compared any more; start a new comparison"
            )
        answers = _read_tensors(self.folder.path / PREDICTIONS)
        self.provenance = saved.provenance
        self.seconds_before = saved.provenance.get("seconds", 0.0)
        for row in saved.learners:
            given = answers.get(f"probabilities/{row.name}")
            if row.name in self.names and (row.reason or given is not None):
                self.rows[row.name] = row
                if given is not None:
                    self.answers[row.name] = given

    def learner(self, name: str) -> None:
        """Everything about one learner that is not done yet."""
        learner = self._judged(name)
        row = self.rows[name]
        for experiment in tuple(row.unfinished):
            if experiment == "shift":
                learner = learner or load_model(self.folder.path / _folder_name(name)).learner
                self._shift(learner, row)
            else:
                self._shuffle(row)
            row.unfinished.remove(experiment)
            self.save()

    def save(self) -> Comparison:
        """Write ``predictions.safetensors`` and ``comparison.json`` as things stand, and give the latter."""
        comparison = self._comparison()
        tensors = {f"probabilities/{name}": answer for name, answer in self.answers.items()}
        # The predictions go first: a row in comparison.json must never lack its predictions.
        write_tensors(self.folder.path / PREDICTIONS, {"labels": self.dataset.test.labels, **tensors})
        write_json(self.folder.path / RESULT, comparison.to_dict())
        return comparison

    def _judged(self, name: str) -> Learner | None:
        """Fit and judge, unless that is done; the learner where it was fitted just now."""
        if name in self.rows:
            return None
        place = f"{self.names.index(name) + 1} of {len(self.names)}"
        folder = RunFolder(self.folder.path / _folder_name(name))
        learner: Learner | None = None
        try:
            learner = self._fresh(name)
            self.monitor.message(f"{name} ({place}): {learner.title}")
            report = self._fit(learner, folder)
            row, answer = judge(learner, self.dataset, report, folder, self.provenance)
        except InterruptedRunError:
            raise
        except StriateError as error:
            row, learner = self._not_judged(name, learner, error), None
        else:
            row.folder = folder.path.name
            row.unfinished = self._experiments()
            self.answers[name] = answer
            self.monitor.message(
                f"{name}: {percent(row.accuracy or 0.0, len(answer))} of the test pictures right"
            )
        self.rows[name] = row
        self.save()
        return learner

    def _fit(self, learner: Learner, folder: RunFolder) -> FitReport:
        folder.path.mkdir(exist_ok=True)
        folder.write_json("splits.json", self.splits)  # so that it is a run folder like any other
        shared = self.config.model_dump(exclude={"models", "shift", "shuffle"})
        config = TrainConfig(**{**shared, "model": learner.name, "out": folder.path})
        folder.write_config(config)
        report = learner.fit(
            self.dataset.train,
            self.dataset.val,
            config,
            monitor=self.monitor,
            folder=folder,
            flip=self.dataset.flip,
        )
        folder.write_config(as_trained(config, report, len(self.dataset.train)))
        return report

    def _not_judged(self, name: str, learner: Learner | None, error: StriateError) -> LearnerResult:
        if isinstance(error, NotApplicableError):
            reason = str(error)
            shutil.rmtree(self.folder.path / _folder_name(name), ignore_errors=True)
        else:  # its folder may hold a good checkpoint, and the log tells what happened
            reason = f"training failed: {error}"
        self.monitor.warn(f"{name} is not judged: {reason}")
        title, kind = (learner.title, learner.kind) if learner else (name, "")
        return LearnerResult(name=name, title=title, kind=kind, reason=reason)

    def _experiments(self) -> list[str]:
        wanted = {"shift": bool(self.config.shift), "shuffle": self.config.shuffle}
        return [name for name, on in wanted.items() if on]

    def _shift(self, learner: Learner, row: LearnerResult) -> None:
        assert self.config.shift is not None
        row.shift = shift_experiment(
            learner, self.dataset.test, self.config.shift, seed=self.config.seed, monitor=self.monitor
        )

    def _shuffle(self, row: LearnerResult) -> None:
        self.monitor.message(f"{row.name}: once more, on shuffled pixels")
        judged = RunFolder.open(self.folder.path / _folder_name(row.name))
        config = TrainConfig(**judged.read_config())
        if row.epochs is not None:
            config = config.model_copy(update={"epochs": row.epochs, "budget": None})
        folder = RunFolder(judged.path / "shuffled")
        folder.path.mkdir(exist_ok=True)
        try:
            row.shuffle = shuffle_experiment(
                lambda: self._fresh(row.name),
                self._as_much_as(row),
                config,
                monitor=self.monitor,
                folder=folder,
            )
        except InterruptedRunError:
            raise
        except StriateError as error:
            row.notes.append(f"on shuffled pixels: {error}")
        shutil.rmtree(folder.checkpoints, ignore_errors=True)

    def _as_much_as(self, row: LearnerResult) -> Dataset:
        """The dataset with no more training pictures than the budget let the first fit see."""
        train = self.dataset.train
        if row.pictures is None or row.pictures >= len(train):
            return self.dataset
        part = train.subset(stratified_sample(train.labels, row.pictures, self.config.seed))
        return replace(self.dataset, train=part)

    def _fresh(self, name: str) -> Learner:
        return create(
            name,
            preprocessing=self.dataset.preprocessing,
            classes=self.dataset.classes,
            train_size=len(self.dataset.train),
            config=self.config,
        )

    def _comparison(self) -> Comparison:
        rows = [self.rows[name] for name in self.names if name in self.rows]
        pending = [name for name in self.names if name not in self.rows]
        seconds = round(self.seconds_before + time.monotonic() - self.began, 3)
        origin = {**self.provenance, "seconds": seconds}
        return summarise(self.config, self.dataset, rows, self.answers, origin, pending)


def _check_early(config: CompareConfig, names: list[str]) -> None:
    """What can be refused before the pictures are read."""
    for name in names:
        check_name(name)
    choose_device(config.device)
    if config.budget is not None:
        parse_duration(config.budget)
    if config.threads:
        torch.set_num_threads(config.threads)


def _check_learners(config: CompareConfig, names: list[str], dataset: Dataset) -> None:
    """Make every learner once, so that a broken one of the user's own is told before hours of training."""
    for name in names:
        try:
            create(
                name,
                preprocessing=dataset.preprocessing,
                classes=dataset.classes,
                train_size=len(dataset.train),
                config=config,
            )
        except NotApplicableError:
            continue  # gets its row later


def _resolved(config: CompareConfig, dataset: Dataset) -> CompareConfig:
    made = dataset.preprocessing
    shift = default_offset(made.width) if config.shift is None else config.shift
    if config.shift is None:
        shift = min(shift, min(made.height, made.width) - 1)
    check_offset(shift, made.height, made.width)
    says_it = made.height == made.width and 8 <= made.width <= 1024  # what the schema can hold
    side = made.width if says_it else config.image_size
    flip = dataset.flip if config.flip is None else config.flip
    return config.model_copy(
        update={"shift": shift, "image_size": side, "channels": made.channels, "flip": flip}
    )


def _folder_name(learner: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", learner)


def _read_tensors(path: Path) -> dict[str, torch.Tensor]:
    try:
        return load_tensors(path.read_bytes())
    except (OSError, SafetensorError):
        return {}


@contextmanager
def _stoppable(path: Path) -> Iterator[None]:
    """Turn Ctrl-C and SIGTERM at any moment into an :class:`InterruptedRunError` that says how to go on."""
    came: list[int] = []

    def stop(number: int, frame: FrameType | None) -> None:
        came.append(number)
        raise KeyboardInterrupt

    main = threading.current_thread() is threading.main_thread()
    before = signal.signal(signal.SIGTERM, stop) if main else None
    try:
        yield
    except (KeyboardInterrupt, InterruptedRunError) as error:
        number = error.exit_code - 128 if isinstance(error, InterruptedRunError) else signal.SIGINT
        raise InterruptedRunError(
            f"stopped; everything finished is saved, continue with: striate compare --resume {shlex.quote(str(path))}",
            came[-1] if came else number,
        ) from None
    finally:
        if main:
            signal.signal(signal.SIGTERM, before)
