"""ONNX's own backend tests of convolutions and pools, through an adapter from a node to a call.

The node tests are made when their modules are imported; the models that PyTorch once exported lie
in the ``onnx`` wheel. An adapter only renames: ONNX lists paddings as all befores, then all afters.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx.backend.test.case import node as node_cases
from onnx.backend.test.loader import load_model_tests
from torch import Tensor

import striate.functional
from striate.geometry.window import same_padding, transposed_output_size

MODULES = ("averagepool", "conv", "convtranspose", "globalaveragepool", "globalmaxpool", "lppool", "maxpool")
EXPORTED = ("pytorch-converted", "pytorch-operator")


@dataclass(frozen=True)
class Case:
    """One node, what it is given, and what it must return within a tolerance."""

    name: str
    node: onnx.NodeProto
    inputs: list[np.ndarray]
    outputs: list[np.ndarray]
    relative: float
    absolute: float


def _cases() -> Iterator[Case]:
    for module in MODULES:
        importlib.import_module(f"{node_cases.__name__}.{module}")
    for case in node_cases._NodeTestCases:
        nodes = case.model.graph.node
        if len(nodes) == 1 and nodes[0].op_type in RUNNERS:
            for inputs, outputs in case.data_sets:
                yield Case(case.name, nodes[0], list(inputs), list(outputs), case.rtol, case.atol)
    for kind in EXPORTED:
        for case in load_model_tests(kind=kind):
            graph = onnx.load(Path(case.model_dir) / "model.onnx").graph
            if len(graph.node) == 1 and graph.node[0].op_type in RUNNERS:
                yield _exported(case, graph)


def _exported(case: Any, graph: onnx.GraphProto) -> Case:
    def read(stem: str) -> list[np.ndarray]:
        files = sorted(Path(case.model_dir, "test_data_set_0").glob(f"{stem}_*.pb"))
        return [onnx.numpy_helper.to_array(onnx.load_tensor(file)) for file in files]

    weights = {one.name: onnx.numpy_helper.to_array(one) for one in graph.initializer}
    given = iter(read("input"))
    inputs = [weights[name] if name in weights else next(given) for name in graph.node[0].input]
    return Case(case.name, graph.node[0], inputs, read("output"), case.rtol, case.atol)


def _call(name: str, rank: int, *tensors: Tensor, **options: Any) -> Any:
    return getattr(striate.functional, f"{name}{rank}d")(*tensors, **options)


def _windows(sizes: tuple[int, ...], kernel: list[int], attributes: dict[str, Any]) -> dict[str, Any]:
    """Stride, dilation and paddings ``(before, after)`` of each dimension, as Striate names them."""
    rank = len(kernel)
    stride = attributes.get("strides", [1] * rank)
    dilation = attributes.get("dilations", [1] * rank)
    pads = attributes.get("pads", [0] * 2 * rank)
    pairs = list(zip(pads[:rank], pads[rank:], strict=True))
    if (auto := attributes.get("auto_pad", b"NOTSET")).startswith(b"SAME"):
        pairs = [same_padding(*one) for one in zip(sizes, kernel, stride, dilation, strict=True)]
        pairs = [pair[::-1] if auto == b"SAME_LOWER" else pair for pair in pairs]
    return {"stride": tuple(stride), "padding": tuple(pairs), "dilation": tuple(dilation)}


def _conv(
    attributes: dict[str, Any], input: Tensor, weight: Tensor, bias: Tensor | None = None
) -> list[Tensor]:
    windows = _windows(input.shape[2:], list(weight.shape[2:]), attributes)
    rank = input.dim() - 2
    return [_call("conv", rank, input, weight, bias, groups=attributes.get("group", 1), **windows)]


def _conv_transpose(
    attributes: dict[str, Any], input: Tensor, weight: Tensor, bias: Tensor | None = None
) -> list[Tensor]:
    """The whole output, of which ONNX's paddings are cut off: they may differ at the two ends."""
    rank = input.dim() - 2
    windows = _windows(input.shape[2:], list(weight.shape[2:]), {**attributes, "auto_pad": b"NOTSET"})
    extra = attributes.get("output_padding", [0] * rank)
    pairs = windows.pop("padding")
    wanted = attributes.get("output_shape")
    if wanted is None and "auto_pad" in attributes:
        wanted = [size * step for size, step in zip(input.shape[2:], windows["stride"], strict=True)]
    if wanted is not None:
        kernel = weight.shape[2:]
        whole = [
            transposed_output_size(size, k, step, 0, more, apart)
            for size, k, step, more, apart in zip(
                input.shape[2:], kernel, windows["stride"], extra, windows["dilation"], strict=True
            )
        ]
        cut = [max(full - size, 0) for full, size in zip(whole, wanted, strict=True)]
        extra = [more + max(size - full, 0) for more, full, size in zip(extra, whole, wanted, strict=True)]
        # The odd one goes to the end with SAME_UPPER, to the beginning otherwise.
        upper = attributes.get("auto_pad") == b"SAME_UPPER"
        pairs = [(one // 2, one - one // 2) if upper else (one - one // 2, one // 2) for one in cut]
    groups = attributes.get("group", 1)
    result = _call(
        "conv_transpose", rank, input, weight, bias, output_padding=tuple(extra), groups=groups, **windows
    )
    for dimension, (before, after) in enumerate(pairs, start=2):
        result = result.narrow(dimension, before, result.shape[dimension] - before - after)
    return [result]


def _max_pool(attributes: dict[str, Any], input: Tensor) -> list[Tensor]:
    kernel = attributes["kernel_shape"]
    rank, sizes = len(kernel), input.shape[2:]
    options = _windows(sizes, kernel, attributes) | {"ceil_mode": bool(attributes.get("ceil_mode", 0))}
    result, places = _call("max_pool", rank, input, tuple(kernel), return_indices=True, **options)
    if attributes.get("storage_order", 0):
        place = np.unravel_index(places.numpy(), sizes)
        places = torch.from_numpy(np.ravel_multi_index(place[::-1], sizes[::-1]))
    # ONNX counts places through the whole input, not through one channel.
    channels = torch.arange(input.shape[0] * input.shape[1]).reshape(*input.shape[:2], *[1] * rank)
    return [result, places + channels * sizes.numel()]


def _average_pool(attributes: dict[str, Any], input: Tensor) -> list[Tensor]:
    kernel = attributes["kernel_shape"]
    options = _windows(input.shape[2:], kernel, attributes)
    options["ceil_mode"] = bool(attributes.get("ceil_mode", 0))
    options["count_include_pad"] = bool(attributes.get("count_include_pad", 0))
    return [_call("avg_pool", len(kernel), input, tuple(kernel), **options)]


def _lp_pool(attributes: dict[str, Any], input: Tensor) -> list[Tensor]:
    kernel = attributes["kernel_shape"]
    options = _windows(input.shape[2:], kernel, attributes)
    options["ceil_mode"] = bool(attributes.get("ceil_mode", 0))
    return [_call("lp_pool", len(kernel), input, attributes.get("p", 2), tuple(kernel), **options)]


RUNNERS = {
    "AveragePool": _average_pool,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "GlobalAveragePool": lambda attributes, input: [_call("global_avg_pool", input.dim() - 2, input)],
    "GlobalMaxPool": lambda attributes, input: [_call("global_max_pool", input.dim() - 2, input)],
    "LpPool": _lp_pool,
    "MaxPool": _max_pool,
}
OPERATORS = {
    "AveragePool": "avg_pool",
    "GlobalAveragePool": "avg_pool",
    "Conv": "conv",
    "ConvTranspose": "conv_transpose",
    "LpPool": "lp_pool",
    "GlobalMaxPool": "max_pool",
    "MaxPool": "max_pool",
}
CASES = list(_cases())


@pytest.mark.parametrize(
    "case", [pytest.param(case, id=f"{OPERATORS[case.node.op_type]}:{case.name}") for case in CASES]
)
def test_backend_case(case: Case):
    attributes = {one.name: onnx.helper.get_attribute_value(one) for one in case.node.attribute}
    results = RUNNERS[case.node.op_type](attributes, *(torch.from_numpy(one.copy()) for one in case.inputs))
    for result, wanted in zip(results, case.outputs, strict=False):  # a second output may not be asked for
        assert result.numpy().dtype == wanted.dtype
        assert result.shape == wanted.shape
        np.testing.assert_allclose(result.numpy(), wanted, rtol=case.relative, atol=case.absolute)


def test_every_kind_of_node_has_cases():
    counts = {kind: sum(case.node.op_type == kind for case in CASES) for kind in RUNNERS}
    assert all(counts.values()), counts
    assert len(CASES) >= 110, counts
