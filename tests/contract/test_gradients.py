"""First and second derivatives against finite differences, in float64."""

from __future__ import annotations

import contract_helpers as contract
import pytest
import torch
from torch import Tensor
from torch.autograd import gradcheck, gradgradcheck

from striate.ops._spec import Call, OpSpec

SLOW_CHECK = 60  # numbers in, up to which every entry of the Jacobian is checked one by one
FAST_CHECK = 20_000


def _function(spec: OpSpec, call: Call):
    """The call as a function of a flat list of tensors, with its differentiable results only."""
    names = list(call.tensors)
    counts = [len(shape) if isinstance(shape, list) else 0 for shape in call.tensors.values()]

    def compute(*tensors: Tensor) -> tuple[Tensor, ...]:
        rest = list(tensors)
        arguments = {
            name: [rest.pop(0) for _ in range(count)] if count else rest.pop(0)
            for name, count in zip(names, counts, strict=True)
        }
        return tuple(result for result in contract.ours(spec, call, arguments) if result.is_floating_point())

    return compute


def _checked(spec: OpSpec, calls: list[Call]) -> list[Call]:
    return [call for call in calls if contract.elements(call) <= FAST_CHECK]


@contract.cases(_checked)
def test_first_derivatives(spec: OpSpec, call: Call):
    inputs = contract.flat(contract.each(spec.tensors(call), contract.learnable))
    fast = contract.elements(call) > SLOW_CHECK
    assert gradcheck(_function(spec, call), inputs, fast_mode=fast)


@contract.cases(contract.small)
def test_second_derivatives(spec: OpSpec, call: Call):
    inputs = contract.flat(contract.each(spec.tensors(call), contract.learnable))
    compute = _function(spec, call)
    if spec.double_backward:
        assert gradgradcheck(compute, inputs, fast_mode=contract.elements(call) > SLOW_CHECK // 2)
        return
    results = compute(*inputs)
    slopes = torch.autograd.grad(results, inputs, contract.cotangents(list(results)), create_graph=True)
    with pytest.raises(RuntimeError):
        torch.autograd.grad([slope.sum() for slope in slopes], inputs)


@contract.cases(contract.typical)
def test_gradients_only_of_what_asks_for_them(spec: OpSpec, call: Call):
    tensors = spec.tensors(call)
    _, wanted = contract.both(spec, call, tensors)
    for index, name in enumerate(contract.labels(tensors)):
        inputs = contract.each(tensors, Tensor.clone)
        asking = contract.flat(inputs)[index].requires_grad_()
        results = contract.ours(spec, call, inputs)
        outputs = [result for result in results if result.requires_grad]
        (slope,) = torch.autograd.grad(outputs, [asking], contract.cotangents(results))
        contract.assert_same([slope], [wanted[index]], f"gradient of {name} alone")
    with torch.inference_mode():
        contract.assert_same(
            contract.ours(spec, call, contract.each(tensors, Tensor.clone)),
            contract.both(spec, call, tensors)[0],
            "inference mode",
        )


@contract.cases(contract.typical)
def test_arguments_are_left_as_they_were(spec: OpSpec, call: Call):
    tensors = spec.tensors(call)
    before = contract.each(tensors, Tensor.clone)
    contract.both(spec, call, tensors)
    contract.ours(spec, call, tensors)
    for one, other in zip(contract.flat(tensors), contract.flat(before), strict=True):
        assert torch.equal(one, other)
