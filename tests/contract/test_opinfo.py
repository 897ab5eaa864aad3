"""PyTorch's own samples and error inputs, for every function that is drop-in for one of PyTorch's.

``torch.testing._internal`` is private; ``constraints.txt`` pins the torch that it belongs to.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import contract_helpers as contract
import pytest
import torch
from torch import Tensor

from striate.errors import ArgumentError
from striate.ops._spec import OpSpec

PAIRS = [
    (spec, function, counterpart)
    for spec in contract.SPECS
    for function, counterpart in spec.torch_functions.items()
]
MANY = 60  # samples beyond which every n-th is repeated at a larger size and in every dtype


@cache
def _infos() -> dict[str, Any]:
    from torch.testing._internal.common_methods_invocations import op_db

    return {op.name.removeprefix("nn.functional."): op for op in op_db if not op.variant_test_name}


def _pairs() -> Any:
    return pytest.mark.parametrize(
        ("spec", "function", "counterpart"),
        [pytest.param(*pair, id=f"{pair[0].name}:{pair[1]}") for pair in PAIRS],
    )


def _info(counterpart: str) -> Any:
    if counterpart not in _infos():
        pytest.skip(f"PyTorch has no samples of {counterpart}")
    return _infos()[counterpart]


@cache
def _all_samples(counterpart: str) -> list[Any]:
    return list(_info(counterpart).sample_inputs("cpu", torch.float64))


def _samples(counterpart: str, most: int = 10**6) -> list[Any]:
    samples = _all_samples(counterpart)
    return samples[:: -(-len(samples) // most)]


def _tensors(sample: Any) -> list[Tensor]:
    return [
        value for value in (sample.input, *sample.args, *sample.kwargs.values()) if isinstance(value, Tensor)
    ]


def _learnable(sample: Any) -> Any:
    """The sample with leaves that ask for a gradient, in the same layout."""
    return sample.transform(
        lambda value: (
            value.detach().requires_grad_(value.is_floating_point() or value.is_complex())
            if isinstance(value, Tensor)
            else value
        )
    )


def _computed(function: Callable[..., Any], sample: Any) -> tuple[list[Tensor], list[Tensor]] | Exception:
    """Results and gradients, or what the function raises."""
    sample = _learnable(sample)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch's hints about even kernels and named tensors
        try:
            result = function(sample.input, *sample.args, **sample.kwargs)
        except Exception as error:
            return error
    results = list(result) if isinstance(result, tuple | list) else [result]
    outputs = [one for one in results if one.requires_grad]
    inputs = [tensor for tensor in _tensors(sample) if tensor.requires_grad]
    if not outputs:
        return results, []
    slopes = torch.autograd.grad(outputs, inputs, contract.cotangents(results), materialize_grads=True)
    return [one.detach() for one in results], list(slopes)


def _compare(spec: OpSpec, function: str, counterpart: str, samples: Iterator[Any] | list[Any]) -> int:
    """Ours and PyTorch's on every sample: values, gradients, dtype and memory format."""
    count = 0
    for sample in samples:
        ours = _computed(spec.functions[function], sample)
        theirs = _computed(getattr(torch.nn.functional, counterpart), sample)
        told = f"{function} {sample.summary()}"
        if isinstance(theirs, Exception):
            _assert_refused_or_defined(spec, function, sample, ours, type(theirs), told)
            continue
        assert not isinstance(ours, Exception), f"{told}: {ours!r}"
        dtype = sample.input.dtype
        near = spec.tolerances[dtype].relative if dtype in spec.tolerances else 1e-3
        contract.assert_same(ours[0], theirs[0], told, near)
        contract.assert_same(ours[1], theirs[1], f"gradient of {told}", near)
        for one, other in zip(ours[0], theirs[0], strict=True):
            assert contract.formats(one) == contract.formats(other), f"{told}: strides {one.stride()}"
        count += 1
    return count


@_pairs()
def test_samples(spec: OpSpec, function: str, counterpart: str, record_property):
    samples = _samples(counterpart)
    record_property("calls", _compare(spec, function, counterpart, samples))


