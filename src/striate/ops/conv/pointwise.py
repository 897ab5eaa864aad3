"""1×1 convolutions where columns lie side by side: a matrix product for each picture.

oneDNN turns both tensors into blocks of channels and back, which the product does not. With few channels, where the
turning takes longer than the arithmetic, the product is two to three times as fast, with gradients too (and adds in the
same order at any number of threads). With many it is as fast until the copies, from ``LARGE`` numbers on, are new
pages every time: then it takes a fifth to a half of the time.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from striate.ops._checks import ONES
from striate.ops._library import obstacle
from striate.ops.conv.few_channels import goes_on_last

LARGE = 2**23  # numbers of the larger tensor: 32 MiB, the most that the C library keeps after it is freed
LEAST = 2**15  # below, with one thread, it takes longer to call than to compute
FEW_EACH = 32  # multiply-adds for each number of input and result
NOTHING: tuple[Any, ...] = (0, (0,), (0, 0), "valid")


def is_pointwise(
    input: Tensor, weight: Tensor, bias: Tensor | None, stride: Any, padding: Any, groups: int
) -> bool:
    """Whether this convolution of pictures is such a product, and faster as one."""
    if (
        torch.compiler.is_compiling()  # which chooses by itself, for inputs of any size
        or groups != 1
        or not weight.dim() == input.dim() == 4
        or not weight.shape[2] == weight.shape[3] == 1
        or input.dtype != torch.float32
        or not input.is_contiguous()
        or input.shape[1] != weight.shape[1]
        or min(weight.shape) < 1
        or stride not in ONES
        or padding not in NOTHING
        or (bias is not None and bias.shape != weight.shape[:1])
        or goes_on_last(input, weight)
        or not torch._C.has_mkl
        or torch.is_autocast_enabled("cpu")
        or obstacle(input, weight, bias)
    ):
        return False
    images, ins, height, width = input.shape
    outs, columns = len(weight), height * width
    most = max(ins, outs)
    numbers = images * most * columns
    if numbers >= LARGE:
        return columns >= most  # one gradient of the weight for each picture is no larger
    return (
        numbers >= LEAST
        and images > 1  # of a single one PyTorch makes a product by itself, or shares its rows among threads
        and ins * outs <= FEW_EACH * (ins + outs)
        and 4 * columns >= most
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
