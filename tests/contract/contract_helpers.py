"""What the contract tests share: the cases, how a call is run, and how far two results may be apart.

Every case comes from the operators' own ``spec.py``; nothing here names an operator.
"""

from __future__ import annotations

import re
import resource
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from striate.ops._registry import operators
from striate.ops._spec import Call, OpSpec, Shapes, Tolerance

SPECS = list(operators().values())
SMALL = 3000  # elements of all tensors of a call that is small enough for anything slow
DTYPES = (torch.float64, torch.float32, torch.bfloat16)

Arguments = Mapping[str, Tensor | list[Tensor]]


def elements(call: Call) -> int:
    """Numbers in the tensor arguments of ``call``."""
    return sum(torch.Size(shape).numel() for shape in shapes_of(call.tensors))


def shapes_of(tensors: Mapping[str, Shapes]) -> Iterator[tuple[int, ...]]:
    for shapes in tensors.values():
        yield from shapes if isinstance(shapes, list) else [shapes]


def cases(
    choose: Callable[[OpSpec, list[Call]], list[Call]] = lambda spec, calls: calls,
) -> Any:
    """Parametrize by the sample calls of every function, or by those that ``choose`` picks."""
    chosen = []
    for spec in SPECS:
        for function in spec.functions:
            calls = [call for call in spec.samples if call.function == function]
            chosen += [
                pytest.param(spec, call, id=f"{spec.name}:{function}:{call.name or calls.index(call)}")
                for call in choose(spec, calls)
            ]
    return pytest.mark.parametrize(("spec", "call"), chosen)


def small(spec: OpSpec, calls: list[Call]) -> list[Call]:
    return [call for call in calls if elements(call) <= SMALL]


def largest(spec: OpSpec, calls: list[Call]) -> list[Call]:
    return sorted(calls, key=elements)[-1:]


def typical(spec: OpSpec, calls: list[Call]) -> list[Call]:
    """One small call with a batch and the most options: where one has to stand for all."""
    batched = [call for call in small(spec, calls) if has_batch(call) and call.tensors["input"][0]]
    return sorted(batched, key=lambda call: len(call.options))[-1:]


def functions() -> Any:
    """Parametrize by every public function."""
    return pytest.mark.parametrize(
        ("spec", "function"),
        [pytest.param(spec, name, id=f"{spec.name}:{name}") for spec in SPECS for name in spec.functions],
    )


def specs() -> Any:
    """Parametrize by every operator."""
    return pytest.mark.parametrize("spec", [pytest.param(spec, id=spec.name) for spec in SPECS])


def rank_of(call: Call) -> int:
    """Spatial dimensions: the digit in the function's name, else those of the weights."""
    if found := re.search(r"([123])d$", call.function):
        return int(found[1])
    return max(len(shape) for shape in shapes_of(call.tensors)) - 2


def has_batch(call: Call) -> bool:
    return len(call.tensors["input"]) == rank_of(call) + 2


def with_batch(call: Call, size: int) -> Call:
    """The same call on ``size`` pictures."""
    shape = (size, *call.tensors["input"][1:])
    return replace(call, tensors={**call.tensors, "input": shape}, name=f"{call} batch {size}")


def shadows(call: Call) -> dict[str, Tensor | list[Tensor]]:
    """The tensor arguments without numbers: shapes on the meta device."""

    def shadow(shape: tuple[int, ...]) -> Tensor:
        return torch.empty(shape, device="meta")

    return {
        name: [shadow(shape) for shape in shapes] if isinstance(shapes, list) else shadow(shapes)
        for name, shapes in call.tensors.items()
    }


def run(function: Callable[..., Any], tensors: Arguments, call: Call) -> list[Tensor]:
    """The tensors that a call results in."""
    result = function(**tensors, **call.options)
    return list(result) if isinstance(result, tuple | list) else [result]


def ours(spec: OpSpec, call: Call, tensors: Arguments) -> list[Tensor]:
    return run(spec.functions[call.function], tensors, call)


def reference(spec: OpSpec, call: Call, tensors: Arguments) -> list[Tensor]:
    """The results by definition, in float64 from the given values."""
    return run(spec.references[call.function], each(tensors, Tensor.double), call)


def each(tensors: Arguments, change: Callable[[Tensor], Tensor]) -> dict[str, Tensor | list[Tensor]]:
    """``change`` of every tensor argument."""
    return {
        name: [change(tensor) for tensor in value] if isinstance(value, list) else change(value)
        for name, value in tensors.items()
    }


