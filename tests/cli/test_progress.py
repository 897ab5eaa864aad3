"""What each monitor lets through, and that the terminal is left as it was."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from striate.cli import progress
from striate.cli.progress import Job, PlainMonitor, QuietMonitor, RichMonitor, WatchedMonitor, watch

RECORD: dict[str, Any] = {
    "epoch": 1,
    "epochs": 2,
    "train_loss": 0.5,
    "train_accuracy": 0.75,
    "images_per_second": 1234.5,
    "data_wait": 0.02,
    "val_loss": 0.4,
    "val_accuracy": 0.8,
}


class Terminal(io.StringIO):
    """A terminal that remembers what it was sent."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def use_terminal(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    """Not a fixture: pytest puts its own stderr in place after the fixtures."""
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "100")
    return screen


def work(monitor: WatchedMonitor) -> None:
    with monitor:
        monitor.message("cnn: [bold] net\x1b[31m")
        monitor.begin("reading", 10)
        monitor.advance(10)
        monitor.end()
        monitor.begin("failed", 3, "files")
        monitor.advance(2)
        monitor.begin("training", 200)
        for epoch in (1, 2):
            figures: dict[str, Any] = {**RECORD, "epoch": epoch}
            monitor.epoch(figures)
            monitor.advance(epoch * 100, **figures)
        monitor.warn("two classes\nare small")
        monitor.end()


def test_plain_lines(capsys: pytest.CaptureFixture[str]):
    work(PlainMonitor())
    out, err = capsys.readouterr()
    assert not out
    lines = err.splitlines()
    assert [line.partition(":")[0] for line in lines] == [
        "cnn",
        "reading",
        "training",
        "training",
        "warning",
    ]
    assert lines[0] == "cnn: [bold] net\\x1b[31m"
    assert lines[1].startswith("reading: 10 pictures in 0.0")
    assert lines[2] == (
        "training: epoch 1/2, loss 0.500, accuracy 75.0%, val loss 0.400, val accuracy 80.0%, "
        "1,234 pictures/s, data wait 2%"
    )
    assert lines[4] == "warning: two classes\\nare small"
    assert all(line.isprintable() for line in lines)


def test_quiet_tells_only_warnings(capsys: pytest.CaptureFixture[str]):
    work(QuietMonitor())
    out, err = capsys.readouterr()
    assert (out, err) == ("", "warning: two classes\\nare small\n")


def test_live(monkeypatch: pytest.MonkeyPatch):
    terminal = use_terminal(monkeypatch)
    work(RichMonitor())
    text = terminal.getvalue()
    assert "✓ training: 2 epochs in" in text and "val accuracy 80.0%" in text
    assert "✓ failed" not in text
    assert "[bold] net\\x1b[31m" in text  # neither markup nor control characters of the text act
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") >= 1  # the cursor is back


def test_live_shows_the_figures(monkeypatch: pytest.MonkeyPatch):
    terminal = use_terminal(monkeypatch)
    monkeypatch.setattr(progress, "REDRAW_SECONDS", -1.0)
    with RichMonitor() as monitor:
        monitor.begin("training", 200)
        monitor.advance(50)
        monitor.advance(100, **RECORD)
        monitor._progress.refresh()
        monitor.end()
    text = terminal.getvalue()
    for figure in ("50%", "1/2", "loss 0.500", "acc 75.0%", "val 80.0%", "1,234/s", "wait 2%", "left"):
        assert figure in text


def test_an_error_gives_the_cursor_back(monkeypatch: pytest.MonkeyPatch):
    terminal = use_terminal(monkeypatch)
    with pytest.raises(KeyboardInterrupt), RichMonitor() as monitor:
        monitor.begin("training", 100)
        raise KeyboardInterrupt
    text = terminal.getvalue()
    assert text.count("\x1b[?25l") == text.count("\x1b[?25h") == 1


def test_stray_events_do_no_harm():
    for monitor in (PlainMonitor(), QuietMonitor(), RichMonitor()):
        with monitor:
            monitor.advance(1)
            monitor.epoch(RECORD)
            monitor.end()


def test_choice_of_the_face(monkeypatch: pytest.MonkeyPatch):
    use_terminal(monkeypatch)
    assert isinstance(watch(quiet=False), RichMonitor)
    assert isinstance(watch(quiet=True), QuietMonitor)
    monkeypatch.setenv("TERM", "dumb")
    assert isinstance(watch(quiet=False), PlainMonitor)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    monkeypatch.setenv("TERM", "xterm")
    assert isinstance(watch(quiet=False), PlainMonitor)


def test_speed_of_a_resumed_job_counts_from_where_it_resumed(monkeypatch: pytest.MonkeyPatch):
    clock = [100.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    job = Job("training", 20_000, "pictures")
    for done in (10_000, 11_000, 12_000):
        clock[0] += 1
        job.advance(done, {})
    assert job.rate() == pytest.approx(1000)
    assert job.told() == ["1,000 pictures/s", "8.0 s left"]


def test_sign_of_life(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    monitor = PlainMonitor()
    monitor.begin("reading", 100)
    for done in range(0, 101, 10):
        monitor.advance(done)
        clock[0] += 8
    monitor.end()
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "reading: 40%, 1 pictures/s, 48 s left",
        "reading: 80%, 1 pictures/s, 16 s left",
        "reading: 100 pictures in 1 min 28 s",
    ]


def test_downloads_are_told_in_bytes(capsys: pytest.CaptureFixture[str]):
    monitor = PlainMonitor()
    monitor.begin("downloading mnist", 11_594_722, "bytes")
    monitor.advance(11_594_722)
    monitor.end()
    assert capsys.readouterr().err.startswith("downloading mnist: 11.6 MB in 0.0")
