"""Walks a real model on the meta device: sizes, costs and receptive fields, without data or arithmetic.

No weight is moved or copied. A multiply-add (MAC) is one multiplication, summed up, of a
convolution or a matrix product (of attention too); biases, normalisation, activations and pooling
are not counted.
"""

from __future__ import annotations

import copy
import sys
from collections import Counter
from collections.abc import Container, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from math import prod
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from striate.errors import ArgumentError
from striate.geometry._failures import explain, is_about_values
from striate.geometry._follow import Follower, Settings, Step, tensors
from striate.geometry._results import Answers, empty
from striate.geometry.cost import BYTES
from striate.geometry.graph import Node
from striate.geometry.seen import ReceptiveField

Shape = tuple[int, ...]

CONTAINERS = ("torch.nn.modules.container", "torch.nn.modules.transformer", "striate.ops.parallel_conv.layer")


class TraceError(ArgumentError):
    """The model cannot take such a picture, or cannot be followed.

    Attributes:
        trace: what was followed until then.
        is_refusal: whether a layer refused what came; otherwise the model cannot be followed.
    """

    def __init__(self, message: str, trace: Trace, is_refusal: bool) -> None:
        super().__init__(message)
        self.trace = trace
        self.is_refusal = is_refusal


@dataclass(frozen=True)
class Row:
    """One layer, or one function called outside of layers.

    Attributes:
        name: the module's path; of a function the path of the module that calls it, and its name.
        kind: class of the module, or name of the function.
        input: shape of the first tensor that comes, without the batch.
        output: shape of the first tensor that leaves, or ``None``.
        parameters: learned numbers, counted where they are used first.
        macs: multiply-adds for one picture.
        receptive_field: ``None`` if it is unknown or the layer does not depend on the picture.
        unknown: the operator after which the receptive field is unknown.
        operators: what has a formula: names of :mod:`striate.geometry.operators`, and settings.
        before: receptive field of the input.
    """

    name: str
    kind: str
    input: Shape | None
    output: Shape | None
    parameters: int = 0
    macs: int = 0
    receptive_field: ReceptiveField | None = None
    unknown: str | None = None
    operators: tuple[tuple[str, Settings], ...] = ()
    before: ReceptiveField | None = None

    @property
    def activations(self) -> int:
        """Numbers that leave."""
        return prod(self.output) if self.output is not None else 0

    def to_dict(self) -> dict[str, Any]:
        """The row as numbers, text and lists."""
        return {
            "name": self.name,
            "kind": self.kind,
            "input": self.input,
            "output": self.output,
            "parameters": self.parameters,
            "macs": self.macs,
            "activations": self.activations,
            "receptive_field": self.receptive_field and self.receptive_field.to_dict(),
            "unknown_after": self.unknown,
        }


@dataclass(frozen=True)
class Trace:
    """What a model does with one picture.

    Attributes:
        input: ``(C, *size)`` of the picture.
        output: shape of the first tensor that the model gives, without the batch.
        receptive_field: of that tensor; ``None`` if it is unknown.
        unknown: the operator after which it is unknown.
        layers: in the order in which they run.
        parameters: learned numbers of the whole model.
        elsewhere: parameters that belong to no layer, by name.
        uncalled: layers that did not run.
        dtype: of the picture and the activations.
    """

    input: Shape
    output: Shape | None
    receptive_field: ReceptiveField | None
    unknown: str | None
    layers: tuple[Row, ...]
    parameters: int
    elsewhere: dict[str, int] = field(default_factory=dict)
    uncalled: tuple[str, ...] = ()
    dtype: str = "float32"

    @property
    def macs(self) -> int:
        """Multiply-adds for one picture."""
        return sum(row.macs for row in self.layers)

    def memory(self, dtype: str | None = None, batch: int = 1) -> int:
        """Bytes of all layers' outputs together; training keeps most of them."""
        return BYTES[dtype or self.dtype] * batch * sum(row.activations for row in self.layers)

    def to_dict(self) -> dict[str, Any]:
        """The trace as numbers, text and lists."""
        return {
            "input": self.input,
            "output": self.output,
            "parameters": self.parameters,
            "macs": self.macs,
            "memory": self.memory(),
            "dtype": self.dtype,
            "receptive_field": self.receptive_field and self.receptive_field.to_dict(),
            "unknown_after": self.unknown,
            "parameters_elsewhere": self.elsewhere,
            "uncalled": self.uncalled,
            "layers": [row.to_dict() for row in self.layers],
        }

    def __getitem__(self, name: str) -> Row:
        """The layer of that name; ``KeyError`` if there is none."""
        for row in self.layers:
            if row.name == name:
                return row
        raise KeyError(name)


def trace(model: nn.Module, input_size: Sequence[int], *, batch: int = 1) -> Trace:
    """Layers, sizes, costs and receptive fields of ``model`` for one picture.

    The model runs in evaluation mode on the meta device; it is left untouched.

    Args:
        model: any module that takes one batch of pictures as its first argument.
        input_size: ``(C, H, W)`` of a picture, or ``(C, L)``, ``(C, D, H, W)``.
        batch: pictures in the batch; numbers are still told for one.

    Raises:
        TraceError: the model cannot take such a picture (the message says which layer, and what
            would fit), or does something that depends on the picture's values.

    >>> model = nn.Sequential(nn.Conv2d(3, 6, 5), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(1176, 10))
    >>> homework = trace(model, (3, 32, 32))["0"]
    >>> homework.output, homework.parameters, homework.macs
    ((6, 28, 28), 456, 352800)
    >>> [row.receptive_field.size for row in trace(model, (3, 32, 32)).layers]
    [(5, 5), (6, 6), (6, 6), (32, 32)]
    """
    if len(input_size) < 2 or min(input_size) < 1:
        raise ArgumentError(f"input_size came as {tuple(input_size)}; wanted channels and sizes: (C, H, W)")
    walked = _on_meta(model)
    follower = Follower(len(input_size) - 1)
    dtype = next((p.dtype for p in walked.parameters() if p.is_floating_point()), torch.float32)
    pictures = torch.empty(batch, *input_size, device="meta", dtype=dtype)
    names = _watch(walked, follower)
    follower.begin(pictures)
    try:
        with torch.inference_mode(), _eager(), follower, Answers(follower.value):
            result = walked(pictures)
    except Exception as error:
        so_far = _summary(walked, follower, pictures, None, names)
        message = explain(error, follower, batch)
        raise TraceError(message, so_far, not is_about_values(error, follower)) from error
    return _summary(walked, follower, pictures, next(tensors(result), None), names)