def leaf(tensor: Tensor) -> Tensor:
    """The tensor itself, in its layout, as one whose gradient is asked for."""
    return tensor.detach().requires_grad_(tensor.is_floating_point())


def flat(tensors: Arguments) -> list[Tensor]:
    return [t for value in tensors.values() for t in (value if isinstance(value, list) else [value])]


def labels(tensors: Arguments) -> list[str]:
    """The argument's name for each tensor of ``flat``."""
    return [name for name, value in tensors.items() for _ in (value if isinstance(value, list) else [value])]


def learnable(tensor: Tensor) -> Tensor:
    return tensor.detach().clone().requires_grad_()


def cotangents(results: list[Tensor]) -> list[Tensor]:
    """A fixed random direction for every result that has a gradient."""
    generator = torch.Generator().manual_seed(7)
    return [
        torch.randn(result.shape, generator=generator, dtype=torch.float64).to(result.dtype)
        for result in results
        if result.requires_grad
    ]


def gradients(results: list[Tensor], tensors: Arguments) -> list[Tensor]:
    """Gradient of every tensor argument along the fixed direction; zeros where there is none."""
    outputs = [result for result in results if result.requires_grad]
    found = torch.autograd.grad(outputs, flat(tensors), cotangents(results), materialize_grads=True)
    return list(found)


def theirs(spec: OpSpec, call: Call, tensors: Arguments) -> list[Tensor] | None:
    """What PyTorch's own function gives, if the function is drop-in for it and it takes this call."""
    if call.function not in spec.torch_functions:
        return None
    try:
        return run(getattr(torch.nn.functional, spec.torch_functions[call.function]), tensors, call)
    except (TypeError, RuntimeError, ValueError):
        return None


def both(spec: OpSpec, call: Call, tensors: Arguments) -> tuple[list[Tensor], list[Tensor]]:
    """Results and gradients of a call."""
    inputs = each(tensors, learnable)
    results = ours(spec, call, inputs)
    return [result.detach() for result in results], gradients(results, inputs)


def assert_near(got: Tensor, wanted: Tensor, tolerance: Tolerance, what: str) -> None:
    """Equal shapes, and values within the tolerance; whole numbers exactly. NaN equals NaN."""
    assert got.shape == wanted.shape, f"{what}: shape {tuple(got.shape)}, wanted {tuple(wanted.shape)}"
    if not wanted.is_floating_point() and not wanted.is_complex():
        assert torch.equal(got, wanted), f"{what} differ"
        return
    wide = torch.complex128 if wanted.is_complex() else torch.float64
    torch.testing.assert_close(
        got.to(wide),
        wanted.to(wide),
        rtol=tolerance.relative,
        atol=tolerance.absolute,
        equal_nan=True,
        msg=lambda told: f"{what}: {told}",
    )


def assert_same(got: list[Tensor], wanted: list[Tensor], what: str, tolerance: float = 1e-10) -> None:
    """The same tensors but for the order of additions: dtype, shape and values."""
    assert len(got) == len(wanted), what
    for one, other in zip(got, wanted, strict=True):
        assert one.dtype == other.dtype, f"{what}: {one.dtype}, wanted {other.dtype}"
        assert_near(one, other, Tolerance(tolerance, tolerance), what)


def formats(tensor: Tensor) -> tuple[bool, ...]:
    """In which memory formats the tensor is laid out."""
    kinds = [torch.contiguous_format]
    kinds += [torch.channels_last] if tensor.dim() == 4 else []
    kinds += [torch.channels_last_3d] if tensor.dim() == 5 else []
    return tuple(tensor.is_contiguous(memory_format=kind) for kind in kinds)


def channels_last(tensor: Tensor) -> Tensor:
    """The same values with the channels innermost, where the tensor has four or five dimensions."""
    kinds = {4: torch.channels_last, 5: torch.channels_last_3d}
    return tensor.contiguous(memory_format=kinds.get(tensor.dim(), torch.contiguous_format))


@contextmanager
def at_most(gibibytes: float) -> Iterator[None]:
    """Let allocations beyond this much more memory fail, as they do on a machine without it."""
    now = int(Path("/proc/self/statm").read_text("ascii").split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (now + int(gibibytes * 2**30), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


@contextmanager
def threads(count: int) -> Iterator[None]:
    """Let PyTorch use ``count`` threads."""
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
