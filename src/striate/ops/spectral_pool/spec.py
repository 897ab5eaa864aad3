"""What tests, benchmarks and pages ask of spectral pooling."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import torch

from striate import geometry
from striate.ops._pool_spec import LARGE, SIZE, no_macs, picture_shape
from striate.ops._spec import Call, InvalidCall, LayerSample, OpSpec, Shape
from striate.ops.spectral_pool import layer, op, reference
from striate.ops.spectral_pool.kernel import spectral_pool_obstacle

FUNCTIONS = [f"spectral_pool{rank}d" for rank in (1, 2, 3)]
EVEN = {1: (8,), 2: (8, 6), 3: (4, 6, 8)}


def _output_shape(call: Call) -> Shape:
    batch, picture = picture_shape(call)
    return batch + geometry.spectral_pool(picture, call.options["output_size"]).output


def _samples(rank: int) -> list[Call]:
    odd, even = SIZE[rank], EVEN[rank]

    def call(name: str, input: Shape, output_size: int | Shape) -> Call:
        return Call(f"spectral_pool{rank}d", {"input": input}, {"output_size": output_size}, name)

    calls = [
        call("defaults", (2, 3, *odd), 3),
        call("no batch", (3, *odd), 3),
        call("empty batch", (0, 3, *odd), 3),
        call("ones everywhere", (1, 1, *((1,) * rank)), 1),
        call("from one number", (2, 1, *((1,) * rank)), 4),
        call("the same size", (2, 3, *even), even),
        call("even to odd", (2, 3, *even), tuple(n // 2 + (n // 2 + 1) % 2 for n in even)),
        call("even, larger", (2, 3, *even), tuple(n + 3 for n in even)),
        call("larger", LARGE[rank], tuple(n // 2 for n in LARGE[rank][2:])),
        call("even to even", (2, 3, *even), tuple(n // 2 for n in even)),
    ]
    if rank == 2:
        calls += [
            call("to one number", (2, 3, *odd), 1),
            call("odd to even", (2, 3, 5, 5), 4),
            call("odd to odd", (2, 3, 5, 5), 3),
            call("odd, larger", (2, 3, 3, 3), 6),
            call("smaller here, larger there", (2, 3, 8, 6), (6, 8)),
            call("one dimension only", (2, 3, 8, 6), (8, 4)),
            call("both dimensions", (2, 3, 8, 6), (4, 4)),
            call("both dimensions, many channels", (1, 21, 14, 16), (6, 10)),
            call("both dimensions, larger, many channels", (2, 17, 10, 14), (12, 16)),
        ]
    return calls


def _beyond_products() -> list[Call]:
    """Pictures so long that the Fourier transform takes them."""
    return [
        Call("spectral_pool1d", {"input": (2, 3, 520)}, {"output_size": 14}, "long, to even"),
        Call("spectral_pool1d", {"input": (2, 3, 523)}, {"output_size": 11}, "long, to odd"),
        Call("spectral_pool1d", {"input": (0, 3, 520)}, {"output_size": 14}, "long, empty batch"),
        Call("spectral_pool1d", {"input": (1, 2, 10)}, {"output_size": 516}, "short to long"),
        Call("spectral_pool2d", {"input": (1, 2, 6, 514)}, {"output_size": (4, 8)}, "wide, to even"),
        Call("spectral_pool2d", {"input": (2, 2, 514, 5)}, {"output_size": (6, 8)}, "high, to wider"),
    ]


def _random_call(function: str, source: random.Random) -> Call:
    rank = int(function[-2])
    batch = (source.randint(1, 2),) if source.random() < 0.8 else ()
    most = {1: 12, 2: 8, 3: 5}[rank]
    size = tuple(source.randint(1, most) for _ in range(rank))
    wanted: Any = tuple(source.randint(1, most) for _ in range(rank))
    if source.random() < 0.2:
        wanted = wanted[0]
    return Call(function, {"input": (*batch, source.randint(1, 3), *size)}, {"output_size": wanted}, "random")


def _invalid(
    *says: str, input: Shape = (2, 3, 6, 7), dtype: torch.dtype = torch.float32, output_size: Any = 4
) -> InvalidCall:
    return InvalidCall(Call("spectral_pool2d", {"input": input}, {"output_size": output_size}), says, dtype)


INVALID = [
    _invalid("input", "2 dimensions", "(N, C, H, W)", input=(6, 7)),
    _invalid("input", "(2, 3, 0, 7)", "height", input=(2, 3, 0, 7)),
    _invalid("input", "torch.int64", "floating point", dtype=torch.int64),
    _invalid("input", "torch.complex64", "floating point", dtype=torch.complex64),
    _invalid("output_size", "0", "from 1", output_size=0),
    _invalid("output_size", "(4, -1)", output_size=(4, -1)),
    _invalid("output_size", "3 numbers", "(H, W)", output_size=(4, 4, 4)),
    _invalid("output_size", "'half'", output_size="half"),
    _invalid("output_size", "3.5", output_size=3.5),
    _invalid("output_size", "None", output_size=(4, None)),
    _invalid("output_size", "2147483648", output_size=2**31),
    _invalid("output_size", "9223372036854775807", output_size=2**63 - 1),
    _invalid("2147483647, 2147483647", "2⁶³ bytes", output_size=2**31 - 1),
    InvalidCall(Call("spectral_pool1d", {"input": (2, 3, 4, 4)}, {"output_size": 2}), ("(N, C, L)",)),
    InvalidCall(
        Call("spectral_pool3d", {"input": (2, 3, 4, 4, 0)}, {"output_size": 2}), ("a sample along its width",)
    ),
]


def _kernel_obstacle(call: Call, tensors: Mapping[str, Any]) -> str:
    rank, size = int(call.function[-2]), call.options["output_size"]
    return spectral_pool_obstacle(tensors["input"], (size,) * rank if isinstance(size, int) else size, rank)


SPEC = OpSpec(
    name="spectral_pool",
    functions={name: getattr(op, name) for name in FUNCTIONS},
    references={name: getattr(reference, name) for name in FUNCTIONS},
    layers=[layer.SpectralPool1d, layer.SpectralPool2d, layer.SpectralPool3d],
    samples=[*_beyond_products(), *(call for rank in (1, 2, 3) for call in _samples(rank))],
    random_call=_random_call,
    invalid=INVALID,
    output_shape=_output_shape,
    macs=no_macs,
    benchmarks=[
        Call(
            "spectral_pool2d",
            {"input": (32, 64, 56, 56)},
            {"output_size": 28},
            "spectral 56 → 28, batch 32, 64 ch",
        ),
        Call(
            "spectral_pool2d",
            {"input": (32, 64, 32, 32)},
            {"output_size": 17},
            "spectral 32 → 17, batch 32, 64 ch",
        ),
    ],
    paper="Rippel, Snoek, Adams, Spectral representations for convolutional neural networks, 2015, arXiv 1506.03767",
    layer_samples=[
        LayerSample("SpectralPool1d", {"output_size": 4}, (2, 3, 9)),
        LayerSample("SpectralPool2d", {"output_size": (4, 3)}, (2, 3, 8, 7)),
        LayerSample("SpectralPool2d", {"output_size": 5}, (2, 3, 8, 7)),
        LayerSample("SpectralPool3d", {"output_size": 3}, (2, 3, 6, 5, 4)),
    ],
    library_operators=("spectral_pool",),
    kernel_obstacle=_kernel_obstacle,
)
