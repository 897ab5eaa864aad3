"""What tests, benchmarks and pages ask of convolution with pooling."""

from __future__ import annotations

import random
from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor

from striate import geometry
from striate.ops._spec import Call, InvalidCall, LayerSample, OpSpec, Shape, normal, split_batch
from striate.ops.conv_pool.kernel import kernel_obstacle
from striate.ops.conv_pool.layer import FUNCTIONS, ConvPool1d, ConvPool2d, ConvPool3d
from striate.ops.conv_pool.op import ACTIVATIONS
from striate.ops.conv_pool.reference import conv_pool


def _call(
    name: str, input: Shape, out_channels: int, kernel: Shape, *, bias: bool = True, **options: Any
) -> Call:
    """A call whose weight and bias have the shapes that it needs."""
    rank = len(kernel)
    in_channels = input[-1 - rank] // options.get("groups", 1)
    tensors = {"input": input, "weight": (out_channels, in_channels, *kernel)}
    if bias:
        tensors["bias"] = (out_channels,)
    return Call(f"conv_pool{rank}d", tensors, options, name)


def _geometry(call: Call) -> tuple[Shape, geometry.Layer]:
    batch, picture = split_batch(call, int(call.function[-2]))
    weight = call.tensors["weight"]
    assert isinstance(weight, tuple)
    options = {name: value for name, value in call.options.items() if name not in ("activation", "pool")}
    return batch, geometry.conv_pool(picture, weight[0], weight[2:], **options)


def _output_shape(call: Call) -> Shape:
    batch, layer = _geometry(call)
    return (*batch, *layer.output)


def _macs(call: Call) -> int:
    batch, layer = _geometry(call)
    return prod(batch) * layer.macs


def _fill(name: str, shape: Shape, generator: torch.Generator) -> Tensor:
    """Numbers for which nothing hangs by a thread: bfloat16 finds the same winners as float64.

    Neighbouring pixels differ by a quarter or more, each output channel mostly copies one tap of one
    input channel, and the bias puts ReLU's bend halfway between two levels.
    """
    noise = normal(name, shape, generator)
    if name == "bias":
        return 0.01 * noise - 2.125
    if name == "weight":
        taps = max(1, prod(shape[1:]))
        values = (0.02 / taps) * noise.reshape(shape[0], -1)
        values[torch.arange(shape[0]), torch.arange(shape[0]) * 7 % taps] += 1
        return values.reshape(shape)
    level = torch.zeros(shape, dtype=torch.int64)
    for axis, (size, pace) in enumerate(zip(reversed(shape), (3, 5, 7, 11, 13), strict=False)):
        level += (torch.arange(size) * pace).view(-1, *(1,) * axis)
    return (level % 17 + 1) / 4 + 0.02 * noise


def _random_call(function: str, source: random.Random) -> Call:
    rank = int(function[-2])
    groups = source.choice([1, 1, 1, 2])
    kernel = tuple(source.randint(1, 3) for _ in range(rank))
    plain = source.random() < 0.6  # what the kernel is for
    dilation = tuple(1 if plain else source.randint(1, 2) for _ in range(rank))
    stride = tuple(1 if plain else source.randint(1, 2) for _ in range(rank))
    window = tuple(2 if plain else source.randint(1, 2) for _ in range(rank))
    size = tuple(
        d * (k - 1) + 1 + s * (w - 1) + source.randint(0, 4)
        for k, d, s, w in zip(kernel, dilation, stride, window, strict=True)
    )
    input = (groups * source.randint(1, 2), *size)
    return _call(
        "random",
        (source.choice([1, 2, 9, 17]), *input) if source.random() < 0.8 else input,
        groups * source.randint(1, 4),
        kernel,
        bias=source.random() < 0.7,
        stride=stride,
        padding=source.choice([0, 1, "same", "valid"]) if plain else source.randint(0, 1),
        dilation=dilation,
        groups=groups,
        activation=source.choice(["relu", "none"] if plain else list(ACTIVATIONS)),
        pool=source.choice(["max", "max", "avg"]),
        pool_size=window,
        pool_stride=None if plain else tuple(source.randint(1, 2) for _ in range(rank)),
    )


