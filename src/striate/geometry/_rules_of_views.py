"""What PyTorch's operators on shapes read: views, parts, concatenation, reductions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from striate.geometry._follow import Call
from striate.geometry.along import SAME, All, Along, Listed, One, Window
from striate.geometry.graph import Link, Node, Reads, Reshaped, concatenated

Rule = Callable[[Call], Sequence[Node | None]]

VIEW_RULES: dict[Any, Rule] = {}


def registrar(rules: dict[Any, Rule]) -> Callable[..., Callable[[Rule], Rule]]:
    """A decorator that enters a rule for some of PyTorch's operators, those that this PyTorch has."""

    def rule(*names: str) -> Callable[[Rule], Rule]:
        def register(function: Rule) -> Rule:
            for name in (*names, *(f"{name}_" for name in names)):  # in place, too
                if hasattr(torch.ops.aten, name):
                    rules[getattr(torch.ops.aten, name)] = function
            return function

        return register

    return rule


rule = registrar(VIEW_RULES)


@rule("alias", "clone", "detach", "_to_copy", "to", "contiguous", "lift_fresh", "copy", "type_as", "view_as")
@rule(
    "tril", "triu", "dropout", "feature_dropout", "native_dropout", "alpha_dropout", "_conj", "resolve_conj"
)
def unchanged(call: Call) -> Sequence[Node | None]:
    """Every element stays where it is."""
    return [call.node(), *(None for _ in call.results[1:])]


@rule("hardswish", "prelu", "_prelu_kernel", "rrelu_with_noise", "log_sigmoid_forward", "rsub", "polar")
@rule("copy_", "floor_divide")
def elementwise(call: Call) -> Sequence[Node | None]:
    """Element by element, though PyTorch does not tag it so."""
    nodes = [node for value in call.given.values() if (node := call.follower.node(value))]
    return [call.follower.each(call.result.shape, nodes), *(None for _ in call.results[1:])]


@rule("zeros_like", "ones_like", "full_like", "empty_like", "rand_like", "randn_like", "bernoulli", "zero")
@rule("new_zeros", "new_ones", "new_full", "new_empty", "new_empty_strided", "fill")
def independent(call: Call) -> Sequence[None]:
    """Nothing but the shape is read."""
    return [None for _ in call.results]


@rule("glu")
def gated(call: Call) -> Sequence[Node]:
    """One half of a dimension times the other, squashed."""
    node = call.node()
    dim = call.given["dim"] % len(node.shape)
    halves = []
    for start in (0, call.result.shape[dim]):
        half = Window(before=-start)
        dims: list[Reads] = [(d, half if d == dim else SAME) for d in range(len(node.shape))]
        halves.append(call.new(Link(node, dims)))
    return [call.follower.each(call.result.shape, halves)]


@rule("view", "_unsafe_view", "reshape", "_reshape_alias", "flatten", "unflatten", "view_copy")
def reshaped(call: Call) -> Sequence[Node]:
    """The same elements in the same order."""
    node, shape = call.node(), tuple(call.result.shape)
    if node.shape == shape:
        return [node]
    if len(shape) < len(node.shape) and len(shape) <= 2:
        call.follower.show()  # flattened, by whatever name
    return [call.new(Reshaped(node, shape))]


@rule("view_as_real")
def in_two_parts(call: Call) -> Sequence[Node]:
    """Complex numbers as pairs along a new last dimension."""
    node = call.node()
    return [call.new(Link(node, [(dim, SAME) for dim in range(len(node.shape))]))]


@rule("view_as_complex")
def in_one(call: Call) -> Sequence[Node]:
    """Pairs along the last dimension as complex numbers."""
    node = call.node()
    last = len(node.shape) - 1
    return [call.new(Link(node, [*((dim, SAME) for dim in range(last)), (None, All(2))]))]


@rule("permute", "transpose", "t", "movedim", "swapaxes", "numpy_T", "mT")
def permuted(call: Call) -> Sequence[Node]:
    """The dimensions change places; a tensor that is like this one tells which went where."""
    node = call.node()
    rank = len(node.shape)
    dims = _order(call, rank)
    places: list[Reads] = [(0, SAME)] * rank
    for place, dim in enumerate(dims):
        places[dim] = (place, SAME)
    return [call.new(Link(node, places))]


