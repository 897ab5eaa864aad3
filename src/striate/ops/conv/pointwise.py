"""1×1 convolutions of large tensors where columns lie side by side: a matrix product for each picture.

oneDNN turns both tensors into blocks of channels and back. From ``LEAST`` numbers on its copies are new pages every
time, and the product, which turns nothing, takes a fifth to a half of the time, with gradients too; below, oneDNN is
as fast or faster.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from striate.ops._checks import ONES
from striate.ops._library import obstacle

LEAST = 2**23  # numbers of the larger tensor: 32 MiB, the most that the C library keeps after it is freed
LEAST_INPUT = LEAST // 16  # of layers that make sixteen times their channels at most
NOTHING: tuple[Any, ...] = (0, (0,), (0, 0), "valid")


def is_pointwise(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, groups: int
) -> bool:
    """Whether this convolution of pictures is such a product, and faster as one."""
    return (
        not torch.compiler.is_compiling()  # which chooses by itself, for inputs of any size
        and input.numel() >= LEAST_INPUT  # every dense convolution comes here
        and groups == 1
        and weight.dim() == input.dim() == 4
        and weight.shape[2] == weight.shape[3] == 1
        and input.numel() * max(weight.shape) >= LEAST * input.shape[1] > 0
        and input.dtype == torch.float32
        and input.is_contiguous()
        and input.shape[1] == weight.shape[1]
        and input.shape[2] * input.shape[3] >= max(weight.shape)  # one weight for each picture is no larger
        and stride in ONES
        and padding in NOTHING
        and (bias is None or bias.shape == weight.shape[:1])
        and torch._C.has_mkl
        and not torch.is_autocast_enabled("cpu")
        and not obstacle(input, weight, bias)
    )


def pointwise_conv(input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    """The products and, if there is one, the bias."""
    images, outputs = len(input), len(weight)
    matrices = weight.flatten(1).expand(images, -1, -1)
    columns = input.flatten(2)
    if bias is None:
        result = torch.bmm(matrices, columns)
    else:
        result = torch.baddbmm(bias[:, None].expand(images, -1, columns.shape[2]), matrices, columns)
    return result.view(images, outputs, *input.shape[2:])
