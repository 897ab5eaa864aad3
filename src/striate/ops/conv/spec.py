"""What tests, benchmarks and pages ask of convolution."""

from __future__ import annotations

import random
from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor

from striate import geometry
from striate.ops._spec import Call, InvalidCall, LayerSample, OpSpec, Shape, normal, split_batch
from striate.ops.conv.depthwise import depthwise_obstacle
from striate.ops.conv.few_channels import few_channels_obstacle
from striate.ops.conv.layer import FUNCTIONS, Conv1d, Conv2d, Conv3d, LazyConv1d, LazyConv2d, LazyConv3d
from striate.ops.conv.pointwise import is_pointwise
from striate.ops.conv.reference import conv


def _call(
    name: str, input: Shape, out_channels: int, kernel: Shape, *, bias: bool = True, **options: Any
) -> Call:
    """A call whose weight and bias have the shapes that it needs."""
    rank = len(kernel)
    in_channels = input[-1 - rank] // options.get("groups", 1)
    tensors = {"input": input, "weight": (out_channels, in_channels, *kernel)}
    if bias:
        tensors["bias"] = (out_channels,)
    return Call(f"conv{rank}d", tensors, options, name)


def _geometry(call: Call) -> tuple[Shape, geometry.Layer]:
    batch, picture = split_batch(call, int(call.function[-2]))
    weight = call.tensors["weight"]
    assert isinstance(weight, tuple)
    options = {name: value for name, value in call.options.items() if name != "padding_mode"}
    return batch, geometry.conv(picture, weight[0], weight[2:], **options)


def _output_shape(call: Call) -> Shape:
    batch, layer = _geometry(call)
    return (*batch, *layer.output)


def _macs(call: Call) -> int:
    batch, layer = _geometry(call)
    return prod(batch) * layer.macs


def _fill(name: str, shape: Shape, generator: torch.Generator) -> Tensor:
    """Standard normal values; weights such that the results are too, however many numbers are added."""
    values = normal(name, shape, generator)
    return values / max(1, prod(shape[1:])) ** 0.5 if name == "weight" else values


def _random_call(function: str, source: random.Random) -> Call:
    rank = int(function[-2])
    groups = source.choice([1, 1, 2, 3])
    kernel = tuple(source.randint(1, 4) for _ in range(rank))
    dilation = tuple(source.randint(1, 2) for _ in range(rank))
    # As large as the window: then "same" asks no mode for more samples than there are.
    size = tuple(d * (k - 1) + 1 + source.randint(0, 3) for k, d in zip(kernel, dilation, strict=True))
    most = min(2, min(size) - 1)
    padding: Any = source.choice(["same", "valid", "number", "numbers", "pairs"])
    if padding == "number":
        padding = source.randint(0, most)
    elif padding == "numbers":
        padding = tuple(source.randint(0, most) for _ in range(rank))
    elif padding == "pairs":
        padding = tuple((source.randint(0, most), source.randint(0, most)) for _ in range(rank))
    picture = (groups * source.randint(1, 2), *size)
    return _call(
        "random",
        (source.randint(1, 2), *picture) if source.random() < 0.8 else picture,
        groups * source.randint(1, 2),
        kernel,
        bias=source.random() < 0.5,
        stride=source.randint(1, 3) if source.random() < 0.5 else (1, 2, 3)[:rank],
        padding=padding,
        dilation=dilation,
        groups=groups,
        padding_mode=source.choice(["zeros", "zeros", "reflect", "replicate", "circular"]),
    )


