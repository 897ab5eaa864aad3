"""What is special to convolution with pooling: the kernel, when it serves, and what it keeps."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from striate.functional import conv_pool1d, conv_pool2d, conv_pool3d
from striate.nn import ConvPool2d
from striate.ops._library import NATIVE, instruction_set
from striate.ops.conv_pool.kernel import kernel_obstacle

LENET = {
    "first": ((37, 1, 28, 28), (6, 1, 5, 5)),
    "second": ((37, 6, 12, 12), (16, 6, 5, 5)),
    "first, 32": ((16, 1, 32, 32), (6, 1, 5, 5)),
    "colour": ((8, 3, 20, 23), (64, 3, 3, 3)),
    "widest": ((11, 32, 10, 9), (31, 32, 4, 7)),
}
needs_kernels = pytest.mark.skipif(not NATIVE.loaded, reason="the kernels are not built, or turned off")


def by_torch(x: Tensor, w: Tensor, b: Tensor | None = None, padding: int = 0) -> Tensor:
    return F.max_pool2d(F.relu(F.conv2d(x, w, b, padding=padding)), 2)


def made(case: str, dtype: torch.dtype, channels_last: bool = False) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    input, weight = LENET[case]
    shapes = (input, weight, weight[:1])
    tensors = [torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes]
    tensors[1] /= (weight[1] * weight[2] * weight[3]) ** 0.5
    layout = torch.channels_last if channels_last else torch.contiguous_format
    return [t.to(dtype).contiguous(memory_format=layout) if t.dim() == 4 else t.to(dtype) for t in tensors]


def learnable(tensors: list[Tensor]) -> list[Tensor]:
    return [tensor.detach().clone().requires_grad_() for tensor in tensors]


@needs_kernels
@pytest.mark.parametrize("channels_last", [False, True], ids=["contiguous", "channels_last"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=str)
@pytest.mark.parametrize("case", LENET)
@pytest.mark.parametrize("name", NATIVE.instruction_sets)
def test_every_instruction_set_computes_what_pytorch_computes(
    name: str, case: str, dtype: torch.dtype, channels_last: bool
):
    tensors = made(case, dtype, channels_last)
    ours, theirs = learnable(tensors), learnable([tensor.double() for tensor in tensors])
    assert kernel_obstacle(*ours, 1, 1, 1, 1, "relu", "max", 2, None) == ""
    wanted = by_torch(*theirs, padding=1)
    direction = torch.randn(wanted.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    wanted.backward(direction)
    with instruction_set(name):
        found = conv_pool2d(*ours, padding=1)
        found.backward(direction.to(dtype))
    near = 1e-12 if dtype == torch.float64 else 2e-5
    torch.testing.assert_close(found.double(), wanted, rtol=near, atol=near)
    for one, other in zip(ours, theirs, strict=True):
        scale = other.grad.abs().max().item()
        torch.testing.assert_close(one.grad.double(), other.grad, rtol=near, atol=near * scale)


@needs_kernels
@pytest.mark.parametrize("name", NATIVE.instruction_sets)
def test_bfloat16_adds_in_float32(name: str):
    tensors = made("second", torch.bfloat16)
    with instruction_set(name):
        found = conv_pool2d(*tensors)
    wanted = by_torch(*(tensor.float() for tensor in tensors))
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), wanted, rtol=2**-8, atol=1e-6)


@needs_kernels
def test_same_bits_at_any_number_of_threads():
    tensors = made("second", torch.float32)
    tensors[0] = tensors[0].repeat(20, 1, 1, 1)
    before, found = torch.get_num_threads(), []
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            inputs = learnable(tensors)
            output = conv_pool2d(*inputs)
            output.square().sum().backward()
            found.append([output.detach(), *(t.grad for t in inputs)])
    finally:
        torch.set_num_threads(before)
    assert all(
        torch.equal(one, other) for more in found[1:] for one, other in zip(found[0], more, strict=True)
    )


class Allocations(TorchDispatchMode):
    """Numbers in the largest tensor that any operator makes."""

    largest = 0

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        result = operator(*args, **(kwargs or {}))
        for tensor in result if isinstance(result, tuple | list) else [result]:
            if isinstance(tensor, Tensor):
                self.largest = max(self.largest, tensor.numel())
        return result


@needs_kernels
def test_map_before_the_pooling_is_never_stored():
    inputs = learnable(made("first", torch.float32))
    with Allocations() as seen:
        conv_pool2d(*inputs).sum().backward()
    pooled = 48 * 6 * 12 * 12  # pictures in blocks of 16
    assert 37 * 28 * 28 <= seen.largest <= pooled < 37 * 6 * 24 * 24


@needs_kernels
@pytest.mark.parametrize("name", NATIVE.instruction_sets)
def test_ties_and_nan_go_where_pytorch_sends_them(name: str):
    x = torch.zeros(9, 1, 4, 6)
    x[0, 0, 0, 1] = x[0, 0, 1, 0] = 2.0  # the first of equals wins
    x[1, 0, 1, 1] = torch.nan
    x[1, 0, 1, 0] = torch.nan  # the last NaN wins
    x[2] = -1.0  # nobody alive
    x[2, 0, 0, 0] = torch.inf
    weight = torch.ones(1, 1, 1, 1)
    found = []
    for function in (conv_pool2d, by_torch):
        inputs = learnable([x, weight, torch.zeros(1)])
        with instruction_set(name):
            output = function(*inputs)
            output.sum().backward()
        found.append([output.detach(), inputs[0].grad, inputs[2].grad])
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=0, equal_nan=True)


@needs_kernels
@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"stride": 2}, "strides"),
        ({"padding": ((0, 1), (1, 0))}, "padding"),
        ({"activation": "tanh"}, "activation"),
        ({"pool": "avg"}, "pooling"),
        ({"pool_stride": 1}, "pooling"),
    ],
)
def test_what_the_kernel_leaves_to_pytorch(options: dict[str, Any], says: str):
    x, weight, bias = made("second", torch.float32)
    settings = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, "activation": "relu", "pool": "max"}
    settings |= {"pool_size": 2, "pool_stride": None, **options}
    assert says in kernel_obstacle(x, weight, bias, **settings)
    assert conv_pool2d(x, weight, bias, **options).isfinite().all()


def test_large_or_few_pictures_and_many_channels_are_left_to_pytorch():
    options = (1, 0, 1, 1, "relu", "max", 2, None)
    large, many, few = torch.empty(8, 3, 224, 224), torch.empty(8, 64, 8, 8), torch.empty(7, 3, 8, 8)
    assert "numbers" in kernel_obstacle(large, torch.empty(8, 3, 3, 3), None, *options)
    assert "channels" in kernel_obstacle(many, torch.empty(8, 64, 3, 3), None, *options)
    assert "pictures" in kernel_obstacle(few, torch.empty(8, 3, 3, 3), None, *options)


def test_average_and_tanh_as_in_lenet_of_1998():
    x, weight, bias = made("first", torch.float64)
    found = conv_pool2d(x, weight, bias, activation="tanh", pool="avg", padding=2)
    torch.testing.assert_close(found, F.avg_pool2d(torch.tanh(F.conv2d(x, weight, bias, padding=2)), 2))


def test_every_rank_against_pytorch():
    generator = torch.Generator().manual_seed(0)
    signal, volume = (
        torch.randn(2, 3, 12, generator=generator),
        torch.randn(2, 2, 6, 7, 8, generator=generator),
    )
    kernel, cube = torch.randn(4, 3, 3, generator=generator), torch.randn(3, 2, 2, 3, 2, generator=generator)
    torch.testing.assert_close(conv_pool1d(signal, kernel), F.max_pool1d(F.relu(F.conv1d(signal, kernel)), 2))
    torch.testing.assert_close(conv_pool3d(volume, cube), F.max_pool3d(F.relu(F.conv3d(volume, cube)), 2))


def test_autocast_computes_in_bfloat16():
    inputs = learnable(made("first", torch.float32))
    with torch.autocast("cpu", torch.bfloat16):
        output = conv_pool2d(*inputs)
    assert output.dtype == torch.bfloat16
    output.sum().backward()
    assert all(t.grad.dtype == torch.float32 for t in inputs)


def test_layer_starts_as_torch_does():
    torch.manual_seed(3)
    ours = ConvPool2d(3, 8, 5, padding=2)
    torch.manual_seed(3)
    theirs = nn.Conv2d(3, 8, 5, padding=2)
    for name, tensor in theirs.state_dict().items():
        assert torch.equal(ours.state_dict()[name], tensor)
    ours.load_state_dict(theirs.state_dict())
    x = torch.randn(2, 3, 9, 9)
    torch.testing.assert_close(ours(x), F.max_pool2d(F.relu(theirs(x)), 2))


def test_layer_exports_with_any_number_of_pictures():
    layer = ConvPool2d(1, 6, 5)
    x = torch.randn(3, 1, 12, 12)
    program = torch.export.export(layer, (x,), dynamic_shapes={"input": {0: torch.export.Dim("pictures")}})
    more = torch.randn(40, 1, 12, 12)
    torch.testing.assert_close(program.module()(more), layer(more))
