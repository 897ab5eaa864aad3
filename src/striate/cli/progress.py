"""What a person, a log file or nobody sees of a long job. Everything goes to stderr."""

from __future__ import annotations

import os
import sys
import time
from collections import deque
from collections.abc import Mapping
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any

from striate.data.naming import shown
from striate.train.monitor import Monitor
from striate.verdict.units import duration, file_size

REDRAW_SECONDS = 0.1
HEARTBEAT_SECONDS = 30.0
BAR_NEEDS = 100  # columns; on a narrower terminal the figures matter more
FIGURES = {
    "epoch": "epoch {epoch}/{epochs}",
    "train_loss": "loss {train_loss:.3f}",
    "train_accuracy": "accuracy {train_accuracy:.1%}",
    "val_loss": "val loss {val_loss:.3f}",
    "val_accuracy": "val accuracy {val_accuracy:.1%}",
    "images_per_second": "{images_per_second:,.0f} pictures/s",
    "data_wait": "data wait {data_wait:.0%}",
}
SHORT = {  # of a line that should fit on a terminal
    "epoch": "{epoch}/{epochs}",
    "train_loss": "loss {train_loss:.3f}",
    "train_accuracy": "acc {train_accuracy:.1%}",
    "val_accuracy": "val {val_accuracy:.1%}",
    "images_per_second": "{images_per_second:,.0f}/s",
    "data_wait": "wait {data_wait:.0%}",
}


class WatchedMonitor(Monitor, AbstractContextManager["WatchedMonitor"]):
    """A monitor to be used in a ``with`` block, which leaves the terminal as it was."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None


def watch(quiet: bool) -> WatchedMonitor:
    """The monitor that suits stderr: live on a terminal, plain lines elsewhere; only warnings if ``quiet``."""
    if quiet:
        return QuietMonitor()
    if sys.stderr.isatty() and os.environ.get("TERM") != "dumb":
        return RichMonitor()
    return PlainMonitor()


class QuietMonitor(WatchedMonitor):
    """Silent but for warnings, which ask the user to act."""

    def warn(self, text: str) -> None:
        _line(f"warning: {text}")


class PlainMonitor(WatchedMonitor):
    """A line per job and epoch, and a sign of life in between; no control characters."""

    def __init__(self) -> None:
        self._job: Job | None = None

    def begin(self, title: str, total: int, unit: str = "pictures") -> None:
        self._job = Job(title, total, unit)

    def advance(self, done: int, **figures: float) -> None:
        job = self._job
        if job is None:
            return
        job.advance(done, figures)
        if time.monotonic() - job.spoke > HEARTBEAT_SECONDS:
            self._say(job, [f"{job.share():.0%}", *job.told()])

    def epoch(self, record: dict[str, Any]) -> None:
        if self._job:
            self._job.last.update(record)
            self._job.spoke_of_epochs = True
            self._say(self._job, self._job.told())

    def message(self, text: str) -> None:
        _line(text)

    def warn(self, text: str) -> None:
        _line(f"warning: {text}")

    def end(self) -> None:
        if self._job and not self._job.spoke_of_epochs:
            self._say(self._job, [self._job.summary()])
        self._job = None

    def _say(self, job: Job, parts: list[str]) -> None:
        job.spoke = time.monotonic()
        _line(f"{job.title}: {', '.join(parts)}")


class RichMonitor(WatchedMonitor):
    """A bar for the running job: epoch, loss, accuracy, pictures a second, data wait, time left."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TextColumn

        self._console = Console(stderr=True, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}", markup=False, style="bold"),
            *([BarColumn(bar_width=16)] if self._console.width >= BAR_NEEDS else []),
            TextColumn("{task.percentage:3.0f}%"),
            TextColumn("{task.fields[figures]}", markup=False),
            console=self._console,
            transient=True,
            refresh_per_second=5,
        )
        self._job: Job | None = None

    def begin(self, title: str, total: int, unit: str = "pictures") -> None:
        self._clear()
        self._job = Job(title, total, unit)
        self._progress.add_task(shown(title), total=total or None, figures="")
        self._progress.start()

    def advance(self, done: int, **figures: float) -> None:
        job = self._job
        if job is None:
            return
        job.advance(done, figures)
        if time.monotonic() - job.spoke > REDRAW_SECONDS:
            job.spoke = time.monotonic()
            figures_now = "  ".join(job.told(SHORT))
            self._progress.update(self._progress.task_ids[0], completed=done, figures=figures_now)

    def epoch(self, record: dict[str, Any]) -> None:
        if self._job:
            self._job.last.update(record)

    def message(self, text: str) -> None:
        self._print(text, "")

    def warn(self, text: str) -> None:
        self._print(f"warning: {text}", "yellow")

    def end(self) -> None:
        job = self._job
        self._clear()
        if job:
            self._print(f"✓ {job.title}: {job.summary()}", "dim")

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._clear()

    def _clear(self) -> None:
        """Take the bar off the screen."""
        self._progress.stop()
        for task in self._progress.task_ids:
            self._progress.remove_task(task)
        self._job = None

    def _print(self, text: str, style: str) -> None:
        from rich.text import Text

        self._console.print(Text(shown(text), style=style), soft_wrap=True)


