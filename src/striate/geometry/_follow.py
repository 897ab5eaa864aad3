"""Follows a forward pass on the meta device: which tensor depends how on the picture, in which layer."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from striate.geometry._results import empty, known_result
from striate.geometry.along import SAME, One
from striate.geometry.graph import Link, Node, picture

Shape = tuple[int, ...]
Settings = Mapping[str, Any]

aten = torch.ops.aten

SHAPE_ONLY = {"expand_as", "view_as", "type_as", "reshape_as"}  # of their second argument
MOVES = {aten.to, aten._to_copy}
MOST_VALUES = 1 << 20


@dataclass
class Frame:
    """A layer, or a function called outside of one, while it runs.

    Attributes:
        name: path of the module; of a function, path of the module that calls it, and its name.
        kind: class of the module, or name of the function.
        module: ``None`` for a function.
        is_layer: what happens inside belongs to it.
        input: shape of the first tensor that came.
        macs: multiply-adds.
        notes: operators that have a formula, with their settings.
        shown: whether a function deserves a row.
    """

    name: str
    kind: str
    module: nn.Module | None
    is_layer: bool
    input: Shape | None = None
    macs: int = 0
    notes: list[tuple[str, Settings]] = field(default_factory=list)
    shown: bool = False


@dataclass(frozen=True)
class Step:
    """A finished layer or function."""

    frame: Frame
    parents: tuple[Node, ...]
    output: Shape | None
    node: Node | None


@dataclass(frozen=True)
class Call:
    """One operator, done.

    Attributes:
        follower: what follows the model.
        name: of the operator, such as ``"max_pool2d"``.
        given: arguments by name, defaults included.
        results: the tensors that it gave.
    """

    follower: Follower
    name: str
    given: dict[str, Any]
    results: Sequence[Tensor]

    @property
    def result(self) -> Tensor:
        """The first of the results."""
        return self.results[0]

    @property
    def input(self) -> Tensor:
        """The first argument."""
        tensor: Tensor = self.given["self"] if "self" in self.given else self.given["input"]
        return tensor

    def node(self) -> Node:
        """The node of the first argument.

        Raises:
            LookupError: it does not depend on the picture, only another argument does.
        """
        node = self.follower.node(self.input)
        if node is None:
            raise LookupError(self.name)
        return node

    def new(self, *links: Any, shape: Sequence[int] | None = None) -> Node:
        """A node for the first result."""
        return self.follower.new(self.result.shape if shape is None else shape, links)

    def lost(self, why: str = "") -> list[Node]:
        """Nodes for the results, of which nothing is known."""
        return [self.follower.lost(result.shape, why or self.name) for result in self.results]


class Follower(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch has no types for it
    """Sees every operator of a forward pass."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """PyTorch's flag: keeping its compiler out of here would import all of it, which takes seconds."""
        return False

    def __init__(self, rank: int) -> None:
        """
        Args:
            rank: dimensions of the picture, without channels.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.rank = rank
        self.steps: list[Step] = []
        self.frames: list[Frame] = []
        self.failed: tuple[Any, dict[str, Any]] | None = None
        self.picture: Node | None = None
        self._nodes: dict[int, tuple[Tensor, Node]] = {}
        self._shared: dict[int, list[Tensor]] = {}  # by storage
        self._written: dict[int, str] = {}  # storages that were written into by parts
        self._made: dict[int, Tensor] = {}  # out of nothing, during the forward pass
        self._values: dict[int, tuple[Tensor, Tensor]] = {}  # of tensors that are not computed from weights
        self._count = 0

    def begin(self, tensor: Tensor) -> None:
        """``tensor`` is the picture."""
        self.picture = picture(0, tuple(tensor.shape), self.rank)
        self._nodes[id(tensor)] = (tensor, self.picture)
        self._shared[_storage(tensor)] = [tensor]

    def node(self, tensor: object) -> Node | None:
        """What is known of ``tensor``; ``None`` if it does not depend on the picture."""
        if not isinstance(tensor, Tensor):
            return None
        found = self._nodes.get(id(tensor))
        if found is not None:
            return found[1]
        if self._written and (why := self._written.get(_storage(tensor))):
            return self.lost(tuple(tensor.shape), why)
        return None

    def new(self, shape: Sequence[int], links: Sequence[Any]) -> Node:
        """A tensor that reads others."""
        return Node(self.number(), tuple(shape), links)

    def lost(self, shape: Sequence[int], operator: str) -> Node:
        """A tensor of which nothing is known because of ``operator``."""
        where = next((f.name for f in reversed(self.frames) if f.module is not None and f.name), "")
        return Node(self.number(), tuple(shape), (), f"{operator} in {where}" if where else operator)

    def number(self) -> int:
        """The next node's."""
        self._count += 1
        return self._count

    def count(self, macs: int, weight: Tensor) -> None:
        """Add multiply-adds with ``weight`` to the layer that runs.

        What the forward pass makes out of nothing, such as the matrix of a Fourier transform, is no weight.
        """
        if self.frames and id(weight) not in self._made:
            self.frames[-1].macs += macs

    def note(self, operator: str, **settings: Any) -> None:
        """The layer that runs uses ``operator``, which has a formula."""
        if self.frames:
            self.frames[-1].notes.append((operator, settings))

    def show(self) -> None:
        """What runs deserves a row of its own if it is no layer."""
        if self.frames:
            self.frames[-1].shown = True

    # modules

    def enter(self, name: str, module: nn.Module, is_layer: bool, inputs: object) -> None:
        """A module starts."""
        if any(frame.is_layer for frame in self.frames):
            return
        first = next(tensors(inputs), None)
        shape = None if first is None else tuple(first.shape)
        self.frames.append(Frame(name, type(module).__name__, module, is_layer, shape))

    def leave(self, name: str, module: nn.Module, inputs: object, output: object) -> None:
        """A module is done."""
        if not any(frame.module is module and frame.name == name for frame in self.frames):
            return
        while self.frames:
            frame = self.frames.pop()
            if frame.module is module:
                break
        if frame.is_layer:
            self._finish(frame, inputs, output)

    def _finish(self, frame: Frame, inputs: object, output: object) -> None:
        result = next(tensors(output), None)
        parents = tuple(node for tensor in tensors(inputs) if (node := self.node(tensor)))
        node = self.node(result)
        self.steps.append(Step(frame, parents, None if result is None else tuple(result.shape), node))

    # operators

    def __torch_dispatch__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        came = list(tensors((args, kwargs)))
        nodes = [node for tensor in came if (node := self.node(tensor))]
        if not nodes:
            return self._aside(func, args, kwargs, came)
        if self.frames and self.frames[-1].is_layer:
            return self._follow(func, args, kwargs, came, nodes)
        kind = plain_name(func)
        path = self.frames[-1].name if self.frames else ""
        name = f"{path}.{kind}" if path else kind
        self.frames.append(Frame(name, kind, None, True, tuple(nodes[0].shape)))
        output = self._follow(func, args, kwargs, came, nodes)
        frame = self.frames.pop()
        if frame.shown:
            self._finish(frame, (args, kwargs), output)
        return output

    def _aside(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any], came: list[Tensor]) -> Any:
        """An operator on what does not depend on the picture: its values may matter, as those of an index."""
        if func is aten._local_scalar_dense.default and (value := self.value(came[0])) is not None:
            return value.item()
        output = self._run(func, args, kwargs, came)
        results = list(tensors(output))
        if all(id(tensor) in self._made for tensor in came) or func is aten.lift_fresh.default:
            self._made.update((id(tensor), tensor) for tensor in results)
        on_meta = [tensor for tensor in results if tensor.is_meta]
        known = all(self.value(tensor) is not None for tensor in came)
        known = known and torch.Tag.nondeterministic_seeded not in func.tags
        if on_meta and known and sum(tensor.numel() for tensor in results) <= MOST_VALUES:
            real = func(*self._real(args), **self._real(kwargs))
            for tensor, value in zip(results, tensors(real), strict=True):
                self._values[id(tensor)] = (tensor, value)
        return output

    def value(self, tensor: Tensor) -> Tensor | None:
        """A tensor with the values of ``tensor``, if they are known: not those of weights, nor of the picture."""
        if not tensor.is_meta:
            return None if self.node(tensor) else tensor
        return self._values.get(id(tensor), (None, None))[1]

    def _real(self, given: Any) -> Any:
        """Arguments with their values, on the CPU."""
        if isinstance(given, Tensor):
            return self.value(given)
        if isinstance(given, Mapping):
            return {key: self._real(part) for key, part in given.items()}
        if isinstance(given, list | tuple):
            return type(given)(self._real(part) for part in given)
        return torch.device("cpu") if isinstance(given, torch.device) else given

    def _follow(
        self, func: Any, args: Sequence[Any], kwargs: dict[str, Any], came: list[Tensor], nodes: list[Node]
    ) -> Any:
        from striate.geometry._rules import RULES

        self.failed = (func, _by_name(func, args, kwargs))
        rule = RULES.get(func.overloadpacket)
        pointwise = torch.Tag.pointwise in func.tags
        if rule is None and not pointwise:
            with self:
                output = func.decompose(*args, **kwargs)
            if output is not NotImplemented:
                return output
        writes = func._schema.is_mutable and (len(set(nodes)) > 1 or self.node(args[0]) is None)
        output = self._run(func, args, kwargs, came)
        results = list(tensors(output))
        if rule is not None:
            found = self._by_rule(rule, Call(self, plain_name(func), _by_name(func, args, kwargs), results))
        elif pointwise:
            found = [self.each(result.shape, nodes) for result in results]
        else:
            found = [self.lost(result.shape, plain_name(func)) for result in results]
        for result, node in zip(results, found, strict=True):
            if node is not None:
                self._nodes[id(result)] = (result, node)
                self._shared.setdefault(_storage(result), []).append(result)
            else:
                self._nodes.pop(id(result), None)  # filled anew
        self.failed = None
        if writes:
            self._wrote(func, results)
        return output

    def _by_rule(self, rule: Callable[[Call], Sequence[Node | None]], call: Call) -> Sequence[Node | None]:
        try:
            return rule(call)
        except LookupError:  # the picture came as an index, or only lent its shape
            return [None for _ in call.results] if call.name in SHAPE_ONLY else call.lost()

    def each(self, shape: Sequence[int], nodes: Sequence[Node]) -> Node:
        """Element by element, smaller tensors broadcast."""
        shape = tuple(shape)
        first, *others = nodes
        if first.shape == shape and all(other is first for other in others):
            return first
        if len({id(node) for node in nodes}) > 1:
            self.show()
        return self.new(shape, [Link(node, _broadcast(node.shape, shape)) for node in nodes])

    def _run(self, func: Any, args: Sequence[Any], kwargs: dict[str, Any], came: list[Tensor]) -> Any:
        kinds = {tensor.device.type for tensor in came}
        moves = func.overloadpacket in MOVES and "meta" in kinds
        if moves or ("meta" in kinds and len(kinds) > 1):  # attributes and constants that lie elsewhere
            args, kwargs = _on_meta(args), _on_meta(kwargs)
        known = known_result(func, args) if "meta" in kinds else None
        return func(*args, **kwargs) if known is None else known

    def _wrote(self, func: Any, results: Sequence[Tensor]) -> None:
        """Other tensors that share memory with what was written into are no longer known."""
        for result in results:
            storage = _storage(result)
            for other in self._shared.get(storage, ()):
                if other is not result:
                    self._nodes[id(other)] = (other, self.lost(other.shape, plain_name(func)))
            self._written[storage] = plain_name(func)


