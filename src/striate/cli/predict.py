"""``striate predict``: labels for pictures that have none."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli.flags import OUTPUT, Json, Quiet, Run
from striate.cli.progress import watch
from striate.errors import DataError, UsageError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from striate.cli._tables import Prediction
    from striate.train.monitor import Monitor
    from striate.train.run_folder import SavedModel

BATCH = 256

Paths = Annotated[
    list[Path], typer.Argument(metavar="PATHS…", help="Pictures, and folders of them.", show_default=False)
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--out", "-o", metavar="FILE", help="Write a .csv, .json or .parquet file.", rich_help_panel=OUTPUT
    ),
]
Force = Annotated[
    bool, typer.Option("--force", help="Replace the file of --out if it exists.", rich_help_panel=OUTPUT)
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(predict)


def predict(
    run: Run, paths: Paths, out: Out = None, force: Force = False, as_json: Json = False, quiet: Quiet = False
) -> int:
    """Label pictures with a finished run.

    Gives for every picture its path, label and probability, and the runner-up with its own. Unreadable
    files are listed on stderr and make the exit code 3. On a terminal it prints a table, on a pipe CSV.

    Examples
      striate predict runs/cnn-digits-20260101-120000 scan.png
      striate predict runs/compare-photos/hog inbox/ --out labels.csv
      striate predict runs/compare-photos/hog inbox/ --json | jq .predictions
    """
    if out:
        check_destination(out, force)
    from striate.cli import _tables as tables
    from striate.cli._results import writing
    from striate.train.run_folder import load_model

    model = load_model(run)
    files = list(picture_files(paths))
    bad: list[tuple[str, str]] = []
    with watch(quiet) as monitor:
        monitor.begin(f"asking {model.learner.name}", len(files))
        batches = _batches(files, model, bad, monitor)
        predictions = [prediction for batch in batches for prediction in _classify(model, batch)]
        monitor.end()
    if out:
        with writing(out):
            tables.write(out, predictions, bad, run)
        print(f"{len(predictions):,} predictions written to {out}", file=sys.stderr)
    if as_json:
        print(tables.as_json(predictions, bad, run))
    elif not out:
        tables.show(predictions)
    if not bad:
        return 0
    lines = [f"{path}: {reason}" for path, reason in bad]
    raise DataError("\n".join([*lines, f"{len(bad):,} of {len(files):,} files could not be read"]))


def check_destination(out: Path, force: bool) -> None:
    """Find out before the work whether ``out`` can be written.

    Raises:
        UsageError: its ending is not known or needs pyarrow, it exists and ``force`` is not given, or its folder is
            not there or not writable.
    """
    from striate.cli._tables import FORMATS, import_pyarrow

    if out.suffix.lower() not in FORMATS:
        raise UsageError(f"--out {out}: wanted a name that ends in {', '.join(FORMATS)}")
    if out.suffix.lower() == ".parquet":
        import_pyarrow()
    if out.is_dir():
        raise UsageError(f"--out {out}: is a folder; name a file in it")
    if out.exists() and not force:
        raise UsageError(f"--out {out}: exists; choose another name, or --force to replace it")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: the folder {out.parent} does not exist; make it first")
    if not os.access(out.parent, os.W_OK):
        raise UsageError(f"--out {out}: no permission to write to {out.parent}; choose another folder")


def picture_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Every file among ``paths`` and every picture in the folders among them, each once, in order.

    Hidden files and folders, and files that are no pictures by their name, are left out of folders; a
    file that is named itself is taken as it is.

    Raises:
        UsageError: a path does not exist.
        DataError: a folder holds no picture.
    """
    seen: set[Path] = set()
    for path in paths:
        if not path.exists():
            raise UsageError(f"{path}: no such file or folder")
        found = _in_folder(path) if path.is_dir() else [path]
        if not found:
            raise DataError(f"{path}: no pictures in this folder or below it")
        for file in found:
            if file not in seen:
                seen.add(file)
                yield file


def _in_folder(folder: Path) -> list[Path]:
    from striate.data.decode import EXTENSIONS
    from striate.data.naming import natural_key

    files = []
    for place, folders, names in os.walk(folder):
        folders[:] = sorted((name for name in folders if not name.startswith(".")), key=natural_key)
        pictures = (n for n in names if not n.startswith(".") and Path(n).suffix.lower() in EXTENSIONS)
        files += [Path(place, name) for name in sorted(pictures, key=natural_key)]
    return files


def _batches(
    files: list[Path], model: SavedModel, bad: list[tuple[str, str]], monitor: Monitor
) -> Iterator[dict[str, NDArray[np.uint8]]]:
    """Decoded pictures by path, in order; what cannot be read goes to ``bad`` with the reason."""
    from striate.data.load import decode_files

    batch: dict[str, NDArray[np.uint8]] = {}
    for done, (path, decoded) in enumerate(decode_files(files, model.preprocessing), start=1):
        if isinstance(decoded, Exception):
            bad.append((str(path), str(decoded)))
        else:
            batch[str(path)] = decoded
        if len(batch) == BATCH:
            yield batch
            batch = {}
        monitor.advance(done)
    if batch:
        yield batch


def _classify(model: SavedModel, batch: dict[str, NDArray[np.uint8]]) -> Iterator[Prediction]:
    """One prediction per picture."""
    import numpy as np
    import torch

    from striate.cli._tables import Prediction
    from striate.verdict.measure import probabilities

    pixels = torch.from_numpy(np.stack(list(batch.values())))
    best = probabilities(model.learner, pixels, len(model.classes)).topk(2)
    for path, chances, labels in zip(batch, best.values.tolist(), best.indices.tolist(), strict=True):
        first, second = (model.classes[label] for label in labels)
        yield Prediction(path, first, chances[0], second, chances[1])
