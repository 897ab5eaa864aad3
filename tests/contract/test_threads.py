"""The number of threads changes no bit."""

from __future__ import annotations

import contract_helpers as contract
import pytest
import torch

from striate.ops._library import NATIVE
from striate.ops._spec import Call, OpSpec, Tolerance

ENOUGH = 2**17  # numbers in the input: PyTorch shares loops out from 2**15
ROUNDING = {torch.float64: 1e-14, torch.float32: 1e-5, torch.bfloat16: 2e-2}  # of sums, by the largest


def _many(spec: OpSpec, calls: list[Call]) -> list[Call]:
    """The largest call and the typical one, on as many pictures as threads share out."""
    batched = [call for call in calls if contract.has_batch(call) and call.tensors["input"][0]]
    chosen = {
        str(call): call for pick in (contract.largest, contract.typical) for call in pick(spec, batched)
    }
    return [_enlarged(call) for call in chosen.values()]


def _enlarged(call: Call) -> Call:
    one_picture = torch.Size(call.tensors["input"][1:]).numel()
    return contract.with_batch(call, min(-(-ENOUGH // one_picture), 512))


@pytest.mark.parametrize(
    ("dtype", "channels_last"),
    [(torch.float64, False), (torch.float32, False), (torch.float32, True), (torch.bfloat16, True)],
    ids=["float64", "float32", "float32-channels_last", "bfloat16-channels_last"],
)
@contract.cases(_many)
def test_one_and_two_threads_give_the_same_bits(
    spec: OpSpec, call: Call, dtype: torch.dtype, channels_last: bool
):
    tensors = spec.tensors(call, dtype)
    if channels_last:
        tensors = contract.each(tensors, contract.channels_last)
    found = []
    for count in (1, 2):
        with contract.threads(count):
            assert torch.get_num_threads() == count
            found.append(contract.both(spec, call, tensors))
    (one, one_gradients), (two, two_gradients) = found

    names = ["result"] * len(one) + contract.labels(tensors)
    exact = dtype == torch.float64 and NATIVE.loaded  # without kernels PyTorch adds float64's gradients, too
    loose = spec.double_sums_by_threads if exact else spec.sums_by_threads
    for name, alone, shared in zip(names, one + one_gradients, two + two_gradients, strict=True):
        told = name if name == "result" else f"gradient of {name}"
        if name in loose:
            scale = alone.abs().max().item()
            contract.assert_near(shared, alone, Tolerance(0, scale * ROUNDING[dtype]), told)
        else:
            assert torch.equal(alone, shared), told


@contract.cases(_many)
def test_the_same_call_twice_gives_the_same_bits(spec: OpSpec, call: Call):
    tensors = spec.tensors(call, torch.float32)
    with contract.threads(2):
        first, first_gradients = contract.both(spec, call, tensors)
        second, second_gradients = contract.both(spec, call, tensors)
    for one, other in zip(first + first_gradients, second + second_gradients, strict=True):
        assert torch.equal(one, other)
