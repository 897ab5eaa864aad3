"""Layers of Lp pooling: PyTorch's own, with Striate's arguments and a p that can be learned."""

from __future__ import annotations

from math import inf, log
from typing import Any, ClassVar, cast

import torch
from torch import Tensor, nn

from striate.errors import ArgumentError
from striate.geometry.arguments import Pads, Whole
from striate.ops.lp_pool.exponent import checked_exponent
from striate.ops.lp_pool.op import (
    global_lp_pool1d,
    global_lp_pool2d,
    global_lp_pool3d,
    lp_pool1d,
    lp_pool2d,
    lp_pool3d,
)

FUNCTIONS = {1: lp_pool1d, 2: lp_pool2d, 3: lp_pool3d}
GLOBAL_FUNCTIONS = {1: global_lp_pool1d, 2: global_lp_pool2d, 3: global_lp_pool3d}


class _Exponent(nn.Module):
    """A p that is given, or learned as ``exp(log_norm_type)``, which stays above 0 by itself.

    Attributes:
        norm_type: p, or where learning starts.
        log_norm_type: natural logarithm of the learned p, a parameter of no dimension; else None.
    """

    norm_type: float
    log_norm_type: nn.Parameter | None

    def _set_exponent(
        self, learnable: bool, device: torch.device | str | None, dtype: torch.dtype | None
    ) -> None:
        checked_exponent(type(self).__name__, self.norm_type, torch.empty(0))
        if not learnable:
            self.register_parameter("log_norm_type", None)
            return
        if self.norm_type == inf:
            raise ArgumentError(
                f"{type(self).__name__}: norm_type came as inf; wanted a finite p to start learning from"
            )
        self.log_norm_type = nn.Parameter(torch.empty((), device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Start again from ``norm_type``."""
        if self.log_norm_type is not None:
            nn.init.constant_(self.log_norm_type, log(self.norm_type))

    @property
    def p(self) -> float | Tensor:
        """What the next call raises to."""
        return self.norm_type if self.log_norm_type is None else self.log_norm_type.exp()

    def extra_repr(self) -> str:
        text = super().extra_repr() or f"norm_type={self.norm_type}"
        return text if self.log_norm_type is None else f"{text}, learnable=True"


class _LPPool(_Exponent):
    rank: ClassVar[int]

    def __init__(
        self,
        norm_type: float,
        kernel_size: Whole,
        stride: Whole | None = None,
        ceil_mode: bool = False,
        *,
        padding: Pads = 0,
        dilation: Whole = 1,
        mean: bool = False,
        learnable: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        arguments = (norm_type, kernel_size, stride, ceil_mode)
        super().__init__(*cast(Any, arguments))  # PyTorch's
        self.padding = padding
        self.dilation = dilation
        self.mean = mean
        self._set_exponent(learnable, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        names = ("kernel_size", "stride", "ceil_mode", "padding", "dilation", "mean")
        return FUNCTIONS[self.rank](input, self.p, **{name: getattr(self, name) for name in names})

    def extra_repr(self) -> str:
        text = super().extra_repr()
        for name, default in (("padding", 0), ("dilation", 1), ("mean", False)):
            if getattr(self, name) != default:
                text += f", {name}={getattr(self, name)!r}"
        return text


class LPPool1d(_LPPool, nn.LPPool1d):
    """``torch.nn.LPPool1d`` on :func:`striate.functional.lp_pool1d`; see :class:`LPPool2d`.

    >>> LPPool1d(2, 2)(torch.tensor([[3.0, -4.0]]))
    tensor([[5.]])
    """

    rank = 1


class LPPool2d(_LPPool, nn.LPPool2d):
    """``torch.nn.LPPool2d`` on :func:`striate.functional.lp_pool2d`.

    Args:
        norm_type, kernel_size, stride, ceil_mode, padding, dilation, mean: see
            :func:`striate.functional.lp_pool2d`.
        learnable: whether p is learned, from ``norm_type`` on.
        device: where the learned p lives.
        dtype: of the learned p.

    Attributes:
        norm_type: p, or where learning starts.
        log_norm_type: what is learned: the natural logarithm of p, so that p stays above 0; else None.
        p: what the next call raises to.

    Source:
        Gulcehre et al., *Learned-norm pooling*, 2014 (arXiv 1311.1780), for a learned p.

    >>> LPPool2d(2, 3, stride=2, padding=1)
    LPPool2d(norm_type=2, kernel_size=3, stride=2, ceil_mode=False, padding=1)
    >>> layer = LPPool2d(3.0, 2, learnable=True)
    >>> layer(torch.ones(1, 1, 4, 4)).sum().backward()
    >>> layer.log_norm_type.grad is not None
    True
    """

    rank = 2


class LPPool3d(_LPPool, nn.LPPool3d):
    """``torch.nn.LPPool3d`` on :func:`striate.functional.lp_pool3d`; see :class:`LPPool2d`.

    >>> LPPool3d(2, 2)(torch.ones(1, 4, 4, 4)).shape
    torch.Size([1, 2, 2, 2])
    """

    rank = 3


class _GlobalLPPool(_Exponent):
    rank: ClassVar[int]

    def __init__(
        self,
        norm_type: float,
        mean: bool = False,
        *,
        learnable: bool = False,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.mean = mean
        self._set_exponent(learnable, device, dtype)

    def forward(self, input: Tensor) -> Tensor:
        return GLOBAL_FUNCTIONS[self.rank](input, self.p, self.mean)

    def extra_repr(self) -> str:
        return super().extra_repr() + (", mean=True" if self.mean else "")


class GlobalLPPool1d(_GlobalLPPool):
    """The p-norm of each channel of ``(N, C, L)``; see :class:`GlobalLPPool2d`.

    >>> GlobalLPPool1d(1)(torch.tensor([[3.0, -4.0]]))
    tensor([[7.]])
    """

    rank = 1


class GlobalLPPool2d(_GlobalLPPool):
    """The p-norm of each channel; see :func:`striate.functional.global_lp_pool2d`.

    Args:
        norm_type: p, above 0, also ``inf``.
        mean: the power mean instead of the norm.
        learnable, device, dtype: see :class:`LPPool2d`. With ``mean``, "generalised mean" (GeM) pooling.

    >>> GlobalLPPool2d(3.0, mean=True, learnable=True)
    GlobalLPPool2d(norm_type=3.0, learnable=True, mean=True)
    >>> GlobalLPPool2d(2)(torch.ones(1, 1, 4, 4))
    tensor([[[[4.]]]])
    """

    rank = 2


class GlobalLPPool3d(_GlobalLPPool):
    """The p-norm of each channel of a volume; see :class:`GlobalLPPool2d`.

    >>> GlobalLPPool3d(2, mean=True)(torch.ones(1, 2, 3, 4)).flatten()
    tensor([1.])
    """

    rank = 3
