"""Why a model cannot take a picture, in words that say which layer and what would fit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from striate.errors import ArgumentError
from striate.geometry._follow import Follower, plain_name
from striate.geometry._rules import each, rank_of
from striate.geometry.graph import Node, Reshaped
from striate.geometry.sentences import (
    channels_do_not_fit,
    features_do_not_fit,
    sizes_do_not_fit,
)
from striate.geometry.window import output_size

A_VALUE = "the value of a tensor, as `if` and item() do"
VALUES_NEEDED = {
    "local_scalar_dense": A_VALUE,
    "is_nonzero": A_VALUE,
    "nonzero": "the places that are not 0",
    "masked_select": "the values under a mask",
    "unique2": "the values that occur",
    "equal": "whether two tensors are equal",
}

NO_VALUES = (
    "Tensor.item() cannot be called on meta tensors",
    "tolist() shouldn't be called on a tensor with unallocated storage",
    "Cannot copy out of meta tensor; no data!",
)


def explain(error: Exception, follower: Follower, batch: int) -> str:
    """One line for what went wrong while ``follower`` watched."""
    module = next((frame for frame in reversed(follower.frames) if frame.module is not None), None)
    where = f"layer {module.name} ({module.kind})" if module and module.name else "the model"
    first_line = str(error).strip().partition("\n")[0] or type(error).__name__
    name = plain_name(follower.failed[0]) if follower.failed is not None else ""
    asked = A_VALUE if first_line in NO_VALUES else VALUES_NEEDED.get(name)
    if asked is not None:
        return f"{where}: it asks for {asked}; what follows depends on the picture, not on its size"
    if follower.failed is None:
        return f"{where}: {first_line}"
    _, given = follower.failed
    told = _shapes(name, given, follower, batch)
    if told is None and (sizes := _sizes(given, batch)):
        told = sizes
    if module is not None and module.is_layer and told is not None:
        return f"{where}: {told}"
    return f"{where}: {name}: {told or first_line}"


def is_about_values(error: Exception, follower: Follower) -> bool:
    """Whether what went wrong is that there are no values, and the model itself may be sound."""
    asked = follower.failed is not None and plain_name(follower.failed[0]) in VALUES_NEEDED
    return asked or isinstance(error, NotImplementedError) or str(error) in NO_VALUES


def _shapes(name: str, given: Mapping[str, Any], follower: Follower, batch: int) -> str | None:
    """What the shapes that came say about a refused call."""
    if name in ("linear", "addmm", "mm", "matmul"):
        first, second = _factors(name, given)
        if first is None or second is None or second.dim() != 2:
            return None
        takes, gives = reversed(second.shape) if name == "linear" else second.shape
        if first.shape[-1] != takes:
            came = _of_one(tuple(first.shape), batch)
            return features_do_not_fit(came, takes, gives, _before_flatten(follower.node(first), batch))
    weight = given.get("weight")
    x = given.get("input", given.get("self"))
    if not isinstance(x, Tensor):
        return None
    if "conv" in name and isinstance(weight, Tensor) and x.dim() == weight.dim():
        transposed = bool(given.get("transposed")) or "transpose" in name
        groups = given.get("groups", 1)
        wanted = weight.shape[0] if transposed else weight.shape[1] * groups
        if x.shape[1] != wanted:
            return channels_do_not_fit(_of_one(tuple(x.shape), batch), wanted)
    if (told := _window(name, given, x, weight)) is not None:
        return told
    if "batch_norm" in name and isinstance(weight, Tensor) and x.shape[1] != weight.shape[0]:
        return channels_do_not_fit(_of_one(tuple(x.shape), batch), weight.shape[0], "num_features")
    return None


def _window(name: str, given: Mapping[str, Any], x: Tensor, weight: Any) -> str | None:
    """A window that does not fit in its input."""
    if "conv" in name and isinstance(weight, Tensor) and not given.get("transposed"):
        kernel = tuple(weight.shape[2:])
    elif "pool" in name and given.get("kernel_size"):
        kernel = each(given["kernel_size"], rank_of(name))
    else:
        return None
    rank = len(kernel)
    names = ("depth", "height", "width")[-rank:] if rank > 1 else ("length",)
    stride, dilation = (each(given.get(key) or 1, rank) for key in ("stride", "dilation"))
    padding = each(given.get("padding", 0), rank)
    for axis, *window in zip(names, x.shape[-rank:], kernel, stride, padding, dilation, strict=True):
        try:
            output_size(*window)
        except ArgumentError as error:
            return f"{axis}: {error}"
    return None


def _sizes(given: Mapping[str, Any], batch: int) -> str | None:
    pair = [given.get("self"), given.get("other")]
    if isinstance(given.get("tensors"), list | tuple):
        pair = list(given["tensors"])
    shapes = [_of_one(tuple(t.shape), batch) for t in pair if isinstance(t, Tensor)]
    other = next((shape for shape in shapes[1:] if shape != shapes[0]), None)
    return None if other is None else sizes_do_not_fit(shapes[0], other)


def _factors(name: str, given: Mapping[str, Any]) -> tuple[Tensor | None, Tensor | None]:
    """Input and weight of a matrix product."""
    names = {"linear": ("input", "weight"), "addmm": ("mat1", "mat2"), "mm": ("self", "mat2")}
    first, second = names.get(name, ("self", "other"))
    return given.get(first), given.get(second)


def _before_flatten(node: Node | None, batch: int) -> tuple[int, ...] | None:
    """What was flattened to give ``node``, if that is where it comes from."""
    while node is not None and node.links:
        link = node.links[0]
        if isinstance(link, Reshaped) and len(link.parent.shape) > len(node.shape):
            return _of_one(link.parent.shape, batch)
        node = link.parent if link.parent.shape == node.shape else None
    return None


def _of_one(shape: tuple[int, ...], batch: int) -> tuple[int, ...]:
    return shape[1:] if shape and shape[0] == batch else shape