# The last small call of a function has the most options, all PyTorch's: it stands for the others where
# one has to.
SAMPLES = [
    _call("defaults", (2, 3, 9), 4, (3,)),
    _call("no bias", (2, 3, 9), 4, (3,), bias=False),
    _call("no batch, even kernel", (3, 8), 2, (4,), padding=2),
    _call("empty batch", (0, 3, 9), 4, (3,), padding=1),
    _call("ones everywhere", (1, 1, 1), 1, (1,)),
    _call("kernel wider than the input", (2, 2, 2), 3, (5,), padding=2),
    _call("stride", (2, 3, 10), 4, (3,), stride=2),
    _call("valid", (2, 3, 10), 4, (3,), padding="valid"),
    _call("same", (2, 3, 10), 4, (3,), padding="same", dilation=2),
    _call("same with stride", (2, 3, 10), 4, (4,), stride=3, padding="same"),
    _call("pair of paddings", (2, 3, 10), 4, (3,), padding=((0, 3),), dilation=2),
    _call("reflect", (2, 3, 5), 4, (4,), padding=((4, 1),), padding_mode="reflect"),
    _call("replicate, no batch", (3, 5), 4, (4,), padding=((6, 1),), padding_mode="replicate", stride=2),
    _call(
        "circular, same with stride", (2, 3, 7), 4, (4,), padding="same", padding_mode="circular", stride=2
    ),
    _call("depthwise", (2, 4, 7), 8, (3,), groups=4),
    _call("all options", (2, 6, 11), 4, (3,), stride=2, padding=3, dilation=2, groups=2),
    _call("larger", (2, 16, 1155), 16, (5,), padding=2),
    _call("defaults", (2, 3, 6, 7), 4, (3, 2)),
    _call("no bias", (2, 3, 6, 7), 4, (3, 2), bias=False),
    _call("no batch, even kernel", (3, 5, 6), 2, (2, 4), padding=(0, 2)),
    _call("empty batch", (0, 3, 5, 6), 2, (2, 3), padding=1),
    _call("ones everywhere", (1, 1, 1, 1), 1, (1, 1)),
    _call("1×1", (2, 5, 3, 4), 6, (1, 1)),
    _call("1×1, larger", (5, 12, 21, 23), 17, (1, 1), padding="valid"),
    _call("1×1, no bias", (3, 18, 30, 27), 7, (1, 1), bias=False),
    _call("kernel wider than the input", (2, 2, 2, 3), 3, (5, 4), padding=(2, 1)),
    _call("stride", (2, 3, 7, 8), 4, (3, 3), stride=(2, 3)),
    _call("stride larger than the kernel", (2, 3, 7, 8), 4, (2, 1), stride=3),
    _call("valid", (2, 3, 7, 8), 4, (3, 3), padding="valid", stride=2),
    _call("same", (2, 3, 7, 8), 4, (3, 5), padding="same"),
    _call("same with stride", (2, 3, 7, 8), 4, (3, 2), stride=(2, 3), padding="same"),
    _call("pairs of paddings", (2, 3, 7, 8), 4, (3, 3), padding=((1, 2), (0, 1))),
    _call("pair and number", (2, 4, 5, 6), 4, (3, 3), padding=((3, 1), 1), stride=2, groups=2),
    _call("reflect", (2, 3, 3, 4), 4, (3, 3), padding=2, padding_mode="reflect"),
    _call(
        "reflect, pairs", (2, 3, 5, 6), 4, (3, 3), padding=((4, 1), (0, 2)), padding_mode="reflect", stride=2
    ),
    _call("replicate", (2, 3, 1, 4), 4, (3, 3), padding=(2, 5), padding_mode="replicate"),
    _call("circular", (2, 3, 3, 4), 4, (3, 3), padding=(3, 4), padding_mode="circular"),
    _call(
        "circular, same with stride, no batch",
        (3, 4, 5),
        4,
        (4, 3),
        padding="same",
        padding_mode="circular",
        stride=2,
    ),
    _call("dilation", (2, 3, 7, 8), 4, (3, 2), dilation=(2, 3)),
    _call("depthwise", (2, 4, 5, 6), 4, (3, 3), groups=4, padding=1),
    _call("groups", (2, 24, 7, 19), 40, (3, 3), groups=8, padding=1, stride=(1, 2)),
    _call("first layer", (2, 3, 19, 22), 20, (4, 4), stride=4, padding=((1, 0), 1)),
    _call("first layer, rows", (2, 3, 30, 45), 20, (5, 5), padding=2),
    _call(
        "first layer, stride 2", (1, 3, 61, 66), 33, (7, 7), stride=2, padding=((3, 2), (1, 4)), bias=False
    ),
    _call("first layer, stride 4", (2, 4, 66, 98), 17, (6, 5), stride=4),
    _call("first layer, patches", (4, 3, 60, 68), 24, (4, 4), stride=4),
    _call("first layer, same", (2, 3, 39, 41), 36, (5, 4), stride=2, padding="same"),
    _call("first layer, narrow", (40, 3, 14, 9), 16, (3, 3), padding=1),
    _call("first layer, one row", (8, 1, 1, 600), 40, (1, 9), padding=(0, 4)),
    _call("first layer, dilation", (6, 2, 24, 80), 24, (3, 3), stride=(3, 1), padding=3, dilation=(2, 3)),
    _call("all options", (2, 6, 9, 8), 4, (3, 2), stride=(2, 1), padding=(3, 1), dilation=2, groups=2),
    _call("depthwise, larger", (2, 16, 33, 35), 32, (5, 5), groups=16, stride=2, padding="same"),
    _call("depthwise, many channels", (1, 70, 6, 11), 70, (3, 3), groups=70, padding=1),
    _call("depthwise, many channels, stride", (2, 37, 9, 12), 37, (5, 3), groups=37, stride=2, padding=2),
    _call("depthwise 3×3, rows", (2, 3, 6, 37), 3, (3, 3), groups=3, padding=1),
    _call(
        "depthwise 3×3, rows, stride", (2, 3, 15, 38), 3, (3, 3), groups=3, stride=2, padding=((1, 0), (0, 2))
    ),
    _call("depthwise 4×4, rows, stride", (1, 2, 14, 35), 2, (4, 4), groups=2, stride=2, padding=1),
    _call("depthwise 3×1, rows", (1, 2, 9, 18), 2, (3, 1), groups=2, padding=(1, 0)),
    _call("depthwise 1×3, rows", (1, 2, 5, 36), 2, (1, 3), groups=2, padding=(0, (0, 2))),
    _call("depthwise 7×7, rows", (1, 2, 9, 37), 2, (7, 7), groups=2, padding=(3, (4, 0))),
    _call("depthwise 7×1, rows", (1, 2, 9, 18), 2, (7, 1), groups=2, padding=(3, 0)),
    _call("depthwise 1×7, rows", (1, 2, 5, 36), 2, (1, 7), groups=2, padding=(0, (3, 2))),
    _call("depthwise, wide", (1, 66, 5, 29), 66, (3, 7), groups=66, padding=(1, 3)),
    _call("depthwise, wide, stride", (1, 35, 6, 48), 35, (2, 5), groups=35, stride=2, padding=1),
    _call("larger", (2, 16, 33, 35), 16, (3, 3), padding=1),
    _call("defaults", (2, 2, 4, 5, 6), 3, (2, 3, 2)),
    _call("no bias", (2, 2, 4, 5, 6), 3, (2, 3, 2), bias=False),
    _call("no batch", (2, 4, 5, 6), 3, (2, 3, 2), padding=1),
    _call("empty batch", (0, 2, 4, 5, 6), 3, (2, 3, 2), padding=1),
    _call("ones everywhere", (1, 1, 1, 1, 1), 1, (1, 1, 1)),
    _call("kernel wider than the input", (1, 2, 2, 2, 2), 2, (3, 3, 3), padding=1),
    _call("stride", (2, 2, 4, 5, 6), 2, (2, 2, 2), stride=(1, 2, 3)),
    _call("same", (2, 2, 4, 3, 3), 2, (3, 3, 1), padding="same"),
    _call("same with stride", (1, 2, 4, 5, 6), 2, (3, 2, 3), stride=2, padding="same"),
    _call("pairs of paddings", (1, 2, 4, 5, 4), 2, (2, 3, 2), padding=((0, 1), (2, 0), (1, 1))),
    _call("reflect", (1, 2, 3, 4, 3), 2, (2, 3, 2), padding=((2, 1), 3, 0), padding_mode="reflect"),
    _call("replicate", (1, 2, 3, 2, 3), 2, (2, 3, 2), padding=1, padding_mode="replicate", stride=2),
    _call("circular, no batch", (2, 3, 2, 3), 2, (2, 3, 2), padding=(3, 2, 1), padding_mode="circular"),
    _call("dilation", (1, 2, 5, 5, 4), 2, (2, 3, 2), dilation=2),
    _call("depthwise", (2, 3, 3, 4, 4), 3, (3, 3, 3), groups=3, padding=1),
    _call("depthwise, rows", (2, 2, 4, 7, 19), 2, (3, 3, 3), groups=2, padding=(1, 1, 2)),
    _call("depthwise, many channels", (1, 18, 3, 4, 9), 18, (3, 2, 3), groups=18, padding=1, bias=False),
    _call(
        "all options",
        (1, 4, 4, 5, 4),
        6,
        (2, 2, 3),
        stride=2,
        padding=(0, 1, 2),
        dilation=(2, 1, 2),
        groups=2,
    ),
    _call("larger", (2, 16, 9, 10, 11), 16, (3, 3, 3), padding=1),
]


