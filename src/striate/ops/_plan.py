"""How a call is to be computed, settled once for calls that look alike.

Which kernel serves a call, and with which windows, follows from the sizes, strides and dtypes of its tensors and
from its options. To look at all of them again takes longer than to call the kernel: several times as long where other
work has taken the caches.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from operator import is_
from typing import Any, TypeVar

from torch import Tensor, is_autocast_enabled, is_grad_enabled
from torch._C import _are_functorch_transforms_active as are_transforms_active
from torch._C import _get_mkldnn_enabled
from torch.autograd import forward_ad
from torch.compiler import is_dynamo_compiling
from torch.nn import Parameter

from striate.ops import _library
from striate.ops._layout import dense, is_dense

MOST = 1024  # plans of one operator

Plan = Callable[..., Any]
P = TypeVar("P", bound=Plan | None)


def planned(choose: Callable[..., P]) -> Callable[..., P]:
    """``plan(tensors, *options)``, which keeps what ``choose(*tensors, *options)`` gives for tensors on the CPU.

    That is the function of the tensors alone that computes such a call, or ``None`` where there is none. It must
    follow from sizes, strides and dtypes of the tensors, from whether they want gradients, from whether there are
    kernels, and from the options, and must hold no tensor.

    Graphs, autocast, function transforms, tensors of other classes or other devices, lists and other options that may
    change are looked at every time. An error is not kept.
    """
    kept: dict[Any, tuple[P, tuple[Any, ...]]] = {}

    @wraps(choose)
    def plan(tensors: tuple[Tensor | None, ...], *options: Any) -> P:
        # Everything here is as short as can be: in cold caches a name or a call costs a microsecond.
        if (
            is_dynamo_compiling()
            or forward_ad._current_level >= 0
            or are_transforms_active()
            or is_autocast_enabled("cpu")
        ):
            return choose(*tensors, *options)
        looks: list[Any] = [is_grad_enabled(), _get_mkldnn_enabled(), _library.NATIVE.loaded, options]
        try:
            for tensor in tensors:
                if tensor is None:
                    looks.append(None)
                elif (type(tensor) is Tensor or type(tensor) is Parameter) and tensor.is_cpu:
                    looks += (
                        tensor.shape,
                        tensor.stride(),
                        tensor.dtype,
                        tensor.layout,
                        tensor.requires_grad,
                    )
                else:
                    return choose(*tensors, *options)
            key = tuple(looks)
            found = kept.get(key)
        except (TypeError, RuntimeError):  # options that may change, symbols, sparse tensors
            return choose(*tensors, *options)
        if found is None:
            chosen = choose(*tensors, *options)
            if _stay(options) and _stay(tuple([tuple(t.shape) for t in tensors if t is not None])):
                if len(kept) >= MOST:
                    kept.clear()
                kept[key] = (chosen, options)
            return chosen
        chosen, alike = found
        if not all(map(is_, options, alike)):
            if repr(options) != repr(alike):  # equal, and yet others: 1, True and 1.0
                return choose(*tensors, *options)
            kept[key] = (chosen, options)  # which come again, as a layer's do
        return chosen

    return plan


def _stay(values: tuple[Any, ...]) -> bool:
    """Whether there is nothing but Python's own numbers and words, and tuples of them. (Sizes may be symbols.)"""
    for value in values:
        if isinstance(value, tuple):
            if not _stay(value):
                return False
        elif not (value is None or type(value) in (int, bool, float, str)):
            return False
    return True


def prepared(
    plan: Plan, input: Tensor, *weights: Tensor | None, order: Callable[[Tensor], Tensor] = dense
) -> Plan:
    """``plan``, which takes an input without gaps and contiguous weights, for tensors that lie like these.

    ``order`` gives the input without gaps.
    """
    if is_dense(input) and all(weight is None or weight.is_contiguous() for weight in weights):
        return plan

    def copied(x: Tensor, *ws: Tensor | None) -> Any:
        return plan(order(x), *[w if w is None else w.contiguous() for w in ws])

    return copied
