"""Calls whose instructions are counted: run by ``instructions.py`` under callgrind, with its file as argument.

Between calls callgrind is off. It is turned on and off by its client requests, which are a sequence of
instructions that means nothing to a processor and everything to valgrind (``valgrind.h``); here they
are called as machine code of x86-64, so that neither a compiler nor valgrind's headers are needed.
"""

from __future__ import annotations

import ctypes
import gc
import mmap
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from striate import functional as F

ZERO, DUMP_AT, START, STOP = (0x43540000 + number for number in (1, 3, 4, 5))  # 'C', 'T', 0, 0 + number
# mov rax, rdi; mov rdx, rsi; rol rdi, 3, 13, 61, 51; xchg rbx, rbx; mov rax, rdx; ret
CODE = bytes.fromhex("4889f8 4889f2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")


def client_request() -> Callable[..., None]:
    """``(number, argument)`` → nothing, said to valgrind if it listens."""
    page = mmap.mmap(-1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(CODE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    function = ctypes.CFUNCTYPE(ctypes.c_size_t, ctypes.POINTER(ctypes.c_size_t), ctypes.c_size_t)(address)

    def request(number: int, argument: int = 0) -> None:
        function((ctypes.c_size_t * 6)(number, argument), 0)

    request.page = page  # type: ignore[attr-defined]
    return request


def calls() -> dict[str, Callable[[], Any]]:
    """Forward and backward of a few kernels, on pictures small enough for an emulated processor."""
    torch.manual_seed(0)
    picture = torch.randn(4, 16, 32, 32)
    channels = picture.to(memory_format=torch.channels_last)
    digits = torch.randn(32, 1, 28, 28)
    depthwise, first = torch.randn(16, 1, 5, 5), torch.randn(6, 1, 5, 5)
    return {
        "depthwise": both(lambda x, w: F.conv2d(x, w, padding=2, groups=16), picture, depthwise),
        "depthwise, channels last": both(
            lambda x, w: F.conv2d(x, w, padding=2, groups=16), channels, depthwise
        ),
        "transposed depthwise": both(
            lambda x, w: F.conv_transpose2d(x, w, stride=2, groups=16), picture, depthwise
        ),
        "conv_pool": both(F.conv_pool2d, digits, first),
        "max_pool": both(lambda x: F.max_pool2d(x, 3, 2, 1), picture),
        "max_pool, channels last": both(lambda x: F.max_pool2d(x, 3, 2, 1), channels),
        "avg_pool": both(lambda x: F.avg_pool2d(x, 3, 1, 1), picture),
        "avg_pool, channels last": both(lambda x: F.avg_pool2d(x, 3, 1, 1), channels),
    }


def both(function: Callable[..., Tensor], *tensors: Tensor) -> Callable[[], Any]:
    """Result and gradients."""
    leaves = [tensor.clone().requires_grad_() for tensor in tensors]
    gradient = torch.ones_like(function(*leaves))
    return lambda: torch.autograd.grad(function(*leaves), leaves, gradient)


def main() -> None:
    """Every call once under callgrind's eyes, after one without."""
    torch.set_num_threads(1)
    request = client_request()
    gc.disable()  # a collection that falls into a call is 300,000 instructions
    for name, call in calls().items():
        call()
        text = ctypes.create_string_buffer(name.encode())
        request(START)
        request(ZERO)
        call()
        request(DUMP_AT, ctypes.addressof(text))
        request(STOP)


if __name__ == "__main__":
    main()