SAMPLES = [
    _call("defaults", (2, 3, 9), 4, (3,)),
    _call("no bias", (2, 3, 9), 4, (3,), bias=False),
    _call("no batch, even kernel", (3, 8), 2, (4,)),
    _call("empty batch", (0, 3, 9), 4, (3,)),
    _call("ones everywhere", (1, 1, 1), 1, (1,), pool_size=1),
    _call("kernel wider than the input", (2, 2, 2), 3, (5,), padding=2),
    _call("stride and dilation", (2, 3, 16), 4, (3,), stride=2, dilation=2),
    _call("pair of paddings", (2, 3, 10), 4, (3,), padding=((0, 3),)),
    _call("groups, average", (2, 6, 9), 4, (3,), groups=2, pool="avg"),
    _call("overlapping windows", (2, 3, 12), 4, (3,), pool_size=3, pool_stride=2),
    _call("larger", (2, 16, 131), 8, (5,), padding=2),
    _call("defaults", (9, 3, 8, 9), 4, (3, 2)),
    _call("no bias", (8, 3, 8, 9), 4, (3, 2), bias=False),
    _call("few pictures", (7, 2, 8, 9), 4, (3, 2)),
    _call("no batch", (3, 7, 6), 2, (2, 3)),
    _call("empty batch", (0, 3, 7, 6), 4, (3, 2)),
    _call("ones everywhere", (1, 1, 1, 1), 1, (1, 1), pool_size=1),
    _call("one window", (8, 1, 2, 2), 1, (1, 1)),
    _call("kernel wider than the input", (8, 2, 2, 3), 3, (5, 4), padding=2),
    _call("padding of both", (10, 2, 6, 7), 3, (3, 5), padding=(1, 2)),
    _call("same", (8, 2, 6, 7), 3, (3, 3), padding="same"),
    _call("valid", (8, 2, 6, 7), 3, (3, 3), padding="valid"),
    _call("same, even kernel", (8, 2, 6, 7), 3, (2, 4), padding="same"),
    _call("pairs of paddings", (8, 2, 6, 7), 3, (3, 3), padding=((0, 2), (1, 0))),
    _call("stride", (8, 3, 11, 12), 4, (3, 3), stride=(2, 3)),
    _call("dilation", (8, 3, 9, 10), 4, (3, 2), dilation=(2, 3)),
    _call("groups", (8, 4, 6, 6), 6, (3, 3), groups=2),
    _call("depthwise", (8, 3, 6, 6), 6, (3, 3), groups=3),
    _call("no activation", (19, 3, 7, 7), 7, (3, 3), activation="none"),
    *(
        _call(f"{activation}, average", (2, 2, 6, 6), 3, (3, 3), activation=activation, pool="avg")
        for activation in ACTIVATIONS
    ),
    _call("tanh, maximum", (2, 2, 6, 6), 3, (3, 3), activation="tanh"),
    _call("windows of 3", (8, 2, 8, 9), 3, (3, 3), pool_size=3),
    _call("windows of 1 × 2", (8, 2, 6, 7), 3, (3, 3), pool_size=(1, 2)),
    _call("overlapping windows", (8, 2, 8, 9), 3, (3, 3), pool_size=3, pool_stride=2),
    _call("LeNet's first", (17, 1, 12, 14), 6, (5, 5)),
    _call("LeNet's second", (18, 6, 10, 8), 16, (5, 5)),
    _call("kernel of 7 × 6", (17, 2, 10, 12), 5, (7, 6)),
    _call("kernel of 11 × 1", (8, 1, 14, 4), 2, (11, 1)),
    _call("larger", (35, 3, 16, 19), 13, (3, 3), padding=1),
    _call("more channels than the kernel takes", (8, 33, 6, 6), 7, (3, 3)),
    _call("defaults", (2, 2, 5, 6, 5), 3, (2, 3, 2)),
    _call("no batch", (2, 5, 6, 5), 3, (2, 3, 2)),
    _call("empty batch", (0, 2, 5, 6, 5), 3, (2, 3, 2)),
    _call("average, no bias", (2, 2, 5, 6, 5), 3, (2, 3, 2), pool="avg", bias=False),
    _call("stride, padding", (1, 2, 6, 6, 7), 2, (3, 3, 3), stride=(1, 2, 2), padding=1, pool_size=(2, 1, 2)),
    _call("larger", (2, 4, 9, 10, 11), 4, (3, 3, 3), padding=1),
]

_VALID: Mapping[str, Shape] = {"input": (2, 4, 8, 9), "weight": (6, 4, 3, 3), "bias": (6,)}


def _invalid(
    *says: str, dtype: torch.dtype = torch.float32, tensors: dict[str, Shape] | None = None, **options: Any
) -> InvalidCall:
    return InvalidCall(Call("conv_pool2d", {**_VALID, **(tensors or {})}, options), says, dtype)


