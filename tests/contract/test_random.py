"""Random shapes, strides, paddings, dilations and groups against the definition; hypothesis shrinks them."""

from __future__ import annotations

import random

import contract_helpers as contract
import torch
from hypothesis import given, note, settings
from hypothesis import strategies as st

from striate.ops._spec import OpSpec


@contract.functions()
def test_random_calls(spec: OpSpec, function: str, record_property):
    @settings(max_examples=25)
    @given(st.randoms(use_true_random=False), st.integers(0, 2**31))
    def check(choices: random.Random, seed: int) -> None:
        call = spec.random_call(function, choices)
        note(f"{call.function} {dict(call.tensors)} {dict(call.options)}")
        assert call.function == function
        tensors = spec.tensors(call, seed=seed)
        got, got_gradients = contract.both(spec, call, tensors)

        exact = contract.each(tensors, contract.learnable)
        wanted = contract.reference(spec, call, exact)
        contract.assert_same(got, [right.detach() for right in wanted], "result", 1e-9)
        contract.assert_same(got_gradients, contract.gradients(wanted, exact), "gradient", 1e-9)
        assert tuple(got[0].shape) == tuple(spec.output_shape(call)), "output_shape"
        meta = contract.each(tensors, lambda tensor: torch.empty_like(tensor, device="meta"))
        for result, shadow in zip(got, contract.ours(spec, call, meta), strict=True):
            assert shadow.shape == result.shape and shadow.dtype == result.dtype, "meta"

    check()
    record_property("calls", 25)