def _invalid(rank: int) -> list[InvalidCall]:
    """Valid calls with something changed, a shape or an option, and what must be said about it."""
    size, kernel, rest = (6, 7, 5)[:rank], (3,) * rank, (1,) * (rank - 1)
    valid = {"input": (2, 4, *size), "weight": (6, 2, *kernel), "bias": (6,), "groups": 2}
    changes: list[tuple[dict[str, Any], *tuple[str, ...]]] = [
        (
            {"input": (2,) * rank},
            f"input came with {rank} dim",
            f"wanted {rank + 2}, (N, C",
            "without a batch",
        ),
        ({"input": (2, 4, 1, 6, 7, 5)}, "input came with 6 dimensions"),
        ({"weight": (6, 2)}, "weight came with 2 dimensions", f"{rank + 2}: (C_out, C_in / groups, k"),
        ({"input": (2, 5, *size), "groups": 1}, "5 channels", "C_in / groups = 5 / 1 = 5 in place of the 2"),
        ({"groups": 1}, "input came with 4 channels", "or an input with 2·1 = 2 channels"),
        ({"groups": 3}, "groups came as 3", "divides the 4 channels"),
        ({"groups": 4, "weight": (6, 1, *kernel)}, "groups came as 4", "the 6 output channels"),
        ({"groups": 0}, "groups came as 0"),
        ({"groups": -2}, "groups came as -2"),
        ({"groups": 2**63 - 1}, "groups came as 9223372036854775807"),
        ({"bias": (5,)}, "bias came with shape (5,)", "wanted (6,)"),
        ({"bias": (6, 1)}, "bias came with shape (6, 1)"),
        ({"input": (2, 4, 0, *size[1:])}, "a sample at least"),
        ({"weight": (0, 2, *kernel), "bias": (0,)}, "weight came with 0 channels"),
        ({"weight": (6, 2, 0, *kernel[1:])}, "the kernel came as (0"),
        (
            {"weight": (6, 2, 8, *rest)},
            "does not fit in 6 + 0 + 0 samples",
            "(6 + 0 + 0 − 1·(8 − 1) − 1)",
            "padding=1 or a kernel of 6 would fit",
        ),
        ({"dilation": (4, *rest)}, "(dilation 4)", "padding=2 or a kernel of 2 would fit"),
        ({"padding": "SAME"}, "padding came as 'SAME'", '"same", "valid", whole numbers or pairs'),
        ({"padding": ((1, 2, 3),) * rank}, "(before, after) pairs"),
        ({"padding": ((-1, 2),) * rank}, "padding came as (-1, 2)"),
        (
            {"padding": "same", "dilation": 2**31 - 1, "weight": (6, 2, *(4,) * rank)},
            "padding='same' comes to",
        ),
        ({"padding_mode": "mirror"}, "padding_mode came as 'mirror'", "reflect, replicate, circular"),
        (
            {"padding_mode": "reflect", "padding": (6, *rest)},
            "reflect padding of (6, 6)",
            "6 samples",
            "most 5",
        ),
        ({"padding_mode": "circular", "padding": ((0, 8), *rest)}, "circular padding of (0, 8)", "at most 6"),
    ]
    for name, least in (("stride", 1), ("dilation", 1), ("padding", 0)):
        changes += [
            ({name: number}, f"{name} came as {number}", f"from {least} to 2147483647")
            for number in (least - 1, -(2**63), 2**31, 2**62, 2**63 - 1, 2**64)
        ]
        changes.append(({name: (1,) * (rank + 1)}, f"{name} came with {rank + 1} numbers", f"one or {rank}"))
        changes.append(({name: 1.5}, f"{name} came as 1.5"))
    calls = []
    for change, *says in changes:
        arguments: dict[str, Any] = {**valid, **change}
        tensors = {name: arguments.pop(name) for name in ("input", "weight", "bias")}
        calls.append(InvalidCall(Call(f"conv{rank}d", tensors, arguments), tuple(says)))
    return calls


