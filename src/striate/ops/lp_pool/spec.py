"""What tests, benchmarks and pages ask of Lp pooling."""

from __future__ import annotations

import random
from collections.abc import Mapping
from itertools import cycle
from math import inf
from typing import Any

import torch
from torch import Tensor

from striate.ops._pool_spec import (
    KERNEL,
    LARGE,
    SERVED,
    SIZE,
    SQUARES,
    invalid_windows,
    no_macs,
    pool_shape,
    random_pool,
    window_samples,
)
from striate.ops._spec import Call, InvalidCall, LayerSample, OpSpec, Shape, distinct
from striate.ops.lp_pool import layer, op, reference
from striate.ops.lp_pool.kernel import lp_pool_obstacle

FUNCTIONS = [f"{form}lp_pool{rank}d" for form in ("", "global_") for rank in (1, 2, 3)]


def fill(name: str, shape: Shape, generator: torch.Generator) -> Tensor:
    """Distinct numbers, none of them 0; where p is a tensor, 2.3."""
    return (
        torch.full(shape, 2.3, dtype=torch.float64)
        if name == "norm_type"
        else distinct(name, shape, generator)
    )


def _with_power(call: Call, p: float) -> Call:
    return Call(call.function, call.tensors, {"norm_type": p, **call.options}, call.name)


def _window_samples() -> list[Call]:
    """The calls of every pooling, with one p after the other."""
    powers = cycle((2, 3.0, 1, 0.5, inf, 1.5, 7.5))
    return [_with_power(call, p) for call, p in zip(window_samples("lp_pool"), powers, strict=False)]


def _samples(rank: int) -> list[Call]:
    function, whole = f"lp_pool{rank}d", f"global_lp_pool{rank}d"
    picture, kernel = (2, 3, *SIZE[rank]), KERNEL[rank]
    pairs = ((2, 1), (0, 3), (1, 0))[:rank]
    steps = (2, 1, 2)[:rank]

    def call(name: str, p: float | None, input: Shape = picture, **options: Any) -> Call:
        """``p = None`` makes it a tensor."""
        if p is None:
            return Call(function, {"input": input, "norm_type": ()}, options, name)
        return Call(function, {"input": input}, {"norm_type": p, **options}, name)

    def over_all(name: str, p: float | None, input: Shape = picture, **options: Any) -> Call:
        if p is None:
            return Call(whole, {"input": input, "norm_type": (1,)}, options, name)
        return Call(whole, {"input": input}, {"norm_type": p, **options}, name)

    calls = [
        call("p is a tensor, mean, dilation", None, kernel_size=2, dilation=2, stride=1, mean=True),
        call("mean, p = 3, pairs", 3.0, kernel_size=3, stride=steps, padding=pairs, mean=True),
        call("dilation, p = 2.5", 2.5, kernel_size=kernel, dilation=steps, stride=1, padding=pairs),
        call("served, every second sample, p = 2", 2, SERVED[rank], kernel_size=2),
        call("served, padding, mean, p = 1", 1, SERVED[rank], kernel_size=3, stride=1, padding=1, mean=True),
        call("served, dilation, p = 2.5", 2.5, SERVED[rank], kernel_size=2, stride=3, dilation=2),
        call("larger, p = 3", 3.0, LARGE[rank], kernel_size=(3, 3, 2)[:rank], stride=(1, 2, 3)[:rank]),
        call(
            "every option",
            2.5,
            kernel_size=kernel,
            stride=steps,
            ceil_mode=True,
            padding=(1, 0, 1)[:rank],
            dilation=steps,
            mean=True,
        ),
        over_all("defaults", 2),
        over_all("no batch", 3, (3, *SIZE[rank])),
        over_all("empty batch", 2.5, (0, 3, *SIZE[rank])),
        over_all("ones everywhere", 2, (1, 1, *((1,) * rank))),
        over_all("larger", 2.5, LARGE[rank]),
        over_all("p is a tensor, mean", None, mean=True),
        over_all("every option", 0.7, mean=True),
    ]
    if rank == 2:
        calls += [
            call("p = 3, side by side", 3, kernel_size=2),
            *(call(f"served, squares, p = {p}", p, SQUARES, kernel_size=2) for p in (1, 2, 3, 2.5)),
            call("p = 7.5, kernel larger than the picture", 7.5, kernel_size=20, stride=3, padding="same"),
            call("p = ∞, pairs of more than the kernel", inf, kernel_size=2, padding=((3, 4),) * rank),
            call("p = 3, pairs of more than the kernel", 3.0, kernel_size=2, padding=((3, 4),) * rank),
            call("p is a tensor", None, kernel_size=2),
            call("mean, padding", 2, kernel_size=3, stride=2, padding=1, mean=True),
            call("dilation, p = 1", 1, kernel_size=2, dilation=steps, stride=1),
            call("ceil_mode, p = 3", 3.0, kernel_size=2, stride=3, ceil_mode=True),
            call("ceil_mode, mean, p = ½", 0.5, kernel_size=2, stride=3, ceil_mode=True, mean=True),
            over_all("p = 1", 1),
            over_all("p = ∞", inf),
        ]
    return calls


