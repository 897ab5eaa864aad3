"""What tests, benchmarks and pages ask of mixed pooling."""

from __future__ import annotations

import random
from collections.abc import Mapping
from math import prod
from typing import Any

import torch
from torch import Tensor

from striate.ops._pool_spec import (
    KERNEL,
    LARGE,
    SERVED,
    SIZE,
    SQUARES,
    dilated_samples,
    invalid_windows,
    picture_shape,
    pool_shape,
    random_pool,
    window_samples,
)
from striate.ops._spec import Call, InvalidCall, LayerSample, OpSpec, Shape, distinct, normal
from striate.ops.mixed_pool import layer, op, reference
from striate.ops.mixed_pool.kernel import mixed_pool_obstacle

FUNCTIONS = [f"mixed_pool{rank}d" for rank in (1, 2, 3)]


def _fill(name: str, shape: Shape, generator: torch.Generator) -> Tensor:
    """Distinct numbers in the picture, shares from 0 to 1, and gates that leave σ its slope."""
    if name == "input":
        values = distinct(name, shape, generator)
        return values / max(values.numel() / 8, 1)
    values = normal(name, shape, generator)
    return values.sigmoid() if name == "alpha" else values


def _macs(call: Call) -> int:
    """A gate is one multiply-add for each tap of each window; the rest has no weights."""
    if "gate" not in call.tensors:
        return 0
    _, (_, *_size) = picture_shape(call)
    gate = call.tensors["gate"]
    assert isinstance(gate, tuple)
    return prod(pool_shape(call)) * prod(gate[-len(_size) :])


def _samples(rank: int) -> list[Call]:
    picture, kernel = (2, 3, *SIZE[rank]), KERNEL[rank]
    pairs = ((2, 1), (0, 3), (1, 0))[:rank]
    steps = (2, 1, 2)[:rank]

    def call(
        name: str, input: Shape = picture, *, tensors: dict[str, Shape] | None = None, **options: Any
    ) -> Call:
        return Call(
            f"mixed_pool{rank}d",
            {"input": input, **(tensors or {})},
            {"kernel_size": kernel, **options},
            name,
        )

    gate, gates = {"gate": kernel}, {"gate": (3, *kernel)}
    calls = [
        call("largest only", alpha=1),
        call("alpha of each channel", tensors={"alpha": (3,)}, padding=pairs),
        call("padding counts", padding=pairs, stride=steps, count_include_pad=True),
        call("gated, no batch", (3, *SIZE[rank]), tensors=gates),
        call("gated, ceil_mode", tensors=gates, stride=3, ceil_mode=True),
        call("gated, a window of nothing", tensors=gate, padding=((3, 4),) * rank),
        Call(
            f"mixed_pool{rank}d",
            {"input": LARGE[rank], "gate": (LARGE[rank][1], *kernel)},
            {"kernel_size": kernel, "stride": 2},
            "larger, gated",
        ),
        call("served", SERVED[rank], padding=1),
        call(
            "served, alpha of each channel, every sample",
            SERVED[rank],
            tensors={"alpha": (SERVED[rank][1],)},
            stride=1,
            count_include_pad=True,
            padding=1,
        ),
        call("served, gated, dilation", SERVED[rank], tensors=gate, stride=3, dilation=2),
        call(
            "every option",
            tensors=gates,
            stride=steps,
            padding=pairs,
            dilation=steps,
            ceil_mode=True,
            count_include_pad=True,
        ),
    ]
    if rank == 2:
        calls += [
            call("average only", alpha=0),
            call("largest only, a window of nothing", kernel_size=2, padding=((3, 4),) * rank, alpha=1.0),
            call("alpha = ¼", stride=1, alpha=0.25),
            call("alpha is a tensor", tensors={"alpha": ()}),
            call("alpha of each channel, no batch", (3, *SIZE[rank]), tensors={"alpha": (3,)}),
            call("padding counts, ceil_mode", stride=2, padding=1, ceil_mode=True, count_include_pad=True),
            call("served, squares", SQUARES, kernel_size=2),
            call("served, squares, alpha of each channel", SQUARES, tensors={"alpha": (19,)}, kernel_size=2),
            call("served, squares, gated", SQUARES, tensors={"gate": (19, 2, 2)}, kernel_size=2),
            call("gated", tensors=gate),
            call("gated, empty batch", (0, 3, *SIZE[rank]), tensors=gates),
            call("gated, same", tensors=gates, padding="same", stride=2),
        ]
    return calls


