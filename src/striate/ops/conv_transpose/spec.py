"""What tests, benchmarks and pages ask of transposed convolution."""

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
from striate.ops.conv_transpose.few_channels import few_channels_transpose_obstacle
from striate.ops.conv_transpose.layer import (
    FUNCTIONS,
    ConvTranspose1d,
    ConvTranspose2d,
    ConvTranspose3d,
    LazyConvTranspose1d,
    LazyConvTranspose2d,
    LazyConvTranspose3d,
)
from striate.ops.conv_transpose.reference import conv_transpose


def _call(
    name: str, input: Shape, out_channels: int, kernel: Shape, *, bias: bool = True, **options: Any
) -> Call:
    """A call whose weight and bias have the shapes that it needs."""
    rank = len(kernel)
    weight = (input[-1 - rank], out_channels // options.get("groups", 1), *kernel)
    tensors = {"input": input, "weight": weight}
    if bias:
        tensors["bias"] = (out_channels,)
    return Call(f"conv_transpose{rank}d", tensors, options, name)


def _geometry(call: Call) -> tuple[Shape, geometry.Layer]:
    rank = int(call.function[-2])
    batch, picture = split_batch(call, rank)
    weight = call.tensors["weight"]
    assert isinstance(weight, tuple)
    options = dict(call.options)
    wanted = options.pop("output_size", None)
    out_channels = weight[1] * options.get("groups", 1)
    layer = geometry.conv_transpose(picture, out_channels, weight[2:], **options)
    if wanted is not None:
        sizes = (wanted,) * rank if isinstance(wanted, int) else wanted[-rank:]
        options["output_padding"] = tuple(
            size - least for size, least in zip(sizes, layer.output[1:], strict=True)
        )
        layer = geometry.conv_transpose(picture, out_channels, weight[2:], **options)
    return batch, layer


def _output_shape(call: Call) -> Shape:
    batch, layer = _geometry(call)
    return (*batch, *layer.output)


def _macs(call: Call) -> int:
    batch, layer = _geometry(call)
    return prod(batch) * layer.macs


def _fill(name: str, shape: Shape, generator: torch.Generator) -> Tensor:
    """Standard normal values; weights such that the results are no larger, however many numbers are added."""
    values = normal(name, shape, generator)
    return values / max(1, shape[0] * prod(shape[2:])) ** 0.5 if name == "weight" else values


def _random_call(function: str, source: random.Random) -> Call:
    rank = int(function[-2])
    groups = source.choice([1, 1, 2, 3])
    settings = []
    for _ in range(rank):
        n, k, s, d = (source.randint(1, most) for most in (4, 4, 3, 2))
        p = source.randint(0, min(3, (d * (k - 1) + (n - 1) * s) // 2))  # leaves a sample
        settings.append((n, k, s, d, p, source.randint(0, max(s, d) - 1)))
    size, kernel, stride, dilation, padding, extra = zip(*settings, strict=True)
    options: dict[str, Any] = {"stride": stride, "padding": padding, "groups": groups, "dilation": dilation}
    if source.random() < 0.5:
        options["output_padding"] = extra
    else:
        options["output_size"] = tuple(
            (n - 1) * s - 2 * p + d * (k - 1) + 1 + e for n, k, s, d, p, e in settings
        )
    picture = (groups * source.randint(1, 2), *size)
    return _call(
        "random",
        (source.randint(1, 2), *picture) if source.random() < 0.8 else picture,
        groups * source.randint(1, 2),
        kernel,
        bias=source.random() < 0.5,
        **options,
    )


# The last small call of a function has the most options, all PyTorch's: it stands for the others where
# one has to.
SAMPLES = [
    _call("defaults", (2, 3, 5), 4, (3,)),
    _call("no bias", (2, 3, 5), 4, (3,), bias=False),
    _call("no batch, even kernel", (3, 5), 2, (4,), stride=2, padding=1),
    _call("empty batch", (0, 3, 5), 4, (3,), stride=2),
    _call("ones everywhere", (1, 1, 1), 1, (1,)),
    _call("one sample, wide kernel", (2, 2, 1), 3, (5,), padding=1),
    _call("stride larger than the kernel", (2, 3, 4), 4, (2,), stride=3),
    _call("output_padding by the dilation", (2, 3, 4), 4, (3,), dilation=3, output_padding=2),
    _call("output_size", (2, 3, 4), 4, (3,), stride=3, output_size=(13,)),
    _call("output_size in one number, no batch", (3, 4), 4, (3,), stride=2, padding=1, output_size=8),
    _call("depthwise", (2, 4, 5), 8, (3,), groups=4, stride=2),
    _call("all options", (2, 6, 5), 4, (3,), stride=2, padding=2, output_padding=1, groups=2, dilation=2),
    _call("larger", (2, 16, 1155), 16, (4,), stride=2, padding=1),
    _call("defaults", (2, 3, 3, 4), 4, (3, 2)),
    _call("no bias", (2, 3, 3, 4), 4, (3, 2), bias=False),
    _call("no batch, even kernel", (3, 3, 4), 2, (2, 4), stride=2, padding=(0, 1)),
    _call("empty batch", (0, 3, 3, 4), 2, (2, 3), stride=2),
    _call("ones everywhere", (1, 1, 1, 1), 1, (1, 1)),
    _call("one sample, wide kernel", (2, 2, 1, 1), 3, (5, 4), padding=(2, 1)),
    _call("stride", (2, 3, 4, 3), 4, (3, 3), stride=(2, 3)),
    _call("stride larger than the kernel", (2, 3, 4, 3), 4, (2, 1), stride=3),
    _call("padding", (2, 3, 4, 5), 4, (3, 3), padding=(2, 1)),
    _call("dilation", (2, 3, 4, 3), 4, (3, 2), dilation=(2, 3)),
    _call("output_padding", (2, 3, 4, 3), 4, (3, 3), stride=(2, 3), output_padding=(1, 2)),
    _call("output_padding by the dilation", (2, 3, 3, 4), 4, (3, 2), dilation=3, output_padding=2),
    _call("output_size", (2, 3, 4, 3), 4, (3, 3), stride=(2, 3), padding=1, output_size=(8, 9)),
    _call("output_size in one number, no batch", (3, 4, 4), 4, (3, 3), stride=2, padding=1, output_size=8),
    _call("depthwise", (2, 4, 3, 4), 4, (4, 4), groups=4, stride=2, padding=1),
    _call("groups", (2, 24, 5, 9), 40, (4, 4), groups=8, stride=2, padding=1),
    _call("to a picture", (2, 20, 6, 5), 3, (4, 4), stride=2, padding=1),
    _call(
        "all options",
        (2, 6, 3, 4),
        4,
        (3, 2),
        stride=(2, 1),
        padding=(1, 0),
        output_padding=1,
        groups=2,
        dilation=2,
    ),
    _call("depthwise 3×3, rows", (2, 3, 6, 37), 3, (3, 3), groups=3, padding=1),
    _call("depthwise 3×3, rows, stride", (2, 3, 7, 21), 3, (3, 3), groups=3, stride=2, output_padding=1),
    _call("depthwise, larger", (2, 16, 17, 19), 16, (4, 4), groups=16, stride=2, padding=1),
    _call("larger", (2, 16, 33, 35), 16, (4, 4), stride=2, padding=1),
    _call("defaults", (2, 2, 2, 3, 2), 3, (2, 3, 2)),
    _call("no bias", (2, 2, 2, 3, 2), 3, (2, 3, 2), bias=False),
    _call("no batch", (2, 2, 3, 2), 3, (2, 3, 2), stride=2),
    _call("empty batch", (0, 2, 2, 3, 2), 3, (2, 3, 2), stride=2),
    _call("ones everywhere", (1, 1, 1, 1, 1), 1, (1, 1, 1)),
    _call("stride", (2, 2, 2, 3, 2), 2, (2, 2, 2), stride=(1, 2, 3)),
    _call("padding", (2, 2, 3, 2, 3), 2, (3, 3, 2), padding=(1, 1, 0)),
    _call("dilation", (1, 2, 2, 2, 3), 2, (2, 3, 2), dilation=2),
    _call("output_size", (1, 2, 2, 2, 3), 2, (2, 3, 2), stride=2, output_size=(5, 6, 6)),
    _call("depthwise", (2, 3, 2, 3, 3), 3, (2, 2, 2), groups=3, stride=2),
    _call(
        "all options",
        (1, 4, 2, 3, 2),
        6,
        (2, 2, 3),
        stride=2,
        padding=(0, 1, 1),
        output_padding=(1, 0, 1),
        groups=2,
        dilation=(2, 1, 2),
    ),
    _call("larger", (2, 16, 5, 6, 7), 16, (4, 4, 4), stride=2, padding=1),
]


def _invalid(rank: int) -> list[InvalidCall]:
    """Valid calls with something changed, a shape or an option, and what must be said about it."""
    size, kernel, rest = (6, 7, 5)[:rank], (3,) * rank, (1,) * (rank - 1)
    valid = {"input": (2, 4, *size), "weight": (4, 3, *kernel), "bias": (6,), "groups": 2}
    changes: list[tuple[dict[str, Any], *tuple[str, ...]]] = [
        (
            {"input": (4,) * rank},
            f"input came with {rank} dim",
            f"wanted {rank + 2}, (N, C",
            "without a batch",
        ),
        ({"input": (2, 4, 1, 6, 7, 5)}, "input came with 6 dimensions"),
        ({"weight": (4, 3)}, "weight came with 2 dimensions", f"{rank + 2}: (C_in, C_out / groups, k"),
        (
            {"input": (2, 6, *size)},
            "input came with 6 channels",
            "C_in = 6 in place of the 4",
            "with 4 channels",
        ),
        ({"groups": 3}, "groups came as 3", "divides the 4 channels"),
        ({"groups": 0}, "groups came as 0"),
        ({"groups": -2}, "groups came as -2"),
        ({"groups": 2**63 - 1}, "groups came as 9223372036854775807"),
        ({"bias": (3,)}, "bias came with shape (3,)", "wanted (6,)"),
        ({"groups": 1}, "bias came with shape (6,)", "wanted (3,)"),
        ({"input": (2, 4, 0, *size[1:])}, "a sample at least"),
        ({"weight": (4, 0, *kernel), "bias": (0,)}, "weight came with 0 channels"),
        ({"weight": (4, 3, 0, *kernel[1:])}, "the kernel came as (0"),
        ({"output_padding": 1}, "output_padding came as 1", "max(stride, dilation) = max(1, 1): at most 0"),
        ({"output_padding": 3, "stride": 3}, "output_padding came as 3", "max(3, 1): at most 2"),
        ({"output_padding": 3, "stride": 2, "dilation": 3}, "max(2, 3): at most 2"),
        (
            {"padding": (4, *rest)},
            "padding came as 4",
            "(6 − 1)·1 − 2·4 + 1·(3 − 1) + 0 + 1 = 0",
            "at most 3",
        ),
        ({"padding": (9, *rest)}, "padding came as 9", "= -10 samples", "at most 3"),
        ({"padding": "same"}, "padding came as 'same'"),
        ({"padding": ((1, 2),) * rank}, "padding came as ((1, 2)"),
        (
            {"stride": 3, "output_size": (21, *(3 * n for n in size[1:]))},
            "output_size came as 21; wanted one from 18 to 20, (6 − 1)·3 − 2·0 + 1·(3 − 1) + 1 and up to",
            "max(stride, dilation) − 1 = 2 more",
        ),
        ({"stride": 3, "output_size": (17, *size[1:])}, "output_size came as 17", "from 18 to 20"),
        ({"output_size": (8,) * (rank + 4)}, f"output_size came with {rank + 4} numbers"),
        ({"output_size": 2**63 - 1}, "output_size came as 9223372036854775807"),
        ({"output_size": "large"}, "output_size came as 'large'"),
        (
            {"stride": 2, "output_size": tuple(2 * n + 2 for n in size), "output_padding": 1},
            "beside output_padding=1",
            "wanted one of them",
        ),
    ]
    for name, least in (("stride", 1), ("dilation", 1), ("padding", 0), ("output_padding", 0)):
        changes += [
            ({name: number}, f"{name} came as {number}", f"from {least} to 2147483647")
            for number in (least - 1, -(2**63), 2**31, 2**62, 2**63 - 1, 2**64)
        ]
        changes.append(({name: (1,) * (rank + 1)}, f"{name} came with {rank + 1} numbers", f"one or {rank}"))
        changes.append(({name: 1.5}, f"{name} came as 1.5"))
    if rank > 1:  # one dimension of them would be large, and no error
        changes.append(
            ({"stride": 2**31 - 1}, "the result would have shape (2, 6, ", "wanted one below 2⁶³ bytes")
        )
    calls = []
    for change, *says in changes:
        arguments: dict[str, Any] = {**valid, **change}
        tensors = {name: arguments.pop(name) for name in ("input", "weight", "bias")}
        calls.append(InvalidCall(Call(f"conv_transpose{rank}d", tensors, arguments), tuple(says)))
    return calls


def _kernel_obstacle(call: Call, tensors: Mapping[str, Any]) -> str:
    rank, groups = int(call.function[-2]), call.options.get("groups", 1)
    input, weight, bias = tensors["input"], tensors["weight"], tensors.get("bias")
    if groups == input.shape[1] and weight.shape[1] == 1 and groups != 1:
        return depthwise_obstacle(rank, input, weight, bias, groups)
    return few_channels_transpose_obstacle(rank, input, weight, bias, call.options.get("stride", 1), groups)


_LAYERS = [
    (f"{kind}ConvTranspose{rank}d", rank, {} if kind else {"in_channels": 4})
    for kind in ("", "Lazy")
    for rank in FUNCTIONS
]
_LAYER_OPTIONS: list[dict[str, Any]] = [
    {"kernel_size": 3},
    {"kernel_size": 4, "stride": 2, "padding": 1, "groups": 2},
    {"kernel_size": 3, "stride": 3, "output_padding": 2, "dilation": 2, "bias": False},
]

SPEC = OpSpec(
    name="conv_transpose",
    functions={f"conv_transpose{rank}d": function for rank, function in FUNCTIONS.items()},
    references={f"conv_transpose{rank}d": conv_transpose for rank in FUNCTIONS},
    layers=(
        ConvTranspose1d,
        ConvTranspose2d,
        ConvTranspose3d,
        LazyConvTranspose1d,
        LazyConvTranspose2d,
        LazyConvTranspose3d,
    ),
    samples=SAMPLES,
    random_call=_random_call,
    invalid=[
        *(invalid for rank in FUNCTIONS for invalid in _invalid(rank)),
        InvalidCall(SAMPLES[0], ("input came as torch.bool", "input.float()"), torch.bool),
        InvalidCall(SAMPLES[0], ("input came as torch.int32", "input.float()"), torch.int32),
    ],
    output_shape=_output_shape,
    macs=_macs,
    benchmarks=[
        _call("transposed depthwise 4×4 s2", (8, 128, 28, 28), 128, (4, 4), stride=2, padding=1, groups=128),
        _call(
            "transposed, 4 channels a group", (8, 128, 28, 28), 128, (4, 4), stride=2, padding=1, groups=32
        ),
        _call("transposed 4×4 s2 64→3", (8, 64, 56, 56), 3, (4, 4), stride=2, padding=1),
    ],
    paper="Zeiler, Krishnan, Taylor, Fergus, Deconvolutional networks, 2010",
    torch_functions={f"conv_transpose{rank}d": f"conv_transpose{rank}d" for rank in FUNCTIONS},
    fill=_fill,
    layer_samples=[
        LayerSample(layer, {**channels, "out_channels": 6, **options}, (2, 4, *(5, 4, 3)[:rank]))
        for layer, rank, channels in _LAYERS
        for options in _LAYER_OPTIONS
    ],
    sums_by_threads=("weight", "bias"),
    library_operators=("depthwise_conv_transpose", "few_channels_conv_transpose"),
    kernel_obstacle=_kernel_obstacle,
)
