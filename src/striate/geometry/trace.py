"""What a real model costs, found by walking it on the meta device: no data, no arithmetic."""

from __future__ import annotations

import copy
from math import prod
from typing import Any

import torch
from torch import nn
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from striate.geometry.cost import conv_macs, linear_macs


def count_macs(network: nn.Module, shape: tuple[int, ...]) -> int:
    """Multiply-adds of the convolutions and linear layers of ``network`` for one picture.

    Args:
        network: any module that takes one batch of pictures; it is left untouched.
        shape: ``(C, H, W)`` of a picture.

    >>> count_macs(nn.Sequential(nn.Conv2d(3, 6, 5), nn.Flatten(), nn.Linear(4704, 10)), (3, 32, 32))
    399840
    """
    total = 0

    def add(module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        nonlocal total
        if isinstance(module, _ConvTransposeNd):
            positions = tuple(inputs[0].shape[2:])
            total += conv_macs(
                module.in_channels, module.out_channels, module.kernel_size, positions, module.groups
            )
        elif isinstance(module, _ConvNd):
            positions = tuple(output.shape[2:])
            total += conv_macs(
                module.in_channels, module.out_channels, module.kernel_size, positions, module.groups
            )
        elif isinstance(module, nn.Linear):
            total += linear_macs(module.in_features, module.out_features, prod(output.shape[1:-1]))

    walked = copy.deepcopy(network).to("meta").eval()
    for module in walked.modules():
        module.register_forward_hook(add)
    with torch.inference_mode():
        walked(torch.empty(1, *shape, device="meta"))
    return total
