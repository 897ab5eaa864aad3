"""Every layer: built, copied, saved and loaded, converted, and as PyTorch's own where there is one."""

from __future__ import annotations

import copy

import contract_helpers as contract
import pytest
import torch
from torch import Tensor, nn

import striate.nn
from striate.ops._spec import LayerSample, OpSpec

SAMPLES = [
    pytest.param(spec, sample, id=f"{spec.name}:{sample}")
    for spec in contract.SPECS
    for sample in spec.layer_samples
]
samples = pytest.mark.parametrize(("spec", "sample"), SAMPLES)


def _inputs(sample: LayerSample, dtype: torch.dtype = torch.float32) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    shapes = sample.input if isinstance(sample.input, list) else [sample.input]
    return [torch.randn(shape, generator=generator).to(dtype) for shape in shapes]


def _layer(sample: LayerSample, seed: int = 0, home: object = striate.nn) -> nn.Module:
    """The layer, with the sizes that a lazy one waits for."""
    torch.manual_seed(seed)
    layer = sample.build(home)
    layer.eval()(*_inputs(sample))
    return layer


def _results(layer: nn.Module, inputs: list[Tensor]) -> list[Tensor]:
    result = layer(*inputs)
    return list(result) if isinstance(result, tuple | list) else [result]


@contract.specs()
def test_every_layer_has_a_sample(spec: OpSpec):
    assert {sample.layer for sample in spec.layer_samples} == {layer.__name__ for layer in spec.layers}
    for layer in spec.layers:
        assert getattr(striate.nn, layer.__name__) is layer


@samples
def test_a_layer_learns(spec: OpSpec, sample: LayerSample):
    layer = _layer(sample).train()
    inputs = [tensor.requires_grad_() for tensor in _inputs(sample)]
    results = [result for result in _results(layer, inputs) if result.requires_grad]
    torch.autograd.backward(results, contract.cotangents(results))
    for name, parameter in [*layer.named_parameters(), *((f"input {i}", x) for i, x in enumerate(inputs))]:
        assert parameter.grad is not None, f"no gradient reaches {name}"
        assert parameter.grad.isfinite().all(), name


@samples
def test_copies_and_state_dicts(spec: OpSpec, sample: LayerSample):
    layer, inputs = _layer(sample), _inputs(sample)
    wanted = _results(layer, inputs)
    clone = copy.deepcopy(layer)
    for one, other in zip(_results(clone, inputs), wanted, strict=True):
        assert torch.equal(one, other)
    fresh = _layer(sample, seed=1)
    fresh.load_state_dict(layer.state_dict(), strict=True)
    for one, other in zip(_results(fresh, inputs), wanted, strict=True):
        assert torch.equal(one, other)
    for parameter in clone.parameters():
        assert all(parameter.data_ptr() != own.data_ptr() for own in layer.parameters())


@samples
def test_a_layer_tells_its_options(spec: OpSpec, sample: LayerSample):
    told = repr(_layer(sample))
    assert told.startswith(f"{sample.layer.removeprefix('Lazy')}(")
    for name, value in sample.options.items():
        if isinstance(value, int | float | str) and not isinstance(value, bool):
            assert str(value) in told, f"{told} does not tell {name}={value!r}"


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64], ids=str)
@samples
def test_a_layer_converts(spec: OpSpec, sample: LayerSample, dtype: torch.dtype):
    layer, inputs = _layer(sample), _inputs(sample)
    wanted = _results(layer, inputs)
    converted = copy.deepcopy(layer).to(dtype)
    for result, right in zip(_results(converted, [x.to(dtype) for x in inputs]), wanted, strict=True):
        if right.is_floating_point():
            assert result.dtype == dtype
            scale = max(1.0, right.abs().max().item())
            assert (result.double() - right.double()).abs().max().item() <= 3e-2 * scale
    with torch.device("meta"):
        shadow = sample.build(striate.nn)
    for result, right in zip(_results(shadow, [x.to("meta") for x in inputs]), wanted, strict=True):
        assert result.is_meta and result.shape == right.shape


@samples
def test_a_layer_is_as_pytorchs(spec: OpSpec, sample: LayerSample):
    if not hasattr(nn, sample.layer) or not _takes(sample):
        pytest.skip("PyTorch has no such layer")
    mine, theirs = _layer(sample, seed=5), _layer(sample, seed=5, home=nn)
    assert repr(mine) == repr(theirs)
    state = theirs.state_dict()
    assert list(mine.state_dict()) == list(state)
    for name, value in mine.state_dict().items():
        assert torch.equal(value, state[name]), f"{name} starts at other values"
    other = _layer(sample, seed=6)
    other.load_state_dict(state, strict=True)
    inputs = _inputs(sample)
    contract.assert_same(_results(other, inputs), _results(theirs, inputs), "as PyTorch's", 1e-5)


def _takes(sample: LayerSample) -> bool:
    """Whether PyTorch's layer takes these options and this input."""
    try:
        _layer(sample, home=nn)
    except (TypeError, ValueError, RuntimeError):
        return False
    return True
