"""Layers of mixed pooling: a fixed, learned, gated or random share of the largest."""

from __future__ import annotations

from math import log
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn

from striate.errors import ArgumentError
from striate.geometry.arguments import Pads, Whole
from striate.ops._checks import per_dimension
from striate.ops.mixed_pool.alpha import checked_alpha
from striate.ops.mixed_pool.op import mixed_pool1d, mixed_pool2d, mixed_pool3d

FUNCTIONS = {1: mixed_pool1d, 2: mixed_pool2d, 3: mixed_pool3d}
Mode = Literal["fixed", "learned", "gated", "random"]


class _MixedPool(nn.Module):
    rank: ClassVar[int]
    alpha_logit: nn.Parameter | None
    gate: nn.Parameter | None

    def __init__(
        self,
        kernel_size: Whole,
        stride: Whole | None = None,
        padding: Pads = 0,
        dilation: Whole = 1,
        ceil_mode: bool = False,
        *,
        mode: Mode = "fixed",
        alpha: float = 0.5,
        channels: int | None = None,
        count_include_pad: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.ceil_mode = ceil_mode
        self.mode = mode
        self.alpha = checked_alpha(name, alpha)
        self.channels = channels
        self.count_include_pad = count_include_pad
        self._check(name)
        shape: tuple[int, ...] = () if channels is None else per_dimension(name, "channels", channels, 1)
        kernel = per_dimension(name, "kernel_size", kernel_size, self.rank)
        for parameter, wanted, size in (
            ("alpha_logit", "learned", shape),
            ("gate", "gated", (*shape, *kernel)),
        ):
            made = nn.Parameter(torch.empty(size, device=device, dtype=dtype)) if mode == wanted else None
            self.register_parameter(parameter, made)
        self.reset_parameters()

    def _check(self, name: str) -> None:
        if self.mode not in get_args(Mode):
            raise ArgumentError(
                f'{name}: mode came as {self.mode!r}; wanted "fixed", "learned", "gated" or "random"'
            )
        if self.mode == "learned" and self.alpha in (0, 1):
            raise ArgumentError(
                f"{name}: alpha came as {self.alpha!r}; wanted a start between 0 and 1: σ, which keeps α there, "
                f"reaches neither"
            )
        if self.mode == "gated" and self.alpha != 0.5:
            raise ArgumentError(
                f"{name}: alpha came as {self.alpha!r}; in mode 'gated' every window has its own"
            )
        if self.mode in ("fixed", "random") and self.channels is not None:
            raise ArgumentError(
                f"{name}: channels came as {self.channels!r}; only the modes 'learned' and 'gated' want it"
            )

    def reset_parameters(self) -> None:
        """Start again from ``alpha``; a gate starts at 0, which mixes half and half."""
        if self.alpha_logit is not None:
            nn.init.constant_(self.alpha_logit, log(self.alpha / (1 - self.alpha)))
        if self.gate is not None:
            nn.init.zeros_(self.gate)

    def forward(self, input: Tensor) -> Tensor:
        share: float | Tensor | None = self.alpha
        if self.alpha_logit is not None:
            share = self.alpha_logit.sigmoid()
        elif self.gate is not None:
            share = None
        elif self.mode == "random" and self.training and input.dim() > self.rank:
            channels = input.shape[-self.rank - 1]
            share = (torch.rand(channels, device=input.device) < self.alpha).to(input.dtype)
        names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode", "count_include_pad")
        options: dict[str, Any] = {name: getattr(self, name) for name in names}
        return FUNCTIONS[self.rank](input, **options, alpha=share, gate=self.gate)

    def extra_repr(self) -> str:
        text = (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}, mode={self.mode!r}"
        )
        if self.mode != "gated":
            text += f", alpha={self.alpha}"
        if self.channels is not None:
            text += f", channels={self.channels}"
        return text + (", count_include_pad=True" if self.count_include_pad else "")


class MixedPool1d(_MixedPool):
    """Mixed pooling along one dimension; see :class:`MixedPool2d`.

    >>> MixedPool1d(2)(torch.tensor([[1.0, 3.0, 2.0, 6.0]]))
    tensor([[2.5000, 5.0000]])
    """

    rank = 1


class MixedPool2d(_MixedPool):
    """Between max and average pooling; see :func:`striate.functional.mixed_pool2d`.

    Args:
        kernel_size, stride, padding, dilation, ceil_mode, count_include_pad: see
            :func:`striate.functional.mixed_pool2d`.
        mode: ``"fixed"``: α stays ``alpha``. ``"learned"``: ``α = σ(alpha_logit)``, which cannot leave
            0 … 1 and always has a gradient; it starts at ``alpha``. ``"gated"``: each window has its own,
            ``α = σ(Σ gate · window)``; the gate starts at 0, where every α is ½. ``"random"``: in training,
            each channel of each call is pooled by max with probability ``alpha``, else by average, drawn
            by PyTorch's generator of the device (``torch.manual_seed``); in evaluation α is ``alpha``, the
            mean of the draws.
        alpha: share of the largest, from 0 to 1; what it means is up to the mode.
        channels: learn an α or a gate for each of so many channels; one for all if left out.
        device: where the parameters live.
        dtype: of the parameters.

    Attributes:
        alpha_logit: ``()`` or ``(channels,)`` in mode ``"learned"``, else None.
        gate: ``(kH, kW)`` or ``(channels, kH, kW)`` in mode ``"gated"``, else None.

    Source:
        Lee, Gallagher, Tu, 2016 (arXiv 1509.08985) for the learned and the gated form; Yu, Wang, Chen, Wei,
        2014 for the random form, whose test phase we replace: the mean of the two branches where the paper
        takes, for each channel, the one that was drawn more often.

    >>> MixedPool2d(2, mode="learned", alpha=0.25)(torch.tensor([[[1.0, 3.0], [2.0, 6.0]]])).item()
    3.75
    >>> MixedPool2d(3, 2, padding=1, mode="gated", channels=16)
    MixedPool2d(kernel_size=3, stride=2, padding=1, dilation=1, ceil_mode=False, mode='gated', channels=16)
    """

    rank = 2


class MixedPool3d(_MixedPool):
    """Mixed pooling of volumes; see :class:`MixedPool2d`.

    >>> MixedPool3d(2, mode="random").eval()(torch.arange(8.0).reshape(1, 2, 2, 2)).flatten()
    tensor([5.2500])
    """

    rank = 3
