"""What tests, benchmarks and pages ask of spatially separable convolution."""

from __future__ import annotations

import random
from math import prod
from typing import Any

import torch

from striate import geometry
from striate.ops._spec import Call, InvalidCall, LayerSample, OpSpec, Shape, fan_in_scaled, split_batch
from striate.ops.spatial_separable_conv import reference
from striate.ops.spatial_separable_conv.layer import (
    FUNCTIONS,
    SpatialSeparableConv2d,
    SpatialSeparableConv3d,
)
from striate.ops.spatial_separable_conv.op import WEIGHTS


def _call(
    input: Shape,
    out_channels: int,
    kernel: Shape,
    *,
    name: str,
    middle: int | None = None,
    bias: bool = True,
    **options: Any,
) -> Call:
    """A call whose weights have the shapes that it needs."""
    rank = len(kernel)
    groups = options.get("groups", 1)
    tensors: dict[str, Shape] = {"input": input}
    channels = input[-1 - rank]
    for axis, weight in enumerate(WEIGHTS[rank]):
        after = out_channels if axis == rank - 1 or middle is None else middle
        taps = tuple(k if i == axis else 1 for i, k in enumerate(kernel))
        tensors[weight] = (after, channels // groups, *taps)
        channels = after
    if bias:
        tensors["bias"] = (out_channels,)
    return Call(f"spatial_separable_conv{rank}d", tensors, options, name)


def _geometry(call: Call) -> tuple[Shape, geometry.Layer]:
    rank = int(call.function[-2])
    batch, picture = split_batch(call, rank)
    shapes = [torch.Size(call.tensors[weight]) for weight in WEIGHTS[rank]]  # type: ignore[arg-type]
    kernel = tuple(shape[2 + axis] for axis, shape in enumerate(shapes))
    layer = geometry.spatial_separable_conv(
        picture, shapes[-1][0], kernel, mid_channels=shapes[0][0], **call.options
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
    groups = source.choice([1, 1, 2])
    kernel = tuple(source.randint(1, 3) for _ in range(rank))
    dilation = tuple(source.randint(1, 2) for _ in range(rank))
    size = tuple(d * (k - 1) + 1 + source.randint(0, 3) for k, d in zip(kernel, dilation, strict=True))
    padding: Any = source.choice(["same", "valid", source.randint(0, 2), "pairs"])
    if padding == "pairs":
        padding = tuple((source.randint(0, 2), source.randint(0, 2)) for _ in range(rank))
    picture = (groups * source.randint(1, 2), *size)
    return _call(
        (source.randint(1, 2), *picture) if source.random() < 0.8 else picture,
        groups * source.randint(1, 2),
        kernel,
        name="random",
        middle=groups * source.randint(1, 2),
        bias=source.random() < 0.5,
        stride=tuple(source.randint(1, 3) for _ in range(rank)),
        padding=padding,
        dilation=dilation,
        groups=groups,
    )


SAMPLES = [
    _call((2, 3, 6, 7), 4, (3, 2), name="defaults"),
    _call((2, 3, 6, 7), 4, (3, 2), name="no bias", bias=False),
    _call((2, 3, 6, 7), 4, (3, 3), name="fewer channels between", middle=2),
    _call((3, 5, 6), 2, (2, 3), name="no batch"),
    _call((0, 3, 5, 6), 2, (2, 3), name="empty batch"),
    _call((1, 1, 1, 1), 1, (1, 1), name="ones everywhere"),
    _call((2, 2, 2, 3), 3, (5, 4), name="kernel wider than the input", padding=(2, 1)),
    _call((2, 3, 7, 8), 4, (3, 3), name="stride", stride=(2, 3)),
    _call((2, 3, 7, 8), 4, (3, 2), name="same with stride", stride=2, padding="same"),
    _call((2, 3, 7, 8), 4, (4, 2), name="same, even kernel", padding="same"),
    _call((2, 3, 7, 8), 4, (3, 3), name="valid", padding="valid"),
    _call((2, 3, 7, 8), 4, (3, 3), name="pairs of paddings", padding=((0, 2), (1, 0))),
    _call((2, 3, 7, 8), 4, (3, 2), name="dilation", dilation=(2, 3)),
    _call((2, 6, 5, 6), 4, (3, 3), name="groups", groups=2, padding=1, middle=6),
    _call((2, 4, 5, 6), 4, (3, 3), name="depthwise", groups=4, padding="same", bias=False),
    _call((2, 3, 5, 6), 6, (3, 3), name="depthwise, two kernels each", groups=3, stride=2, middle=3),
    _call((2, 16, 33, 35), 16, (5, 5), name="larger", padding=2, stride=2),
    _call((2, 3, 9, 21), 3, (3, 3), name="depthwise, 3 taps in one pass", groups=3, padding=1),
    _call(
        (2, 3, 10, 17), 3, (5, 5), name="depthwise, 5 taps in one pass", groups=3, padding=((4, 0), (1, 3))
    ),
    _call((3, 2, 13, 19), 2, (7, 7), name="depthwise, 7 taps in one pass", groups=2, bias=False),
    _call((2, 2, 4, 5, 6), 3, (2, 3, 2), name="defaults"),
    _call((2, 2, 4, 5, 6), 3, (2, 3, 2), name="no bias", bias=False),
    _call((2, 2, 4, 5, 6), 3, (2, 3, 2), name="more channels between", middle=4),
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
    _call((2, 8, 9, 10, 11), 8, (3, 3, 3), name="larger", stride=2, padding=1),
]

_VALID: dict[str, Shape] = {
    "input": (2, 4, 6, 7),
    "vertical_weight": (8, 4, 3, 1),
    "horizontal_weight": (6, 8, 1, 5),
}


def _invalid(
    *says: str, dtype: torch.dtype = torch.float32, tensors: dict[str, Shape] | None = None, **options: Any
) -> InvalidCall:
    return InvalidCall(Call("spatial_separable_conv2d", _VALID | (tensors or {}), options), says, dtype)


INVALID = [
    _invalid("input", "2 dimensions", "(N, C, H, W)", tensors={"input": (6, 7)}),
    _invalid("input", "5 channels", tensors={"input": (2, 5, 6, 7)}),
    _invalid("vertical_weight", "2 dimensions", tensors={"vertical_weight": (8, 3)}),
    _invalid("vertical_weight", "(8, 4, 3, 3)", "(8, 4, 3, 1)", tensors={"vertical_weight": (8, 4, 3, 3)}),
    _invalid("horizontal_weight", "(6, 8, 5, 1)", tensors={"horizontal_weight": (6, 8, 5, 1)}),
    _invalid("horizontal_weight", "vertical_weight gives 8", tensors={"horizontal_weight": (6, 4, 1, 5)}),
    _invalid("groups", "3", "4 channels", groups=3),
    _invalid("groups", "0", groups=0),
    _invalid("horizontal_weight", "8 / 2", groups=2, tensors={"vertical_weight": (8, 2, 3, 1)}),
    _invalid("bias", "(8,)", "(6,)", tensors={"bias": (8,)}),
    _invalid("width", "window of 5", "does not fit in 4", tensors={"input": (2, 4, 6, 4)}),
    _invalid("kernel came as (0, 5)", tensors={"vertical_weight": (8, 4, 0, 1)}),
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
            "spatial_separable_conv3d",
            {
                "input": (1, 4, 4, 4),
                "depth_weight": (1, 1, 5, 1, 1),
                "vertical_weight": (1, 1, 1, 3, 1),
                "horizontal_weight": (1, 1, 1, 1, 3),
            },
        ),
        ("spatial_separable_conv3d: depth", "window of 5"),
    ),
]