def _order(call: Call, rank: int) -> list[int]:
    """Which old dimension each new one is, found by doing it to the dimensions' numbers."""
    given = call.given
    if call.name == "permute":
        return [dim % rank for dim in given["dims"]]
    order = list(range(rank))
    if call.name == "transpose":
        a, b = given["dim0"] % rank, given["dim1"] % rank
        order[a], order[b] = b, a
    elif call.name == "swapaxes":
        a, b = given["axis0"] % rank, given["axis1"] % rank
        order[a], order[b] = b, a
    elif call.name == "movedim":
        source, target = (
            [given[name]] if isinstance(given[name], int) else list(given[name])
            for name in ("source", "destination")
        )
        rest = iter(dim for dim in range(rank) if dim not in [s % rank for s in source])
        moved = {t % rank: s % rank for s, t in zip(source, target, strict=True)}
        order = [moved[place] if place in moved else next(rest) for place in range(rank)]
    elif rank > 1:
        order[-1], order[-2] = order[-2], order[-1]
        if call.name == "numpy_T":
            order = list(reversed(range(rank)))
    return order


@rule("squeeze", "unsqueeze")
def squeezed(call: Call) -> Sequence[Node]:
    """Dimensions of size 1 come or go."""
    return [call.new(Reshaped(call.node(), tuple(call.result.shape)))]


@rule("expand", "broadcast_to", "expand_as")
def expanded(call: Call) -> Sequence[Node]:
    """Dimensions of size 1 repeat."""
    return [call.follower.each(call.result.shape, [call.node()])]


@rule("repeat", "tile")
def repeated(call: Call) -> Sequence[Node]:
    """Every dimension over and over."""
    node, shape = call.node(), tuple(call.result.shape)
    offset = len(shape) - len(node.shape)
    dims: list[Reads] = []
    for dim, size in enumerate(node.shape):
        wanted = shape[offset + dim]
        dims.append((offset + dim, SAME if size == wanted else One() if size == 1 else modulo(size, wanted)))
    return [call.new(Link(node, dims))]


def modulo(size: int, wanted: int, shift: int = 0, inner: Window | None = None) -> Listed:
    """A dimension of ``size`` over and over, turned by ``shift``."""
    return Listed(tuple((place - shift) % size for place in range(wanted)), inner)


