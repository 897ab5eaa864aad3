"""Autocast does with an operator what it does with PyTorch's own."""

from __future__ import annotations

import contract_helpers as contract
import torch

from striate.ops._spec import Call, OpSpec


@contract.cases(contract.small)
def test_autocast(spec: OpSpec, call: Call):
    tensors = spec.tensors(call, torch.float32)
    exact = contract.reference(spec, call, tensors)
    inputs = contract.each(tensors, contract.learnable)
    with torch.autocast("cpu", torch.bfloat16):
        results = contract.ours(spec, call, inputs)
        theirs = contract.theirs(spec, call, tensors)
    if theirs is not None:
        contract.assert_same([result.detach() for result in results], theirs, "autocast", 1e-2)
    for result, right in zip(results, exact, strict=True):
        if right.is_floating_point():
            assert result.dtype in (torch.float32, torch.bfloat16)
            scale = max(1.0, right.abs().max().item()) if right.numel() else 1.0
            assert (result.double() - right).abs().max().item() <= 3e-2 * scale if right.numel() else True
    for slope in contract.gradients(results, inputs):
        assert slope.dtype == torch.float32
