"""JPEGs of 1600 x 1200 to training tensors: Striate against Pillow in a torch DataLoader.

Pieces of scikit-image's photos, enlarged, grained and saved at quality 90, lie in a temporary folder
under as many names as asked for. Every contender makes the same uint8 tensor of a chunk, centre
cropped and antialiased; chunk by chunk they take turns in one process, in rotating order. Striate
decodes as it does before training, with its cache empty: reading, hashing and writing the cache are
in its time. Pillow decodes whole pictures, as nearly everyone's datasets do, or with ``draft()``, its
scaling in the DCT domain; both in two persistent workers.

No figure is reported unless every distinct picture agrees with Pillow's own full decode and bicubic
resize: 0.6 grey levels on average, 12 at most.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from PIL import Image
from skimage import data
from torch.utils.data import DataLoader, Dataset, Sampler

from stamp import installed, write_result
from striate.data.decode import decode
from striate.data.pictures import Preprocessing
from striate.data.source import Source
from striate.data.store import available_cores, decode_all
from striate.train.monitor import Monitor

WIDTH, HEIGHT = 1600, 1200
DISTINCT = 36
WORKERS = 2
BATCH = 50
MEAN_DIFFERENCE, LARGEST_DIFFERENCE = 0.6, 12  # grey levels
PHOTOS = (data.astronaut, data.chelsea, data.coffee, data.rocket, data.retina, data.hubble_deep_field)


def main() -> None:
    """Make the pictures, check, race, print, record."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--pictures", type=int, default=5000)
    parser.add_argument("--chunk", type=int, default=250, help="pictures between two turns")
    parser.add_argument("--sizes", type=int, nargs="+", default=[96, 224])
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="striate-jpeg-") as name:
        folder = Path(name)
        os.environ["STRIATE_CACHE"] = str(folder / "cache")
        paths = make_pictures(folder / "pictures", options.pictures)
        for size in options.sizes:
            row = {
                **measure(paths, size, options.chunk, folder / "cache"),
                "simplejpeg": installed("simplejpeg"),
            }
            if not options.no_record:
                print("recorded in", write_result("jpeg_loading", row))


def make_pictures(folder: Path, count: int) -> list[Path]:
    """``count`` files of a few dozen different photos."""
    folder.mkdir()
    files = [encode(picture) for picture in pieces()]
    paths = [folder / f"{i:05}.jpg" for i in range(count)]
    for i, path in enumerate(paths):
        path.write_bytes(files[i % len(files)])
    size = np.mean([len(content) for content in files])
    print(f"{count:,} JPEGs of {WIDTH} x {HEIGHT}, {size / 1000:.0f} kB each, {len(files)} different ones")
    return paths


def pieces() -> Iterator[np.ndarray]:
    """Different pieces of photos at full size, with the grain that enlarging took."""
    random = np.random.default_rng(0)
    photos = [photo() for photo in PHOTOS]
    for i in range(DISTINCT):
        photo = photos[i % len(photos)]
        share = random.uniform(0.5, 1)
        height = int(min(photo.shape[0], photo.shape[1] * HEIGHT / WIDTH) * share)
        width = height * WIDTH // HEIGHT
        top, left = (
            int(random.integers(0, limit - side + 1))
            for limit, side in zip(photo.shape[:2], (height, width), strict=True)
        )
        piece = Image.fromarray(photo[top : top + height, left : left + width])
        large = np.asarray(piece.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS), np.float32)
        grain = random.normal(0, 4, large.shape).astype(np.float32)
        yield (large + grain).clip(0, 255).astype(np.uint8)


def encode(pixels: np.ndarray) -> bytes:
    """A JPEG as a camera saves it: quality 90, chroma halved."""
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90, subsampling="4:2:0")
    return buffer.getvalue()


