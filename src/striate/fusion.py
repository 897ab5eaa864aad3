"""Layers of an ``nn.Sequential`` that compute in one pass: convolution, ReLU, max-pool."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.module import _has_any_global_hook

from striate.ops.conv_pool.kernel import kernel_obstacle
from striate.ops.conv_pool.op import conv_pool2d

HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
PAIRS = (2, (2, 2))


class Fused(nn.Sequential):
    """An ``nn.Sequential`` that lets its neighbours compute in one pass where a kernel serves the call.

    Its children are what they were, and whoever looks at or calls one of them finds it so. A child with
    hooks computes alone, as its hooks want what lies between.
    """

    def forward(self, input: Any) -> Any:
        """What ``nn.Sequential`` computes."""
        layers = list(self)
        position = 0
        while position < len(layers):
            count = _length(layers, position)
            run = layers[position : position + count]
            if not run or _has_any_global_hook() or any(map(_hooked, run)) or _obstacle(run, input):  # type: ignore[no-untyped-call]
                count, input = 1, layers[position](input)
            else:
                input = conv_pool2d(input, *_arguments(run))
            position += count
        return input


def fusible_runs(layers: nn.Sequential) -> Iterator[tuple[int, Sequence[nn.Module]]]:
    """Position and layers of each run for which there is a kernel, in the order of the sequence."""
    modules = list(layers)
    for position in range(len(modules)):
        run = modules[position : position + _length(modules, position)]
        if run and isinstance(conv := run[0], nn.Conv2d):
            side = 2 * max(conv.kernel_size)
            if not _obstacle(run, torch.empty((64, conv.in_channels, side, side), dtype=conv.weight.dtype)):
                yield position, run


def _arguments(run: Sequence[nn.Module]) -> tuple[Any, ...]:
    """All that ``conv_pool2d`` takes after the input."""
    conv: Any = run[0]
    settings = conv.stride, conv.padding, conv.dilation, conv.groups
    return conv.weight, conv.bias, *settings, "relu" if len(run) == 3 else "none", "max", 2, 2


def _obstacle(run: Sequence[nn.Module], input: Any) -> str:
    """Why the layers compute one by one; empty where the kernel serves them."""
    if not isinstance(input, Tensor):
        return "not a tensor"
    return kernel_obstacle(input, *_arguments(run))


def _length(layers: Sequence[nn.Module], start: int) -> int:
    """How many layers from ``start`` are one pass: 3 with a ReLU, 2 without, else 0."""
    conv = layers[start]
    if not (isinstance(conv, nn.Conv2d) and _is_plain(conv, nn.Conv2d)):
        return 0
    if conv.padding_mode != "zeros" or isinstance(conv.padding, str):
        return 0
    count = 2 if start + 1 < len(layers) and type(layers[start + 1]) is nn.ReLU else 1
    pool = layers[start + count] if start + count < len(layers) else None
    if not (isinstance(pool, nn.MaxPool2d) and _is_plain(pool, nn.MaxPool2d)):
        return 0
    fits = pool.kernel_size in PAIRS and pool.stride in PAIRS and not pool.return_indices
    fits = fits and pool.padding in (0, (0, 0)) and pool.dilation in (1, (1, 1)) and not pool.ceil_mode
    return count + 1 if fits else 0


def _is_plain(module: nn.Module, base: type[nn.Module]) -> bool:
    """Whether ``module`` is PyTorch's layer or Striate's for it, with a ``forward`` of that class."""
    return (
        type(module) is base or type(module).__module__.startswith("striate.ops.")
    ) and "forward" not in vars(module)


def _hooked(module: nn.Module) -> bool:
    return any(getattr(module, name, None) for name in HOOKS)
