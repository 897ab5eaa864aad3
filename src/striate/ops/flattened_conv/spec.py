"""What tests, benchmarks and pages ask of flattened convolution."""

from __future__ import annotations

import random
from math import prod
from typing import Any

import torch

from striate import geometry
from striate.ops._spec import Call, InvalidCall, LayerSample, OpSpec, Shape, fan_in_scaled, split_batch
from striate.ops.flattened_conv import reference
from striate.ops.flattened_conv.layer import FUNCTIONS, FlattenedConv2d, FlattenedConv3d
from striate.ops.flattened_conv.op import AXES, STEPS


def _call(
    input: Shape,
    out_channels: int,
    kernel: Shape,
    *,
    name: str,
    biases: tuple[str, ...] | None = None,
    **options: Any,
) -> Call:
    """A call whose weights have the shapes that it needs; ``biases`` after all steps or those named."""
    rank = len(kernel)
    steps = STEPS[: rank + 1]
    tensors: dict[str, Shape] = {
        "input": input,
        "channel_weight": (out_channels, input[-1 - rank], *(1,) * rank),
    }
    for step, axis in zip(steps[1:], AXES[rank], strict=True):
        taps = tuple(k if i == axis else 1 for i, k in enumerate(kernel))
        tensors[f"{step}_weight"] = (out_channels, 1, *taps)
    for step in steps if biases is None else biases:
        tensors[f"{step}_bias"] = (out_channels,)
    return Call(f"flattened_conv{rank}d", tensors, options, name)


def _geometry(call: Call) -> tuple[Shape, geometry.Layer]:
    rank = int(call.function[-2])
    batch, picture = split_batch(call, rank)
    kernel, channels = [1] * rank, 0
    for step, axis in zip(STEPS[1:], AXES[rank], strict=False):
        weight = call.tensors[f"{step}_weight"]
        assert isinstance(weight, tuple)
        channels, kernel[axis] = weight[0], weight[2 + axis]
    return batch, geometry.flattened_conv(picture, channels, tuple(kernel), **call.options)


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
        biases=tuple(step for step in STEPS[: rank + 1] if source.random() < 0.5),
        stride=tuple(source.randint(1, 3) for _ in range(rank)),
        padding=padding,
        dilation=dilation,
    )


SAMPLES = [
    _call((2, 3, 6, 7), 4, (3, 2), name="defaults"),
    _call((2, 3, 6, 7), 4, (3, 2), name="no bias", biases=()),
    _call((2, 3, 6, 7), 4, (3, 2), name="one bias", biases=("horizontal",)),
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
    _call((2, 16, 33, 35), 16, (5, 5), name="larger", padding=2, stride=2),
    _call((2, 2, 9, 18), 3, (3, 3), name="3 taps in one pass", padding=1),
    _call((2, 2, 9, 18), 3, (5, 5), name="5 taps in one pass", padding="same", biases=("vertical",)),
    _call((3, 2, 9, 11), 37, (3, 3), name="many channels in one pass", padding=((0, 2), 1)),
    _call((2, 2, 4, 5, 6), 3, (2, 3, 2), name="defaults"),
    _call((2, 2, 4, 5, 6), 3, (2, 3, 2), name="no bias", biases=()),
    _call((2, 2, 4, 5, 6), 3, (2, 3, 2), name="one bias", biases=("channel",), padding=1),
    _call((2, 4, 5, 6), 3, (2, 3, 2), name="no batch"),
    _call((0, 2, 4, 5, 6), 3, (2, 3, 2), name="empty batch"),
    _call((1, 1, 1, 1, 1), 1, (1, 1, 1), name="ones everywhere"),
    _call((1, 2, 2, 2, 2), 2, (3, 3, 3), name="kernel wider than the input", padding=1),
    _call((2, 2, 4, 5, 6), 2, (2, 2, 2), name="stride", stride=(1, 2, 3)),
    _call((1, 2, 4, 5, 6), 2, (3, 2, 3), name="same with stride", stride=2, padding="same"),
    _call((1, 2, 4, 5, 4), 2, (2, 3, 2), name="pairs of paddings", padding=((0, 1), (2, 0), (1, 1))),
    _call((1, 2, 5, 5, 4), 2, (2, 3, 2), name="dilation", dilation=2),
    _call((2, 3, 3, 4, 4), 3, (4, 3, 2), name="same, even kernel", padding="same"),
    _call((2, 8, 9, 10, 11), 8, (3, 3, 3), name="larger", stride=2, padding=1),
]

