"""What tests, benchmarks and pages ask of max pooling."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

from striate.ops._checks import ONES
from striate.ops._pool_spec import (
    SIZE,
    adaptive_samples,
    dilated_samples,
    invalid_adaptive,
    invalid_windows,
    layer_samples,
    no_macs,
    pool_shape,
    random_pool,
    window_samples,
)
from striate.ops._spec import Call, LayerSample, OpSpec, distinct
from striate.ops.max_pool import layer, op, reference
from striate.ops.max_pool.kernel import MOST_TAPS, max_pool_obstacle

FUNCTIONS = {
    f"{form}max_pool{rank}d": getattr(op, f"{form}max_pool{rank}d")
    for form in ("", "adaptive_", "global_")
    for rank in (1, 2, 3)
}
DEFINITIONS = {
    "": reference.max_pool,
    "adaptive_": reference.adaptive_max_pool,
    "global_": reference.global_max_pool,
}


def _with_indices() -> list[Call]:
    calls = []
    for rank in (1, 2, 3):
        picture = {"input": (2, 3, *SIZE[rank])}
        everything = {
            "kernel_size": (3, 2, 2)[:rank],
            "stride": (2, 1, 2)[:rank],
            "padding": (1, 1, 0)[:rank],
            "dilation": (1, 2, 1)[:rank],
            "ceil_mode": True,
            "return_indices": True,
        }
        pairs = {"kernel_size": 3, "padding": ((1, 2),) * rank, "return_indices": True}
        wide = {"kernel_size": 4, "padding": ((3, 3),) * rank, "return_indices": True, "stride": 1}
        calls += [
            Call(f"max_pool{rank}d", picture, everything, "every option of PyTorch"),
            Call(f"max_pool{rank}d", picture, pairs, "indices, pairs"),
            Call(f"max_pool{rank}d", picture, wide, "indices, pairs of more than half the kernel"),
            Call(f"adaptive_max_pool{rank}d", picture, {"output_size": 2, "return_indices": True}, "indices"),
        ]
    return calls


def _random_call(function: str, source: random.Random) -> Call:
    call = random_pool(function, source)
    if function.startswith("global"):
        return call
    return Call(function, call.tensors, {**call.options, "return_indices": source.random() < 0.5}, call.name)


def _kernel_obstacle(call: Call, tensors: Mapping[str, Any]) -> str:
    if call.function.startswith("adaptive"):
        return "PyTorch's adaptive pooling serves it"
    if call.options.get("return_indices"):
        return "indices are wanted"
    if call.options.get("dilation", 1) not in ONES:
        return "dilated windows"
    reason = max_pool_obstacle(tensors["input"], int(call.function[-2]))
    return reason or f"windows of more than {MOST_TAPS} taps or outside the picture"


SPEC = OpSpec(
    name="max_pool",
    functions=FUNCTIONS,
    references={name: DEFINITIONS[name.partition("max_pool")[0]](int(name[-2])) for name in FUNCTIONS},
    layers=[
        getattr(layer, f"{form}MaxPool{rank}d") for form in ("", "Adaptive", "Global") for rank in (1, 2, 3)
    ],
    samples=[
        *window_samples("max_pool"),
        *dilated_samples("max_pool"),
        *adaptive_samples("max_pool"),
        *_with_indices(),
    ],
    random_call=_random_call,
    invalid=[*invalid_windows("max_pool"), *invalid_adaptive("max_pool")],
    output_shape=pool_shape,
    macs=no_macs,
    benchmarks=[
        Call(
            "max_pool2d", {"input": (32, 64, 56, 56)}, {"kernel_size": 2}, "max-pool 2, batch 32, 64 ch, 56²"
        ),
        Call(
            "max_pool2d",
            {"input": (32, 64, 56, 56)},
            {"kernel_size": 3, "stride": 2, "padding": 1},
            "max-pool 3 s2, batch 32, 64 ch, 56²",
        ),
        Call("global_max_pool2d", {"input": (32, 512, 7, 7)}, {}, "global max-pool, batch 32, 512 ch, 7²"),
    ],
    paper="Riesenhuber, Poggio, Hierarchical models of object recognition in cortex, 1999",
    torch_functions={name: name for name in FUNCTIONS if not name.startswith("global")},
    fill=distinct,
    layer_samples=[
        *layer_samples("MaxPool"),
        *(
            LayerSample(
                f"MaxPool{rank}d",
                {"kernel_size": 2, "dilation": 2, "return_indices": True},
                (2, 3, *SIZE[rank]),
            )
            for rank in (1, 2, 3)
        ),
    ],
    library_operators=("max_pool", "max_pool_backward"),
    kernel_obstacle=_kernel_obstacle,
)
