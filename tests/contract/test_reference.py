"""Every operator computes what its definition says: results and gradients against ``reference.py``."""

from __future__ import annotations

import contract_helpers as contract
import torch
from torch import Tensor

from striate.ops._spec import Call, OpSpec, Tolerance


@contract.cases()
def test_results_and_gradients_are_those_of_the_definition(spec: OpSpec, call: Call):
    """In every dtype from the same numbers, which bfloat16 can hold, so that one reference serves all."""
    tensors = spec.tensors(call, torch.bfloat16)
    exact = contract.each(tensors, lambda tensor: contract.learnable(tensor.double()))
    wanted = contract.reference(spec, call, exact)
    directions = [direction.bfloat16() for direction in contract.cotangents(wanted)]
    wanted_gradients = _gradients(wanted, exact, directions)

    for dtype in contract.DTYPES:
        inputs = contract.each(tensors, lambda tensor, dtype=dtype: contract.learnable(tensor.to(dtype)))
        got = contract.ours(spec, call, inputs)
        assert len(got) == len(wanted)
        for result, right in zip(got, wanted, strict=True):
            assert result.dtype == (dtype if right.is_floating_point() else torch.int64)
            near = _scaled(spec.tolerances[dtype], right)
            contract.assert_near(result.detach(), right.detach(), near, f"{dtype}, result")
        names, slopes = contract.labels(tensors), _gradients(got, inputs, directions)
        for name, slope, right in zip(names, slopes, wanted_gradients, strict=True):
            assert slope.dtype == dtype
            near = _scaled(spec.tolerances[dtype], right)
            contract.assert_near(slope, right, near, f"{dtype}, gradient of {name}")


def _gradients(results: list[Tensor], tensors: contract.Arguments, directions: list[Tensor]) -> list[Tensor]:
    outputs = [result for result in results if result.requires_grad]
    along = [direction.to(output.dtype) for direction, output in zip(directions, outputs, strict=True)]
    return list(torch.autograd.grad(outputs, contract.flat(tensors), along, materialize_grads=True))


def _scaled(tolerance: Tolerance, wanted: Tensor) -> Tolerance:
    """A sum's error is measured against the largest of its like: one may be small by cancellation."""
    scale = max(1.0, wanted.abs().max().item()) if wanted.numel() and wanted.is_floating_point() else 1.0
    return Tolerance(tolerance.relative, tolerance.absolute * scale)


@contract.specs()
def test_samples_reach_what_the_house_asks_for(spec: OpSpec):
    assert set(spec.functions) == set(spec.references)
    for function in spec.functions:
        calls = [call for call in spec.samples if call.function == function]
        assert calls, f"{function} has no sample"
        names = [str(call) for call in calls]
        assert len(set(names)) == len(names), f"samples of {function} share a name: {names}"
        assert any(contract.has_batch(call) for call in calls)
        assert any(not contract.has_batch(call) for call in calls), f"{function}: no sample without a batch"
        assert any(call.tensors["input"][0] == 0 for call in calls), f"{function}: no empty batch"
        assert max(contract.elements(call) for call in calls) >= 4096, f"{function}: no larger sample"


@contract.specs()
def test_benchmarks_are_valid_calls_with_names(spec: OpSpec):
    assert len({call.name for call in spec.benchmarks} - {""}) == len(spec.benchmarks)
    for call in spec.benchmarks:
        shape = contract.ours(spec, call, contract.shadows(call))[0].shape
        assert tuple(shape) == tuple(spec.output_shape(call)), call
        assert spec.macs(call) >= 0
