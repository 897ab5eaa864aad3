"""What is published under a set's name: its classes, its files with their checksums, and where they are."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RawFile:
    """One file of a set, as it is uncompressed."""

    name: str
    size: int
    sha256: str


@dataclass(frozen=True)
class NamedSet:
    """A set of MNIST's shape: four IDX files, with the mirrors and system folders that may have them."""

    name: str
    classes: tuple[str, ...]
    flip: bool
    files: tuple[RawFile, RawFile, RawFile, RawFile]  # train images, train labels, test images, test labels
    mirrors: tuple[str, ...]
    hint: str = ""
    system_folders: tuple[Path, ...] = ()


MNIST = NamedSet(
    name="mnist",
    classes=tuple("0123456789"),
    flip=False,
    files=(
        RawFile(
            "train-images-idx3-ubyte",
            47_040_016,
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        RawFile(
            "train-labels-idx1-ubyte",
            60_008,
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        RawFile(
            "t10k-images-idx3-ubyte",
            7_840_016,
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        RawFile(
            "t10k-labels-idx1-ubyte",
            10_008,
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    ),
    mirrors=(
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "https://storage.googleapis.com/cvdf-datasets/mnist/",
    ),
    hint="run `make data`,",
)
FASHION_MNIST = NamedSet(
    name="fashion-mnist",
    classes=(
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    flip=True,
    files=(
        RawFile(
            "train-images-idx3-ubyte",
            47_040_016,
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        RawFile(
            "train-labels-idx1-ubyte",
            60_008,
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        RawFile(
            "t10k-images-idx3-ubyte",
            7_840_016,
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        RawFile(
            "t10k-labels-idx1-ubyte",
            10_008,
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    ),
    mirrors=("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",),
    hint="run `make data`, install Debian's dataset-fashion-mnist,",
    system_folders=(Path("/usr/share/datasets/fashion-mnist"),),  # Debian's dataset-fashion-mnist
)
SETS = {named.name: named for named in (MNIST, FASHION_MNIST)}
NAMES = ("digits", *SETS)


def named_set(source: str) -> str | None:
    """The set that ``source`` names, or ``None``.

    >>> named_set("Fashion_MNIST"), named_set("./digits")
    ('fashion-mnist', None)
    """
    name = source.strip().lower().replace("_", "-")
    return name if name in NAMES else None