def _random_call(function: str, source: random.Random) -> Call:
    call = random_pool(function, source)
    shape = call.tensors["input"]
    assert isinstance(shape, tuple)
    channels = shape[-1 - int(function[-2])]
    tensors, options = dict(call.tensors), {**call.options, "count_include_pad": source.random() < 0.5}
    kind = source.choice(["left out", "number", "one", "each", "gate", "gates"])
    if kind == "number":
        options["alpha"] = source.choice([0, 1, 0.3])
    elif kind in ("one", "each"):
        tensors["alpha"] = (1,) if kind == "one" else (channels,)
    elif kind != "left out":
        tensors["gate"] = options["kernel_size"] if kind == "gate" else (channels, *options["kernel_size"])
    return Call(function, tensors, options, call.name)


def _invalid(*says: str, tensors: dict[str, Shape] | None = None, **options: Any) -> InvalidCall:
    call = Call("mixed_pool2d", {"input": (2, 3, 6, 7), **(tensors or {})}, {"kernel_size": 2, **options})
    return InvalidCall(call, says)


INVALID = [
    *invalid_windows("mixed_pool"),
    *(
        InvalidCall(
            Call("mixed_pool2d", {"input": (2, 3, 6, 7)}, {"kernel_size": 2}), ("input", str(dtype)), dtype
        )
        for dtype in (torch.int64, torch.uint8)
    ),
    _invalid("alpha", "-0.1", "from 0", alpha=-0.1),
    _invalid("alpha", "1.5", "to 1", alpha=1.5),
    _invalid("alpha", "nan", alpha=float("nan")),
    _invalid("alpha", "'half'", alpha="half"),
    _invalid("alpha", "True", alpha=True),
    _invalid("alpha", "(2,)", "(3,)", tensors={"alpha": (2,)}),
    _invalid("alpha", "(3, 1)", tensors={"alpha": (3, 1)}),
    _invalid("gate", "(2, 3)", "(2, 2)", "(3, 2, 2)", tensors={"gate": (2, 3)}),
    _invalid("gate", "(2, 2, 2)", "(3, 2, 2)", tensors={"gate": (2, 2, 2)}),
    _invalid("alpha and gate", tensors={"gate": (2, 2)}, alpha=0.5),
]


def _layer_samples() -> list[LayerSample]:
    found = []
    for rank in (1, 2, 3):
        options: list[dict[str, Any]] = [
            {"kernel_size": 2},
            {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True, "alpha": 0.25},
            {"kernel_size": 2, "padding": "same", "dilation": 2, "mode": "learned", "alpha": 0.75},
            {"kernel_size": 2, "mode": "learned", "channels": 3, "count_include_pad": True},
            {"kernel_size": KERNEL[rank], "mode": "gated"},
            {"kernel_size": 2, "stride": 1, "mode": "gated", "channels": 3},
            {"kernel_size": 2, "mode": "random", "alpha": 0.5},
        ]
        found += [LayerSample(f"MixedPool{rank}d", option, (2, 3, *SIZE[rank])) for option in options]
    return found


def _kernel_obstacle(call: Call, tensors: Mapping[str, Any]) -> str:
    weights = tensors.get("gate", tensors.get("alpha"))
    return mixed_pool_obstacle(tensors["input"], weights, int(call.function[-2]))


SPEC = OpSpec(
    name="mixed_pool",
    functions={name: getattr(op, name) for name in FUNCTIONS},
    references={name: reference.mixed_pool(int(name[-2])) for name in FUNCTIONS},
    layers=[layer.MixedPool1d, layer.MixedPool2d, layer.MixedPool3d],
    samples=[
        *window_samples("mixed_pool"),
        *(call for call in dilated_samples("mixed_pool") if call.function == "mixed_pool2d"),
        *(call for rank in (1, 2, 3) for call in _samples(rank)),
    ],
    random_call=_random_call,
    invalid=INVALID,
    output_shape=pool_shape,
    macs=_macs,
    benchmarks=[
        Call(
            "mixed_pool2d", {"input": (32, 64, 56, 56)}, {"kernel_size": 2}, "mixed 2, batch 32, 64 ch, 56²"
        ),
        Call(
            "mixed_pool2d",
            {"input": (32, 64, 56, 56), "gate": (64, 2, 2)},
            {"kernel_size": 2},
            "gated 2, batch 32, 64 ch, 56²",
        ),
    ],
    paper="Lee, Gallagher, Tu, Generalizing pooling functions in convolutional neural networks, 2016, arXiv 1509.08985",
    fill=_fill,
    layer_samples=_layer_samples(),
    sums_by_threads=["gate"],
    library_operators=("mixed_pool", "mixed_pool_backward"),
    kernel_obstacle=_kernel_obstacle,
)
