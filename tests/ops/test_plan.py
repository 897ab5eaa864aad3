"""A kept plan is the one that would be chosen again, for the very look of the call."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import forward_ad

from striate import functional
from striate.errors import ArgumentTypeError
from striate.ops import _library, _plan
from striate.ops._plan import planned
from striate.ops._registry import operators

X = torch.ones(2, 3, 4, 5)


def counting() -> tuple[Any, list[Any]]:
    seen: list[Any] = []

    @planned
    def plan(input: Tensor, weight: Tensor | None, *options: Any) -> Callable[..., Any]:
        seen.append(options)
        return lambda x, w: (x, options)

    return plan, seen


def test_calls_that_look_alike_have_one_plan():
    plan, seen = counting()
    first = plan((X, None), "same", 1, (2, 3), 0.5, True, None)
    assert plan((X + 1, None), "same", 1, tuple([2, 3]), 0.5, True, None) is first  # noqa: C409 - another tuple
    assert (
        plan((nn.Parameter(X.detach(), requires_grad=False), None), "same", 1, (2, 3), 0.5, True, None)
        is first
    )
    assert len(seen) == 1


def test_without_the_kernels_there_is_another_plan(monkeypatch):
    plan, seen = counting()
    plan((X, None), 1)
    monkeypatch.setattr(_library, "NATIVE", _library.Native(not _library.NATIVE.loaded, "the other way"))
    plan((X, None), 1)
    assert len(seen) == 2


@pytest.mark.parametrize(
    "other",
    [
        X[:1],
        X.to(memory_format=torch.channels_last),
        X[:, :, :, ::2].expand(2, 3, 4, 3),
        X.double(),
        X.to_sparse(),
        X.clone().requires_grad_(),
    ],
    ids=["shape", "order", "strides", "dtype", "layout", "gradient"],
)
@pytest.mark.parametrize("place", [0, 1])
def test_other_tensors_have_a_plan_of_their_own(other: Tensor, place: int):
    plan, seen = counting()
    plan((X, X), 1)
    tensors = (other, X) if place == 0 else (X, other)
    assert plan(tensors, 1) is plan(tensors, 1)
    assert len(seen) == 2


def test_options_that_are_equal_but_of_other_types_are_others():
    plan, seen = counting()
    for value in (1, True, 1.0, (1, 2), (True, 2), (1.0, 2), ((1, 2),)) * 2:
        assert repr(plan((X, None), value)(X, None)[1]) == repr((value,))
    assert len(seen) > 7  # the first of equal ones is kept, the others are looked at every time


@pytest.mark.parametrize(
    "value", [[1, 2], ([1], 2), np.int64(3), np.array([1, 2]), torch.tensor(1), {1: 2}, torch.float32]
)
def test_options_that_may_change_are_looked_at_every_time(value: Any):
    plan, seen = counting()
    plan((X, None), value)
    plan((X, None), value)
    assert len(seen) == 2


class Marked(Tensor):
    """A subclass, whose operators may be others."""


@pytest.mark.parametrize(
    "input",
    [X.to("meta"), X.as_subclass(Marked), "no tensor", 3],
    ids=["meta", "subclass", "word", "number"],
)
def test_other_inputs_are_looked_at_every_time(input: Any):
    plan, seen = counting()
    plan((input, None), 1)
    plan((input, None), 1)
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("inside", "kept"),
    [
        (nullcontext, True),
        (torch.no_grad, True),
        (lambda: torch.backends.mkldnn.flags(enabled=False), True),
        (lambda: torch.autocast("cpu", torch.bfloat16), False),
        (forward_ad.dual_level, False),
    ],
    ids=["nothing", "no gradients", "without oneDNN", "autocast", "forward mode"],
)
@pytest.mark.filterwarnings("ignore:TF32 acceleration")
def test_what_is_around_a_call_counts(inside: Callable[[], Any], kept: bool):
    plan, seen = counting()
    with torch.inference_mode(inside is nullcontext):
        plan((X, None), 1)
    with inside():
        plan((X, None), 1)
        plan((X, None), 1)
    assert len(seen) == (2 if kept else 3)


def test_function_transforms_are_looked_at_every_time():
    plan, seen = counting()
    plan((X[0], None), 1)

    def call(x: Tensor) -> Tensor:
        return plan((x, None), 1)(x, None)[0]  # type: ignore[no-any-return]

    torch.func.vmap(call)(X)
    torch.func.vmap(call)(X)
    assert len(seen) == 3


@pytest.mark.filterwarnings("ignore:`torch.jit.trace` is deprecated")
def test_traced_sizes_are_not_kept():
    plan, seen = counting()

    def call(x: Tensor) -> Tensor:
        return plan((x, None), 1)(x, None)[0] * 2  # type: ignore[no-any-return]

    torch.jit.trace(call, X, check_trace=False)
    plan((X, None), 1)
    assert len(seen) == 2


def test_a_symbol_s_size_is_not_kept():
    from torch.fx.experimental.proxy_tensor import make_fx

    plan, seen = counting()
    make_fx(lambda x: plan((x, None), 1)(x, None)[0] * 2, tracing_mode="symbolic")(X)
    plan((X, None), 1)
    assert len(seen) == 2


def test_an_error_is_raised_every_time():
    @planned
    def plan(input: Tensor, stride: int) -> Any:
        raise ArgumentTypeError("no")

    for _ in range(2):
        with pytest.raises(ArgumentTypeError):
            plan((X,), 1)


def test_no_more_than_most_are_kept(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(_plan, "MOST", 3)
    plan, seen = counting()
    for number in range(5):
        plan((X, None), number)
    plan((X, None), 4)
    assert len(seen) == 5
    plan((X, None), 0)
    assert len(seen) == 6


def test_a_wrong_option_is_wrong_after_the_right_one_too():
    weight = torch.ones(3, 3, 2, 2)
    functional.conv2d(X, weight, None, (1, 2))
    for stride in ((1.0, 2), (True, 2), 2.0):
        with pytest.raises(ArgumentTypeError, match="stride"):
            functional.conv2d(X, weight, None, stride)  # type: ignore[arg-type]


def test_a_list_that_changes_changes_the_call():
    stride = [1, 1]
    before = functional.max_pool2d(X, 2, stride)
    stride[1] = 2
    assert before.shape[-1] == 4
    assert functional.max_pool2d(X, 2, stride).shape[-1] == 2


def test_a_layer_that_is_frozen_and_thawed_has_the_gradients_it_asks_for():
    layer = nn.Conv2d(32, 32, 3, groups=32)
    x = torch.ones(2, 32, 8, 8)
    for wants in (True, False, True):
        layer.requires_grad_(wants)
        output = functional.conv2d(x, layer.weight, layer.bias, groups=32)
        assert output.requires_grad is wants
        with torch.no_grad():
            assert not functional.conv2d(x, layer.weight, layer.bias, groups=32).requires_grad


@pytest.mark.parametrize("name", list(operators()))
def test_plans_hold_no_tensor(name: str):
    spec = operators()[name]
    for call in spec.samples:
        tensors = spec.tensors(call, torch.float32)
        given = [t for value in tensors.values() for t in (value if isinstance(value, list) else [value])]
        alive = [weakref.ref(tensor) for tensor in given if isinstance(tensor, Tensor)]
        spec.functions[call.function](**tensors, **call.options)
        del tensors, given
        gc.collect(0)
        assert not [ref for ref in alive if ref() is not None], call
