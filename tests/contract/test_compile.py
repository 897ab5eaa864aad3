"""torch.compile and torch.export without a break, with any batch."""

from __future__ import annotations

import contract_helpers as contract
import pytest
import torch
from torch import Tensor, nn

from striate.ops._spec import Call, OpSpec


class Caller(nn.Module):
    """One call as a module, as torch.export wants it."""

    def __init__(self, spec: OpSpec, call: Call) -> None:
        super().__init__()
        self.spec, self.call = spec, call

    def forward(self, tensors: contract.Arguments) -> list[Tensor]:
        return contract.ours(self.spec, self.call, tensors)


@contract.cases(contract.typical)
def test_compiles_to_one_graph(spec: OpSpec, call: Call):
    torch._dynamo.reset()
    tensors = spec.tensors(call)
    wanted, wanted_gradients = contract.both(spec, call, tensors)
    inputs = contract.each(tensors, contract.learnable)
    compiled = torch.compile(Caller(spec, call), fullgraph=True, backend="aot_eager")
    got = compiled(inputs)
    contract.assert_same([result.detach() for result in got], wanted, "compiled")
    contract.assert_same(contract.gradients(got, inputs), wanted_gradients, "gradient, compiled")


@pytest.mark.filterwarnings("ignore:`torch.jit.script_method` is deprecated")  # by inductor's own imports
@contract.specs()
def test_compiles_to_code(spec: OpSpec):
    """By inductor: one call of each operator, as a compiler of C++ takes seconds for each."""
    torch._dynamo.reset()
    (call,) = contract.typical(spec, [call for call in spec.samples if contract.rank_of(call) <= 2])
    tensors = spec.tensors(call)
    with torch.no_grad():
        compiled = torch.compile(Caller(spec, call), fullgraph=True, backend="inductor")
        contract.assert_same(compiled(tensors), contract.ours(spec, call, tensors), "inductor")


@contract.cases(contract.typical)
def test_exports_with_any_batch(spec: OpSpec, call: Call):
    call = contract.with_batch(call, 3)
    dynamic = {
        name: [None] * len(shape) if isinstance(shape, list) else None for name, shape in call.tensors.items()
    }
    dynamic["input"] = {0: torch.export.Dim.DYNAMIC}
    module = Caller(spec, call)
    program = torch.export.export(module, (spec.tensors(call),), dynamic_shapes={"tensors": dynamic})
    for size in (2, 5):
        tensors = spec.tensors(contract.with_batch(call, size))
        contract.assert_same(program.module()(tensors), module(tensors), f"exported, batch of {size}")
