"""The contract can fail: each fault, put into an operator that is right, is caught by the test that is meant to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import test_autocast
import test_compile
import test_drop_in
import test_errors
import test_gradients
import test_memory
import test_reference
import test_shapes
import test_threads
import torch
from torch import Tensor

from striate.errors import ArgumentError
from striate.ops._registry import operators
from striate.ops._spec import Call

RIGHT = operators()["avg_pool"]
CALL = Call("avg_pool2d", {"input": (2, 3, 7, 6)}, {"kernel_size": 3, "stride": 2, "padding": 1}, "fault")
pool = RIGHT.functions["avg_pool2d"]


def wrong_end(input: Tensor, **options: Any) -> Tensor:
    """Windows that start from the other end."""
    return pool(input.flip(-1), **options).flip(-1)


def wrong_divisor(input: Tensor, **options: Any) -> Tensor:
    return pool(input, **options, count_include_pad=False)


def slightly_wrong(input: Tensor, **options: Any) -> Tensor:
    return pool(input, **options) * (1 + 1e-9)


def no_gradient(input: Tensor, **options: Any) -> Tensor:
    return pool(input.detach(), **options) + 0 * input.sum()


class Reversed(torch.autograd.Function):
    """The right values, the gradient of another place."""

    @staticmethod
    def forward(ctx, input: Tensor) -> Tensor:
        return input.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient.flip(-1)


def gradient_to_the_wrong_place(input: Tensor, **options: Any) -> Tensor:
    return pool(Reversed.apply(input), **options)


class Once(torch.autograd.Function):
    """The right gradient, which forgets that it depends on the direction."""

    @staticmethod
    def forward(ctx, input: Tensor) -> Tensor:
        return input.clone()

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tensor:
        return gradient.detach()


def no_second_derivative(input: Tensor, **options: Any) -> Tensor:
    return pool(Once.apply(input), **options)


def changes_its_input(input: Tensor, **options: Any) -> Tensor:
    result = pool(input, **options)
    input.data.mul_(0.5)
    return result


def unwritten_border(input: Tensor, **options: Any) -> Tensor:
    right = pool(input, **options)
    result = torch.empty_like(right)
    result[..., :-1] = right[..., :-1]
    return result


def ignores_strides(input: Tensor, **options: Any) -> Tensor:
    steps = torch.empty(input.shape, device="meta").stride()
    return pool(torch.as_strided(input, input.shape, steps), **options)


def forgets_channels_last(input: Tensor, **options: Any) -> Tensor:
    return pool(input, **options).contiguous()


def follows_the_threads(input: Tensor, **options: Any) -> Tensor:
    return pool(input, **options) * (1 + 1e-6 * torch.get_num_threads())


def pictures_see_each_other(input: Tensor, **options: Any) -> Tensor:
    return pool(input - 1e-6 * input.sum(0, keepdim=True), **options)


def needs_a_batch(input: Tensor, **options: Any) -> Tensor:
    if input.dim() != 4:
        raise ArgumentError("avg_pool2d: input came without a batch")
    return pool(input, **options)


def another_shape_on_meta(input: Tensor, **options: Any) -> Tensor:
    result = pool(input, **options)
    return result[..., 1:] if input.is_meta else result


def decides_by_values(input: Tensor, **options: Any) -> Tensor:
    if input.sum() > 0:
        return pool(input, **options)
    return pool(input.clone(), **options)


def fixes_the_batch(input: Tensor, **options: Any) -> Tensor:
    return pool(input.reshape(int(input.shape[0]), *input.shape[1:]), **options)[:3]


def breaks_autocast(input: Tensor, **options: Any) -> Tensor:
    return pool(input, **options).half()


def takes_everything(input: Tensor, **options: Any) -> Tensor:
    try:
        return pool(input, **options)
    except ArgumentError:
        return input


def passes_on_the_error(input: Tensor, **options: Any) -> Tensor:
    return torch.nn.functional.avg_pool2d(input, **options)


def eats_memory(input: Tensor, **options: Any) -> Tensor:
    if options.get("padding") == 2**31:
        torch.empty(2**33, device=input.device if input.is_meta else "cpu").sum()
    return pool(input, **options)


def check_invalid(spec: Any, call: Call) -> None:
    for invalid in RIGHT.invalid:
        if invalid.call.function == call.function:
            test_errors.test_invalid_calls_are_refused_in_words(spec, invalid)


def check_extremes(spec: Any, call: Call) -> None:
    test_errors.test_extreme_numbers_are_refused_or_computed(spec, call, lambda *told: None)


def check_threads(spec: Any, call: Call) -> None:
    test_threads.test_one_and_two_threads_give_the_same_bits(spec, call, torch.float64, False)


FAULTS: list[tuple[Callable[..., Any], Callable[..., None]]] = [
    (wrong_end, test_reference.test_results_and_gradients_are_those_of_the_definition),
    (wrong_divisor, test_reference.test_results_and_gradients_are_those_of_the_definition),
    (slightly_wrong, test_reference.test_results_and_gradients_are_those_of_the_definition),
    (no_gradient, test_reference.test_results_and_gradients_are_those_of_the_definition),
    (gradient_to_the_wrong_place, test_reference.test_results_and_gradients_are_those_of_the_definition),
    (gradient_to_the_wrong_place, test_gradients.test_first_derivatives),
    (no_second_derivative, test_gradients.test_second_derivatives),
    (changes_its_input, test_gradients.test_arguments_are_left_as_they_were),
    (wrong_divisor, test_drop_in.test_is_drop_in_on_its_own_samples),
    (forgets_channels_last, test_drop_in.test_is_drop_in_on_its_own_samples),
    (forgets_channels_last, test_memory.test_pictures_stay_channels_last),
    (unwritten_border, test_memory.test_every_number_of_a_result_is_written),
    (ignores_strides, test_memory.test_every_layout_gives_the_same_values),
    (ignores_strides, test_memory.test_expanded_arguments),
    (follows_the_threads, check_threads),
    (needs_a_batch, test_shapes.test_a_picture_without_a_batch_is_a_batch_of_one),
    (pictures_see_each_other, test_shapes.test_pictures_of_a_batch_do_not_see_each_other),
    (another_shape_on_meta, test_shapes.test_shapes_are_known_before_computing),
    (decides_by_values, test_compile.test_compiles_to_one_graph),
    (decides_by_values, test_compile.test_exports_with_any_batch),
    (fixes_the_batch, test_compile.test_exports_with_any_batch),
    (breaks_autocast, test_autocast.test_autocast),
    (takes_everything, check_invalid),
    (passes_on_the_error, check_invalid),
    (passes_on_the_error, check_extremes),
    (eats_memory, check_extremes),
]


@pytest.mark.parametrize(
    ("fault", "check"), [pytest.param(*pair, id=f"{pair[0].__name__}-{pair[1].__name__}") for pair in FAULTS]
)
def test_fault_is_caught(fault: Callable[..., Any], check: Callable[..., None]):
    wrong = replace(RIGHT, functions={**RIGHT.functions, "avg_pool2d": fault})
    with pytest.raises((Exception, pytest.fail.Exception)):
        check(wrong, CALL)


@pytest.mark.parametrize(
    "check", list(dict.fromkeys(check for _, check in FAULTS)), ids=lambda check: check.__name__
)
def test_what_is_right_passes(check: Callable[..., None]):
    check(RIGHT, CALL)
