"""The learner around any PyTorch network: normalisation, training, prediction, storage."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from striate.data.pictures import PictureSet
from striate.errors import ArgumentError, UsageError
from striate.geometry.tracing import TraceError, trace
from striate.models import cnn, dilated, flattened, inception, lenet, mlp, separable
from striate.models.learner import FitReport, Kind, Learner
from striate.models.recipe import Recipe
from striate.train.budget import within_budget
from striate.train.config import LearnConfig
from striate.train.loop import train_network
from striate.train.monitor import Monitor
from striate.train.run_folder import RunFolder
from striate.train.schedule import derive_seed
from striate.train.settings import choose_device, resolve

PREDICTION_BATCH = 256
USER_RECIPE = Recipe("adamw", 2e-3, 0.05, 128, 12, 1200, label_smoothing=0.1, crop_padding=0.08, flip=True)

KNOWN: dict[str, tuple[str, Callable[..., nn.Module], Recipe]] = {
    "mlp": ("feed-forward network", mlp.MLP, mlp.RECIPE),
    "lenet": ("LeNet", lenet.LeNet, lenet.RECIPE),
    "cnn": ("convolutional network", cnn.CNN, cnn.RECIPE),
    "separable": ("depthwise separable network", separable.separable, separable.RECIPE),
    "flattened": ("flattened network", flattened.flattened, flattened.RECIPE),
    "inception": ("inception network", inception.inception, inception.RECIPE),
    "dilated": ("dilated network", dilated.dilated, dilated.RECIPE),
}


def load_factory(name: str) -> Callable[..., nn.Module]:
    """The callable that ``package.module:factory`` names.

    Raises:
        UsageError: there is no such module or name, or it cannot be called.
    """
    module_name, _, attribute = name.partition(":")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(
            f"model {name!r}: cannot import {module_name!r} ({error}); is it on PYTHONPATH?"
        ) from None
    except Exception as error:  # the module is the user's own code
        raise UsageError(
            f"model {name!r}: importing {module_name!r} fails with {type(error).__name__}: {error}"
        ) from error
    if not hasattr(module, attribute):
        raise UsageError(f"model {name!r}: {module_name!r} has no {attribute!r}")
    factory = getattr(module, attribute)
    if not callable(factory):
        raise UsageError(
            f"model {name!r}: {attribute!r} is a {type(factory).__name__}, wanted a function or class"
        )
    return factory  # type: ignore[no-any-return]


def build_network(
    name: str, shape: tuple[int, ...], num_classes: int, options: dict[str, Any] | None = None
) -> nn.Module:
    """A fresh network.

    Args:
        name: ``"mlp"``, ``"lenet"``, ``"cnn"`` or ``"package.module:factory"``.
        shape: ``(C, H, W)`` of a picture.
        num_classes: number of classes.
        options: further keyword arguments of the network, such as ``width``.

    Raises:
        UsageError: a user's factory fails, or gives something else.
    """
    _, kind, factory, _ = _describe(name)
    offered = {"in_channels": shape[0], "image_size": shape[1:], "num_classes": num_classes}
    try:
        network = factory(**_accepted(factory, offered), **(options or {}))
    except Exception as error:
        if kind != "your own":
            raise
        raise UsageError(f"model {name!r} failed when called: {type(error).__name__}: {error}") from error
    if not isinstance(network, nn.Module):
        raise UsageError(f"model {name!r} gave a {type(network).__name__}, wanted a torch.nn.Module")
    return network


class NetworkLearner(Learner):
    """Fits and asks one network.

    Args:
        name: one of :data:`KNOWN`, or ``"package.module:factory"``.
        shape: ``(C, H, W)`` of a picture.
        num_classes: number of classes.
        options: further keyword arguments of the network, such as ``width``.
        seed: of the first weights.

    A user's factory is called with those of ``in_channels``, ``image_size``, ``num_classes`` that
    its signature names, and must give a module from float32 ``(B, C, H, W)`` to logits ``(B, K)``.
    """

    family = "network"

    def __init__(
        self,
        name: str,
        shape: tuple[int, int, int],
        num_classes: int,
        options: dict[str, Any] | None = None,
        seed: int = 0,
    ) -> None:
        self.name = name
        self.shape = shape
        self.num_classes = num_classes
        self.options = options or {}
        self.title, self.kind, _, self.recipe = _describe(name)
        self._set_statistics(torch.zeros(shape[0]), torch.ones(shape[0]))
        self.network = self._build(seed)

    def fit(
        self,
        train: PictureSet,
        val: PictureSet,
        config: LearnConfig,
        *,
        monitor: Monitor,
        folder: RunFolder | None = None,
        flip: bool = False,
        permutation: torch.Tensor | None = None,
    ) -> FitReport:
        """See :meth:`Learner.fit`."""
        settings = resolve(config, self.recipe, len(train), min(self.shape[1:]), flip)
        self._set_statistics(*channel_statistics(train.pixels))
        self._place(torch.device(settings.device))
        settings = within_budget(settings, config, self.network, self.normalise, train, val, folder=folder)
        return train_network(
            self.network,
            self.normalise,
            train,
            val,
            settings,
            monitor=monitor,
            folder=folder,
            permutation=permutation,
            checkpoint_seconds=config.checkpoint_seconds,
        )

    def normalise(self, pixels: torch.Tensor) -> torch.Tensor:
        """uint8 ``(B, C, H, W)`` → float32 of zero mean and unit spread per channel, on its device."""
        if pixels.device not in self._scaling:
            scale = (1 / (255 * self.std)).to(pixels.device).view(1, -1, 1, 1)
            self._scaling[pixels.device] = scale, (self.mean / self.std).to(pixels.device).view(1, -1, 1, 1)
        scale, offset = self._scaling[pixels.device]
        return pixels.float().mul_(scale).sub_(offset).contiguous(memory_format=self._layout)

    def predict(self, pixels: torch.Tensor) -> torch.Tensor:
        """See :meth:`Learner.predict`; always in float32."""
        device = next((p.device for p in self.network.parameters()), torch.device("cpu"))
        self.network.eval()
        with torch.inference_mode():
            parts = [
                self.network(self.normalise(part.to(device))).float().softmax(1).cpu()
                for part in torch.split(pixels, PREDICTION_BATCH)
            ]
        return torch.cat(parts) if parts else torch.empty(0, self.num_classes)

    @property
    def parameters(self) -> int:
        """See :attr:`Learner.parameters`."""
        return sum(p.numel() for p in self.network.parameters())

    @property
    def macs(self) -> int | None:
        """See :attr:`Learner.macs`; ``None`` where the network cannot be walked."""
        try:
            return trace(self.network, self.shape).macs
        except ArgumentError:
            return None

    def tensors(self) -> dict[str, torch.Tensor]:
        """The network's state dict."""
        return self.network.state_dict()

    def architecture(self) -> dict[str, Any]:
        """See :meth:`Learner.architecture`."""
        return {
            "name": self.name,
            "shape": list(self.shape),
            "num_classes": self.num_classes,
            "options": self.options,
            "mean": self.mean.tolist(),
            "std": self.std.tolist(),
        }

    @classmethod
    def restore(cls, architecture: dict[str, Any], tensors: dict[str, torch.Tensor]) -> NetworkLearner:
        """See :meth:`Learner.restore`; a user's own factory must still be importable."""
        channels, height, width = architecture["shape"]
        learner = cls(
            architecture["name"],
            (channels, height, width),
            architecture["num_classes"],
            architecture["options"],
        )
        learner._set_statistics(torch.tensor(architecture["mean"]), torch.tensor(architecture["std"]))
        learner.network.load_state_dict(tensors)
        learner._place(choose_device("cpu"))
        return learner

    def _set_statistics(self, mean: torch.Tensor, std: torch.Tensor) -> None:
        self.mean, self.std = mean, std
        self._scaling: dict[torch.device, tuple[torch.Tensor, torch.Tensor]] = {}

    @property
    def _layout(self) -> torch.memory_format:
        """How the network likes its pictures and weights; channels last unless it says otherwise."""
        layout: torch.memory_format = getattr(self.network, "memory_format", torch.channels_last)
        return layout

    def _place(self, device: torch.device) -> None:
        self.network.to(device=device, memory_format=self._layout)  # type: ignore[call-overload]

    def _build(self, seed: int) -> nn.Module:
        state = torch.get_rng_state()
        torch.manual_seed(derive_seed(seed, "weights", 0))
        try:
            network = build_network(self.name, self.shape, self.num_classes, self.options)
        finally:
            torch.set_rng_state(state)
        if self.kind == "your own":
            self._check(network)
        return network

    def _check(self, network: nn.Module) -> None:
        """One forward pass of a user's network: does it take such pictures and give such logits?"""
        came = f"pictures of {self.shape[0]} channels and {self.shape[1]}×{self.shape[2]} pixels"
        try:
            with torch.inference_mode():
                logits = network.eval()(torch.zeros(2, *self.shape))
        except Exception as error:
            reason = self._why_not(network) or str(error).partition("\n")[0] or type(error).__name__
            raise UsageError(
                f"model {self.name!r} cannot take {came}: {reason}; or set --channels and --image-size to what it takes"
            ) from error
        if not isinstance(logits, torch.Tensor) or logits.shape != (2, self.num_classes):
            shape = tuple(logits.shape) if isinstance(logits, torch.Tensor) else type(logits).__name__
            raise UsageError(
                f"model {self.name!r} gave {shape} for 2 {came}, wanted logits (2, {self.num_classes}):"
                " take num_classes as an argument of the factory"
            )

    def _why_not(self, network: nn.Module) -> str:
        """Which layer of a user's network refuses such pictures, and what would fit; nothing if unknown."""
        try:
            trace(network, self.shape, batch=2)
        except ArgumentError as error:
            return str(error) if isinstance(error, TraceError) and error.is_refusal else ""
        return ""


