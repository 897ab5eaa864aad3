"""Layers of flattened convolution."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from striate.geometry.arguments import Pads, Whole
from striate.ops._layer import WindowLayer, draw, parameter
from striate.ops.flattened_conv.op import AXES, STEPS, flattened_conv2d, flattened_conv3d

FUNCTIONS: dict[int, Any] = {2: flattened_conv2d, 3: flattened_conv3d}


class _FlattenedConv(WindowLayer):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Whole,
        stride: Whole = 1,
        padding: Pads = 0,
        dilation: Whole = 1,
        bias: bool = True,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, dilation)
        self.steps = STEPS[: self.rank + 1]
        for step, axis in zip(self.steps, (None, *AXES[self.rank]), strict=True):
            shape = [out_channels, in_channels, *(1,) * self.rank]
            if axis is not None:
                shape[1], shape[2 + axis] = 1, self.kernel_size[axis]
            self.register_parameter(f"{step}_weight", parameter(tuple(shape), device, dtype))
            offset = parameter((out_channels,), device, dtype) if bias else None
            self.register_parameter(f"{step}_bias", offset)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Each step starts as a ``torch.nn.Conv2d`` of its shape does: uniform in ±1/√fan_in."""
        for weight, bias in zip(self._all("weight"), self._all("bias"), strict=True):
            fan_in = weight[0].numel()
            draw(weight, fan_in)
            draw(bias, fan_in)

    def forward(self, input: Tensor) -> Tensor:
        return FUNCTIONS[self.rank](  # type: ignore[no-any-return]
            input, *self._all("weight"), *self._all("bias"), self.stride, self.padding, self.dilation
        )

    def extra_repr(self) -> str:
        text = super().extra_repr()
        return text if self._all("bias")[0] is not None else text + ", bias=False"

    def _all(self, kind: str) -> list[Any]:
        return [getattr(self, f"{step}_{kind}") for step in self.steps]


class FlattenedConv2d(_FlattenedConv):
    """Across the channels, down, then along: a drop-in for ``torch.nn.Conv2d`` with the fewest weights.

    The paper puts two of these in place of each convolution of its networks, and pads so that the
    size stays (``padding="same"``).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: taps; one number or ``(kH, kW)``.
        stride, padding, dilation: see :func:`striate.functional.flattened_conv2d`.
        bias: whether a bias is learned after each of the three steps, as in the paper.
        device: where the parameters live.
        dtype: of the parameters.

    Attributes:
        channel_weight: ``(C_out, C_in, 1, 1)``.
        vertical_weight: ``(C_out, 1, kH, 1)``.
        horizontal_weight: ``(C_out, 1, 1, kW)``.
        channel_bias, vertical_bias, horizontal_bias: each ``(C_out,)`` or ``None``.

    Source:
        Jin, Dundar, Culurciello, arXiv 1412.5474.

    >>> layer = FlattenedConv2d(64, 64, 5, padding=2, bias=False)
    >>> sum(p.numel() for p in layer.parameters())  # 64 · (64 + 5 + 5); a full convolution has 102400
    4736
    """

    rank = 2


class FlattenedConv3d(_FlattenedConv):
    """Across the channels, down, along, then in depth; see :class:`FlattenedConv2d`.

    It has a ``depth_weight`` and a ``depth_bias`` besides.

    >>> FlattenedConv3d(2, 4, 3, padding="same")(torch.zeros(2, 4, 5, 6)).shape
    torch.Size([4, 4, 5, 6])
    """

    rank = 3