_VALID: dict[str, Shape] = {
    "input": (2, 4, 6, 7),
    "channel_weight": (6, 4, 1, 1),
    "vertical_weight": (6, 1, 3, 1),
    "horizontal_weight": (6, 1, 1, 5),
}


def _invalid(
    *says: str, dtype: torch.dtype = torch.float32, tensors: dict[str, Shape] | None = None, **options: Any
) -> InvalidCall:
    return InvalidCall(Call("flattened_conv2d", _VALID | (tensors or {}), options), says, dtype)


INVALID = [
    _invalid("input", "2 dimensions", "(N, C, H, W)", tensors={"input": (6, 7)}),
    _invalid("channel_weight", "(6, 5, 1, 1)", tensors={"input": (2, 5, 6, 7)}),
    _invalid("channel_weight", "2 dimensions", tensors={"channel_weight": (6, 4)}),
    _invalid("channel_weight", "(6, 4, 3, 3)", "(6, 4, 1, 1)", tensors={"channel_weight": (6, 4, 3, 3)}),
    _invalid("vertical_weight", "(6, 1, 3, 3)", "(6, 1, 3, 1)", tensors={"vertical_weight": (6, 1, 3, 3)}),
    _invalid("vertical_weight", "(12, 1, 3, 1)", "6 channels", tensors={"vertical_weight": (12, 1, 3, 1)}),
    _invalid("horizontal_weight", "(6, 6, 1, 5)", tensors={"horizontal_weight": (6, 6, 1, 5)}),
    _invalid("vertical_bias", "(4,)", "(6,)", tensors={"vertical_bias": (4,)}),
    _invalid("width", "window of 5", "does not fit in 4", tensors={"input": (2, 4, 6, 4)}),
    _invalid("kernel came as (0, 5)", tensors={"vertical_weight": (6, 1, 0, 1)}),
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
            "flattened_conv3d",
            {
                "input": (1, 4, 4, 4),
                "channel_weight": (2, 1, 1, 1, 1),
                "vertical_weight": (2, 1, 1, 3, 1),
                "horizontal_weight": (2, 1, 1, 1, 3),
                "depth_weight": (2, 1, 5, 1, 1),
            },
        ),
        ("flattened_conv3d: depth", "window of 5"),
    ),
]

SPEC = OpSpec(
    name="flattened_conv",
    functions={function.__name__: function for function in FUNCTIONS.values()},
    references={function.__name__: getattr(reference, function.__name__) for function in FUNCTIONS.values()},
    layers=[FlattenedConv2d, FlattenedConv3d],
    samples=SAMPLES,
    random_call=_random_call,
    invalid=INVALID,
    output_shape=_output_shape,
    macs=_macs,
    benchmarks=[
        _call((8, 64, 56, 56), 64, (3, 3), name="flattened 3×3, 64→64, batch 8, 56²", padding=1),
    ],
    paper="Jin, Dundar, Culurciello, arXiv 1412.5474",
    fill=fan_in_scaled,
    library_operators=("depthwise_pair_conv", "depthwise_pair_conv_backward"),
    layer_samples=[
        LayerSample(
            "FlattenedConv2d",
            {"in_channels": 3, "out_channels": 4, "kernel_size": (3, 2), "stride": 2, "dilation": 2},
            (2, 3, 6, 7),
        ),
        LayerSample(
            "FlattenedConv2d",
            {"in_channels": 3, "out_channels": 4, "kernel_size": 3, "padding": "same", "bias": False},
            (2, 3, 6, 6),
        ),
        LayerSample(
            "FlattenedConv3d", {"in_channels": 2, "out_channels": 3, "kernel_size": 2}, (2, 2, 3, 4, 5)
        ),
    ],
    sums_by_threads=("result", *(f"{step}_{kind}" for step in STEPS for kind in ("weight", "bias"))),
    double_sums_by_threads=("channel_weight",),
)
