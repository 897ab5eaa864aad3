"""Whatever is raised becomes plain lines, each with what to do, and the right exit code."""

from __future__ import annotations

import errno
import os
import re
import signal
from pathlib import Path

import pytest
import typer

from striate.cli import _failures, main
from striate.cli._failures import explain, report
from striate.errors import DataError, InterruptedRunError, StriateError, UsageError


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.delenv("STRIATE_DEBUG", raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("error", "code", "pattern"),
    [
        (StriateError("no luck"), 1, "no luck"),
        (UsageError("a\nb"), 2, "a\nb"),
        (DataError("bad.png: empty"), 3, "bad.png: empty"),
        (InterruptedRunError("saved", signal.SIGTERM), 143, "saved"),
        (KeyboardInterrupt(), 130, "stopped by Ctrl-C"),
        (MemoryError(), 1, "out of memory: .*--batch-size"),
        (
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried"),
            1,
            "out of memory: .*--batch-size",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device", "runs/x/model.json"),
            1,
            "no space left on the disk of runs/x/model.json: free",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), 1, "no space left on the disk: .*--out"),
        (OSError(errno.EFBIG, "File too large", "x"), 1, "no space left on the disk of x: "),
        (PermissionError(errno.EACCES, "Permission denied", "/root/x"), 1, "no permission for /root/x: "),
        (
            OSError(errno.EROFS, "Read-only file system", "/ro/x"),
            1,
            "/ro/x is on a read-only file system: .*--out",
        ),
        (OSError(errno.EMFILE, "Too many open files", "x"), 1, "too many open files: .*ulimit"),
        (OSError(errno.EIO, "Input/output error", "/dev/x"), 1, "/dev/x: input/output error"),
        (OSError(errno.ENOENT, "No such file", b"/bytes"), 1, "/bytes: no such file or directory"),
        (RuntimeError("I/O error: No space left on device (os error 28)"), 1, "no space left"),
    ],
)
def test_lines_and_codes(error: BaseException, code: int, pattern: str):
    message, given = explain(error, [])
    assert given == code
    assert re.match(pattern, message)


def test_gpu_out_of_memory_is_known_by_its_name():
    torch = pytest.importorskip("torch")
    assert "out of memory" in explain(torch.OutOfMemoryError("CUDA out of memory."), [])[0]


def test_a_bug_is_saved_and_told_in_one_line(temporary: Path, capsys: pytest.CaptureFixture[str]):
    try:
        raise ZeroDivisionError("division by zero\nsecond line")
    except ZeroDivisionError as error:
        assert report(error, ["train", "caf\udce9"]) == 1
    out, err = capsys.readouterr()
    assert not out and len(err.splitlines()) == 1 and "Traceback" not in err
    assert err.startswith(
        "striate: error: unexpected ZeroDivisionError: division by zero; this is a bug in Striate"
    )
    (saved,) = temporary.glob("striate-error-*.txt")
    assert err.rstrip().endswith(str(saved))
    text = saved.read_text(encoding="utf-8")
    assert "Traceback (most recent call last)" in text and "second line" in text
    assert "arguments: ['train', 'caf\\udce9']" in text and "Python 3" in text


def test_a_bug_that_cannot_be_saved(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("tempfile.tempdir", "/nowhere")
    assert report(ZeroDivisionError(), []) == 1
    assert "run again with STRIATE_DEBUG=1" in capsys.readouterr().err


def test_debugging_shows_the_traceback(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("STRIATE_DEBUG", "1")
    try:
        raise UsageError("look here")
    except UsageError as error:
        assert report(error, []) == 2
    err = capsys.readouterr().err
    assert "Traceback (most recent call last)" in err and err.endswith("striate: error: look here\n")


def test_names_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]):
    report(DataError("\x1b[2Jcls\r\x07\u202e.png: empty"), [])
    err = capsys.readouterr().err
    assert err == "striate: error: \\x1b[2Jcls\\r\\x07\\u202e.png: empty\n"


def test_a_broken_file_is_not_taken_for_ctrl_d():
    abort = typer.Abort()
    abort.__cause__ = EOFError("Compressed file ended before the end-of-stream marker was reached")
    assert "EOFError" in explain_abort(abort)


def explain_abort(abort: typer.Abort) -> str:
    return explain(_failures.cause(abort), [])[0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["trian"], "no such command 'trian'; did you mean 'train'?"),
        (["zzz"], "no such command 'zzz'; see striate --help"),
        (["train", "digits", "--epoch", "3"], "--epoch: no such flag; did you mean --epochs?"),
        (["train", "digits", "--zzz"], "--zzz: no such flag; see striate train --help"),
        (["train", "digits", "-z"], "-z: no such flag; see striate train --help"),
        (["train", "digits", "more"], "got unexpected extra argument(s) (more); see striate train --help"),
        (["train", "digits", "--epochs"], "option '--epochs' requires an argument"),
        (["train"], "SOURCE is missing: name digits"),
        (["predict"], "RUN is missing; see striate predict --help"),
        (["predict", "x"], "PATHS… is missing; see striate predict --help"),
        (["evaluate", "x"], "SOURCE is missing: name digits"),
        (["--zzz"], "--zzz: no such flag; see striate --help"),
        (
            ["train", "digits", "--config", "/no/such.yaml"],
            "/no/such.yaml: cannot be read, no such file or directory",
        ),
    ],
)
def test_wrong_usage(arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]):
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.startswith(f"striate: error: {message}")
    assert len(err.splitlines()) == 1


def test_a_line_for_each_problem(capsys: pytest.CaptureFixture[str]):
    assert main(["train", "x", "--epochs", "0", "--fit", "crap"]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and all(line.startswith("striate: error: --") for line in lines)


def test_without_a_verb_the_help_is_shown(capsys: pytest.CaptureFixture[str]):
    assert main([]) == 2
    out, err = capsys.readouterr()
    assert "Verbs" in out and not err


def test_exit_code_of_a_closed_pipe_is_quiet(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def broken(arguments: list[str]) -> int:
        raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    monkeypatch.setattr("striate.cli._run", broken)
    assert main(["train"]) == 1
    assert capsys.readouterr().err == ""
