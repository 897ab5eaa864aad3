"""What the first layer of each network learned, and what it answers to a real picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import nn

from striate.errors import StriateError
from striate.nn import ConvPool2d
from striate.report.pictures import encode
from striate.train.run_folder import load_model
from striate.verdict.results import LearnerResult

if TYPE_CHECKING:
    from striate.models.learner import Learner

KERNELS_SHOWN = 32
UNITS_SHOWN = 24
_MAP_SIDE = 64  # larger maps are scaled down
_GAIN = 0.65  # exponent < 1: faint weights and answers stay visible beside the strongest
# ColorBrewer's RdBu from its blue end, told apart by every kind of colour vision: negative, zero, positive.
_SCALE = ("#2166ac", "#4393c3", "#92c5de", "#d1e5f0", "#f7f7f7", "#fddbc7", "#f4a582", "#d6604d", "#b2182b")
_STEPS = 65


@dataclass(frozen=True)
class Unit:
    """One kernel or hidden unit.

    Attributes:
        number: its place in the layer, from 1.
        weights: ``data:`` address of its weights as a picture.
        answer: ``data:`` address of its feature map; ``None`` for a linear layer.
    """

    number: int
    weights: str
    answer: str | None


@dataclass(frozen=True)
class FirstLayer:
    """The first layer of a network in pictures.

    Attributes:
        name, slot: of the learner; ``slot`` chooses its colour.
        description: the layer in words.
        units: those shown.
        total: how many it has.
        convolution: whether it slides over the picture.
        colour: whether the weights are shown as a colour picture.
    """

    name: str
    slot: int
    description: str
    units: tuple[Unit, ...]
    total: int
    convolution: bool
    colour: bool


def first_layers(
    learners: Sequence[LearnerResult], folder: Path, picture: torch.Tensor
) -> tuple[list[FirstLayer], list[str]]:
    """The first layers of all networks among ``learners``, and why others are missing.

    Args:
        learners: with run folders below ``folder``.
        folder: of the comparison.
        picture: uint8 ``(C, H, W)``, shown to every network.

    Returns:
        the layers in pictures, and a line for each network whose layer cannot be shown.
    """
    layers, failures = [], []
    for slot, result in enumerate(learners):
        if result.folder is None or result.kind == "hand-crafted":
            continue
        try:
            layer = _first_layer(load_model(folder / result.folder).learner, slot, picture)
        except (StriateError, RuntimeError, ValueError) as error:
            failures.append(f"{result.name}: {str(error).splitlines()[0]}")
            continue
        if layer:
            layers.append(layer)
    return layers, failures


def _first_layer(learner: Learner, slot: int, picture: torch.Tensor) -> FirstLayer | None:
    network = getattr(learner, "network", None)
    if not isinstance(network, nn.Module):
        return None
    conv, answer = _first_convolution(network, learner.normalise(picture[None]))  # type: ignore[attr-defined]
    if conv is not None and conv.weight.shape[1] in (1, 3):
        return _convolution(learner.name, slot, conv, answer)
    linear = next((m for m in network.modules() if isinstance(m, nn.Linear)), None)
    if conv is None and linear is not None and linear.in_features == picture.numel():
        return _linear(learner.name, slot, linear, (picture.shape[0], picture.shape[1], picture.shape[2]))
    return None


def _first_convolution(
    network: nn.Module, batch: torch.Tensor
) -> tuple[nn.Conv2d | ConvPool2d | None, torch.Tensor]:
    """The convolution that a forward pass meets first, and what it gave: ``(K, H, W)``."""
    met: list[tuple[nn.Conv2d | ConvPool2d, torch.Tensor]] = []

    def note(module: nn.Module, inputs: tuple[torch.Tensor, ...], output: torch.Tensor) -> None:
        if isinstance(module, ConvPool2d):
            met.append((module, module.convolve(*inputs)[0]))
        elif isinstance(module, nn.Conv2d):
            met.append((module, output[0]))

    hooks = [m.register_forward_hook(note) for m in network.modules()]
    try:
        network.eval()
        with torch.no_grad():
            network(batch)
    finally:
        for hook in hooks:
            hook.remove()
    return met[0] if met else (None, torch.empty(0))


def _convolution(name: str, slot: int, conv: nn.Conv2d | ConvPool2d, answer: torch.Tensor) -> FirstLayer:
    weights = conv.weight.detach().float().cpu().numpy()
    answers = answer.float().cpu().numpy()
    answers = answers - np.median(answers, axis=(1, 2), keepdims=True)  # what flat ground gives says nothing
    height, width = weights.shape[2:]
    limit = max(float(np.quantile(np.abs(answers), 0.995)), 1e-12)  # one scale for all maps of a network
    units = tuple(
        Unit(i + 1, _weight_picture(weights[i]), _uri(_fit(_signed(answers[i] / limit))))
        for i in _strongest(weights, KERNELS_SHOWN)
    )
    colour = weights.shape[1] == 3
    numbers = "×".join(map(str, (*((3,) if colour else ()), height, width)))
    description = (
        f"{len(weights)} kernels of {numbers} weights, answers of {answers.shape[1]}×{answers.shape[2]}"
    )
    return FirstLayer(name, slot, description, units, len(weights), True, colour)


def _linear(name: str, slot: int, linear: nn.Linear, shape: tuple[int, int, int]) -> FirstLayer | None:
    if shape[0] not in (1, 3):
        return None
    weights = linear.weight.detach().float().cpu().numpy().reshape(-1, *shape)
    units = tuple(Unit(i + 1, _weight_picture(weights[i]), None) for i in _strongest(weights, UNITS_SHOWN))
    description = f"{len(weights)} units, each with a weight for every pixel of the picture"
    return FirstLayer(name, slot, description, units, len(weights), False, shape[0] == 3)


def _strongest(weights: NDArray[np.float32], limit: int) -> list[int]:
    """Indices of the ``limit`` largest by norm, in their own order."""
    norms = np.sqrt((weights.reshape(len(weights), -1).astype(np.float64) ** 2).sum(1))
    return sorted(np.argsort(-norms, kind="stable")[:limit].tolist())


def _weight_picture(weights: NDArray[np.float32]) -> str:
    """Weights ``(1|3, h, w)``: signed colours for one channel, plain colours around grey for three."""
    peak = max(float(np.abs(weights).max()), 1e-12)
    if len(weights) == 1:
        return _uri(_fit(_signed(weights[0] / peak)))
    pixels = np.rint(127.5 + 127.5 * weights / peak).astype(np.uint8)
    return _uri(_fit(Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))))


def _signed(values: NDArray[np.floating]) -> Image.Image:
    """Values −1…1 (clipped) in blue, white and red."""
    clipped = np.clip(values, -1, 1)
    position = (np.sign(clipped) * np.abs(clipped) ** _GAIN + 1) / 2
    index = np.rint(position * (_STEPS - 1)).astype(np.uint8)
    picture = Image.frombytes("P", (index.shape[1], index.shape[0]), index.tobytes())
    picture.putpalette(_colours().tobytes())
    return picture


def _colours() -> NDArray[np.uint8]:
    anchors = np.array([[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in _SCALE])
    at = np.linspace(0, len(anchors) - 1, _STEPS)
    channels = [np.interp(at, range(len(anchors)), anchors[:, channel]) for channel in range(3)]
    colours: NDArray[np.uint8] = np.rint(np.stack(channels, axis=1)).astype(np.uint8)
    return colours


def _fit(picture: Image.Image) -> Image.Image:
    if max(picture.size) <= _MAP_SIDE:
        return picture
    scale = _MAP_SIDE / max(picture.size)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    return picture.resize(size, Image.Resampling.NEAREST if picture.mode == "P" else Image.Resampling.BOX)


def _uri(picture: Image.Image) -> str:
    return encode(picture, lossless=True)
