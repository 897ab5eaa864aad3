"""The exponent of Lp pooling, as users give it."""

from __future__ import annotations

from math import inf
from numbers import Real

import torch
from torch import Tensor

from striate.errors import ArgumentError, ArgumentTypeError
from striate.ops._checks import check_floating

AS_INFINITE = 2.0**64


def checked_exponent(operator: str, norm_type: float | Tensor, input: Tensor) -> float | Tensor:
    """``norm_type`` as a float above 0, or as a tensor without dimensions, of the dtype to compute in."""
    if type(norm_type) is float and 0 < norm_type <= AS_INFINITE:  # the common form first
        return norm_type
    if isinstance(norm_type, Tensor):
        check_floating(operator, input=input, norm_type=norm_type)
        if norm_type.numel() != 1 or norm_type.dim() > 1:
            raise ArgumentError(
                f"{operator}: norm_type came with shape {tuple(norm_type.shape)}; wanted a tensor of one number"
            )
        return norm_type.reshape(()).to(torch.promote_types(norm_type.dtype, torch.float32))
    if not isinstance(norm_type, Real) or isinstance(norm_type, bool):
        raise ArgumentTypeError(
            f"{operator}: norm_type came as {norm_type!r}; wanted a number above 0, inf or a tensor of one number"
        )
    if not norm_type > 0:
        raise ArgumentError(
            f"{operator}: norm_type came as {norm_type!r}; wanted p above 0: (Σ |x|^p)^(1/p) is a norm from 1 on,"
            " and inf takes the largest |x|"
        )
    return inf if norm_type > AS_INFINITE else float(norm_type)