def _eager() -> AbstractContextManager[Any]:
    """Compiled parts run as they are written; without PyTorch's compiler in memory there are none."""
    return torch.compiler.set_stance("force_eager") if "torch._dynamo" in sys.modules else nullcontext()


def _on_meta(model: nn.Module) -> nn.Module:
    """A copy in evaluation mode that shares no memory and has no floating-point values.

    Integer buffers, such as tables of positions, keep their values.
    """
    memo: dict[int, Any] = {}
    for parameter in model.parameters():
        if not is_lazy(parameter):
            memo[id(parameter)] = nn.Parameter(empty(parameter), requires_grad=False)
    for buffer in model.buffers():
        if buffer.is_floating_point() and not is_lazy(buffer):
            memo[id(buffer)] = empty(buffer)
    try:
        return copy.deepcopy(model, memo).eval()
    except Exception as error:
        raise ArgumentError(f"a {type(model).__name__} that cannot be copied came: {error}") from error


def _watch(model: nn.Module, follower: Follower) -> dict[str, nn.Module]:
    """Tell ``follower`` when modules start and end; returns the layers by name."""
    layers: dict[str, nn.Module] = {}
    for name, module in model.named_modules():
        if isinstance(module, torch.jit.ScriptModule):
            continue  # tells nobody; what it calls gets rows of its own
        is_layer = _is_layer(module, is_model=module is model)
        if is_layer and not _within(name, layers):
            layers[name] = module

        def start(
            module: nn.Module, args: Any, kwargs: Any, name: str = name, is_layer: bool = is_layer
        ) -> None:
            follower.enter(name, module, is_layer, (args, kwargs))

        def end(module: nn.Module, args: Any, kwargs: Any, output: Any, name: str = name) -> None:
            follower.leave(name, module, (args, kwargs), output)

        module.register_forward_pre_hook(start, with_kwargs=True)
        module.register_forward_hook(end, with_kwargs=True)
    return layers


def _is_layer(module: nn.Module, is_model: bool) -> bool:
    """Whether what ``module`` does is told in one row."""
    home = type(module).__module__
    if home.startswith(CONTAINERS):
        return False
    if home.startswith(("torch.nn.modules", "striate.ops")):
        return True
    return not is_model and all(isinstance(m, nn.ParameterList | nn.ParameterDict) for m in module.children())


def _summary(
    model: nn.Module,
    follower: Follower,
    pictures: Tensor,
    result: Tensor | None,
    layers: dict[str, nn.Module],
) -> Trace:
    batch = len(pictures)
    counted: set[int] = set()
    times: Counter[str] = Counter()
    rows = []
    for step in follower.steps:
        name = step.frame.name
        times[name] += 1
        name = name if times[name] == 1 else f"{name}#{times[name]}"
        rows.append(_row(name, step, follower, batch, counted))
    node = follower.node(result)
    called = {id(step.frame.module) for step in follower.steps}
    elsewhere = {
        name: parameter.numel()
        for name, parameter in model.named_parameters()
        if id(parameter) not in counted and not _within(name, layers)
    }
    return Trace(
        tuple(pictures.shape[1:]),
        None if result is None else _of_one(tuple(result.shape), batch),
        _seen(node, follower),
        node.unknown if node is not None else None,
        tuple(rows),
        sum(parameter.numel() for parameter in model.parameters()),
        elsewhere,
        tuple(name for name, module in layers.items() if id(module) not in called),
        str(pictures.dtype).removeprefix("torch."),
    )


def _row(name: str, step: Step, follower: Follower, batch: int, counted: set[int]) -> Row:
    frame = step.frame
    parameters = 0
    for parameter in frame.module.parameters() if frame.module is not None else ():
        if id(parameter) not in counted:
            counted.add(id(parameter))
            parameters += parameter.numel()

    return Row(
        name,
        frame.kind,
        _of_one(frame.input, batch),
        _of_one(step.output, batch),
        parameters,
        frame.macs // batch,
        _seen(step.node, follower),
        step.node.unknown if step.node is not None else None,
        tuple(frame.notes),
        _seen(step.parents[0], follower) if step.parents else None,
    )


def _seen(node: Node | None, follower: Follower) -> ReceptiveField | None:
    if node is None or node.unknown or follower.picture is None:
        return None
    return ReceptiveField(node, follower.picture, follower.rank)


def _of_one(shape: Shape | None, batch: int) -> Shape | None:
    """The shape of one picture's share."""
    if shape is None or not shape or shape[0] % batch:
        return shape
    return shape[1:] if shape[0] == batch else (shape[0] // batch, *shape[1:])


def _within(name: str, modules: Container[str]) -> bool:
    """Whether a module or parameter of this name belongs to one of ``modules``."""
    if name and "" in modules:
        return True
    return any(name[:place] in modules for place, letter in enumerate(name) if letter == ".")
