"""One call of an operator in both layouts, as the steps that a benchmark times."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from racing import Step
from striate.ops import _library
from striate.ops._registry import operators
from striate.ops._spec import Call, OpSpec

LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
TURNED_OFF = _library.Native(False, "a peer's turn")
Run = Callable[[dict[str, Any]], Tensor]


def chosen(words: list[str]) -> Iterator[tuple[OpSpec, Call]]:
    """The benchmark calls of all operators, or those whose operator or name has one of the words."""
    for spec in operators().values():
        for call in spec.benchmarks:
            if not words or any(word in f"{spec.name} {call}" for word in words):
                yield spec, call


class Case:
    """The tensors of one call, and all that PyTorch and Striate do with them."""

    def __init__(self, spec: OpSpec, call: Call, dtype: torch.dtype) -> None:
        self.spec, self.call, self.dtype = spec, call, dtype
        self.function = spec.functions[call.function]
        self.tensors: dict[str, Any] = dict(spec.tensors(call, dtype))
        generator = torch.Generator().manual_seed(1)
        shape = self.run(self.tensors).shape
        self.gradient = torch.randn(shape, generator=generator).to(dtype)
        self.laid: dict[bool, tuple[dict[str, Any], dict[str, Any], Tensor]] = {}

    @property
    def layouts(self) -> tuple[bool, ...]:
        """Whether channels are last: both, where the input's rank has that format."""
        return (False, True) if self.tensors["input"].dim() in LAST else (False,)

    def run(self, tensors: dict[str, Any]) -> Tensor:
        """The result for these tensors."""
        result = self.function(**tensors, **self.call.options)
        return result[0] if isinstance(result, tuple) else result

    def steps(self, last: bool, run: Run) -> tuple[Step, Step]:
        """Forward without gradients; forward and backward, which gives the result and the gradients.

        All who compute in one layout read the same memory: the pages of one copy suit the caches better than
        those of another, by a third of a pooling's time.
        """
        if last not in self.laid:
            laid = {name: laid_out(part, last) for name, part in self.tensors.items()}
            asked = {name: asking(part) for name, part in laid.items()}
            self.laid[last] = laid, asked, laid_out(self.gradient, last)
        tensors, leaves, gradient = self.laid[last]
        flat = [leaf for part in leaves.values() for leaf in (part if isinstance(part, list) else [part])]

        def forward() -> Tensor:
            with torch.no_grad():
                return run(tensors)

        def both() -> tuple[Tensor, ...]:
            result = run(leaves)
            return result.detach(), *torch.autograd.grad(result, flat, gradient)

        return forward, both

    def exact(self) -> list[Tensor]:
        """Result and gradients in float64 by PyTorch."""
        wide = Case.__new__(Case)
        wide.__dict__.update(self.__dict__)
        wide.tensors = {
            name: [t.double() for t in part] if isinstance(part, list) else part.double()
            for name, part in self.tensors.items()
        }
        wide.gradient, wide.laid = self.gradient.double(), {}
        with through_pytorch():
            return list(wide.steps(False, wide.run)[1]())

    def traffic(self) -> dict[str, int]:
        """Bytes that must be read and written at least."""
        numbers = {
            name: sum(t.numel() for t in (part if isinstance(part, list) else [part]))
            for name, part in self.tensors.items()
        }
        x, y, weights = numbers["input"], self.gradient.numel(), sum(numbers.values()) - numbers["input"]
        both = 3 * x + 2 * y + 3 * weights if weights else 2 * x + 2 * y
        size = self.gradient.element_size()
        return {"forward": (x + y + weights) * size, "both": both * size}


def laid_out(tensors: Any, last: bool) -> Any:
    """Tensors of pictures and kernels in one of the two orders."""
    if isinstance(tensors, list):
        return [laid_out(tensor, last) for tensor in tensors]
    form = LAST.get(tensors.dim()) if last else None
    return tensors.contiguous(memory_format=form) if form else tensors.contiguous()


def asking(tensors: Any) -> Any:
    """Leaves that want gradients."""
    if isinstance(tensors, list):
        return [asking(tensor) for tensor in tensors]
    return tensors.detach().clone().requires_grad_()


def distance(found: list[Tensor], wanted: list[Tensor]) -> float:
    """The largest difference, each relative to the largest number of its tensor."""
    return max(
        float((a.double() - b).abs().max() / b.abs().max().clamp(min=1e-9))
        for a, b in zip(found, wanted, strict=True)
    )


@contextmanager
def through_pytorch() -> Iterator[None]:
    """Without the kernels, as with ``STRIATE_NATIVE=0``."""
    native = _library.NATIVE
    _library.NATIVE = TURNED_OFF
    try:
        yield
    finally:
        _library.NATIVE = native


def by_pytorch(step: Step) -> Step:
    """The step without the kernels."""

    def peer() -> Any:
        with through_pytorch():
            return step()

    return peer
