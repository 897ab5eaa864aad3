"""``striate train``: one learner on one source, judged on the test split."""

from __future__ import annotations

import time
from pathlib import Path

import torch

from striate.data.load import load_dataset, split_names
from striate.data.pictures import Dataset
from striate.errors import DataError
from striate.models.learner import FitReport, Learner
from striate.models.registry import check_name, create
from striate.report.build import build_report
from striate.train.checkpoint import write_json, write_tensors
from striate.train.config import TrainConfig
from striate.train.monitor import Monitor
from striate.train.provenance import provenance
from striate.train.run_folder import RunFolder, default_out
from striate.train.schedule import parse_duration
from striate.train.settings import as_trained, choose_device
from striate.verdict.judge import judge
from striate.verdict.results import PREDICTIONS, RESULT, Comparison
from striate.verdict.summary import summarise

DATA = "data.json"


def train_run(config: TrainConfig, monitor: Monitor, resume: Path | None = None) -> tuple[Comparison, Path]:
    """Train the learner ``config.model`` and judge it.

    The folder ends with ``config.yaml`` (every choice made), ``splits.json``, ``log.jsonl``,
    ``checkpoints/``, ``model.safetensors`` + ``model.json``, ``predictions.safetensors``,
    ``comparison.json`` (of the one learner) and ``report.html``.

    Args:
        config: the settings.
        monitor: is told of progress.
        resume: folder of a stopped run with these settings; it continues from its newest valid
            checkpoint and ends with the same weights as an uninterrupted run.

    Returns:
        the result, and the run's folder.

    Raises:
        UsageError: an unknown model or a folder that cannot be used.
        DataError: the pictures cannot be trained on, or are not those of the run to resume.
        InterruptedRunError: Ctrl-C or SIGTERM; a checkpoint is saved.
        StriateError: the loss is no longer finite.
    """
    began = time.monotonic()
    check_name(config.model)
    choose_device(config.device)
    if config.budget is not None:
        parse_duration(config.budget)
    if config.threads:
        torch.set_num_threads(config.threads)
    if resume is None and config.out:
        RunFolder.check_free(config.out)
    dataset = load_dataset(config, monitor)
    learner = create(
        config.model,
        preprocessing=dataset.preprocessing,
        classes=dataset.classes,
        train_size=len(dataset.train),
        config=config,
    )
    folder = _open_folder(config, dataset, resume)
    monitor.message(f"{learner.name}: {learner.title}")
    report = learner.fit(
        dataset.train, dataset.val, config, monitor=monitor, folder=folder, flip=dataset.flip
    )
    config = as_trained(config, report, len(dataset.train)).model_copy(update={"out": folder.path})
    folder.write_config(config)
    comparison = _judged(config, dataset, learner, report, folder, began)
    build_report(comparison, folder.path, dataset)
    return comparison, folder.path


def _open_folder(config: TrainConfig, dataset: Dataset, resume: Path | None) -> RunFolder:
    if resume is None:
        folder = RunFolder.create(config.out or default_out(config.model.split(":")[-1], config.source))
        folder.write_config(config.model_copy(update={"out": folder.path}))
    else:
        folder = RunFolder.open(resume)
    if not (folder.path / DATA).exists():  # new, or killed before anything was learned
        folder.write_json("splits.json", split_names(dataset))
        folder.write_json(DATA, {"data_hash": dataset.data_hash, "classes": dataset.classes})
    elif folder.read_json(DATA).get("data_hash") != dataset.data_hash:
        raise DataError(
            f"{config.source} is not what it was when {resume} was started: pictures, labels or splits"
            " have changed; start a new run"
        )
    return folder


def _judged(
    config: TrainConfig,
    dataset: Dataset,
    learner: Learner,
    report: FitReport,
    folder: RunFolder,
    began: float,
) -> Comparison:
    origin = provenance(config, dataset.data_hash)
    row, answers = judge(learner, dataset, report, folder, origin)
    row.folder = "."
    origin["seconds"] = round(time.monotonic() - began, 3)
    comparison = summarise(config, dataset, [row], {row.name: answers}, origin)
    tensors = {"labels": dataset.test.labels, f"probabilities/{row.name}": answers}
    write_tensors(folder.path / PREDICTIONS, tensors)
    write_json(folder.path / RESULT, comparison.to_dict())
    return comparison
