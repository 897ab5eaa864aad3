"""What tests, benchmarks and pages ask of parallel convolution."""

from __future__ import annotations

import random
from math import prod
from typing import Any

import torch

from striate import geometry
from striate.ops._spec import Call, InvalidCall, LayerSample, OpSpec, Shape, Shapes, split_batch
from striate.ops.parallel_conv import reference
from striate.ops.parallel_conv.layer import ParallelConv
from striate.ops.parallel_conv.op import parallel_conv


def _call(
    input: Shape, out_channels: Shape, kernels: list[Shape], *, name: str, bias: bool = True, **options: Any
) -> Call:
    """A call whose weights have the shapes that it needs."""
    rank = len(kernels[0])
    channels = input[-1 - rank]
    groups = options.get("groups", 1)
    blocks = [groups] * len(kernels) if isinstance(groups, int) else groups
    tensors: dict[str, Shapes] = {
        "input": input,
        "weights": [
            (after, channels // group, *kernel)
            for after, group, kernel in zip(out_channels, blocks, kernels, strict=True)
        ],
    }
    if bias:
        tensors["biases"] = [(after,) for after in out_channels]
    return Call("parallel_conv", tensors, options, name)


def _geometry(call: Call) -> tuple[Shape, geometry.Layer]:
    weights = call.tensors["weights"]
    assert isinstance(weights, list)
    batch, picture = split_batch(call, len(weights[0]) - 2)
    options = dict(call.options)
    groups = options.pop("groups", 1)
    blocks = [groups] * len(weights) if isinstance(groups, int) else groups

    def branch(weight: Shape, group: int) -> geometry.Layer:
        return geometry.conv(picture, weight[0], weight[2:], padding="same", groups=group, **options)

    layers = [branch(weight, group) for weight, group in zip(weights, blocks, strict=True)]
    return batch, geometry.parallel(picture, *[lambda _, layer=layer: layer for layer in layers])


def _output_shape(call: Call) -> Shape:
    batch, layer = _geometry(call)
    return (*batch, *layer.output)


def _macs(call: Call) -> int:
    batch, layer = _geometry(call)
    return prod(batch) * layer.macs


def _random_call(function: str, source: random.Random) -> Call:
    rank = source.randint(1, 3)
    branches = source.randint(1, 3)
    groups = [source.choice([1, 2]) for _ in range(branches)]
    picture = (2 * source.randint(1, 2), *(source.randint(1, 6) for _ in range(rank)))
    return _call(
        (source.randint(1, 2), *picture) if source.random() < 0.8 else picture,
        tuple(group * source.randint(1, 2) for group in groups),
        [tuple(source.randint(1, 4) for _ in range(rank)) for _ in range(branches)],
        name="random",
        bias=source.random() < 0.5,
        stride=tuple(source.randint(1, 3) for _ in range(rank)),
        dilation=tuple(source.randint(1, 2) for _ in range(rank)),
        groups=groups,
    )


SAMPLES = [
    _call((2, 3, 9), (2, 3), [(1,), (4,)], name="1-D"),
    _call((3, 8), (2, 1), [(3,), (2,)], name="1-D, no batch"),
    _call((0, 3, 9), (2, 3), [(1,), (3,)], name="1-D, empty batch"),
    _call((2, 4, 10), (2, 4), [(3,), (5,)], name="1-D, stride, dilation", stride=3, dilation=2, groups=2),
    _call((2, 16, 131), (8, 8), [(3,), (7,)], name="1-D, larger"),
    _call((2, 3, 6, 7), (2, 3, 1), [(1, 1), (3, 3), (5, 4)], name="defaults"),
    _call((2, 3, 6, 7), (2, 3), [(1, 1), (3, 2)], name="no bias", bias=False),
    _call((2, 3, 6, 7), (4,), [(3, 3)], name="one branch"),
    _call((3, 5, 6), (2, 2), [(2, 3), (1, 1)], name="no batch"),
    _call((0, 3, 5, 6), (2, 2), [(3, 3), (1, 1)], name="empty batch"),
    _call((1, 1, 1, 1), (1, 1), [(1, 1), (1, 1)], name="ones everywhere"),
    _call((2, 2, 2, 3), (2, 2), [(5, 4), (1, 7)], name="kernels wider than the input"),
    _call((2, 2, 5, 6), (2, 2), [(3, 3), (1, 1)], name="stride", stride=(2, 3)),
    _call((2, 2, 5, 6), (2, 1), [(3, 2), (2, 3)], name="dilation", dilation=(2, 3)),
    _call((2, 4, 5, 6), (4, 2), [(3, 3), (5, 1)], name="groups", groups=2),
    _call((2, 4, 5, 6), (8, 6), [(3, 3), (1, 1)], name="spatial ∥ cross-channel", groups=(4, 1)),
    _call((2, 16, 33, 35), (16, 8), [(3, 3), (1, 1)], name="larger", groups=[16, 1], stride=2),
    _call((2, 2, 4, 5, 6), (2, 3), [(1, 1, 1), (2, 3, 2)], name="3-D"),
    _call((2, 4, 5, 6), (1, 2), [(3, 1, 1), (1, 3, 3)], name="3-D, no batch", bias=False),
    _call((0, 2, 4, 5, 6), (2, 3), [(1, 1, 1), (3, 3, 3)], name="3-D, empty batch"),
    _call((1, 2, 5, 5, 4), (2, 4), [(2, 3, 2), (1, 1, 1)], name="3-D, stride", stride=(1, 2, 3), groups=2),
    _call((2, 8, 9, 10, 11), (4, 8), [(1, 1, 1), (3, 3, 3)], name="3-D, larger", stride=2),
]

_VALID: dict[str, Shapes] = {"input": (2, 4, 6, 7), "weights": [(3, 4, 1, 1), (5, 4, 3, 3)]}


def _invalid(
    *says: str, dtype: torch.dtype = torch.float32, tensors: dict[str, Shapes] | None = None, **options: Any
) -> InvalidCall:
    return InvalidCall(Call("parallel_conv", _VALID | (tensors or {}), options), says, dtype)


INVALID = [
    _invalid("weights", "empty", tensors={"weights": []}),
    _invalid("weights", "Tensor", "list", tensors={"weights": (5, 4, 3, 3)}),
    _invalid("input", "2 dimensions", "(N, C, H, W)", tensors={"input": (6, 7)}),
    _invalid("weights[0]", "5 channels", tensors={"input": (2, 5, 6, 7)}),
    _invalid("weights[1]", "(5, 3, 3, 3)", tensors={"weights": [(3, 4, 1, 1), (5, 3, 3, 3)]}),
    _invalid("weights[1]", "3 dimensions", "wanted 4", tensors={"weights": [(3, 4, 1, 1), (5, 4, 3)]}),
    _invalid("weights[0]", "2 dimensions", "wanted 3, 4 or 5", tensors={"weights": [(3, 4), (5, 4)]}),
    _invalid("kernel came as (0, 3)", tensors={"weights": [(3, 4, 1, 1), (5, 4, 0, 3)]}),
    _invalid("biases", "1 entries", "wanted 2", tensors={"biases": [(3,)]}),
    _invalid("biases[1]", "(3,)", "(5,)", tensors={"biases": [(3,), (3,)]}),
    _invalid("groups", "3", "4 channels", groups=3),
    _invalid("groups", "0", groups=0),
    _invalid("groups", "3 entries", "wanted 2", groups=(1, 1, 1)),
    _invalid("stride", "0", stride=0),
    _invalid("stride", "3 numbers", stride=(1, 1, 1)),
    _invalid("stride", "2147483648", stride=2**31),
    _invalid("dilation", "9223372036854775807", dilation=2**63 - 1),
    _invalid("dilation", "-1", dilation=-1),
    _invalid("input", "torch.int64", "floating point", dtype=torch.int64),
    _invalid("input", "torch.complex64", "floating point", dtype=torch.complex64),
]

SPEC = OpSpec(
    name="parallel_conv",
    functions={"parallel_conv": parallel_conv},
    references={"parallel_conv": reference.parallel_conv},
    layers=[ParallelConv],
    samples=SAMPLES,
    random_call=_random_call,
    invalid=INVALID,
    output_shape=_output_shape,
    macs=_macs,
    benchmarks=[
        _call(
            (8, 64, 56, 56),
            (64, 64),
            [(3, 3), (1, 1)],
            name="spatial ∥ cross-channel, 64→128, 56²",
            groups=(64, 1),
        ),
        _call((8, 64, 28, 28), (32, 64, 32), [(1, 1), (3, 3), (5, 5)], name="1×1 ∥ 3×3 ∥ 5×5, 64→128, 28²"),
    ],
    paper="Szegedy et al., arXiv 1409.4842, section 4",
    layer_samples=[
        LayerSample(
            "ParallelConv",
            {"in_channels": 4, "cross_channels": 6, "kernel_size": 3, "stride": 2},
            (2, 4, 6, 7),
            factory="spatial_cross_channel",
        ),
        LayerSample(
            "ParallelConv",
            {
                "in_channels": 4,
                "cross_channels": 2,
                "kernel_size": 2,
                "depth_multiplier": 2,
                "bias": False,
                "rank": 1,
            },
            (2, 4, 9),
            factory="spatial_cross_channel",
        ),
        LayerSample(
            "ParallelConv",
            {"in_channels": 2, "cross_channels": 2, "kernel_size": (1, 2, 3), "dilation": 2, "rank": 3},
            (2, 2, 4, 5, 6),
            factory="spatial_cross_channel",
        ),
    ],
    sums_by_threads=("result", "weights", "biases"),
    double_sums_by_threads=("weights",),
)