def _kernel_obstacle(call: Call, tensors: Mapping[str, Any]) -> str:
    rank, groups = int(call.function[-2]), call.options.get("groups", 1)
    input, weight, bias = tensors["input"], tensors["weight"], tensors.get("bias")
    stride = call.options.get("stride", 1)
    if groups == input.shape[1] == weight.shape[0] and groups != 1:
        return depthwise_obstacle(rank, input, weight, bias, groups)
    if is_pointwise(input, weight, bias, stride, call.options.get("padding", 0), groups):
        return "1×1 of few channels or of large pictures: its matrix products"
    return few_channels_obstacle(rank, input, weight, bias, stride, groups)


_LAYERS = [
    (f"{kind}Conv{rank}d", rank, {} if kind else {"in_channels": 4})
    for kind in ("", "Lazy")
    for rank in (1, 2, 3)
]
_LAYER_OPTIONS: list[dict[str, Any]] = [
    {"kernel_size": 3},
    {"kernel_size": 3, "stride": 2, "padding": 1, "dilation": 2, "groups": 2, "bias": False},
    {"kernel_size": 2, "padding": 2, "padding_mode": "reflect"},
    {"kernel_size": 3, "padding": "same", "padding_mode": "circular"},
    {"kernel_size": 4, "padding": "same", "stride": 2},
]

