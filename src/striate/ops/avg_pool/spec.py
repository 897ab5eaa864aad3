"""What tests, benchmarks and pages ask of average pooling."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from striate.ops._pool_spec import (
    KERNEL,
    SIZE,
    adaptive_samples,
    dilated_samples,
    empty_window_samples,
    invalid_adaptive,
    invalid_windows,
    layer_samples,
    no_macs,
    pool_shape,
    random_pool,
    window_samples,
)
from striate.ops._spec import Call, InvalidCall, LayerSample, OpSpec
from striate.ops.avg_pool import layer, op, reference
from striate.ops.avg_pool.kernel import avg_pool_obstacle, global_avg_pool_obstacle

FUNCTIONS = {
    f"{form}avg_pool{rank}d": getattr(op, f"{form}avg_pool{rank}d")
    for form in ("", "adaptive_", "global_")
    for rank in (1, 2, 3)
}
DEFINITIONS: dict[str, Any] = {
    "": reference.avg_pool,
    "adaptive_": reference.adaptive_avg_pool,
    "global_": reference.global_avg_pool,
}


def _with_divisors() -> list[Call]:
    calls = []
    for rank in (1, 2, 3):
        picture = {"input": (2, 3, *SIZE[rank])}
        table: dict[str, dict[str, Any]] = {
            "padding does not count": {"padding": 1, "count_include_pad": False},
            "padding does not count, ceil_mode": {
                "padding": 1,
                "stride": 2,
                "count_include_pad": False,
                "ceil_mode": True,
            },
            "padding counts, ceil_mode": {"padding": 1, "stride": 2, "ceil_mode": True},
            "pairs do not count": {"padding": ((2, 1), (0, 3), (1, 0))[:rank], "count_include_pad": False},
            "pairs, dilation and ceil_mode": {
                "padding": ((2, 1), (0, 3), (1, 0))[:rank],
                "dilation": (2, 1, 2)[:rank],
                "ceil_mode": True,
                "stride": 2,
            },
            "the same does not count": {"padding": "same", "stride": 1, "count_include_pad": False},
            "dilated and not counted": {
                "padding": 1,
                "dilation": 2,
                "stride": (1,) * rank,
                "count_include_pad": False,
            },
        }
        if rank > 1:
            table["every option of PyTorch"] = {
                "stride": (2, 1, 2)[:rank],
                "padding": (1, 0, 1)[:rank],
                "ceil_mode": True,
                "count_include_pad": False,
                "divisor_override": 5,
            }
            table["a divisor, with pairs"] = {"padding": ((1, 0),) * rank, "divisor_override": 3}
            table["a divisor, dilated"] = {"dilation": (2, 1, 2)[:rank], "divisor_override": -3, "stride": 1}
        calls += [
            Call(f"avg_pool{rank}d", picture, {"kernel_size": KERNEL[rank], **options}, name)
            for name, options in table.items()
        ]
    return calls


def _random_call(function: str, source: random.Random) -> Call:
    call = random_pool(function, source)
    if not function.startswith("avg"):
        return call
    options = {**call.options, "count_include_pad": source.random() < 0.5}
    if function != "avg_pool1d" and source.random() < 0.2:
        options["divisor_override"] = source.randint(1, 9)
    return Call(function, call.tensors, options, call.name)


def _invalid_divisors() -> list[InvalidCall]:
    return [
        InvalidCall(
            Call(function, {"input": shape}, {"kernel_size": 2, "divisor_override": divisor, **more}),
            ("divisor_override", repr(divisor)),
        )
        for function, shape in (("avg_pool2d", (2, 3, 6, 7)), ("avg_pool3d", (2, 3, 4, 4, 4)))
        for divisor in (0, "two", 2**63)
        for more in ({}, {"dilation": 2})
    ]


def _kernel_obstacle(call: Call, tensors: Mapping[str, Any]) -> str:
    if call.function.startswith("global"):
        return global_avg_pool_obstacle(tensors["input"], int(call.function[-2]))
    if not call.function.startswith("avg"):
        return "PyTorch's adaptive pooling is as fast"
    return avg_pool_obstacle(tensors["input"], int(call.function[-2]))


SPEC = OpSpec(
    name="avg_pool",
    functions=FUNCTIONS,
    references={
        **{name: DEFINITIONS[name.partition("avg_pool")[0]](int(name[-2])) for name in FUNCTIONS},
        "avg_pool1d": reference.avg_pool1d,
    },
    layers=[
        getattr(layer, f"{form}AvgPool{rank}d") for form in ("", "Adaptive", "Global") for rank in (1, 2, 3)
    ],
    samples=[
        *window_samples("avg_pool"),
        *dilated_samples("avg_pool"),
        *empty_window_samples("avg_pool"),
        *adaptive_samples("avg_pool"),
        *_with_divisors(),
    ],
    random_call=_random_call,
    invalid=[*invalid_windows("avg_pool"), *invalid_adaptive("avg_pool"), *_invalid_divisors()],
    output_shape=pool_shape,
    macs=no_macs,
    benchmarks=[
        Call(
            "avg_pool2d",
            {"input": (32, 64, 56, 56)},
            {"kernel_size": 3, "stride": 1, "padding": 1},
            "average 3 s1 p1, batch 32, 64 ch, 56²",
        ),
        Call(
            "avg_pool2d",
            {"input": (8, 64, 56, 56)},
            {"kernel_size": 3, "stride": 1, "padding": ((2, 2), (2, 2)), "dilation": 2},
            "average 3 dilated 2, batch 8, 64 ch, 56²",
        ),
        Call("global_avg_pool2d", {"input": (32, 512, 7, 7)}, {}, "global average, batch 32, 512 ch, 7²"),
    ],
    paper="LeCun et al., Gradient-based learning applied to document recognition, 1998",
    torch_functions={name: name for name in FUNCTIONS if not name.startswith("global")},
    layer_samples=[
        *layer_samples("AvgPool"),
        *(
            LayerSample(
                f"AvgPool{rank}d", {"kernel_size": 2, "dilation": 2, "stride": 1}, (2, 3, *SIZE[rank])
            )
            for rank in (1, 2, 3)
        ),
    ],
    library_operators=("avg_pool", "avg_pool_backward"),
    kernel_obstacle=_kernel_obstacle,
)
