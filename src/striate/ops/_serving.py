"""Who computes an operator's calls on this machine, found by watching real calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from striate.ops._library import NATIVE
from striate.ops._registry import operators
from striate.ops._spec import Call, OpSpec


@dataclass(frozen=True)
class Served:
    """One call and who computes it.

    Attributes:
        operator: the operator's name.
        case: the call's name.
        by: names of the kernels in the order in which they ran; none for PyTorch's operators.
        why: why no kernel served it, as far as the operator says.
    """

    operator: str
    case: str
    by: tuple[str, ...]
    why: str


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Keeps the calls of Striate's kernels."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.calls: list[tuple[Any, tuple[Any, ...]]] = []

    def __torch_dispatch__(self, operator: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if operator.namespace == "striate":
            self.calls.append((operator, args))
        return operator(*args, **(kwargs or {}))


def served() -> Iterator[Served]:
    """For the benchmark cases of every operator, in float32 on at most eight pictures: who computes them."""
    for spec in operators().values():
        for call in spec.benchmarks:
            yield _ask(spec, call)


def kernel_calls(step: Callable[[], Any]) -> list[tuple[Any, tuple[Any, ...]]]:
    """Striate's kernels that ``step`` calls, as registered operators, each with its arguments."""
    watch = _Watch()
    with watch:
        step()
    return watch.calls


def kernels_used(step: Callable[[], Any]) -> tuple[str, ...]:
    """Names of Striate's kernels that ``step`` calls, in the order in which they first run."""
    return tuple(dict.fromkeys(operator.overloadpacket.__name__ for operator, _ in kernel_calls(step)))


def _ask(spec: OpSpec, call: Call) -> Served:
    shape = call.tensors["input"]
    if isinstance(shape, tuple) and len(shape) > 3:
        call = replace(call, tensors={**call.tensors, "input": (min(shape[0], 8), *shape[1:])})
    tensors = spec.tensors(call, torch.float32)
    with torch.no_grad():
        by = kernels_used(lambda: spec.functions[call.function](**tensors, **call.options))
    why = ""
    if not by:
        why = NATIVE.why if not NATIVE.loaded else ""
        why = why or (
            spec.kernel_obstacle(call, tensors) if spec.kernel_obstacle else "there is no kernel for it"
        )
    return Served(spec.name, str(call), by, why)