SPEC = OpSpec(
    name="spatial_separable_conv",
    functions={function.__name__: function for function in FUNCTIONS.values()},
    references={function.__name__: getattr(reference, function.__name__) for function in FUNCTIONS.values()},
    layers=[SpatialSeparableConv2d, SpatialSeparableConv3d],
    samples=SAMPLES,
    random_call=_random_call,
    invalid=INVALID,
    output_shape=_output_shape,
    macs=_macs,
    benchmarks=[
        _call((8, 64, 28, 28), 64, (5, 5), name="k×1 then 1×k (k = 5), 64 ch, batch 8, 28²", padding=2),
        _call(
            (8, 64, 56, 56),
            64,
            (7, 7),
            name="k×1 then 1×k (k = 7), depthwise, 64 ch, 56²",
            padding=3,
            groups=64,
        ),
    ],
    paper="Szegedy et al., arXiv 1512.00567, section 3.2; Rigamonti et al., CVPR 2013",
    fill=fan_in_scaled,
    library_operators=("depthwise_pair_conv", "depthwise_pair_conv_backward"),
    layer_samples=[
        LayerSample(
            "SpatialSeparableConv2d",
            {"in_channels": 4, "out_channels": 6, "kernel_size": (3, 2), "groups": 2, "mid_channels": 8},
            (2, 4, 6, 7),
        ),
        LayerSample(
            "SpatialSeparableConv2d",
            {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "padding": "same", "bias": False},
            (2, 3, 6, 6),
        ),
        LayerSample(
            "SpatialSeparableConv3d",
            {"in_channels": 2, "out_channels": 3, "kernel_size": 2, "stride": 2},
            (2, 2, 3, 4, 5),
        ),
    ],
    sums_by_threads=("depth_weight", "vertical_weight", "horizontal_weight", "bias"),
)