SPEC = OpSpec(
    name="conv",
    functions={f"conv{rank}d": function for rank, function in FUNCTIONS.items()},
    references={f"conv{rank}d": conv for rank in FUNCTIONS},
    layers=(Conv1d, Conv2d, Conv3d, LazyConv1d, LazyConv2d, LazyConv3d),
    samples=SAMPLES,
    random_call=_random_call,
    invalid=[
        *(invalid for rank in FUNCTIONS for invalid in _invalid(rank)),
        InvalidCall(SAMPLES[0], ("input came as torch.bool", "input.float()"), torch.bool),
    ],
    output_shape=_output_shape,
    macs=_macs,
    benchmarks=[
        _call("stem 7×7 s2 3→64", (8, 3, 224, 224), 64, (7, 7), stride=2, padding=3),
        _call("stem 4×4 s4 3→96", (8, 3, 224, 224), 96, (4, 4), stride=4),
        _call("first layer 3×3 s2 3→32", (8, 3, 224, 224), 32, (3, 3), stride=2, padding=1),
        _call("first layer 5×5 1→6", (128, 1, 28, 28), 6, (5, 5)),
        _call("depthwise 3×3", (8, 128, 56, 56), 128, (3, 3), padding=1, groups=128),
        _call("depthwise 3×3 s2", (8, 128, 56, 56), 128, (3, 3), stride=2, padding=1, groups=128),
        _call("depthwise 7×7", (8, 96, 56, 56), 96, (7, 7), padding=3, groups=96),
        _call("depthwise 31×31", (2, 64, 56, 56), 64, (31, 31), padding=15, groups=64),
        _call("grouped, 4 channels a group", (8, 128, 56, 56), 128, (3, 3), padding=1, groups=32),
        _call("ResNeXt, 8 channels a group, 28²", (8, 256, 28, 28), 256, (3, 3), padding=1, groups=32),
        _call(
            "ResNeXt, 8 channels a group, s2", (8, 256, 56, 56), 256, (3, 3), stride=2, padding=1, groups=32
        ),
        _call("ResNeXt, 16 channels a group, 14²", (8, 512, 14, 14), 512, (3, 3), padding=1, groups=32),
        _call("1×1 24→144", (8, 24, 28, 28), 144, (1, 1)),
        _call("1×1 144→24", (8, 144, 28, 28), 24, (1, 1)),
        _call("dilated 2, 64→64", (8, 64, 56, 56), 64, (3, 3), padding=2, dilation=2),
        _call("3-D depthwise 3³", (2, 32, 16, 56, 56), 32, (3, 3, 3), padding=1, groups=32),
        _call("1-D depthwise 31", (32, 64, 1024), 64, (31,), padding=15, groups=64),
    ],
    paper="LeCun, Bottou, Bengio, Haffner, Gradient-based learning applied to document recognition, 1998",
    torch_functions={f"conv{rank}d": f"conv{rank}d" for rank in FUNCTIONS},
    fill=_fill,
    layer_samples=[
        LayerSample(layer, {**channels, "out_channels": 6, **options}, (2, 4, *(9, 8, 7)[:rank]))
        for layer, rank, channels in _LAYERS
        for options in _LAYER_OPTIONS
    ],
    sums_by_threads=("weight", "bias"),
    library_operators=(
        "depthwise_conv",
        "depthwise_conv_backward",
        "few_channels_conv",
        "few_channels_conv_backward",
        "first_layer_conv",
        "first_layer_conv_by_pytorch",
    ),
    kernel_obstacle=_kernel_obstacle,
)
