"""Every operator's benchmark calls, as the steps that a library without that operator would take.

A recipe is written once, against :class:`Engine`, and followed by each library that implements it: ONNX
graphs (``onnx_graphs.py``) and JAX (``jax_steps.py``). Values are the engine's own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import ceil
from typing import Any, NamedTuple, Protocol

import torch

from striate.ops._checks import windows
from striate.ops._spec import Call
from striate.ops.spectral_pool.op import _map


class AbsentError(Exception):
    """A library that cannot compute a call, and why."""


class Window(NamedTuple):
    """Where a kernel stands, one number (or pair) for each dimension."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    pads: tuple[tuple[int, int], ...]
    dilations: tuple[int, ...]


class Engine(Protocol):
    """What a library has to offer. ``x`` is a batch of pictures, weights have PyTorch's order."""

    def convolve(self, x: Any, weight: Any, bias: Any, window: Window, groups: int) -> Any: ...
    def convolve_transposed(self, x: Any, weight: Any, bias: Any, window: Window, groups: int) -> Any: ...
    def convolve_locally(self, x: Any, weight: Any, bias: Any, window: Window) -> Any: ...
    def largest(self, x: Any, window: Window) -> Any: ...
    def average(self, x: Any, window: Window, counts_padding: bool) -> Any: ...
    def norm(self, x: Any, window: Window, p: int) -> Any: ...
    def relu(self, x: Any) -> Any: ...
    def sigmoid(self, x: Any) -> Any: ...
    def constant(self, values: torch.Tensor) -> Any: ...
    def add(self, x: Any, y: Any) -> Any: ...
    def subtract(self, x: Any, y: Any) -> Any: ...
    def multiply(self, x: Any, y: Any) -> Any: ...
    def sandwich(self, left: Any, x: Any, right: Any) -> Any:
        """``left · picture · rightᵀ`` of every picture."""

    def gate(self, weight: Any, channels: int) -> Any:
        """``(C, kH, kW)`` as the weight of a depthwise convolution."""

    def join_channels(self, parts: Sequence[Any]) -> Any: ...
    def join_vectors(self, parts: Sequence[Any]) -> Any:
        """Each picture as one vector, channel after channel, one part after another."""


def follow(engine: Engine, call: Call, values: Mapping[str, Any]) -> Any:
    """The engine's value for ``call``.

    Raises:
        AbsentError: there is no recipe, or the library has no such operator.
    """
    name = call.function.rstrip("123d") if call.function[-1] == "d" else call.function
    is_global, kind = name.startswith("global_"), name.removeprefix("global_")
    if kind not in RECIPES or isinstance(call.tensors["input"], list):
        raise AbsentError(f"nothing like {call.function}")
    options = dict(call.options)
    if is_global:
        options["kernel_size"] = call.tensors["input"][2:]
    return RECIPES[kind](engine, call, values, options)


def _window(sizes: Sequence[int], kernel: Sequence[int], options: Mapping[str, Any]) -> Window:
    stride = options.get("stride")
    found = windows(
        "benchmark", sizes, kernel, kernel if stride is None else stride,
        options.get("padding", 0), options.get("dilation", 1),
    )  # fmt: skip
    return Window(tuple(kernel), tuple(found[0]), tuple(map(tuple, found[1])), tuple(found[2]))


def _pool_window(call: Call, options: Mapping[str, Any]) -> Window:
    sizes, kernel = call.tensors["input"][2:], options["kernel_size"]
    if options.get("ceil_mode"):
        raise AbsentError("no recipe for windows beyond the end")
    return _window(sizes, (kernel,) * len(sizes) if isinstance(kernel, int) else tuple(kernel), options)


def _conv_window(call: Call, kernel: Sequence[int], options: Mapping[str, Any]) -> Window:
    if options.get("padding_mode", "zeros") != "zeros":
        raise AbsentError("no recipe for padding by values of the picture")
    return _window(call.tensors["input"][2:], kernel, {"stride": 1, **options})


def _conv(engine: Engine, call: Call, values: Mapping[str, Any], options: dict[str, Any]) -> Any:
    window = _conv_window(call, call.tensors["weight"][2:], options)
    return engine.convolve(
        values["input"], values["weight"], values.get("bias"), window, options.get("groups", 1)
    )