def channel_statistics(pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of each channel, float32 ``(C,)`` in units of 1/255.

    Sums of integers below 2**53 in float64 are exact in any order; a memory map is read once, in blocks.
    """
    channels = pixels.shape[1]
    total = torch.zeros(channels, dtype=torch.float64)
    squares = torch.zeros(channels, dtype=torch.float64)
    for block in torch.split(pixels, 1024):
        for channel in range(channels):
            values = block[:, channel].double().flatten()
            total[channel] += values.sum()
            squares[channel] += values.dot(values)
    total, squares = total / 255, squares / 255**2
    count = pixels.numel() / channels
    mean = total / count
    std = (squares / count - mean**2).clamp(min=0).sqrt().clamp(min=1 / 255)
    return mean.float(), std.float()


def _describe(name: str) -> tuple[str, Kind, Callable[..., nn.Module], Recipe]:
    if name not in KNOWN:
        return name, "your own", load_factory(name), USER_RECIPE
    title, factory, recipe = KNOWN[name]
    return title, "feed-forward" if name == "mlp" else "convolutional", factory, recipe


def _accepted(factory: Callable[..., nn.Module], offered: dict[str, Any]) -> dict[str, Any]:
    parameters = inspect.signature(factory).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return offered
    return {key: value for key, value in offered.items() if key in parameters}
