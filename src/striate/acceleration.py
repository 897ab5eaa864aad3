"""``striate.accelerate``: the layers of a model that exists, on Striate's kernels, in place."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache

import torch
from torch import Tensor, nn
from torch.jit import ScriptModule
from torch.nn.modules.lazy import LazyModuleMixin
from torch.nn.utils.parametrize import is_parametrized

import striate.nn as ours
from striate.fusion import Fused, fusible_runs
from striate.ops._library import NATIVE
from striate.ops.conv.few_channels import FEW, FIRST


@dataclass(frozen=True)
class Change:
    """One layer that computes by other means now.

    Attributes:
        name: where it is in the model, as in ``named_modules``.
        layer: its class in ``torch.nn``.
        why: what is gained.
    """

    name: str
    layer: str
    why: str


@dataclass(frozen=True)
class Refusal:
    """One convolution or pooling that was left as it is, and why."""

    name: str
    layer: str
    why: str


@dataclass
class Acceleration:
    """What :func:`accelerate` did; printed, a line for each layer.

    Attributes:
        changed: the layers that compute by Striate's kernels now.
        left: the other convolutions and poolings, each with the reason.
        channels_last: names of the convolutions whose weights have their channels last now, so that
            pictures between layers have, too.
    """

    changed: list[Change] = field(default_factory=list)
    left: list[Refusal] = field(default_factory=list)
    channels_last: list[str] = field(default_factory=list)
    _classes: list[tuple[nn.Module, type[nn.Module]]] = field(default_factory=list, repr=False)
    _weights: list[Tensor] = field(default_factory=list, repr=False)

    def undo(self) -> None:
        """Make every layer what it was."""
        for module, kind in self._classes:
            module.__class__ = kind
        for weight in self._weights:
            weight.data = weight.data.contiguous()
        self._classes.clear()
        self._weights.clear()

    def __str__(self) -> str:
        lines = [f"{len(self.changed)} layers on Striate's kernels, {len(self.left)} left as they are"]
        if self.channels_last:
            lines.append(
                f"  channels last in {len(self.channels_last)} convolutions: {WIDE_MODEL} (PyTorch is faster so)"
            )
        lines += [f"  + {one.name or 'the model'} ({one.layer}): {one.why}" for one in self.changed]
        lines += [f"  - {one.name or 'the model'} ({one.layer}): {one.why}" for one in self.left]
        return "\n".join(lines)


def accelerate(model: nn.Module) -> Acceleration:
    """Let the layers of ``model`` that Striate has faster kernels for compute by them, in place.

    Parameters, buffers, state dict, hooks, training mode and names stay; a layer's class becomes its
    counterpart in ``striate.nn``, a subclass of its own. In an ``nn.Sequential`` a convolution, a ReLU
    and a max-pool that follow each other compute in one pass. Where most of the work is in convolutions
    of many channels, their weights are laid out with channels last, as
    ``model.to(memory_format=torch.channels_last)`` does, and the pictures between the layers follow.
    Results are the same within rounding: the kernels add in another order.
    What gains nothing keeps PyTorch's operator, and what Striate cannot
    answer for (subclasses that compute something else, parametrizations, quantised layers, TorchScript, an
    own ``forward``) is left alone and named.

    Args:
        model: any module. A layer that is used in several places changes once, for all of them.

    Returns:
        what was changed and what was not, and why; ``undo()`` goes back. A second call finds nothing
        more to change.

    >>> from torch import nn
    >>> model = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(), nn.Conv2d(8, 16, 1))
    >>> report = accelerate(model)
    >>> [change.name for change in report.changed], [refusal.why for refusal in report.left]
    (['0'], ['dense: PyTorch is as fast'])
    >>> report.undo()
    """
    report = Acceleration()
    for name, module in model.named_modules():
        kind = type(module)
        if isinstance(module, nn.Sequential) and not isinstance(module, Fused):
            _fuse(report, name, module)
            continue
        if isinstance(module, ScriptModule):
            report.left.append(Refusal(name, module.original_name, "TorchScript"))
        elif kind.__module__.startswith(("torch.ao.", "torch.nn.quantized", "torch.nn.intrinsic")):
            report.left.append(Refusal(name, kind.__name__, "quantised"))
        elif base := next((theirs for theirs in COUNTERPARTS if isinstance(module, theirs)), None):
            if reason := _obstacle(module, base):
                report.left.append(Refusal(name, kind.__name__, reason))
                continue
            report.changed.append(Change(name, kind.__name__, GAINS[base](module)[1]))
            report._classes.append((module, kind))
            module.__class__ = _counterpart(kind, COUNTERPARTS[base])  # type: ignore[arg-type]
    _lay_out(report, model)
    return report


def _fuse(report: Acceleration, name: str, module: nn.Sequential) -> None:
    """Let neighbours in a sequence compute in one pass."""
    kind = type(module)
    if not NATIVE.loaded or kind.forward is not nn.Sequential.forward or "forward" in vars(module):
        return
    for start, layers in fusible_runs(module):
        layer = " + ".join(type(one).__name__ for one in layers)
        report.changed.append(
            Change(f"{name}.{start}".lstrip("."), layer, "one pass: nothing between them is stored")
        )
        if type(module) is kind:
            report._classes.append((module, kind))
            module.__class__ = _counterpart(kind, Fused)  # type: ignore[assignment, arg-type]


def _lay_out(report: Acceleration, model: nn.Module) -> None:
    """Lay weights out with channels last where most of the arithmetic is faster so."""
    found: dict[str, Tensor] = {}
    narrow = wide = 0
    for name, module in model.named_modules():
        if not isinstance(module, nn.Conv2d) or isinstance(module, ScriptModule | LazyModuleMixin):
            continue
        is_plain = type(module) in (nn.Conv2d, ours.Conv2d) and not is_parametrized(module)
        weight = module.weight
        if module.groups > 1:
            if max(module.in_channels, module.out_channels) <= FEW * module.groups:
                continue  # our kernels' weights are small, and read as they are
        elif module.in_channels < WIDE:
            narrow += weight.numel()
        else:
            wide += weight.numel()
        if is_plain and weight.is_cpu and weight.is_contiguous() and weight._base is None:
            found[name] = weight
    if not NATIVE.loaded or wide <= narrow:
        return
    for name, weight in found.items():
        if weight.is_contiguous(memory_format=torch.channels_last):
            continue  # 1×1: both orders are one
        weight.data = weight.data.contiguous(memory_format=torch.channels_last)
        report.channels_last.append(name)
        report._weights.append(weight)


def _obstacle(module: nn.Module, base: type[nn.Module]) -> str:
    """Why the layer stays as it is; empty where it changes."""
    if isinstance(module, COUNTERPARTS[base]):
        return "Striate's already"
    if is_parametrized(module):
        return "parametrized"
    if isinstance(module, LazyModuleMixin):
        return "lazy: run it once before"
    if any(getattr(type(module), name, None) is not getattr(base, name, None) for name in COMPUTES):
        return "a subclass that computes something else"
    if "forward" in vars(module):
        return "has a forward of its own"
    if not NATIVE.loaded:
        return NATIVE.why
    gains, why = GAINS[base](module)
    return "" if gains else why


@cache
def _counterpart(kind: type[nn.Module], ours: type[nn.Module]) -> type[nn.Module]:
    """The class that computes as ``ours`` and is a ``kind`` all the same."""
    if issubclass(ours, kind):
        return ours
    return type(kind.__name__, (kind, ours), {"__module__": kind.__module__})


def _convolution(module: nn.Module) -> tuple[bool, str]:
    assert isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | TRANSPOSED)
    ins, outs = module.in_channels // module.groups, module.out_channels // module.groups
    is_volume = isinstance(module, nn.Conv3d | nn.ConvTranspose3d)
    if module.groups == 1:
        first = outs if isinstance(module, TRANSPOSED) else ins
        if first > FIRST or is_volume:
            return False, "dense: PyTorch is as fast"
        if not isinstance(module, TRANSPOSED) and outs > FEW:
            return (
                False,
                "a first layer: PyTorch with channels last is as fast if its input wants no gradient",
            )
        gain = f"{min(ins, outs)} channels: lanes are positions"
    elif ins == outs == 1:
        gain = "depthwise: gradients of input and weight in one sweep"
    elif is_volume:
        return False, "grouped volumes: there is no kernel"
    elif max(ins, outs) > FEW:
        return False, f"more than {FEW} channels in a group: PyTorch is as fast"
    else:
        gain = f"{max(ins, outs)} channels in a group: lanes are positions"
    if module.padding_mode != "zeros":
        return False, f"{module.padding_mode} padding is added by PyTorch"
    return True, gain


def _max_pool(module: nn.Module) -> tuple[bool, str]:
    assert isinstance(module, nn.MaxPool1d | nn.MaxPool2d | nn.MaxPool3d)
    if module.return_indices:
        return False, "returns indices"
    if module.dilation not in (1, (1,), (1, 1), (1, 1, 1)):
        return False, "dilated: there is no kernel yet"
    return True, "winners in a byte, gradients gathered"


WIDE = 16  # channels from which on PyTorch's convolutions are faster with channels last
WIDE_MODEL = f"most weights are of convolutions of {WIDE} channels or more"
COMPUTES = ("__call__", "forward", "_conv_forward")
TRANSPOSED = nn.ConvTranspose1d | nn.ConvTranspose2d | nn.ConvTranspose3d
Gain = Callable[[nn.Module], tuple[bool, str]]


def _pairs() -> Iterator[tuple[type[nn.Module], Gain]]:
    for rank in (1, 2, 3):
        yield getattr(nn, f"Conv{rank}d"), _convolution
        yield getattr(nn, f"ConvTranspose{rank}d"), _convolution
        yield getattr(nn, f"MaxPool{rank}d"), _max_pool


GAINS: dict[type[nn.Module], Gain] = dict(_pairs())
COUNTERPARTS: dict[type[nn.Module], type[nn.Module]] = {kind: getattr(ours, kind.__name__) for kind in GAINS}