INVALID = [
    _invalid("input", "2 dimensions", "(N, C, H, W)", tensors={"input": (8, 9)}),
    _invalid("weight", "3 dimensions", "wanted 4", tensors={"weight": (6, 4, 3)}),
    _invalid("input", "5 channels", "wanted C_in / groups", tensors={"input": (2, 5, 8, 9)}),
    _invalid("bias", "(5,)", "(6,)", tensors={"bias": (5,)}),
    _invalid("groups", "3", "4 channels", groups=3),
    _invalid("groups", "0", groups=0),
    _invalid("height", "window of 3", "does not fit in 2", tensors={"input": (2, 4, 2, 9)}),
    _invalid("height", "window of 9", "pooling", "(6, 7)", pool_size=9),
    _invalid("height", "window of 2", "pooling", "(1, 7)", tensors={"input": (2, 4, 3, 9)}),
    _invalid("stride", "0", stride=0),
    _invalid("stride", "2147483648", stride=2**31),
    _invalid("dilation", "9223372036854775807", dilation=2**63 - 1),
    _invalid("padding", "-1", padding=-1),
    _invalid("padding", "9223372036854775807", padding=2**63 - 1),
    _invalid("padding", "'full'", '"same"', padding="full"),
    _invalid("pool_size", "0", pool_size=0),
    _invalid("pool_size", "3 numbers", pool_size=(2, 2, 2)),
    _invalid("pool_size", "9223372036854775807", pool_size=2**63 - 1),
    _invalid("pool_stride", "0", pool_stride=0),
    _invalid("pool_stride", "2147483648", pool_stride=2**31),
    _invalid("activation", "'softmax'", "'relu'", activation="softmax"),
    _invalid("pool", "'median'", "'max' or 'avg'", pool="median"),
    _invalid("input", "torch.int64", "floating point", dtype=torch.int64),
    _invalid("input", "torch.complex64", "floating point", dtype=torch.complex64),
    InvalidCall(
        Call("conv_pool1d", {"input": (2, 3, 4, 4), "weight": (2, 3, 3)}),
        ("conv_pool1d: input", "4 dimensions", "(N, C, L)"),
    ),
    InvalidCall(
        Call("conv_pool3d", {"input": (1, 1, 4, 4, 4), "weight": (2, 1, 5, 3, 3)}),
        ("conv_pool3d: depth", "window of 5"),
    ),
]


def _kernel_obstacle(call: Call, tensors: Mapping[str, Any]) -> str:
    options = {
        "stride": 1,
        "padding": 0,
        "dilation": 1,
        "groups": 1,
        "activation": "relu",
        "pool": "max",
        "pool_size": 2,
        "pool_stride": None,
    }
    return kernel_obstacle(
        tensors["input"], tensors["weight"], tensors.get("bias"), **{**options, **call.options}
    )


SPEC = OpSpec(
    name="conv_pool",
    functions={function.__name__: function for function in FUNCTIONS.values()},
    references={function.__name__: conv_pool for function in FUNCTIONS.values()},
    layers=[ConvPool1d, ConvPool2d, ConvPool3d],
    samples=SAMPLES,
    random_call=_random_call,
    invalid=INVALID,
    output_shape=_output_shape,
    macs=_macs,
    benchmarks=[
        _call("conv 5×5 1→6 + ReLU + max-pool 2, batch 256, 28²", (256, 1, 28, 28), 6, (5, 5)),
        _call("conv 5×5 6→16 + ReLU + max-pool 2, batch 256, 12²", (256, 6, 12, 12), 16, (5, 5)),
        _call("conv 3×3 3→32 + ReLU + max-pool 2, batch 128, 32²", (128, 3, 32, 32), 32, (3, 3)),
    ],
    paper="LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition, 1998",
    fill=_fill,
    library_operators=("conv_pool", "conv_pool_backward"),
    kernel_obstacle=_kernel_obstacle,
    layer_samples=[
        LayerSample(
            "ConvPool1d", {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "groups": 2}, (2, 4, 9)
        ),
        LayerSample("ConvPool2d", {"in_channels": 1, "out_channels": 6, "kernel_size": 5}, (2, 1, 12, 12)),
        LayerSample(
            "ConvPool2d",
            {
                "in_channels": 3,
                "out_channels": 4,
                "kernel_size": (3, 2),
                "stride": 2,
                "bias": False,
                "activation": "tanh",
                "pool": "avg",
                "pool_size": 3,
                "pool_stride": 1,
            },
            (2, 3, 12, 13),
        ),
        LayerSample("ConvPool3d", {"in_channels": 2, "out_channels": 2, "kernel_size": 2}, (2, 2, 3, 4, 5)),
    ],
    sums_by_threads=("weight", "bias"),
)