def _conv_transpose(engine: Engine, call: Call, values: Mapping[str, Any], options: dict[str, Any]) -> Any:
    kernel, rank = call.tensors["weight"][2:], len(call.tensors["weight"]) - 2
    if "output_padding" in options:
        raise AbsentError("no recipe for output padding")
    stride, padding, dilation = (
        (value,) * rank if isinstance(value := options.get(name, default), int) else tuple(value)
        for name, default in (("stride", 1), ("padding", 0), ("dilation", 1))
    )
    window = Window(tuple(kernel), stride, tuple((p, p) for p in padding), dilation)
    return engine.convolve_transposed(
        values["input"], values["weight"], values.get("bias"), window, options.get("groups", 1)
    )


def _local_conv(engine: Engine, call: Call, values: Mapping[str, Any], options: dict[str, Any]) -> Any:
    if options.get("groups", 1) != 1:
        raise AbsentError("no recipe for groups")
    kernel = call.tensors["weight"][2 : len(call.tensors["weight"]) // 2 + 1]
    window = _conv_window(call, kernel, options)
    return engine.convolve_locally(values["input"], values["weight"], values.get("bias"), window)


def _conv_pool(engine: Engine, call: Call, values: Mapping[str, Any], options: dict[str, Any]) -> Any:
    if {"activation", "pool", "pool_size", "pool_stride"} & set(options):
        raise AbsentError("no recipe but for ReLU and the maximum of 2 × 2")
    rank = len(call.tensors["weight"]) - 2
    x = engine.relu(_conv(engine, call, values, options))
    return engine.largest(x, Window((2,) * rank, (2,) * rank, ((0, 0),) * rank, (1,) * rank))


def _separable_conv(engine: Engine, call: Call, values: Mapping[str, Any], options: dict[str, Any]) -> Any:
    kernel = call.tensors["depthwise_weight"][2:]
    x = engine.convolve(
        values["input"], values["depthwise_weight"], None, _conv_window(call, kernel, options),
        call.tensors["input"][1],
    )  # fmt: skip
    return engine.convolve(x, values["pointwise_weight"], values.get("bias"), _point(len(kernel)), 1)


def _spatial_separable_conv(
    engine: Engine, call: Call, values: Mapping[str, Any], options: dict[str, Any]
) -> Any:
    groups, x = options.pop("groups", 1), values["input"]
    first, second = call.tensors["vertical_weight"][2:], call.tensors["horizontal_weight"][2:]
    window = _conv_window(call, [first[0], second[1]], options)
    x = engine.convolve(x, values["vertical_weight"], None, _along(window, 0), groups)
    return engine.convolve(x, values["horizontal_weight"], values.get("bias"), _along(window, 1), groups)


def _flattened_conv(engine: Engine, call: Call, values: Mapping[str, Any], options: dict[str, Any]) -> Any:
    channels = call.tensors["channel_weight"][0]
    kernel = [call.tensors["vertical_weight"][2], call.tensors["horizontal_weight"][3]]
    window = _conv_window(call, kernel, options)
    x = engine.convolve(values["input"], values["channel_weight"], values.get("channel_bias"), _point(2), 1)
    for axis, name in enumerate(("vertical", "horizontal")):
        weight, bias = values[f"{name}_weight"], values.get(f"{name}_bias")
        x = engine.convolve(x, weight, bias, _along(window, axis), channels)
    return x


def _along(window: Window, axis: int) -> Window:
    """The part of a window of two dimensions that lies along one of them."""
    default = Window((1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1))
    parts = (
        tuple(mine if d == axis else none for d, (mine, none) in enumerate(zip(own, empty, strict=True)))
        for own, empty in zip(window, default, strict=True)
    )
    return Window(*parts)


def _point(rank: int) -> Window:
    return Window((1,) * rank, (1,) * rank, ((0, 0),) * rank, (1,) * rank)


def _parallel_conv(engine: Engine, call: Call, values: Mapping[str, Any], options: dict[str, Any]) -> Any:
    shapes, groups = call.tensors["weights"], options.get("groups", 1)
    groups = [groups] * len(shapes) if isinstance(groups, int) else groups
    biases = values.get("biases") or [None] * len(shapes)
    parts = [
        engine.convolve(
            values["input"],
            weight,
            bias,
            _conv_window(call, shape[2:], {"padding": "same", **options}),
            group,
        )
        for weight, bias, shape, group in zip(values["weights"], biases, shapes, groups, strict=True)
    ]
    return engine.join_channels(parts)


def _max_pool(engine: Engine, call: Call, values: Mapping[str, Any], options: dict[str, Any]) -> Any:
    return engine.largest(values["input"], _pool_window(call, options))


def _avg_pool(engine: Engine, call: Call, values: Mapping[str, Any], options: dict[str, Any]) -> Any:
    return engine.average(
        values["input"], _pool_window(call, options), options.get("count_include_pad", True)
    )


def _lp_pool(engine: Engine, call: Call, values: Mapping[str, Any], options: dict[str, Any]) -> Any:
    if options.get("mean") or options["norm_type"] != int(options["norm_type"]):
        raise AbsentError("no recipe for power means and broken powers")
    return engine.norm(values["input"], _pool_window(call, options), int(options["norm_type"]))


def _mixed_pool(engine: Engine, call: Call, values: Mapping[str, Any], options: dict[str, Any]) -> Any:
    window = _pool_window(call, options)
    largest = engine.largest(values["input"], window)
    average = engine.average(values["input"], window, options.get("count_include_pad", False))
    if "gate" in values:
        channels = call.tensors["input"][1]
        score = engine.convolve(
            values["input"], engine.gate(values["gate"], channels), None, window, channels
        )
        share = engine.sigmoid(score)
    else:
        share = engine.constant(torch.tensor(float(options.get("alpha", 0.5))))
    return engine.add(engine.multiply(engine.subtract(largest, average), share), average)


def _pyramid_pool(engine: Engine, call: Call, values: Mapping[str, Any], options: dict[str, Any]) -> Any:
    if options.get("kind", "max") != "max":
        raise AbsentError("a recipe for the maximum only")
    sizes, parts = call.tensors["input"][2:], []
    for bins in options.get("levels", (1, 2, 4)):
        kernel, strides = [], []
        for size in sizes:
            starts = [i * size // bins for i in range(bins)]
            lengths = {ceil((i + 1) * size / bins) - start for i, start in enumerate(starts)}
            steps = {b - a for a, b in pairwise(starts)} or {size}
            if len(lengths) > 1 or len(steps) > 1:
                raise AbsentError("bins that differ in size")
            kernel.append(lengths.pop())
            strides.append(steps.pop())
        rank = len(sizes)
        window = Window(tuple(kernel), tuple(strides), ((0, 0),) * rank, (1,) * rank)
        parts.append(engine.largest(values["input"], window))
    return engine.join_vectors(parts)


def _spectral_pool(engine: Engine, call: Call, values: Mapping[str, Any], options: dict[str, Any]) -> Any:
    """Matrix products, as Striate's: no library has a faster transform of these sizes."""
    sizes, wanted = call.tensors["input"][2:], options["output_size"]
    if len(sizes) != 2:
        raise AbsentError("a recipe for two dimensions only")
    wanted = (wanted, wanted) if isinstance(wanted, int) else wanted
    rows, columns = (_map(size, want, torch.empty(0)) for size, want in zip(sizes, wanted, strict=True))
    x = values["input"]
    y = engine.sandwich(engine.constant(rows.real), x, engine.constant(columns.real))
    if rows.u is None or rows.v is None or columns.u is None or columns.v is None:
        return y
    number = engine.sandwich(engine.constant(rows.v), x, engine.constant(columns.v))
    spread = engine.sandwich(
        engine.constant(rows.u.reshape(-1, 1)), number, engine.constant(columns.u.reshape(-1, 1))
    )
    return engine.subtract(y, spread)


RECIPES = {
    "conv": _conv,
    "conv_transpose": _conv_transpose,
    "local_conv": _local_conv,
    "conv_pool": _conv_pool,
    "separable_conv": _separable_conv,
    "spatial_separable_conv": _spatial_separable_conv,
    "flattened_conv": _flattened_conv,
    "parallel_conv": _parallel_conv,
    "max_pool": _max_pool,
    "avg_pool": _avg_pool,
    "lp_pool": _lp_pool,
    "mixed_pool": _mixed_pool,
    "pyramid_pool": _pyramid_pool,
    "spectral_pool": _spectral_pool,
}  # fmt: skip