def tensors(value: object) -> Iterator[Tensor]:
    """The tensors in arguments or results, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for part in value.values():
            yield from tensors(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors(part)


def _by_name(func: Any, args: Sequence[Any], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments of an operator by name, defaults included."""
    names, defaults = _signature(func)
    return {**defaults, **dict(zip(names, args, strict=False)), **kwargs}


@cache
def _signature(func: Any) -> tuple[list[str], dict[str, Any]]:
    arguments = func._schema.arguments
    return [a.name for a in arguments], {a.name: a.default_value for a in arguments if a.has_default_value()}


@lru_cache(maxsize=4096)
def _broadcast(shape: Shape, result: Shape) -> list[Any]:
    offset = len(result) - len(shape)
    return [(offset + dim, SAME if size == result[offset + dim] else One()) for dim, size in enumerate(shape)]


def _on_meta(value: Any) -> Any:
    if isinstance(value, Tensor):
        return empty(value) if value.device.type != "meta" else value
    if isinstance(value, Mapping):
        return {key: _on_meta(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_on_meta(part) for part in value)
    return torch.device("meta") if isinstance(value, torch.device) else value


def plain_name(func: Any) -> str:
    """An operator's name without PyTorch's marks of what is private."""
    name: str = func.overloadpacket.__name__
    return name.strip("_")


def _storage(tensor: Tensor) -> int:
    address: int = tensor.untyped_storage()._cdata
    return address
