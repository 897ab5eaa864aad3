"""What tests, benchmarks and pages ask of depthwise separable convolution."""

from __future__ import annotations

import random
from math import prod
from typing import Any

import torch

from striate import geometry
from striate.ops._spec import Call, InvalidCall, LayerSample, OpSpec, Shape, fan_in_scaled, split_batch
from striate.ops.separable_conv.layer import FUNCTIONS, SeparableConv1d, SeparableConv2d, SeparableConv3d
from striate.ops.separable_conv.reference import separable_conv


def _call(
    input: Shape,
    out_channels: int,
    kernel: Shape,
    *,
    name: str,
    multiplier: int = 1,
    bias: bool = True,
    **options: Any,
) -> Call:
    """A call whose weights have the shapes that it needs."""
    rank = len(kernel)
    between = input[-1 - rank] * multiplier
    tensors = {
        "input": input,
        "depthwise_weight": (between, 1, *kernel),
        "pointwise_weight": (out_channels, between, *(1,) * rank),
    }
    if bias:
        tensors["bias"] = (out_channels,)
    return Call(f"separable_conv{rank}d", tensors, options, name)


def _geometry(call: Call) -> tuple[Shape, geometry.Layer]:
    rank = int(call.function[-2])
    batch, picture = split_batch(call, rank)
    depthwise, pointwise = call.tensors["depthwise_weight"], call.tensors["pointwise_weight"]
    assert isinstance(depthwise, tuple) and isinstance(pointwise, tuple)
    multiplier = depthwise[0] // picture[0]
    layer = geometry.separable_conv(
        picture, pointwise[0], depthwise[2:], depth_multiplier=multiplier, **call.options
    )
    return batch, layer


def _output_shape(call: Call) -> Shape:
    batch, layer = _geometry(call)
    return (*batch, *layer.output)


def _macs(call: Call) -> int:
    batch, layer = _geometry(call)
    return prod(batch) * layer.macs


def _random_call(function: str, source: random.Random) -> Call:
    rank = int(function[-2])
    kernel = tuple(source.randint(1, 3) for _ in range(rank))
    dilation = tuple(source.randint(1, 2) for _ in range(rank))
    size = tuple(d * (k - 1) + 1 + source.randint(0, 3) for k, d in zip(kernel, dilation, strict=True))
    padding: Any = source.choice(["same", "valid", source.randint(0, 2), "pairs"])
    if padding == "pairs":
        padding = tuple((source.randint(0, 2), source.randint(0, 2)) for _ in range(rank))
    picture = (source.randint(1, 3), *size)
    return _call(
        (source.randint(1, 2), *picture) if source.random() < 0.8 else picture,
        source.randint(1, 3),
        kernel,
        name="random",
        multiplier=source.randint(1, 2),
        bias=source.random() < 0.5,
        stride=tuple(source.randint(1, 3) for _ in range(rank)),
        padding=padding,
        dilation=dilation,
    )


SAMPLES = [
    _call((2, 3, 9), 4, (3,), name="defaults"),
    _call((2, 3, 9), 4, (3,), name="no bias", bias=False),
    _call((2, 3, 9), 4, (3,), name="multiplier", multiplier=2),
    _call((3, 8), 2, (4,), name="no batch, even kernel"),
    _call((0, 3, 9), 4, (3,), name="empty batch"),
    _call((1, 1, 1), 1, (1,), name="ones everywhere"),
    _call((2, 2, 2), 3, (5,), name="kernel wider than the input", padding=2),
    _call((2, 3, 10), 4, (3,), name="stride", stride=2),
    _call((2, 3, 10), 4, (3,), name="same with stride", stride=3, padding="same"),
    _call((2, 3, 10), 4, (4,), name="same, even kernel", padding="same"),
    _call((2, 3, 10), 4, (3,), name="valid", padding="valid"),
    _call((2, 3, 10), 4, (3,), name="pair of paddings, dilation", padding=((0, 3),), dilation=2),
    _call((2, 16, 131), 24, (5,), name="larger", padding=2),
    _call((2, 3, 6, 7), 4, (3, 2), name="defaults"),
    _call((2, 3, 6, 7), 4, (3, 2), name="no bias", bias=False),
    _call((2, 3, 6, 7), 4, (3, 3), name="multiplier", multiplier=3),
    _call((3, 5, 6), 2, (2, 3), name="no batch"),
    _call((0, 3, 5, 6), 2, (2, 3), name="empty batch"),
    _call((1, 1, 1, 1), 1, (1, 1), name="ones everywhere"),
    _call((2, 2, 2, 3), 3, (5, 4), name="kernel wider than the input", padding=(2, 1)),
    _call((2, 3, 7, 8), 4, (3, 3), name="stride", stride=(2, 3)),
    _call((2, 3, 7, 8), 4, (3, 2), name="same with stride", stride=2, padding="same"),
    _call((2, 3, 7, 8), 4, (4, 2), name="same, even kernel", padding="same", multiplier=2),
    _call((2, 3, 7, 8), 4, (3, 3), name="pairs of paddings", padding=((0, 2), (1, 0))),
    _call((2, 3, 7, 8), 4, (3, 2), name="dilation", dilation=(2, 3)),
    _call((2, 16, 33, 35), 16, (3, 3), name="larger", padding=1, stride=2),
    _call((2, 2, 4, 5, 6), 3, (2, 3, 2), name="defaults"),
    _call((2, 2, 4, 5, 6), 3, (2, 3, 2), name="no bias", bias=False),
    _call((2, 2, 4, 5, 6), 3, (2, 3, 2), name="multiplier", multiplier=2),
    _call((2, 4, 5, 6), 3, (2, 3, 2), name="no batch"),
    _call((0, 2, 4, 5, 6), 3, (2, 3, 2), name="empty batch"),
    _call((1, 1, 1, 1, 1), 1, (1, 1, 1), name="ones everywhere"),
    _call((1, 2, 2, 2, 2), 2, (3, 3, 3), name="kernel wider than the input", padding=1),
    _call((2, 2, 4, 5, 6), 2, (2, 2, 2), name="stride", stride=(1, 2, 3)),
    _call((1, 2, 4, 5, 6), 2, (3, 2, 3), name="same with stride", stride=2, padding="same"),
    _call((1, 2, 4, 5, 4), 2, (2, 3, 2), name="pairs of paddings", padding=((0, 1), (2, 0), (1, 1))),
    _call((1, 2, 5, 5, 4), 2, (2, 3, 2), name="dilation", dilation=2),
    _call((2, 4, 5, 5, 4), 6, (3, 3, 3), name="same", padding="same"),
    _call((2, 8, 9, 10, 11), 8, (3, 3, 3), name="larger", stride=2, padding=1),
]

