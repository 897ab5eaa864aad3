"""What cannot be is refused with an error that teaches; nothing crashes, hangs or eats the memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import contract_helpers as contract
import numpy as np
import pytest
import torch

from striate.errors import ArgumentError
from striate.ops._spec import Call, OpSpec

EXTREMES = (-1, 0, 2**31 - 1, 2**31, 2**32 + 1, 2**62, 2**63 - 1, 2**63, 2**64, -(2**63), -(2**63) - 1)
FEW = 2**22  # numbers of a result that is small enough to be computed


@pytest.mark.parametrize(
    ("spec", "invalid"),
    [
        pytest.param(spec, invalid, id=f"{spec.name}:{invalid.call.function}:{invalid.call.name or index}")
        for spec in contract.SPECS
        for index, invalid in enumerate(spec.invalid)
    ],
)
def test_invalid_calls_are_refused_in_words(spec: OpSpec, invalid):
    tensors = spec.tensors(invalid.call, invalid.dtype)
    with contract.at_most(2), pytest.raises(ArgumentError) as caught:
        contract.ours(spec, invalid.call, tensors)
    told = str(caught.value)
    assert invalid.call.function in told, f"does not name the function: {told}"
    assert "\n" not in told, f"more than one line: {told}"
    for words in invalid.says:
        assert words in told, f"does not say {words!r}: {told}"


@contract.functions()
def test_every_function_has_invalid_calls(spec: OpSpec, function: str):
    assert any(invalid.call.function == function for invalid in spec.invalid)


def _whole_numbers(call: Call) -> Iterator[tuple[str, Any]]:
    """``(option, its value as a function of one number)`` for every whole number in the options."""
    for name, value in call.options.items():
        if isinstance(value, int) and not isinstance(value, bool):
            yield name, lambda number: number
        elif isinstance(value, tuple | list) and value:
            for index, old in enumerate(value):
                if isinstance(old, int) and not isinstance(old, bool):
                    yield (
                        name,
                        lambda number, index=index, value=value: type(value)(
                            [*value[:index], number, *value[index + 1 :]]
                        ),
                    )


@contract.cases(contract.small)
def test_extreme_numbers_are_refused_or_computed(spec: OpSpec, call: Call, record_property):
    tensors = spec.tensors(call, torch.float32)
    meta = contract.shadows(call)
    count = 0
    for name, changed in _whole_numbers(call):
        for number in EXTREMES:
            extreme = replace(call, options={**call.options, name: changed(number)})
            told = f"{name}={changed(number)!r}"
            shapes = _shapes_or_refusal(spec, extreme, meta, f"{told} on meta")
            if shapes is None or all(torch.Size(shape).numel() <= FEW for shape in shapes):
                with contract.at_most(2):
                    real = _shapes_or_refusal(spec, extreme, tensors, told)
                assert real in (shapes, None), told  # the processor may refuse what meta computes
            count += 1
    record_property("calls", count)


def _shapes_or_refusal(
    spec: OpSpec, call: Call, tensors: contract.Arguments, told: str
) -> list[torch.Size] | None:
    """The shapes of the results, or None if the call was refused as it should be."""
    try:
        return [result.shape for result in contract.ours(spec, call, tensors)]
    except ArgumentError as error:
        assert call.function in str(error), f"{told}: {error}"
        return None
    except Exception as error:
        raise AssertionError(f"{told}: {type(error).__name__}: {error}") from error


def _wrong_kinds(tensors: contract.Arguments) -> Iterator[tuple[str, Any]]:
    for name, value in tensors.items():
        if isinstance(value, list):
            yield name, value[0]
            yield name, [np.zeros(tensor.shape) for tensor in value]
            yield name, [*value, None]
            yield name, []
            continue
        yield name, value.numpy()
        yield name, value.tolist()
        yield name, "a string"
        yield name, value.sum()  # no dimension
        yield name, value[(None,) * 6]  # six too many


@contract.cases(contract.typical)
def test_tensors_of_the_wrong_kind_are_refused(spec: OpSpec, call: Call):
    tensors = spec.tensors(call, torch.float32)
    for name, wrong in _wrong_kinds(tensors):
        with pytest.raises(ArgumentError) as caught:
            contract.ours(spec, call, {**tensors, name: wrong})
        assert call.function in str(caught.value), caught.value
    with pytest.raises(ArgumentError):
        contract.ours(spec, call, {**tensors, "input": None})


@contract.cases(contract.typical)
def test_options_of_the_wrong_kind_are_refused(spec: OpSpec, call: Call):
    tensors = spec.tensors(call, torch.float32)
    for name, changed in _whole_numbers(call):
        for wrong in (1.5, "two", None, [], object()):
            if wrong is None and changed(None) is None:
                continue  # many options may be left out
            with pytest.raises(ArgumentError) as caught:
                contract.ours(spec, replace(call, options={**call.options, name: changed(wrong)}), tensors)
            assert call.function in str(caught.value), f"{name}={changed(wrong)!r}: {caught.value}"
    with pytest.raises(TypeError):
        contract.ours(spec, replace(call, options={**call.options, "no_such_option": 1}), tensors)


@contract.cases(contract.typical)
def test_mixed_devices_and_dtypes_are_refused(spec: OpSpec, call: Call):
    tensors = spec.tensors(call, torch.float32)
    names = list(tensors)
    for name in names[1:]:
        for change in (lambda tensor: tensor.to("meta"), torch.Tensor.half, torch.Tensor.double):
            mixed = {**tensors, **contract.each({name: tensors[name]}, change)}
            with pytest.raises(ArgumentError) as caught:
                contract.ours(spec, call, mixed)
            assert name in str(caught.value), caught.value


@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool, torch.complex64], ids=str)
@contract.cases(contract.typical)
def test_dtypes_are_those_of_pytorch_or_refused(spec: OpSpec, call: Call, dtype: torch.dtype):
    tensors = spec.tensors(call, dtype)
    theirs = None
    if call.function in spec.torch_functions:
        function = getattr(torch.nn.functional, spec.torch_functions[call.function])
        try:
            theirs = contract.run(function, tensors, call)
        except (RuntimeError, TypeError, ValueError):
            theirs = None
    if theirs is None:
        with pytest.raises(ArgumentError) as caught:
            contract.ours(spec, call, tensors)
        assert str(dtype) in str(caught.value), caught.value
    else:
        for one, other in zip(contract.ours(spec, call, tensors), theirs, strict=True):
            assert one.dtype == other.dtype
            assert torch.equal(one, other)