class Job:
    """How far one job is, how fast it goes and what it last said of itself."""

    def __init__(self, title: str, total: int, unit: str) -> None:
        self.title, self.total, self.unit = title, total, unit
        self.done = 0
        self.last: dict[str, Any] = {}
        self.spoke_of_epochs = False
        self.began = self.spoke = time.monotonic()
        # A resumed job starts in the middle, so speed counts from the first advance on.
        self._samples: deque[tuple[float, int]] = deque(maxlen=200)

    def advance(self, done: int, figures: Mapping[str, Any]) -> None:
        """``done`` units so far, with the newest figures."""
        self.done = done
        self.last.update(figures)
        now = time.monotonic()
        if not self._samples or now - self._samples[-1][0] > REDRAW_SECONDS:
            self._samples.append((now, done))

    def share(self) -> float:
        """0…1 of the whole."""
        return min(1.0, self.done / self.total) if self.total else 1.0

    def rate(self) -> float | None:
        """Units a second over the last samples; ``None`` while unknown."""
        if len(self._samples) < 2:
            return None
        (start, before), (stop, after) = self._samples[0], self._samples[-1]
        return (after - before) / (stop - start)

    def told(self, words: Mapping[str, str] = FIGURES) -> list[str]:
        """The newest figures and the time left, in words."""
        parts = told(self.last, words)
        rate, left = self.rate(), self.total - self.done
        if rate and "images_per_second" not in self.last:
            parts.append(f"{quantity(rate, self.unit)}/s")
        if rate and left > 0:
            parts.append(f"{duration(left / rate)} left")
        return parts

    def summary(self) -> str:
        """What remains to be said of a finished job."""
        seconds = duration(time.monotonic() - self.began)
        if "epochs" not in self.last:
            return f"{quantity(self.done, self.unit)} in {seconds}"
        judged = {key: self.last[key] for key in ("val_accuracy",) if key in self.last}
        return ", ".join([f"{self.last['epochs']} epochs in {seconds}", *told(judged)])


def told(figures: Mapping[str, Any], words: Mapping[str, str] = FIGURES) -> list[str]:
    """What training says of itself; the keys are those of ``log.jsonl``.

    >>> told({"epoch": 3, "epochs": 10, "train_loss": 0.5, "val_accuracy": 0.913})
    ['epoch 3/10', 'loss 0.500', 'val accuracy 91.3%']
    """
    return [text.format_map(figures) for key, text in words.items() if key in figures]


def quantity(number: float, unit: str) -> str:
    """A number with its unit.

    >>> quantity(12345, "pictures"), quantity(3_400_000, "bytes")
    ('12,345 pictures', '3.40 MB')
    """
    return file_size(round(number)) if unit == "bytes" else f"{number:,.0f} {unit}"


def _line(text: str) -> None:
    print(shown(text), file=sys.stderr, flush=True)
