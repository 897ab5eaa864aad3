"""Shapes: by geometry, on the meta device, for pictures without a batch and batches without a picture."""

from __future__ import annotations

from dataclasses import replace

import contract_helpers as contract
import torch
from torch._subclasses.fake_tensor import FakeTensorMode

from striate.ops._spec import Call, OpSpec


def _batched(spec: OpSpec, calls: list[Call]) -> list[Call]:
    return [call for call in contract.small(spec, calls) if contract.has_batch(call)]


@contract.cases()
def test_shapes_are_known_before_computing(spec: OpSpec, call: Call):
    tensors = contract.each(spec.tensors(call, torch.float32), contract.channels_last)
    real = contract.ours(spec, call, tensors)
    assert tuple(real[0].shape) == tuple(spec.output_shape(call)), "geometry"
    with FakeTensorMode() as mode:
        fake = contract.ours(spec, call, contract.each(tensors, mode.from_tensor))
    meta = contract.ours(spec, call, contract.shadows(call))
    for result, imagined, shadow in zip(real, fake, meta, strict=True):
        assert imagined.shape == shadow.shape == result.shape
        assert imagined.dtype == shadow.dtype == result.dtype
        # On the meta device PyTorch's own convolutions forget the format of their input.
        assert contract.formats(imagined) == contract.formats(result), "layout of fake tensors"


@contract.cases(_batched)
def test_a_picture_without_a_batch_is_a_batch_of_one(spec: OpSpec, call: Call):
    call = contract.with_batch(call, 1)
    tensors = spec.tensors(call)
    shape = call.tensors["input"][1:]
    alone = replace(call, tensors={**call.tensors, "input": shape})
    single = {**tensors, "input": tensors["input"].reshape(shape)}
    results, slopes = contract.both(spec, call, tensors)
    results_alone, slopes_alone = contract.both(spec, alone, single)
    assert tuple(results_alone[0].shape) == tuple(spec.output_shape(alone))
    contract.assert_same(results_alone, [result[0] for result in results], "result")
    contract.assert_same(
        slopes_alone,
        [slope.reshape(one.shape) for slope, one in zip(slopes, slopes_alone, strict=True)],
        "gradient",
    )


@contract.cases(_batched)
def test_a_batch_without_pictures(spec: OpSpec, call: Call):
    call = contract.with_batch(call, 0)
    results, slopes = contract.both(spec, call, spec.tensors(call))
    assert tuple(results[0].shape) == tuple(spec.output_shape(call))
    for slope, shape in zip(slopes, contract.shapes_of(call.tensors), strict=True):
        assert slope.shape == shape
        assert not slope.any(), "no picture, no gradient"


@contract.cases(_batched)
def test_pictures_of_a_batch_do_not_see_each_other(spec: OpSpec, call: Call):
    call = contract.with_batch(call, 3)
    tensors = spec.tensors(call)
    whole = contract.ours(spec, call, tensors)
    parts = [
        contract.ours(spec, call, {**tensors, "input": tensors["input"][place : place + 1]})
        for place in range(3)
    ]
    contract.assert_same(
        [torch.cat(pieces) for pieces in zip(*parts, strict=True)], whole, "picture by picture"
    )
