"""Where PyTorch's function takes a sample, ours gives the same: values, dtype, layout, gradients."""

from __future__ import annotations

import contract_helpers as contract
import torch
from torch import Tensor

from striate.ops._spec import Call, OpSpec


@contract.cases()
def test_is_drop_in_on_its_own_samples(spec: OpSpec, call: Call):
    """Where PyTorch's function takes a sample, it gives the same: values, dtype, layout, gradients."""
    for dtype in (torch.float64, torch.float32):
        for change in (Tensor.contiguous, contract.channels_last):
            tensors = contract.each(spec.tensors(call, dtype), change)
            theirs = contract.theirs(spec, call, inputs := contract.each(tensors, contract.leaf))
            if theirs is None:
                return
            got = contract.ours(spec, call, mine := contract.each(tensors, contract.leaf))
            near = spec.tolerances[dtype].relative
            contract.assert_same(got, theirs, "PyTorch", near)
            contract.assert_same(
                contract.gradients(got, mine), contract.gradients(theirs, inputs), "gradient of PyTorch", near
            )
            for one, other in zip(got, theirs, strict=True):
                assert contract.formats(one) == contract.formats(other), f"strides {one.stride()}"
