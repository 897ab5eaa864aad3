"""Where the numbers lie in memory changes nothing: layouts, views, and what was there before."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import contract_helpers as contract
import torch
from torch import Tensor

from striate.ops._spec import Call, OpSpec


def _transposed(tensor: Tensor) -> Tensor:
    return tensor.transpose(0, -1).contiguous().transpose(0, -1)


def _every_second(tensor: Tensor) -> Tensor:
    """Every second number of a tensor whose others are NaN."""
    spread = torch.full((*tensor.shape, 2), torch.nan, dtype=tensor.dtype)
    spread[..., 0] = tensor
    return spread[..., 0]


def _inside(tensor: Tensor) -> Tensor:
    """A window of a larger tensor that is NaN outside, at an odd offset."""
    large = torch.full([size + 3 for size in tensor.shape], torch.nan, dtype=tensor.dtype)
    window = large[tuple(slice(1, size + 1) for size in tensor.shape)]
    window.copy_(tensor)
    return window


LAYOUTS = {
    "channels_last": contract.channels_last,
    "transposed": _transposed,
    "every_second": _every_second,
    "inside": _inside,
}


@contract.cases()
def test_every_layout_gives_the_same_values(spec: OpSpec, call: Call):
    tensors = spec.tensors(call)
    wanted, wanted_gradients = contract.both(spec, call, tensors)
    for name, layout in LAYOUTS.items():
        laid = contract.each(tensors, lambda tensor, layout=layout: contract.leaf(layout(tensor)))
        got = contract.ours(spec, call, laid)
        contract.assert_same([result.detach() for result in got], wanted, name)
        contract.assert_same(contract.gradients(got, laid), wanted_gradients, f"gradient, {name}")


@contract.cases(contract.typical)
def test_expanded_arguments(spec: OpSpec, call: Call):
    def expanded(tensor: Tensor) -> Tensor:
        return tensor[:1].expand(tensor.shape)

    tensors = contract.each(spec.tensors(call), expanded)
    wanted, wanted_gradients = contract.both(spec, call, contract.each(tensors, Tensor.contiguous))
    inputs = contract.each(tensors, lambda tensor: tensor.detach().requires_grad_())
    got = contract.ours(spec, call, inputs)
    contract.assert_same([result.detach() for result in got], wanted, "expanded")
    contract.assert_same(contract.gradients(got, inputs), wanted_gradients, "gradient, expanded")


@contract.cases(contract.typical)
def test_directions_of_any_layout(spec: OpSpec, call: Call):
    """The gradient that comes from above may be laid out anyhow, expanded from one number too."""
    tensors = contract.each(spec.tensors(call), contract.learnable)
    results = [result for result in contract.ours(spec, call, tensors) if result.requires_grad]
    inputs = contract.flat(tensors)
    directions = contract.cotangents(results)

    def slopes(directions: list[Tensor]) -> list[Tensor]:
        return list(torch.autograd.grad(results, inputs, directions, retain_graph=True))

    for name, layout in LAYOUTS.items():
        contract.assert_same(slopes([layout(d) for d in directions]), slopes(directions), name)
    ones = [torch.ones(()).double().expand(result.shape) for result in results]
    contract.assert_same(slopes(ones), slopes([one.contiguous() for one in ones]), "expanded")


@contract.cases()
def test_pictures_stay_channels_last(spec: OpSpec, call: Call):
    """In two dimensions; in three, PyTorch's own operators keep it or not by their size."""
    if contract.rank_of(call) != 2 or not contract.has_batch(call):
        return
    tensors = contract.each(spec.tensors(call, torch.float32), contract.channels_last)
    if any(contract.formats(tensor)[0] for tensor in contract.flat({"input": tensors["input"]})):
        return  # one channel or one pixel lies in both formats at once
    result = contract.ours(spec, call, tensors)[0]
    if result.dim() == 4 and result.numel():
        assert contract.formats(result)[1], f"{tuple(result.shape)} has strides {result.stride()}"


@contextmanager
def _poisoned() -> Iterator[None]:
    """Memory that PyTorch allocates and nobody writes holds NaN or the largest integer."""
    torch.use_deterministic_algorithms(True)
    assert torch.utils.deterministic.fill_uninitialized_memory
    try:
        assert torch.empty(3).isnan().all()
        yield
    finally:
        torch.use_deterministic_algorithms(False)


@contract.cases()
def test_every_number_of_a_result_is_written(spec: OpSpec, call: Call):
    for dtype in (torch.float32, torch.bfloat16):
        for layout in (Tensor.contiguous, contract.channels_last):
            tensors = contract.each(spec.tensors(call, dtype), layout)
            wanted, wanted_gradients = contract.both(spec, call, tensors)
            with _poisoned():
                got, got_gradients = contract.both(spec, call, tensors)
            for one, other in zip(got + got_gradients, wanted + wanted_gradients, strict=True):
                assert not one.isnan().any(), "memory that was never written"
                contract.assert_near(one, other, spec.tolerances[dtype], "poisoned")
