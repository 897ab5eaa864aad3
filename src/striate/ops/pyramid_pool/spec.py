"""What tests, benchmarks and pages ask of pyramid pooling."""

from __future__ import annotations

import random
from collections.abc import Mapping
from math import inf
from typing import Any

import torch
from torch import Size, Tensor

from striate import geometry
from striate.ops._pool_spec import LARGE, SIZE, no_macs, picture_shape
from striate.ops._spec import Call, InvalidCall, LayerSample, OpSpec, Shape, distinct
from striate.ops.pyramid_pool import layer, op, reference
from striate.ops.pyramid_pool.kernel import pyramid_obstacle

HUNDREDS = 1024

FUNCTIONS = [f"pyramid_pool{rank}d" for rank in (1, 2, 3)]


def _fill(name: str, shape: Shape, generator: torch.Generator) -> Tensor:
    """Numbers from 1/8 to 8, either sign, evenly spaced in their logarithms: hundreds stay distinct in 16
    bits; of thousands those of each channel. Where p is a tensor, 2.3.
    """
    if name == "norm_type":
        return torch.full(shape, 2.3, dtype=torch.float64)
    channels = Size(shape[:2]).numel() if Size(shape).numel() > HUNDREDS else 1
    each = [distinct(name, (Size(shape).numel() // channels,), generator) for _ in range(channels)]
    values = torch.stack(each).reshape(shape)
    return values.sign() * (values.abs() * 48 / max(each[0].numel(), 8) - 3).exp2()


def _output_shape(call: Call) -> Shape:
    batch, picture = picture_shape(call)
    return batch + geometry.pyramid_pool(picture, call.options.get("levels", (1, 2, 4))).output


def _samples(rank: int) -> list[Call]:
    size = SIZE[rank]
    picture = (2, 3, *size)

    def call(name: str, input: Shape = picture, p: float | None = None, **options: Any) -> Call:
        if p is not None:
            options |= {"kind": "lp", "norm_type": p}
        return Call(f"pyramid_pool{rank}d", {"input": input}, options, name)

    even = (1, 2, *((8, 4, 8)[:rank]))
    once = (1,) * rank
    calls = [
        call("defaults"),
        call("no batch", (3, *size)),
        call("empty batch", (0, 3, *size)),
        call("ones everywhere", (1, 1, *once), levels=(1,)),
        call("fewer samples than bins", (2, 2, *((2, 1, 3)[:rank]))),
        call("averages, side by side", even, kind="avg"),
        call("p = 3, side by side", even, p=3),
        call("p = 2, fewer samples than bins", (2, 2, *((2, 1, 3)[:rank])), p=2.0),
        call("larger, averages", LARGE[rank], kind="avg", levels=(1, 2, 3)),
        call("every option", levels=(1, 2, 3), p=2.5),
    ]
    if rank < 3:  # large enough for the kernels
        many, more = ((1, 41, 100), (2, 19, 110)) if rank == 1 else ((1, 35, 15, 8), (2, 19, 12, 14))
        calls += [
            call("many channels", many),
            call("many channels, averages", many, kind="avg"),
            call("more pictures, levels in any order", more, levels=(2, 1, 3)),
            call("more pictures, averages", more, kind="avg", levels=(2, 1, 3)),
        ]
    if rank == 2:
        calls += [
            call("many columns", (1, 17, 4, 65), levels=(1,)),
            call("bins side by side", even),
            call("averages", kind="avg"),
            call("averages, fewer samples than bins", (2, 2, *once), kind="avg", levels=(3, 2)),
            call("levels in any order, twice", levels=(3, 1, 2, 1)),
            call("one level", levels=[3]),
            call("p = 1", p=1),
            call("p = ½", p=0.5, levels=(2, 4)),
            call("p = ∞", p=inf),
            call("p = 2, empty batch", (0, 3, *size), p=2.0),
            call("larger, p = 2", LARGE[rank], levels=(1, 2, 3), p=2.0),
            Call(
                f"pyramid_pool{rank}d",
                {"input": picture, "norm_type": ()},
                {"kind": "lp", "levels": (1, 2)},
                "p is a tensor",
            ),
        ]
    return calls


def _random_call(function: str, source: random.Random) -> Call:
    rank = int(function[-2])
    batch = (source.randint(1, 2),) if source.random() < 0.8 else ()
    size = tuple(source.randint(1, {1: 9, 2: 8, 3: 5}[rank]) for _ in range(rank))
    options: dict[str, Any] = {
        "levels": tuple(source.randint(1, 4) for _ in range(source.randint(1, 3))),
        "kind": source.choice(["max", "avg", "lp"]),
    }
    if options["kind"] == "lp":
        options["norm_type"] = source.choice([1, 2, 3, inf, round(source.uniform(0.3, 6), 2)])
    return Call(function, {"input": (*batch, source.randint(1, 3), *size)}, options, "random")


def _invalid(
    *says: str, input: Shape = (2, 3, 6, 7), dtype: torch.dtype = torch.float32, **options: Any
) -> InvalidCall:
    return InvalidCall(Call("pyramid_pool2d", {"input": input}, options), says, dtype)


INVALID = [
    _invalid("input", "2 dimensions", "(N, C, H, W)", input=(6, 7)),
    _invalid("input", "(2, 3, 0, 7)", "height", input=(2, 3, 0, 7)),
    _invalid("input", "torch.int64", "floating point", dtype=torch.int64),
    _invalid("input", "torch.complex64", "floating point", dtype=torch.complex64),
    _invalid("levels", "0", "from 1", levels=(1, 0)),
    _invalid("levels", "-2", levels=(-2,)),
    _invalid("levels", "empty", "(1, 2, 4)", levels=()),
    _invalid("levels", "4", "(1, 2, 4)", levels=4),
    _invalid("levels", "1.5", levels=(1, 1.5)),
    _invalid("levels", "'124'", levels="124"),
    _invalid("levels", "2147483648", levels=(1, 2**31)),
    _invalid("levels", "9223372036854775807", levels=(2**63 - 1,)),
    _invalid("2⁶³ bytes", levels=(2**31 - 1,)),
    _invalid("kind", "'median'", '"max"', kind="median"),
    _invalid("norm_type", "missing", kind="lp"),
    _invalid("norm_type", "3", "'avg'", kind="avg", norm_type=3),
    _invalid("norm_type", "above 0", kind="lp", norm_type=0),
    _invalid("norm_type", "nan", kind="lp", norm_type=float("nan")),
    InvalidCall(Call("pyramid_pool1d", {"input": (2, 3, 4, 4)}), ("(N, C, L)",)),
    InvalidCall(Call("pyramid_pool3d", {"input": (2, 0, 4, 4, 4)}), ("one channel",)),
]


def _kernel_obstacle(call: Call, tensors: Mapping[str, Any]) -> str:
    rank, levels = int(call.function[-2]), call.options.get("levels", (1, 2, 4))
    if call.options.get("kind") == "lp" and call.options["norm_type"] != inf:
        return "norms have no kernel"
    return pyramid_obstacle(tensors["input"], rank, sum(b**rank for b in levels))


SPEC = OpSpec(
    name="pyramid_pool",
    functions={name: getattr(op, name) for name in FUNCTIONS},
    references={name: reference.pyramid_pool(int(name[-2])) for name in FUNCTIONS},
    layers=[layer.PyramidPool1d, layer.PyramidPool2d, layer.PyramidPool3d],
    samples=[call for rank in (1, 2, 3) for call in _samples(rank)],
    random_call=_random_call,
    invalid=INVALID,
    output_shape=_output_shape,
    macs=no_macs,
    benchmarks=[
        Call("pyramid_pool2d", {"input": (32, 64, 56, 56)}, {}, "pyramid 1, 2, 4, batch 32, 64 ch, 56²"),
        Call("pyramid_pool2d", {"input": (32, 256, 13, 13)}, {}, "pyramid 1, 2, 4, batch 32, 256 ch, 13²"),
    ],
    paper="He, Zhang, Ren, Sun, Spatial pyramid pooling in deep convolutional networks for visual recognition, 2014, arXiv 1406.4729",
    fill=_fill,
    layer_samples=[
        *(
            LayerSample(f"PyramidPool{rank}d", options, (2, 3, *SIZE[rank]))
            for rank in (1, 2, 3)
            for options in ({}, {"levels": (3, 1), "kind": "avg"})
        ),
        LayerSample("PyramidPool2d", {"kind": "lp", "norm_type": 2.5}, (2, 3, 7, 8)),
    ],
    library_operators=("pyramid_avg", "pyramid_avg_backward", "pyramid_max", "pyramid_max_backward"),
    kernel_obstacle=_kernel_obstacle,
)
