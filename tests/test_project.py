"""The project's files agree with each other, and the package keeps its promises about imports."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import striate
import striate.__main__

ROOT = Path(__file__).resolve().parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PINS = {
    name: Version(version)
    for name, version in re.findall(
        r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text("utf-8"), re.M
    )
}


def requirements() -> list[Requirement]:
    project = PYPROJECT["project"]
    listed = [*PYPROJECT["build-system"]["requires"], *project["dependencies"]]
    listed += [line for extra in project["optional-dependencies"].values() for line in extra]
    return [found for line in listed if (found := Requirement(line)).name != "striate"]


def make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))


def modules_after(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return set(done.stdout.split())


def test_the_module_is_the_command():
    for module in (["-m", "striate"], [str(striate.__main__.__file__)]):
        command = [sys.executable, *module, "--version"]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        assert striate.__version__ in done.stdout


def test_newest_entry_of_the_changelog_is_the_version():
    newest = re.search(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert newest and newest[1] == striate.__version__


@pytest.mark.parametrize("requirement", requirements(), ids=str)
def test_tested_versions_satisfy_the_ranges(requirement: Requirement):
    assert requirement.name.lower() in PINS, "not pinned in constraints.txt"
    assert requirement.specifier.contains(PINS[requirement.name.lower()])


def test_constraints_hold_nothing_but_pins():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    odd = [
        line for line in lines if not line.startswith("#") and not re.fullmatch(r"[a-z0-9.-]+==[\w.]+", line)
    ]
    assert not odd


@pytest.mark.parametrize(
    "document", ["README.md", *(str(p.relative_to(ROOT)) for p in ROOT.glob("docs/**/*.md"))]
)
def test_documents_name_only_targets_and_files_that_exist(document: str):
    text = (ROOT / document).read_text(encoding="utf-8")
    unknown = set(re.findall(r"(?:^|`)(?:\$ )?make ([a-z]+)", text, re.M)) - make_targets()
    assert not unknown, f"{document} names make targets that do not exist"
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", text, flags=re.M | re.S)  # C++ has ]( too
    linked = re.findall(r"\]\((?!https?:|#|mailto:)([^)#\s]+)", prose)
    assert not [link for link in linked if not (ROOT / document).parent.joinpath(link).exists()]


def test_make_lists_its_targets():
    done = subprocess.run(["make", "-C", str(ROOT), "help"], check=True, capture_output=True, text=True)
    for target in ("demo", "test", "isa", "sanitize", "check", "bench", "data", "clean"):
        assert f"make {target}" in done.stdout


def test_licence_is_the_whole_text():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "END OF TERMS AND CONDITIONS" in text


def test_import_loads_nothing_heavier_than_torch():
    heavy = {"torchvision", "sklearn", "skimage", "matplotlib", "pydantic", "pandas", "PIL", "typer", "rich"}
    assert not modules_after("import striate") & heavy


def test_help_loads_no_torch():
    heavy = {"torch", "numpy", "sklearn", "skimage", "matplotlib"}
    assert not modules_after("import striate.cli, striate.train.config") & heavy


def test_torchvision_is_never_imported():
    pattern = re.compile(r"^\s*(?:import|from) torchvision\b", re.M)
    users = [path for path in ROOT.glob("src/**/*.py") if pattern.search(path.read_text(encoding="utf-8"))]
    assert not users


def test_setup_says_what_is_missing(tmp_path: Path):
    command = [str(ROOT / "tools" / "setup.sh"), "no-such-python", str(tmp_path / "venv"), "."]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "'no-such-python' was not found: install Python 3.11 or newer" in done.stderr


def test_setup_refuses_an_old_python(tmp_path: Path):
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2 && exit 0\nexit 1\n')
    old.chmod(0o755)
    command = [str(ROOT / "tools" / "setup.sh"), str(old), str(tmp_path / "venv"), "."]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1 and not (tmp_path / "venv").exists()
    assert "Python 3.9.2 is too old: Striate needs Python 3.11 or newer" in done.stderr


def test_benchmark_page_says_what_the_results_say():
    command = [sys.executable, str(ROOT / "benchmarks" / "report.py"), "--check"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("ci, code", [("true", 1), ("", 0)])
def test_missing_program_is_an_error_only_in_ci(tmp_path: Path, ci: str, code: int):
    nobody = tmp_path / "id"
    nobody.write_text("#!/bin/sh\necho 1000\n")
    nobody.chmod(0o755)
    command = ["/bin/bash", str(ROOT / "tools" / "system_deps.sh"), "chromium"]
    environment = {"PATH": str(tmp_path), "CI": ci}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == code
    assert done.stderr == "striate: chromium is missing; on Debian or Ubuntu: sudo apt-get install chromium\n"
