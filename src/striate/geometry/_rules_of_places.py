"""What PyTorch's operators that move elements read: padding, rolls, lookups, windows laid out, shuffles."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import torch

from striate.geometry._follow import Call
from striate.geometry._rules_of_views import Rule, dims_of, modulo, one_dimension, registrar
from striate.geometry.along import SAME, Listed, Window
from striate.geometry.graph import Link, Node, Reads, Reshaped

PLACE_RULES: dict[Any, Rule] = {}
rule = registrar(PLACE_RULES)


@rule("constant_pad_nd", "reflection_pad1d", "reflection_pad2d", "reflection_pad3d", "replication_pad1d")
@rule("replication_pad2d", "replication_pad3d", "pad", "_pad_enum", "_pad_circular")
def padded(call: Call) -> Sequence[Node]:
    """Samples before and after; the last dimension's numbers come first."""
    node, given = call.node(), call.given
    rank = len(node.shape)
    numbers = given["padding"] if call.name.startswith(("repl", "refl")) else given["pad"]
    mode = given.get("mode") or call.name
    dims: list[Reads] = [(d, SAME) for d in range(rank)]
    for place in range(len(numbers) // 2):
        dim = rank - 1 - place
        before, after = numbers[2 * place : 2 * place + 2]
        shift = Window(before=before)
        if before == after == 0:
            continue
        if "const" in str(mode):
            dims[dim] = (dim, shift)
        else:
            dims[dim] = (dim, Listed(_folded(str(mode), node.shape[dim], before, after), shift))
    return [call.new(Link(node, dims))]


def _folded(mode: str, size: int, before: int, after: int) -> tuple[int, ...]:
    """The samples that stand in for those beyond the ends."""
    places = range(-before, size + after)
    if "circ" in mode:
        return tuple(place % size for place in places)
    if "repl" in mode:
        return tuple(min(max(place, 0), size - 1) for place in places)
    turn = max(2 * (size - 1), 1)
    return tuple(min(place % turn, turn - place % turn) for place in places)


@rule("roll")
def rolled(call: Call) -> Sequence[Node]:
    """Dimensions turned by some elements."""
    node, shifts = call.node(), call.given["shifts"]
    if not call.given["dims"]:
        return call.lost()
    turned = dict(zip(dims_of(call.given["dims"], len(node.shape)), shifts, strict=True))
    dims: list[Reads] = [
        (d, modulo(n, n, turned[d], Window(before=turned[d])) if turned.get(d, 0) % n else SAME)
        for d, n in enumerate(node.shape)
    ]
    return [call.new(Link(node, dims))]


@rule("flip")
def flipped(call: Call) -> Sequence[Node]:
    """Dimensions backwards."""
    node = call.node()
    over = dims_of(call.given["dims"], len(node.shape))
    dims: list[Reads] = [
        (d, Window(stride=-1, before=1 - n) if d in over else SAME) for d, n in enumerate(node.shape)
    ]
    return [call.new(Link(node, dims))]


@rule("index_select")
def looked_up(call: Call) -> Sequence[Node]:
    """Listed elements of one dimension."""
    index = call.follower.value(call.given["index"])
    if index is None:
        return call.lost()
    return [one_dimension(call, call.given["dim"], Listed(tuple(index.tolist())))]


@rule("index")
def indexed(call: Call) -> Sequence[Node]:
    """As :func:`looked_up`, if one dimension is listed by one list."""
    node = call.node()
    given = [(dim, index) for dim, index in enumerate(call.given["indices"]) if index is not None]
    (dim, index), *more = given
    values = call.follower.value(index)
    if more or index.dim() != 1 or index.dtype != torch.int64 or values is None:
        return call.lost()
    targets = tuple(place % node.shape[dim] for place in values.tolist())
    return [one_dimension(call, dim, Listed(targets))]


@rule("gather")
def gathered(call: Call) -> Sequence[Node]:
    """Elements that an index names, of which nothing is known in general.

    Striate's own max-pooling looks winners up where it has padded more than PyTorch can: an index
    depends on the window that it was chosen from, and names one of its samples.
    """
    index = call.follower.node(call.given["index"])
    if index is None or _caller() != "striate.ops.max_pool.op":
        return call.lost()
    return [call.new(Reshaped(index, tuple(call.result.shape)))]


def _caller() -> str:
    """The module whose code called PyTorch."""
    frame = sys._getframe()
    while frame.f_back is not None:
        frame = frame.f_back
        name: str = frame.f_globals.get("__name__", "")
        if name.split(".")[0] != "torch" and not name.startswith("striate.geometry."):
            return name
    return ""


@rule("unfold")
def unfolded(call: Call) -> Sequence[Node]:
    """Windows along one dimension, laid out along a new last one."""
    node, given = call.node(), call.given
    dim, last = given["dimension"] % len(node.shape), len(node.shape)
    window = Window(given["size"], given["step"])
    dims: list[Reads] = [((d, last), window) if d == dim else (d, SAME) for d in range(last)]
    return [call.new(Link(node, dims))]


@rule("im2col")
def columns(call: Call) -> Sequence[Node]:
    """Windows over two dimensions: ``(N, C·k·k, positions)``, or that without a batch."""
    node, given = call.node(), call.given
    *batch, channels, _, _ = node.shape
    height, width = (
        [given[name][i] for name in ("kernel_size", "stride", "padding", "dilation")] for i in (0, 1)
    )
    rows, across = (
        (size + 2 * p - d * (k - 1) - 1) // s + 1
        for size, (k, s, p, d) in zip(node.shape[-2:], (height, width), strict=True)
    )
    laid_out = (*batch, channels, height[0], width[0], rows, across)
    n = len(batch)
    dims: list[Reads] = [(d, SAME) for d in range(n + 1)]
    dims += [((n + 3, n + 1), Window(*height)), ((n + 4, n + 2), Window(*width))]
    windows = call.follower.new(laid_out, [Link(node, dims)])
    return [call.new(Reshaped(windows, tuple(call.result.shape)))]


@rule("pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "native_channel_shuffle")
def shuffled(call: Call) -> Sequence[Node]:
    """Reshape, permute, reshape."""
    *batch, channels, height, width = call.node().shape
    n = len(batch)
    first = list(range(n))
    if call.name == "pixel_shuffle":
        r = call.given["upscale_factor"]
        shape = (*batch, channels // r**2, r, r, height, width)
        order = [*first, n, n + 3, n + 1, n + 4, n + 2]
    elif call.name == "pixel_unshuffle":
        r = call.given["downscale_factor"]
        shape = (*batch, channels, height // r, r, width // r, r)
        order = [*first, n, n + 2, n + 4, n + 1, n + 3]
    else:
        groups = call.given["groups"]
        shape = (*batch, groups, channels // groups, height, width)
        order = [*first, n + 1, n, n + 2, n + 3]
    split = call.follower.new(shape, [Reshaped(call.node(), shape)])
    places = {dim: place for place, dim in enumerate(order)}
    turned = call.follower.new(
        [shape[dim] for dim in order], [Link(split, [(places[d], SAME) for d in range(len(shape))])]
    )
    return [call.new(Reshaped(turned, tuple(call.result.shape)))]