_VALID: dict[str, Shape] = {
    "input": (2, 4, 6, 7),
    "depthwise_weight": (8, 1, 3, 3),
    "pointwise_weight": (6, 8, 1, 1),
}


def _invalid(
    *says: str, dtype: torch.dtype = torch.float32, tensors: dict[str, Shape] | None = None, **options: Any
) -> InvalidCall:
    return InvalidCall(Call("separable_conv2d", _VALID | (tensors or {}), options), says, dtype)


INVALID = [
    _invalid("input", "2 dimensions", "(N, C, H, W)", tensors={"input": (6, 7)}),
    _invalid("input", "5 dimensions", tensors={"input": (1, 2, 4, 6, 7)}),
    _invalid("depthwise_weight", "3 dimensions", "wanted 4", tensors={"depthwise_weight": (8, 3, 3)}),
    _invalid("depthwise_weight", "C_in = 5", "(10, 1, 3, 3)", tensors={"input": (2, 5, 6, 7)}),
    _invalid("depthwise_weight", "(8, 4, 3, 3)", tensors={"depthwise_weight": (8, 4, 3, 3)}),
    _invalid("pointwise_weight", "(6, 8, 3, 3)", "1×1", tensors={"pointwise_weight": (6, 8, 3, 3)}),
    _invalid("pointwise_weight", "(6, 4, 1, 1)", "(6, 8, 1, 1)", tensors={"pointwise_weight": (6, 4, 1, 1)}),
    _invalid("pointwise_weight", "2 dimensions", tensors={"pointwise_weight": (6, 8)}),
    _invalid("bias", "(8,)", "(6,)", tensors={"bias": (8,)}),
    _invalid("height", "window of 3", "does not fit in 2", tensors={"input": (2, 4, 2, 7)}),
    _invalid("kernel came as (0, 3)", tensors={"depthwise_weight": (8, 1, 0, 3)}),
    _invalid("stride", "0", stride=0),
    _invalid("stride", "3 numbers", stride=(1, 1, 1)),
    _invalid("stride", "2147483648", stride=2**31),
    _invalid("dilation", "9223372036854775807", dilation=2**63 - 1),
    _invalid("padding", "-1", padding=-1),
    _invalid("padding", "9223372036854775807", padding=2**63 - 1),
    _invalid("padding", "'full'", '"same"', padding="full"),
    _invalid("input", "torch.int64", "floating point", dtype=torch.int64),
    _invalid("input", "torch.complex64", "floating point", dtype=torch.complex64),
    InvalidCall(
        Call(
            "separable_conv1d",
            {"input": (2, 3, 4, 4), "depthwise_weight": (3, 1, 3), "pointwise_weight": (2, 3, 1)},
        ),
        ("separable_conv1d: input", "4 dimensions", "(N, C, L)"),
    ),
    InvalidCall(
        Call(
            "separable_conv3d",
            {"input": (1, 4, 4, 4), "depthwise_weight": (1, 1, 5, 3, 3), "pointwise_weight": (2, 1, 1, 1, 1)},
        ),
        ("separable_conv3d: depth", "window of 5"),
    ),
]

SPEC = OpSpec(
    name="separable_conv",
    functions={function.__name__: function for function in FUNCTIONS.values()},
    references={function.__name__: separable_conv for function in FUNCTIONS.values()},
    layers=[SeparableConv1d, SeparableConv2d, SeparableConv3d],
    samples=SAMPLES,
    random_call=_random_call,
    invalid=INVALID,
    output_shape=_output_shape,
    macs=_macs,
    benchmarks=[
        _call((8, 128, 56, 56), 128, (3, 3), name="depthwise-separable 128→128, batch 8, 56²", padding=1),
    ],
    paper="Chollet, arXiv 1610.02357; Howard et al., arXiv 1704.04861",
    fill=fan_in_scaled,
    layer_samples=[
        LayerSample(
            "SeparableConv1d", {"in_channels": 4, "out_channels": 6, "kernel_size": 3, "stride": 2}, (2, 4, 9)
        ),
        LayerSample(
            "SeparableConv2d",
            {
                "in_channels": 3,
                "out_channels": 4,
                "kernel_size": (3, 2),
                "depth_multiplier": 2,
                "dilation": 2,
            },
            (2, 3, 6, 7),
        ),
        LayerSample(
            "SeparableConv2d",
            {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "padding": "same", "bias": False},
            (2, 3, 6, 6),
        ),
        LayerSample(
            "SeparableConv3d", {"in_channels": 2, "out_channels": 3, "kernel_size": 2}, (2, 2, 3, 4, 5)
        ),
    ],
    sums_by_threads=("result", "depthwise_weight", "pointwise_weight", "bias"),
    double_sums_by_threads=("pointwise_weight",),
)
