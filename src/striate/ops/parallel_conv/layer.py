"""The layer of parallel branches, whatever they are."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from striate.errors import ArgumentError, ArgumentTypeError
from striate.geometry.arguments import Whole
from striate.ops._checks import per_dimension
from striate.ops.conv.layer import Conv1d, Conv2d, Conv3d

CONVOLUTIONS: dict[int, Any] = {1: Conv1d, 2: Conv2d, 3: Conv3d}


class ParallelConv(nn.Module):
    """Branches side by side on the same input; their outputs are concatenated by channel.

    Args:
        *branches: modules from ``(N, C_in, *size)`` to ``(N, C_b, *output)``, with the same ``output``
            from all. They may be convolutions, poolings, whole sequences: an Inception block is four
            of them.

    Without a batch, ``(C_in, *size)``, the rank is that of the first branch with a layer that says it
    in its name, such as ``Conv2d``.

    Attributes:
        branches: the modules, as a ``torch.nn.ModuleList``.

    Raises:
        ArgumentError: at the first input, if the branches give different sizes.

    Source:
        Szegedy et al., *Going deeper with convolutions*, arXiv 1409.4842 (Inception), section 4.

    >>> branches = Conv2d(8, 4, 1), nn.Sequential(Conv2d(8, 2, 1), nn.ReLU(), Conv2d(2, 4, 5, padding="same"))
    >>> ParallelConv(*branches)(torch.zeros(1, 8, 28, 28)).shape
    torch.Size([1, 8, 28, 28])
    """

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        if not branches:
            raise ArgumentError("ParallelConv: no branches came; wanted one module at least")
        for branch in branches:
            if not isinstance(branch, nn.Module):
                raise ArgumentTypeError(
                    f"ParallelConv: a branch came as {type(branch).__name__}; wanted modules: "
                    f"ParallelConv(first, second)"
                )
        self.branches = nn.ModuleList(branches)
        self._rank = _rank(branches)

    @classmethod
    def spatial_cross_channel(
        cls,
        in_channels: int,
        cross_channels: int,
        kernel_size: Whole,
        stride: Whole = 1,
        dilation: Whole = 1,
        depth_multiplier: int = 1,
        bias: bool = True,
        rank: int = 2,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> ParallelConv:
        """Each channel over space (depthwise) ∥ all channels at each place (1×1).

        What a depthwise separable convolution does one after the other, side by side.

        Args:
            in_channels: channels of the input.
            cross_channels: channels that the 1×1 branch gives; the other gives
                ``in_channels · depth_multiplier``, which come first.
            kernel_size: of the depthwise branch, padded with ``"same"``.
            stride: of both.
            dilation: of the depthwise branch.
            depth_multiplier: depthwise kernels for each channel.
            bias: whether both learn a bias.
            rank: dimensions of the pictures, 1 to 3.
            device: where the parameters live.
            dtype: of the parameters.

        Source:
            Chollet, arXiv 1610.02357 (Xception), section 1, where the two are told apart.

        >>> ParallelConv.spatial_cross_channel(8, 16, kernel_size=3)(torch.zeros(1, 8, 28, 28)).shape
        torch.Size([1, 24, 28, 28])
        """
        if rank not in CONVOLUTIONS:
            raise ArgumentError(f"ParallelConv: rank came as {rank!r}; wanted 1, 2 or 3")
        per_dimension("ParallelConv", "depth_multiplier", depth_multiplier, 1)
        layer, place = CONVOLUTIONS[rank], {"device": device, "dtype": dtype}
        spatial = layer(
            in_channels,
            in_channels * depth_multiplier,
            kernel_size,
            stride,
            "same",
            dilation,
            in_channels,
            bias,
            **place,
        )
        cross = layer(in_channels, cross_channels, 1, stride, "same", bias=bias, **place)
        return cls(spatial, cross)

    def forward(self, input: Tensor) -> Tensor:
        outputs = [branch(input) for branch in self.branches]
        first = outputs[0]
        channel = 1 if self._rank is None else first.dim() - self._rank - 1
        for output in outputs[1:]:
            if output.dim() != first.dim() or output.shape[channel + 1 :] != first.shape[channel + 1 :]:
                raise self._disagreement(outputs, channel)
        return torch.cat(outputs, channel)

    def _disagreement(self, outputs: Sequence[Tensor], channel: int) -> ArgumentError:
        """The error that says what every branch gave, and how they would agree."""
        told = ", ".join(
            f"branches[{index}] ({type(branch).__name__}) {tuple(output.shape)}"
            for index, (branch, output) in enumerate(zip(self.branches, outputs, strict=True))
        )
        text = f"ParallelConv: the branches give different sizes: {told}; wanted one size, to concatenate channels: "
        sizes = [tuple(output.shape[channel + 1 :]) for output in outputs]
        if len({len(size) for size in sizes}) == 1:
            largest = tuple(map(max, zip(*sizes, strict=True)))
            lacks = {
                f"branches[{index}]": tuple(most - n for most, n in zip(largest, size, strict=True))
                for index, size in enumerate(sizes)
            }
            text += "; ".join(f"{name} lacks {lack}" for name, lack in lacks.items() if any(lack)) + ": "
        return ArgumentError(
            text + 'give them the same stride, and padding="same" or half of what is lacking'
        )


def _rank(branches: Sequence[nn.Module]) -> int | None:
    """Spatial dimensions, from the first layer named after them: ``Conv2d``, ``MaxPool1d`` or one of their heirs."""
    for branch in branches:
        for module in branch.modules():
            for kind in type(module).__mro__:
                if found := re.search(r"[a-z]([123])d$", kind.__name__):
                    return int(found[1])
    return None