def measure(paths: list[Path], size: int, chunk: int, cache: Path) -> dict[str, Any]:
    """The row to record for one size."""
    mean, largest = check(paths[:DISTINCT], size)
    plain, draft = PillowLoader(paths, size, draft=False), PillowLoader(paths, size, draft=True)
    contenders: dict[str, Callable[[range], torch.Tensor]] = {
        "striate": lambda places: ours([paths[i] for i in places], size),
        "pillow": plain,
        "pillow, draft": draft,
    }
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    warm = range(min(BATCH, len(paths)))
    for load in (plain, draft):  # their workers start before any other thread does
        load(warm)
    ours([paths[i] for i in warm], size)
    starts = range(0, len(paths) - chunk + 1, chunk)
    for number, start in enumerate(starts):
        names = list(contenders)
        for name in names[number % 3 :] + names[: number % 3]:
            shutil.rmtree(cache, ignore_errors=True)
            begin = time.perf_counter()
            tensor = contenders[name](range(start, start + chunk))
            rates[name].append(chunk / (time.perf_counter() - begin))
            assert tensor.shape == (chunk, 3, size, size) and tensor.dtype == torch.uint8
        told = ", ".join(f"{name} {values[-1]:.0f}" for name, values in rates.items())
        print(f"{size} px, chunk {number + 1} of {len(starts)}: {told} pictures/s", flush=True)
    middle = {name: median(values) for name, values in rates.items()}
    ratios = {
        name: median(a / b for a, b in zip(rates["striate"], rates[name], strict=True)) for name in middle
    }
    for name, rate in middle.items():
        print(f"{size} px: {name:14} {rate:7.1f} pictures/s; striate is {ratios[name]:.2f} times as fast")
    return {
        "what": f"{WIDTH}x{HEIGHT} JPEGs to uint8 tensors, pictures a second",
        "size": size,
        "pictures": len(starts) * chunk,
        "chunk": chunk,
        "threads": available_cores(),
        "workers": WORKERS,
        "median": {name: round(rate, 1) for name, rate in middle.items()},
        "slowest": {name: round(min(values), 1) for name, values in rates.items()},
        "fastest": {name: round(max(values), 1) for name, values in rates.items()},
        "times_pillow": round(ratios["pillow"], 2),
        "times_draft": round(ratios["pillow, draft"], 2),
        "difference_mean": round(mean, 3),
        "difference_largest": largest,
        "load": [round(load, 1) for load in os.getloadavg()],
    }


def check(paths: list[Path], size: int) -> tuple[float, int]:
    """Mean and largest difference to Pillow's full decode, in grey levels.

    Raises:
        SystemExit: a picture differs by more than the stated tolerance.
    """
    means, largest = [], 0
    for path in paths:
        difference = np.abs(
            decode(path.read_bytes(), wanted(size)).astype(int) - pillow(path, size, draft=False)
        )
        means.append(float(difference.mean()))
        largest = max(largest, int(difference.max()))
    if max(means) > MEAN_DIFFERENCE or largest > LARGEST_DIFFERENCE:
        raise SystemExit(
            f"no figures: at {size} px pictures differ from Pillow's by {max(means):.2f} levels on average and "
            f"{largest} at most; allowed are {MEAN_DIFFERENCE} and {LARGEST_DIFFERENCE}"
        )
    print(f"{size} px: differs from Pillow's full decode by {np.mean(means):.2f} levels, {largest} at most")
    return float(np.mean(means)), largest


def wanted(size: int) -> Preprocessing:
    """Colour, square, centre cropped."""
    return Preprocessing(size, size, 3)


def ours(paths: list[Path], size: int) -> torch.Tensor:
    """Striate's decode pass over files that it has not seen."""
    names = [path.name for path in paths]
    labels = np.zeros(len(paths), np.int64)
    source = Source("benchmark", "folder", ("photo",), labels, [None] * len(paths), names, paths=paths)
    return decode_all(source, wanted(size), monitor=Monitor()).pixels


def pillow(path: Path, size: int, draft: bool) -> np.ndarray:
    """What a careful dataset does with Pillow: uint8 ``(3, size, size)``."""
    with Image.open(path) as opened:
        if draft:
            scale = 2 * size / min(opened.size)
            opened.draft("RGB", (round(opened.width * scale), round(opened.height * scale)))
        picture = opened.convert("RGB")
    side = min(picture.size)
    left, top = (picture.width - side) / 2, (picture.height - side) / 2
    small = picture.resize((size, size), Image.Resampling.BICUBIC, box=(left, top, left + side, top + side))
    return np.asarray(small).transpose(2, 0, 1)


class Pictures(Dataset[torch.Tensor]):
    """Files as tensors."""

    def __init__(self, paths: list[Path], size: int, draft: bool) -> None:
        self.paths, self.size, self.draft = paths, size, draft

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        return torch.from_numpy(pillow(self.paths[index], self.size, self.draft).copy())


class Turn(Sampler[int]):
    """The pictures whose turn it is."""

    def __init__(self) -> None:
        self.places = range(0)

    def __iter__(self) -> Iterator[int]:
        return iter(self.places)

    def __len__(self) -> int:
        return len(self.places)


class PillowLoader:
    """A DataLoader with persistent workers, idle between its turns."""

    def __init__(self, paths: list[Path], size: int, draft: bool) -> None:
        self.turn = Turn()
        pictures = Pictures(paths, size, draft)
        self.loader = DataLoader(
            pictures,
            BATCH,
            sampler=self.turn,
            num_workers=WORKERS,
            persistent_workers=True,
            prefetch_factor=4,
        )

    def __call__(self, places: range) -> torch.Tensor:
        self.turn.places = places
        return torch.cat(list(self.loader))


if __name__ == "__main__":
    main()