@_pairs()
def test_samples_with_gaps_in_memory(spec: OpSpec, function: str, counterpart: str, record_property):
    samples = [sample.noncontiguous() for sample in _samples(counterpart, most=MANY)]
    record_property("calls", _compare(spec, function, counterpart, samples))


@_pairs()
def test_samples_in_every_dtype(spec: OpSpec, function: str, counterpart: str, record_property):
    count = 0
    for dtype in sorted(_info(counterpart).supported_dtypes("cpu"), key=str):
        samples = [
            sample.transform(
                lambda value, dtype=dtype: value.to(dtype) if isinstance(value, Tensor) else value
            )
            for sample in _samples(counterpart, 30)
        ]
        count += _compare(spec, function, counterpart, samples)
    record_property("calls", count)


@pytest.mark.parametrize("layout", ["contiguous", "channels_last"])
@_pairs()
def test_samples_at_sizes_that_reach_tiles_and_threads(
    spec: OpSpec, function: str, counterpart: str, layout: str, record_property
):
    rank = int(function[-2])
    change = contract.channels_last if layout == "channels_last" else torch.Tensor.contiguous
    samples = [_enlarged(sample, rank, change) for sample in _samples(counterpart, most=MANY)]
    record_property("calls", _compare(spec, function, counterpart, samples))


def _enlarged(sample: Any, rank: int, change: Callable[[Tensor], Tensor]) -> Any:
    """The same options on a wider picture with more channels: some 2**16 numbers.

    Pools have one tensor; convolutions also have weights and a bias, whose channels grow alike.
    """
    wide, deep = {1: (97, 8), 2: (5, 8), 3: (3, 4)}[rank]

    def filled(shape: list[int], like: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(len(shape))
        return change(torch.randn(shape, generator=generator, dtype=torch.float64).to(like.dtype))

    batch = sample.input.shape[: -rank - 1]
    channels, *spatial = sample.input.shape[-rank - 1 :]
    # A batch or a picture of no size stays one: it is what the sample is about.
    wider = [size * wide + (size > 0) for size in spatial]
    if not batch:  # four dimensions of a volume alone are no channels-last batch of pictures
        change = Tensor.contiguous
    tensors = [filled([*(2 * size for size in batch), channels * deep, *wider], sample.input)]
    for tensor in _tensors(sample)[1:]:
        tensors.append(filled([*(deep * size for size in tensor.shape[:2]), *tensor.shape[2:]], tensor))
    rest = iter(tensors)
    return sample.transform(lambda value: next(rest) if isinstance(value, Tensor) else value)


@_pairs()
def test_error_inputs(spec: OpSpec, function: str, counterpart: str, record_property):
    info = _info(counterpart)
    if info.error_inputs_func is None:
        pytest.skip(f"PyTorch has no error inputs of {counterpart}")
    count = 0
    for wrong in info.error_inputs("cpu"):
        sample = wrong.sample_input
        told = f"{function} {sample.summary()}"
        ours = _computed(spec.functions[function], sample)
        _assert_refused_or_defined(spec, function, sample, ours, wrong.error_type, told)
        count += 1
    record_property("calls", count)


def _assert_refused_or_defined(
    spec: OpSpec, function: str, sample: Any, ours: Any, kind: type[Exception], told: str
) -> None:
    """What PyTorch refuses, we refuse with its exception and better words, or compute by our definition."""
    if isinstance(ours, Exception):
        assert isinstance(ours, kind), f"{told}: {ours!r}, PyTorch raises {kind}"
        assert isinstance(ours, ArgumentError), f"{told}: {ours!r}"
        assert function in str(ours), f"{told}: {ours}"
        return
    wanted = _computed(spec.references[function], sample)
    assert not isinstance(wanted, Exception), f"{told}: PyTorch raises {kind}, the definition {wanted!r}"
    contract.assert_same(ours[0], wanted[0], f"{told}: PyTorch raises {kind}, so the definition")
