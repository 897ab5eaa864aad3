"""``opcheck`` of what an operator registers with PyTorch, on the samples that reach it."""

from __future__ import annotations

from typing import Any

import contract_helpers as contract
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from striate.ops._spec import OpSpec


class Recorder(TorchDispatchMode):
    """Collects what one operator of the library is called with, as tensors that ask for gradients."""

    def __init__(self, operator: torch._ops.OpOverload) -> None:
        super().__init__()
        self.operator = operator
        self.calls: list[tuple[Any, Any]] = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        if operator is self.operator:
            self.calls.append(tree_map_only(Tensor, contract.leaf, (args, kwargs or {})))
        return operator(*args, **(kwargs or {}))


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        pytest.param(spec, name, id=f"{spec.name}:{name}")
        for spec in contract.SPECS
        for name in spec.library_operators
    ],
)
def test_registration(spec: OpSpec, name: str):
    """``opcheck`` of what an operator registers with PyTorch, on the samples that reach it."""
    operator = getattr(torch.ops.striate, name).default
    reached = 0
    for call in spec.samples:
        with Recorder(operator) as recorder:
            contract.ours(spec, call, spec.tensors(call))
        for args, options in recorder.calls:
            torch.library.opcheck(operator, args, options)
        reached += len(recorder.calls)
    assert reached, f"no sample reaches {name}"
