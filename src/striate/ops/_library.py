"""Native operators: the library object, how gradients are attached, and which backend serves a call.

Schema, shape rule and gradient of an operator are written in Python; ``cpu.cpp`` only computes. The
kernels are one shared library beside the package, ``_kernels.so``, loaded when this module is
imported. Without it, or with ``STRIATE_NATIVE=0``, every operator computes through PyTorch's own.

Environment, read once:

- ``STRIATE_NATIVE=0`` computes everything through PyTorch;
- ``STRIATE_ISA=avx512|avx2|portable`` forces an instruction set instead of the machine's best.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.autograd import forward_ad

from striate.errors import UsageError

KERNELS = Path(__file__).resolve().parent.parent / "_kernels.so"
INSTRUCTION_SETS = ("portable", "avx2", "avx512")  # numbered as in _isa.h
LIBRARY: Any = torch.library.Library("striate", "FRAGMENT")  # type: ignore[no-untyped-call]
LIBRARY.define("native_supports(int isa) -> bool")
LIBRARY.define("native_use(int isa) -> int")
LIBRARY.define("native_dot(Tensor a, Tensor b) -> Tensor")


@dataclass(frozen=True)
class Native:
    """The state of the kernels in this process.

    Attributes:
        loaded: whether they are there and wanted.
        why: one line that says why they are, or are not.
        forced: the instruction set that ``STRIATE_ISA`` names, or nothing.
    """

    loaded: bool
    why: str
    forced: str = ""

    @property
    def instruction_set(self) -> str:
        """The one in use."""
        return INSTRUCTION_SETS[torch.ops.striate.native_use(-1)] if self.loaded else ""

    @property
    def instruction_sets(self) -> list[str]:
        """Those of this machine that there are kernels for, the best first."""
        numbers = reversed(range(len(INSTRUCTION_SETS)))
        return [INSTRUCTION_SETS[n] for n in numbers if self.loaded and torch.ops.striate.native_supports(n)]


class NoKernelsWarning(UserWarning):
    """The CPU kernels are missing though nobody asked for that; results are the same, but slower."""


def _load() -> Native:
    """Load the kernels and take the instruction set that the environment asks for.

    Raises:
        UsageError: ``STRIATE_NATIVE`` or ``STRIATE_ISA`` cannot be followed.
    """
    wanted = os.environ.get("STRIATE_NATIVE", "1")
    forced = os.environ.get("STRIATE_ISA", "")
    if wanted not in ("0", "1"):
        raise UsageError(f"STRIATE_NATIVE is {wanted!r}; wanted 0 (PyTorch's operators only) or 1")
    if forced and forced not in INSTRUCTION_SETS:
        raise UsageError(f"STRIATE_ISA is {forced!r}; wanted one of {', '.join(reversed(INSTRUCTION_SETS))}")
    if wanted == "0":
        return Native(False, "turned off by STRIATE_NATIVE=0")
    try:
        if not KERNELS.is_file():
            raise OSError(
                f"{KERNELS.name} was not built: it needs a C++ compiler, then install Striate again"
            )
        torch.ops.load_library(KERNELS)  # type: ignore[no-untyped-call]
    except OSError as error:
        if forced:
            raise UsageError(f"STRIATE_ISA is {forced!r}, but there are no kernels: {error}") from None
        return _without(str(error).splitlines()[0])
    native = Native(True, f"loaded from {KERNELS.name}", forced)
    if forced and forced not in native.instruction_sets:
        raise UsageError(
            f"STRIATE_ISA is {forced!r}, which this processor lacks;"
            f" it has {', '.join(native.instruction_sets)}"
        )
    if forced:
        torch.ops.striate.native_use(INSTRUCTION_SETS.index(forced))
    return native


def _without(why: str) -> Native:
    warnings.warn(f"Striate computes through PyTorch's own operators: {why}", NoKernelsWarning, stacklevel=3)
    return Native(False, why)


NATIVE = _load()


def _check_built(name: str) -> None:
    """A library older than the package lacks kernels; then none is used."""
    global NATIVE  # noqa: PLW0603
    if NATIVE.loaded and not torch._C._dispatch_has_kernel_for_dispatch_key(f"striate::{name}", "CPU"):
        NATIVE = _without(f"{KERNELS.name} lacks {name}, it is older than the package: install Striate again")


@contextmanager
def instruction_set(name: str) -> Iterator[None]:
    """Compute with the kernels for ``name`` inside a ``with`` block; for tests and benchmarks.

    Raises:
        UsageError: this machine lacks it, or there are no kernels.
    """
    if name not in NATIVE.instruction_sets:
        raise UsageError(f"no kernels for {name!r} here; there are {NATIVE.instruction_sets or 'none'}")
    before = torch.ops.striate.native_use(-1)
    torch.ops.striate.native_use(INSTRUCTION_SETS.index(name))
    try:
        yield
    finally:
        torch.ops.striate.native_use(before)


def obstacle(*tensors: Tensor | None) -> str:
    """Why no kernel may serve these tensors, whatever the operator; empty when one may.

    An operator asks this first and then looks at its own shapes and options. Kernels take float32,
    float64 and bfloat16 on the CPU, all of one dtype. Tensor subclasses, forward-mode gradients and
    function transforms (``torch.func``) know PyTorch's operators only.
    """
    if not NATIVE.loaded:
        return NATIVE.why
    first: Tensor | None = None
    for tensor in tensors:
        if tensor is None:
            continue
        if first is None:
            first = tensor
            if not tensor.is_cpu:
                return "not on the CPU"
            if tensor.dtype not in _DTYPES:
                return "not float32, float64 or bfloat16"
        elif tensor.dtype != first.dtype or not tensor.is_cpu:
            return "of different dtypes or devices"
        if not (
            type(tensor) is Tensor or type(tensor) is torch.nn.Parameter or torch.compiler.is_compiling()
        ):
            return "a tensor subclass"
    if torch._C._are_functorch_transforms_active():
        return "inside torch.func"
    if forward_ad._current_level >= 0:
        return "inside forward-mode differentiation"
    return ""


_DTYPES = frozenset((torch.float32, torch.float64, torch.bfloat16))


def autocast(*tensors: Tensor | None) -> tuple[Any, ...]:
    """The tensors in the dtype that autocast would give them in a convolution."""
    if not torch.is_autocast_enabled("cpu"):
        return tensors
    dtype = torch.get_autocast_dtype("cpu")

    def cast(tensor: Tensor | None) -> Tensor | None:
        if (
            tensor is None
            or not tensor.is_cpu
            or not tensor.is_floating_point()
            or tensor.dtype == torch.float64
        ):
            return tensor
        return tensor.to(dtype)

    return tuple(map(cast, tensors))


def gradients_of(
    output: Tensor, tensors: Sequence[Tensor | None], wanted: Sequence[bool], gradient: Tensor
) -> list[Tensor | None]:
    """The gradients of an output, which have gradients of their own, for each tensor that is wanted."""
    sought = [tensor for tensor, one in zip(tensors, wanted, strict=True) if one and tensor is not None]
    found = iter(torch.autograd.grad(output, sought, gradient, create_graph=True))
    return [next(found) if one else None for one in wanted]


Save = Callable[[Any, tuple[Any, ...], Any], None]


def differentiable(
    schema: str,
    fake: Callable[..., Any],
    save: Save,
    backward: Callable[..., Any],
    compute: Callable[..., Any] | None = None,
) -> Differentiable:
    """Define ``striate::name`` and give the function that calls it with gradients.

    ``cpu.cpp`` registers its kernel twice, as ``name`` and as ``name.raw``. Compiled and exported
    programs hold ``name``, whose gradient is registered with the library. An eager call takes
    ``name.raw``, inside a ``torch.autograd.Function`` when a gradient is wanted: the same two
    functions, half of the microseconds (docs/decisions/native.md has the figures).

    Args:
        schema: as ``torch.library`` takes it, without a namespace.
        fake: same arguments → empty tensors of the result's shapes, dtypes and strides.
        save: ``(ctx, inputs, output)``: keeps what the gradient needs.
        backward: ``(ctx, *gradients)`` → one gradient or ``None`` for each argument.
        compute: in place of a kernel in ``cpu.cpp``, where only the gradient has kernels.
    """
    name = schema.partition("(")[0]
    LIBRARY.define(schema)
    LIBRARY.define(schema.replace("(", ".raw(", 1))
    if compute:
        LIBRARY.impl(name, compute, "CPU")
        LIBRARY.impl(f"{name}.raw", compute, "CPU")
    else:
        _check_built(name)
    packet = getattr(torch.ops.striate, name)
    compiled, raw = packet.default, packet.raw
    for overload in (compiled, raw):
        torch.library.register_fake(overload, fake, lib=LIBRARY)
    torch.library.register_autograd(f"striate::{name}", backward, setup_context=save, lib=LIBRARY)

    def forward(ctx: Any, *arguments: Any) -> Any:
        output = raw(*arguments)
        save(ctx, arguments, output)
        return output

    body = {"forward": staticmethod(forward), "backward": staticmethod(backward)}
    function: Any = type(name, (torch.autograd.Function,), body)

    return Differentiable(compiled, raw, function.apply)


@dataclass(frozen=True)
class Differentiable:
    """The function that calls an operator with gradients, and the three ways into it."""

    compiled: Callable[..., Any]
    raw: Callable[..., Any]
    apply: Callable[..., Any]

    def __call__(self, *arguments: Any) -> Any:
        return self.way(*arguments)(*arguments)

    def way(self, *arguments: Any) -> Callable[..., Any]:
        """The one that a call with such tensors takes; it follows from whether one of them wants a gradient."""
        if torch.compiler.is_compiling():
            return self.compiled
        return self.apply if wants_gradient(*arguments) else self.raw


def wants_gradient(*arguments: Any) -> bool:
    """Whether gradients are computed, and one of the tensors among ``arguments`` wants one."""
    if torch.is_grad_enabled():
        for argument in arguments:  # half the time of any()
            if isinstance(argument, Tensor) and argument.requires_grad:
                return True
    return False


def plain(schema: str, fake: Callable[..., Any]) -> Callable[..., Any]:
    """Define ``striate::name`` without a gradient of its own, such as the gradient of another operator."""
    name = schema.partition("(")[0]
    LIBRARY.define(schema)
    _check_built(name)
    overload = getattr(torch.ops.striate, name).default
    torch.library.register_fake(overload, fake, lib=LIBRARY)
    return overload  # type: ignore[no-any-return]
