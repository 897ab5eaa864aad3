"""``opcheck`` of what an operator registers with PyTorch, on the samples that reach it."""

from __future__ import annotations

from typing import Any

import contract_helpers as contract
import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map_only

from striate.ops._library import NATIVE
from striate.ops._spec import OpSpec

MOST = 12  # calls of one operator that are checked: each takes a tenth of a second


class Recorder(TorchDispatchMode):
    """Collects what one operator of the library is called with, in any of its overloads.

    Its tensors ask for gradients if it has any: eager calls of such an operator take the overload
    ``raw``. One without is itself part of a gradient.
    """

    def __init__(self, packet: torch._ops.OpOverloadPacket) -> None:
        super().__init__()
        self.packet = packet
        self.as_given = contract.leaf if "raw" in packet.overloads() else Tensor.detach
        self.calls: list[tuple[Any, Any]] = []

    def __torch_dispatch__(self, operator, types, args=(), kwargs=None):
        if operator.overloadpacket is self.packet:
            self.calls.append(tree_map_only(Tensor, self.as_given, (args, kwargs or {})))
        return operator(*args, **(kwargs or {}))


@pytest.mark.skipif(not NATIVE.loaded, reason="the kernels are not built, or turned off")
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
    packet = getattr(torch.ops.striate, name)
    found: list[tuple[Any, Any]] = []
    for dtype in (torch.float64, torch.float32):  # some kernels take no doubles
        for call in () if found else spec.samples:
            with Recorder(packet) as recorder:
                contract.both(spec, call, spec.tensors(call, dtype))
            found += recorder.calls
    assert found, f"no sample reaches {name}"
    for args, options in found[:: -(-len(found) // MOST)]:
        torch.library.opcheck(packet.default, args, options)
