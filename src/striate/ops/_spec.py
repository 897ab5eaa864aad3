"""What an operator's ``spec.py`` says of it: everything that tests, benchmarks and pages ask.

A call is written as data (shapes and options), so that one list serves every dtype, device and
memory format.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

Shape = tuple[int, ...]
Shapes = Shape | list[Shape]  # of one tensor, or of each tensor of a list argument


@dataclass(frozen=True)
class Call:
    """One call of a public function.

    Args:
        function: its name in ``striate.functional``.
        tensors: shape of every tensor argument by its name; a list of shapes for a list of tensors.
        options: the other arguments by name.
        name: a few words that say what is special about it.
    """

    function: str
    tensors: Mapping[str, Shapes]
    options: Mapping[str, Any] = field(default_factory=dict)
    name: str = ""

    def __str__(self) -> str:
        return self.name or f"{self.function}{dict(self.tensors)}{dict(self.options) or ''}"


def split_batch(call: Call, rank: int) -> tuple[Shape, Shape]:
    """Shape of the input of ``call`` as ``(N,)`` or ``()``, and the ``(C, *size)`` that geometry takes.

    >>> split_batch(Call("conv2d", {"input": (8, 3, 32, 32)}), 2)
    ((8,), (3, 32, 32))
    """
    shape = call.tensors["input"]
    assert isinstance(shape, tuple)
    return shape[: -1 - rank], shape[-1 - rank :]


@dataclass(frozen=True)
class InvalidCall:
    """A call that must raise ``ArgumentError``, and words that its message must hold."""

    call: Call
    says: tuple[str, ...]
    dtype: torch.dtype = torch.float32


@dataclass(frozen=True)
class LayerSample:
    """One layer of ``striate.nn`` and the shape of an input for it.

    Args:
        layer: its name.
        options: the constructor's arguments by name.
        input: shape of an input; a list of shapes where the layer takes several.
        factory: the class method that takes the options in place of the constructor, if any.
    """

    layer: str
    options: Mapping[str, Any]
    input: Shapes
    factory: str = ""

    def build(self, home: Any) -> nn.Module:
        """The layer, from ``home``: ``striate.nn``, or ``torch.nn`` for its counterpart there."""
        kind = getattr(home, self.layer)
        make = getattr(kind, self.factory) if self.factory else kind
        return make(**self.options)  # type: ignore[no-any-return]

    def __str__(self) -> str:
        return f"{self.layer}({', '.join(f'{name}={value!r}' for name, value in self.options.items())})"


@dataclass(frozen=True)
class Tolerance:
    """How far a result may be from the reference computed in float64."""

    relative: float
    absolute: float


DEFAULT_TOLERANCES: Mapping[torch.dtype, Tolerance] = {
    torch.float64: Tolerance(1e-10, 1e-10),
    torch.float32: Tolerance(1e-4, 1e-5),
    torch.bfloat16: Tolerance(3e-2, 3e-2),
}


def normal(name: str, shape: Shape, generator: torch.Generator) -> Tensor:
    """Standard normal float64 values: what fills an argument where the spec does not say."""
    return torch.randn(shape, generator=generator, dtype=torch.float64)


def fan_in_scaled(name: str, shape: Shape, generator: torch.Generator) -> Tensor:
    """Standard normal values; those of a weight divided by √fan_in, so that sums of sums stay of order 1."""
    values = normal(name, shape, generator)
    return values / torch.Size(shape[1:]).numel() ** 0.5 if "weight" in name and len(shape) > 1 else values


def distinct(name: str, shape: Shape, generator: torch.Generator) -> Tensor:
    """Values that differ by 1/4 at least, shuffled: no ties, and no swap under small steps."""
    count = torch.Size(shape).numel()
    values = (torch.randperm(count, generator=generator).double() - count / 2 + 0.3) / 4
    return values.reshape(shape)


@dataclass(frozen=True)
class OpSpec:
    """Everything that is true of one operator (one folder).

    Args:
        functions: public function by name, all ranks and forms; the name is that of ``striate.functional``.
        references: the slow and obvious function for each, with the same arguments, in float64.
        layers: its layers in ``striate.nn``.
        samples: valid calls: defaults, every option, odd and even sizes, no batch, zero-size batch.
        random_call: ``(function name, random) -> Call``, a valid call with random shapes and options;
            small enough for a slow reference.
        invalid: calls that must be refused, and what the message must say.
        output_shape: ``Call -> shape`` of the result, by ``striate.geometry``.
        macs: ``Call -> int``, multiply-adds for that call by ``striate.geometry``.
        benchmarks: named calls that are timed, with real shapes.
        paper: where the definition comes from.
        torch_functions: name in ``torch.nn.functional`` of each function that is drop-in for one.
        fill: float64 values for a tensor argument: ``(argument, shape, generator) -> tensor``.
        tolerances: distance from the reference by dtype.
        double_backward: whether second derivatives exist.
        library_operators: names in ``torch.ops.striate`` that serve it, for ``opcheck``.
        kernel_obstacle: ``(call, its tensors)`` → why PyTorch's operators serve the call and not a native
            kernel, empty when the kernel does; ``None`` where the operator has no kernel.
        layer_samples: one at least of every layer, with the options that change its parameters.
        sums_by_threads: tensor arguments whose gradient, below float64, comes from a routine of
            PyTorch's that adds in an order that depends on the number of threads (oneDNN's weight
            gradients); everything else gives the same bits with 1 and 2 threads.
            ``"result"`` among them: the results too, as PyTorch convolves a few pictures with 1×1
            kernels by one routine on one thread and by another on two.
        double_sums_by_threads: those of them of which the same is true in float64: the gradients of
            1×1 kernels, which PyTorch leaves to MKL's matrix product. Without Striate's kernels it is true
            of all of them: PyTorch's float64 gradients of weights and biases follow the threads at some sizes.
    """

    name: str
    functions: Mapping[str, Callable[..., Any]]
    references: Mapping[str, Callable[..., Any]]
    layers: Sequence[type[nn.Module]]
    samples: Sequence[Call]
    random_call: Callable[[str, random.Random], Call]
    invalid: Sequence[InvalidCall]
    output_shape: Callable[[Call], Shape]
    macs: Callable[[Call], int]
    benchmarks: Sequence[Call]
    paper: str
    torch_functions: Mapping[str, str] = field(default_factory=dict)
    fill: Callable[[str, Shape, torch.Generator], Tensor] = normal
    tolerances: Mapping[torch.dtype, Tolerance] = field(default_factory=lambda: DEFAULT_TOLERANCES)
    double_backward: bool = True
    library_operators: Sequence[str] = ()
    kernel_obstacle: Callable[[Call, Mapping[str, Any]], str] | None = None
    layer_samples: Sequence[LayerSample] = ()
    sums_by_threads: Sequence[str] = ()
    double_sums_by_threads: Sequence[str] = ()

    def tensors(
        self, call: Call, dtype: torch.dtype = torch.float64, device: str = "cpu", seed: int = 0
    ) -> dict[str, Tensor | list[Tensor]]:
        """The tensor arguments of ``call``, filled."""
        generator = torch.Generator().manual_seed(seed)

        def make(name: str, shape: Shape) -> Tensor:
            return self.fill(name, shape, generator).to(device=device, dtype=dtype)

        return {
            name: [make(name, shape) for shape in shapes] if isinstance(shapes, list) else make(name, shapes)
            for name, shapes in call.tensors.items()
        }
