"""What tests, benchmarks and pages ask of local convolution."""

from __future__ import annotations

import random
from math import prod
from typing import Any

import torch

from striate import geometry
from striate.ops._spec import Call, InvalidCall, LayerSample, OpSpec, Shape, split_batch
from striate.ops.local_conv.layer import FUNCTIONS, LocalConv1d, LocalConv2d, LocalConv3d
from striate.ops.local_conv.reference import local_conv


def _call(
    input: Shape, out_channels: int, kernel: Shape, *, name: str, bias: bool = True, **options: Any
) -> Call:
    """A call whose weight and bias have the shapes that it needs."""
    rank = len(kernel)
    layer = geometry.local_conv(input[-1 - rank :], out_channels, kernel, **options)
    positions = layer.output[1:]
    groups = options.get("groups", 1)
    tensors = {"input": input, "weight": (out_channels, layer.input[0] // groups, *kernel, *positions)}
    if bias:
        tensors["bias"] = layer.output
    return Call(f"local_conv{rank}d", tensors, options, name)


def _geometry(call: Call) -> tuple[Shape, geometry.Layer]:
    rank = int(call.function[-2])
    batch, picture = split_batch(call, rank)
    weight = call.tensors["weight"]
    assert isinstance(weight, tuple)
    return batch, geometry.local_conv(picture, weight[0], weight[2 : 2 + rank], **call.options)


def _output_shape(call: Call) -> Shape:
    batch, layer = _geometry(call)
    return (*batch, *layer.output)


def _macs(call: Call) -> int:
    batch, layer = _geometry(call)
    return prod(batch) * layer.macs


def _random_call(function: str, source: random.Random) -> Call:
    rank = int(function[-2])
    groups = source.choice([1, 1, 2, 3])
    kernel = tuple(source.randint(1, 3) for _ in range(rank))
    dilation = tuple(source.randint(1, 2) for _ in range(rank))
    size = tuple(d * (k - 1) + 1 + source.randint(0, 3) for k, d in zip(kernel, dilation, strict=True))
    padding: Any = source.choice(["same", "valid", source.randint(0, 2), "pairs"])
    if padding == "pairs":
        padding = tuple((source.randint(0, 2), source.randint(0, 2)) for _ in range(rank))
    input = (groups * source.randint(1, 2), *size)
    return _call(
        (source.randint(1, 2), *input) if source.random() < 0.8 else input,
        groups * source.randint(1, 2),
        kernel,
        name="random",
        bias=source.random() < 0.5,
        stride=tuple(source.randint(1, 3) for _ in range(rank)),
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


SAMPLES = [
    _call((2, 3, 9), 4, (3,), name="defaults"),
    _call((2, 3, 9), 4, (3,), name="no bias", bias=False),
    _call((3, 8), 2, (4,), name="no batch, even kernel"),
    _call((0, 3, 9), 4, (3,), name="empty batch"),
    _call((1, 1, 1), 1, (1,), name="ones everywhere"),
    _call((2, 2, 2), 3, (5,), name="kernel wider than the input", padding=2),
    _call((2, 3, 10), 4, (3,), name="stride", stride=2),
    _call((2, 3, 10), 4, (3,), name="same with stride", stride=3, padding="same"),
    _call((2, 3, 10), 4, (4,), name="same, even kernel", padding="same"),
    _call((2, 3, 10), 4, (3,), name="pair of paddings, dilation", padding=((0, 3),), dilation=2),
    _call((2, 6, 7), 4, (3,), name="groups", groups=2),
    _call((2, 4, 7), 8, (3,), name="depthwise", groups=4),
    _call((2, 16, 131), 8, (5,), name="larger", padding=2, groups=2),
    _call((2, 3, 6, 7), 4, (3, 2), name="defaults"),
    _call((2, 3, 6, 7), 4, (3, 2), name="no bias", bias=False),
    _call((3, 5, 6), 2, (2, 3), name="no batch"),
    _call((0, 3, 5, 6), 2, (2, 3), name="empty batch"),
    _call((1, 1, 1, 1), 1, (1, 1), name="ones everywhere"),
    _call((2, 2, 2, 3), 3, (5, 4), name="kernel wider than the input", padding=(2, 1)),
    _call((2, 3, 7, 8), 4, (3, 3), name="stride", stride=(2, 3)),
    _call((2, 3, 7, 8), 4, (3, 2), name="same with stride", stride=2, padding="same"),
    _call((2, 3, 7, 8), 4, (3, 3), name="valid", padding="valid"),
    _call((2, 3, 7, 8), 4, (3, 3), name="pairs of paddings", padding=((0, 2), (1, 0))),
    _call((2, 3, 7, 8), 4, (3, 2), name="dilation", dilation=(2, 3)),
    _call((2, 6, 5, 6), 4, (3, 3), name="groups", groups=2, padding=1),
    _call((2, 4, 5, 6), 8, (3, 3), name="depthwise", groups=4, stride=2, dilation=2, padding="same"),
    _call((2, 8, 33, 35), 8, (3, 3), name="larger", padding=1, stride=2),
    _call((2, 2, 4, 5, 6), 3, (2, 3, 2), name="defaults"),
    _call((2, 2, 4, 5, 6), 3, (2, 3, 2), name="no bias", bias=False),
    _call((2, 4, 5, 6), 3, (2, 3, 2), name="no batch"),
    _call((0, 2, 4, 5, 6), 3, (2, 3, 2), name="empty batch"),
    _call((1, 1, 1, 1, 1), 1, (1, 1, 1), name="ones everywhere"),
    _call((1, 2, 2, 2, 2), 2, (3, 3, 3), name="kernel wider than the input", padding=1),
    _call((2, 2, 4, 5, 6), 2, (2, 2, 2), name="stride", stride=(1, 2, 3)),
    _call((1, 2, 4, 5, 6), 2, (3, 2, 3), name="same with stride", stride=2, padding="same"),
    _call((1, 2, 4, 5, 4), 2, (2, 3, 2), name="pairs of paddings", padding=((0, 1), (2, 0), (1, 1))),
    _call((1, 2, 5, 5, 4), 2, (2, 3, 2), name="dilation", dilation=2),
    _call((2, 4, 3, 4, 4), 6, (2, 2, 2), name="groups", groups=2),
    _call((2, 3, 3, 4, 4), 3, (3, 3, 3), name="depthwise", groups=3, padding="same"),
    _call((2, 4, 9, 10, 11), 4, (3, 3, 3), name="larger", stride=2, padding=1),
]

_VALID: dict[str, Shape] = {"input": (2, 4, 6, 7), "weight": (6, 4, 3, 3, 4, 5)}


def _invalid(
    *says: str, dtype: torch.dtype = torch.float32, tensors: dict[str, Shape] | None = None, **options: Any
) -> InvalidCall:
    return InvalidCall(Call("local_conv2d", _VALID | (tensors or {}), options), says, dtype)


INVALID = [
    _invalid("input", "2 dimensions", "(N, C, H, W)", tensors={"input": (6, 7)}),
    _invalid("weight", "4 dimensions", "wanted 6", tensors={"weight": (6, 4, 3, 3)}),
    _invalid("input", "5 channels", "wanted C_in / groups", tensors={"input": (2, 5, 6, 7)}),
    _invalid("groups", "3", "4 channels", groups=3),
    _invalid("groups", "0", groups=0),
    _invalid("groups", "'two'", groups="two"),
    _invalid("kernels for 4 × 5 positions", "wanted 4 × 6", tensors={"input": (2, 4, 6, 8)}),
    _invalid("kernels for 4 × 5 positions", "wanted 2 × 3", stride=2),
    _invalid("bias", "(6,)", "(6, 4, 5)", tensors={"bias": (6,)}),
    _invalid("height", "window of 3", "does not fit in 2", tensors={"input": (2, 4, 2, 7)}),
    _invalid("kernel came as (0, 3)", tensors={"weight": (6, 4, 0, 3, 4, 5)}),
    _invalid("stride", "0", stride=0),
    _invalid("stride", "3 numbers", stride=(1, 1, 1)),
    _invalid("stride", "2147483648", stride=2**31),
    _invalid("dilation", "9223372036854775807", dilation=2**63 - 1),
    _invalid("padding", "-1", padding=-1),
    _invalid("padding", "9223372036854775807", padding=2**63 - 1),
    _invalid("positions", "wanted 2147483652", padding=2**30),
    _invalid("padding", "'full'", '"same"', padding="full"),
    _invalid("input", "torch.int64", "floating point", dtype=torch.int64),
    _invalid("input", "torch.complex64", "floating point", dtype=torch.complex64),
    InvalidCall(
        Call("local_conv1d", {"input": (2, 3, 4, 4), "weight": (2, 3, 3, 2)}),
        ("local_conv1d: input", "4 dimensions", "(N, C, L)"),
    ),
    InvalidCall(
        Call("local_conv3d", {"input": (1, 4, 4, 4), "weight": (2, 1, 5, 3, 3, 1, 2, 2)}),
        ("local_conv3d: depth", "window of 5"),
    ),
]

SPEC = OpSpec(
    name="local_conv",
    functions={function.__name__: function for function in FUNCTIONS.values()},
    references={function.__name__: local_conv for function in FUNCTIONS.values()},
    layers=[LocalConv1d, LocalConv2d, LocalConv3d],
    samples=SAMPLES,
    random_call=_random_call,
    invalid=INVALID,
    output_shape=_output_shape,
    macs=_macs,
    benchmarks=[
        _call((32, 3, 32, 32), 6, (5, 5), name="local 5×5, 3→6, batch 32, 32²"),
        _call((8, 32, 28, 28), 32, (3, 3), name="local 3×3, 32→32, batch 8, 28²", padding=1),
    ],
    library_operators=("local_conv", "local_conv_backward"),
    paper="LeCun, Generalization and network design strategies, 1989",
    layer_samples=[
        LayerSample(
            "LocalConv1d",
            {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "input_size": 9, "groups": 2},
            (2, 4, 9),
        ),
        LayerSample(
            "LocalConv2d",
            {"in_channels": 3, "out_channels": 4, "kernel_size": (3, 2), "input_size": (6, 7), "stride": 2},
            (2, 3, 6, 7),
        ),
        LayerSample(
            "LocalConv2d",
            {
                "in_channels": 3,
                "out_channels": 4,
                "kernel_size": 3,
                "input_size": 6,
                "padding": "same",
                "bias": False,
            },
            (2, 3, 6, 6),
        ),
        LayerSample(
            "LocalConv3d",
            {"in_channels": 2, "out_channels": 2, "kernel_size": 2, "input_size": (3, 4, 5)},
            (2, 2, 3, 4, 5),
        ),
    ],
)