@rule("repeat_interleave")
def interleaved(call: Call) -> Sequence[Node]:
    """Every element of a dimension several times in a row."""
    repeats, dim = call.given["repeats"], call.given["dim"]
    if not isinstance(repeats, int) or dim is None:
        return call.lost()
    size = call.node().shape[dim]
    return [one_dimension(call, dim, Listed(tuple(i // repeats for i in range(size * repeats))))]


@rule("slice", "narrow")
def sliced(call: Call) -> Sequence[Node]:
    """A part of one dimension."""
    node, given = call.node(), call.given
    dim = given["dim"] % len(node.shape)
    size = node.shape[dim]
    start = min(max(start + size if (start := given["start"] or 0) < 0 else start, 0), size)
    step = given.get("step", 1)
    if start == 0 and call.result.shape[dim] == size and step == 1:
        return [node]
    return [one_dimension(call, dim, Window(stride=step, before=-start))]


@rule("select")
def selected(call: Call) -> Sequence[Node]:
    """One element of a dimension, which goes."""
    node, dim = call.node(), call.given["dim"] % len(call.node().shape)
    return [_without(call, dim, One(call.given["index"] % node.shape[dim]))]


@rule("unbind")
def unbound(call: Call) -> Sequence[Node]:
    """Every element of a dimension by itself."""
    dim = call.given["dim"] % len(call.node().shape)
    return [_without(call, dim, One(index)) for index in range(len(call.results))]


@rule("split", "split_with_sizes", "chunk", "tensor_split", "unsafe_split", "unsafe_chunk")
@rule("unsafe_split_with_sizes")
def divided(call: Call) -> Sequence[Node]:
    """One dimension in parts."""
    node = call.node()
    dim = call.given["dim"] % len(node.shape)
    parts = []
    start = 0
    for result in call.results:
        along = Window(before=-start)
        dims: list[Reads] = [(d, along if d == dim else SAME) for d in range(len(node.shape))]
        parts.append(call.follower.new(result.shape, [Link(node, dims)]))
        start += result.shape[dim]
    return parts


@rule("cat", "concat", "concatenate")
def joined(call: Call) -> Sequence[Node]:
    """Tensors one after the other."""
    tensors = [t for t in call.given["tensors"] if t.dim() > 1 or t.numel()]
    shape = tuple(call.result.shape)
    dim = call.given["dim"] % len(shape)
    call.follower.show()
    nodes = [call.follower.node(t) for t in tensors]
    return [concatenated(call.follower.number(), nodes, [t.shape[dim] for t in tensors], shape, dim)]


@rule("stack")
def stacked(call: Call) -> Sequence[Node]:
    """Tensors along a new dimension."""
    shape = tuple(call.result.shape)
    dim = call.given["dim"] % len(shape)
    flat = tuple(1 if d == dim else size for d, size in enumerate(shape))
    nodes: list[Node | None] = []
    for tensor in call.given["tensors"]:
        node = call.follower.node(tensor)
        nodes.append(node and call.follower.new(flat, [Reshaped(node, flat)]))
    return [concatenated(call.follower.number(), nodes, [1] * len(nodes), shape, dim)]


@rule(
    "mean",
    "sum",
    "amax",
    "amin",
    "max",
    "min",
    "prod",
    "logsumexp",
    "norm",
    "linalg_vector_norm",
    "var",
    "std",
)
@rule("var_mean", "std_mean", "argmax", "argmin", "any", "all", "median", "aminmax", "nansum", "nanmean")
def reduced(call: Call) -> Sequence[Node]:
    """Dimensions become one number."""
    if "other" in call.given:  # the larger of two tensors
        nodes = [n for name in ("self", "other") if (n := call.follower.node(call.given[name]))]
        return [call.follower.each(call.result.shape, nodes)]
    node = call.node()
    rank = len(node.shape)
    gone = dims_of(call.given.get("dim"), rank)
    call.follower.show()
    keep = call.given.get("keepdim", False)
    dims: list[Reads] = []
    place = 0
    for dim, size in enumerate(node.shape):
        if dim in gone:
            dims.append((place if keep else None, All(size)))
            place += keep
        else:
            dims.append((place, SAME))
            place += 1
    return [call.follower.new(result.shape, [Link(node, dims)]) for result in call.results]


@rule(
    "softmax", "log_softmax", "_softmax", "_log_softmax", "_safe_softmax", "sort", "argsort", "topk", "renorm"
)
@rule("fft_fft", "fft_ifft", "fft_rfft", "fft_irfft", "_fft_r2c", "_fft_c2r", "_fft_c2c", "logcumsumexp")
def mixed(call: Call) -> Sequence[Node]:
    """Every element reads whole dimensions."""
    node = call.node()
    over = dims_of(call.given.get("dim", -1), len(node.shape))
    dims: list[Reads] = [(d, All(n) if d in over else SAME) for d, n in enumerate(node.shape)]
    return [call.follower.new(result.shape, [Link(node, dims)]) for result in call.results]


def one_dimension(call: Call, dim: int, along: Along) -> Node:
    """The first argument read ``along`` one dimension."""
    node = call.node()
    dim %= len(node.shape)
    dims: list[Reads] = [(d, along if d == dim else SAME) for d in range(len(node.shape))]
    return call.new(Link(node, dims))


def _without(call: Call, dim: int, along: One) -> Node:
    node = call.node()
    dims: list[Reads] = [(None, along) if d == dim else (d - (d > dim), SAME) for d in range(len(node.shape))]
    shape = [size for d, size in enumerate(node.shape) if d != dim]
    return call.new(Link(node, dims), shape=shape)


def dims_of(dim: int | Iterable[int] | None, rank: int) -> list[int]:
    """Dimensions counted from 0; all, if none are given."""
    if dim is None or dim == []:
        return list(range(rank))
    return [d % rank for d in ([dim] if isinstance(dim, int) else dim)]