def _random_call(function: str, source: random.Random) -> Call:
    call = random_pool(function, source)
    tensors, options = dict(call.tensors), {**call.options, "mean": source.random() < 0.5}
    if source.random() < 0.2:
        tensors["norm_type"] = ()
    else:
        options["norm_type"] = source.choice([1, 2, 3, inf, round(source.uniform(0.3, 6), 2)])
    return Call(function, tensors, options, call.name)


def _invalid_powers() -> list[InvalidCall]:
    found = []
    for function, more in (("lp_pool2d", {"kernel_size": 2}), ("global_lp_pool2d", {})):
        for p, says in (
            (0, "0"),
            (-1.0, "-1.0"),
            (-inf, "-inf"),
            (float("nan"), "nan"),
            (True, "True"),
            ("two", "'two'"),
        ):
            call = Call(function, {"input": (2, 3, 6, 7)}, {"norm_type": p, **more})
            found.append(InvalidCall(call, ("norm_type", says, "above 0")))
        for shape in ((3,), (1, 1)):
            call = Call(function, {"input": (2, 3, 6, 7), "norm_type": shape}, more)
            found.append(InvalidCall(call, ("norm_type", str(shape), "one number")))
        call = Call(function, {"input": (2, 3, 6, 7)}, {"norm_type": 2, **more})
        found += [InvalidCall(call, ("input", str(dtype)), dtype) for dtype in (torch.int64, torch.complex64)]
    return found


def _invalid_pictures() -> list[InvalidCall]:
    table: list[tuple[int, Shape, str]] = [
        (1, (2, 3, 4, 4), "(N, C, L)"),
        (2, (2, 3, 0, 4), "a sample along height"),
        (3, (2, 0, 4, 4, 4), "one channel"),
    ]
    return [
        InvalidCall(Call(f"global_lp_pool{rank}d", {"input": shape}, {"norm_type": 2}), ("input", says))
        for rank, shape, says in table
    ]


def _layer_samples() -> list[LayerSample]:
    found = []
    for rank in (1, 2, 3):
        picture = (2, 3, *SIZE[rank])
        options: list[dict[str, Any]] = [
            {"norm_type": 2, "kernel_size": 2},
            {"norm_type": 2.0, "kernel_size": 3, "stride": 2, "ceil_mode": True},
            {"norm_type": 3, "kernel_size": 2, "stride": 1, "padding": "same", "dilation": 2, "mean": True},
            {"norm_type": 2.5, "kernel_size": 3, "padding": 1, "learnable": True},
        ]
        found += [LayerSample(f"LPPool{rank}d", option, picture) for option in options]
        found += [
            LayerSample(f"GlobalLPPool{rank}d", {"norm_type": 2}, picture),
            LayerSample(f"GlobalLPPool{rank}d", {"norm_type": 3.0, "mean": True, "learnable": True}, picture),
        ]
    return found


def _kernel_obstacle(call: Call, tensors: Mapping[str, Any]) -> str:
    p = tensors.get("norm_type", call.options.get("norm_type"))
    return lp_pool_obstacle(tensors["input"], p, int(call.function[-2]))


SPEC = OpSpec(
    name="lp_pool",
    functions={name: getattr(op, name) for name in FUNCTIONS},
    references={
        name: (reference.global_lp_pool if name.startswith("global") else reference.lp_pool)(int(name[-2]))
        for name in FUNCTIONS
    },
    layers=[getattr(layer, f"{form}LPPool{rank}d") for form in ("", "Global") for rank in (1, 2, 3)],
    samples=[*_window_samples(), *(call for rank in (1, 2, 3) for call in _samples(rank))],
    random_call=_random_call,
    invalid=[
        *(
            InvalidCall(_with_power(invalid.call, 2), invalid.says, invalid.dtype)
            for invalid in invalid_windows("lp_pool")
        ),
        *_invalid_powers(),
        *_invalid_pictures(),
    ],
    output_shape=pool_shape,
    macs=no_macs,
    benchmarks=[
        Call(
            "lp_pool2d",
            {"input": (32, 64, 56, 56)},
            {"norm_type": p, "kernel_size": 2},
            f"L{p}-pool 2, batch 32, 64 ch, 56²",
        )
        for p in (2, 3)
    ],
    paper="Sermanet, Chintala, LeCun, Convolutional neural networks applied to house numbers digit classification, 2012, arXiv 1204.3968",
    fill=fill,
    layer_samples=_layer_samples(),
    library_operators=("lp_pool", "lp_pool_backward"),
    kernel_obstacle=_kernel_obstacle,
)
