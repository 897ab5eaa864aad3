"""JAX (XLA on the CPU): forward, and forward and backward, in the order that its convolutions want.

Pictures are ``(N, …, C)`` and kernels ``(…, C_in, C_out)``: they are turned once, outside of the clock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import torch
from jax import lax
from torch import Tensor

from peers.recipes import AbsentError, Window, follow
from striate.ops._spec import Call

LETTERS = "DHW"


class Jax:
    """Computes as it is asked; traced by ``jax.jit``."""

    def __init__(self, rank: int, dtype: Any) -> None:
        self.dtype, self.axes = dtype, LETTERS[-rank:]
        self.numbers = (f"N{self.axes}C", f"{self.axes}IO", f"N{self.axes}C")

    def constant(self, values: Tensor) -> Any:
        return jnp.asarray(values.numpy(), self.dtype)

    def convolve(self, x: Any, weight: Any, bias: Any, window: Window, groups: int) -> Any:
        y = lax.conv_general_dilated(
            x, weight, window.strides, window.pads, rhs_dilation=window.dilations,
            dimension_numbers=self.numbers, feature_group_count=groups,
        )  # fmt: skip
        return y if bias is None else y + bias

    def convolve_transposed(self, x: Any, weight: Any, bias: Any, window: Window, groups: int) -> Any:
        if weight.shape[-2] != 1 or weight.shape[-1] != groups:
            raise AbsentError("a recipe for depthwise only")
        pads = [
            (d * (k - 1) - before, d * (k - 1) - after)
            for k, d, (before, after) in zip(window.kernel, window.dilations, window.pads, strict=True)
        ]
        rank = len(self.axes)
        y = lax.conv_general_dilated(
            x, jnp.flip(weight, range(rank)), (1,) * rank, pads, lhs_dilation=window.strides, rhs_dilation=window.dilations,
            dimension_numbers=self.numbers, feature_group_count=groups,
        )  # fmt: skip
        return y if bias is None else y + bias

    def convolve_locally(self, x: Any, weight: Any, bias: Any, window: Window) -> Any:
        y = lax.conv_general_dilated_local(
            x, weight, window.strides, window.pads, window.kernel, rhs_dilation=window.dilations,
            dimension_numbers=self.numbers,
        )  # fmt: skip
        return y if bias is None else y + bias

    def largest(self, x: Any, window: Window) -> Any:
        return self.reduce(x, -np.inf, lax.max, window)

    def total(self, x: Any, window: Window) -> Any:
        return self.reduce(x, 0.0, lax.add, window)

    def reduce(self, x: Any, first: float, step: Callable[..., Any], window: Window) -> Any:
        return lax.reduce_window(
            x, first, step, (1, *window.kernel, 1), (1, *window.strides, 1),
            ((0, 0), *window.pads, (0, 0)), window_dilation=(1, *window.dilations, 1),
        )  # fmt: skip

    def average(self, x: Any, window: Window, counts_padding: bool) -> Any:
        if counts_padding or not any(map(any, window.pads)):
            return self.total(x, window) / float(np.prod(window.kernel))
        return self.total(x, window) / self.total(jnp.ones((1, *x.shape[1:-1], 1), x.dtype), window)

    def norm(self, x: Any, window: Window, p: int) -> Any:
        return self.total(jnp.abs(x) ** p, window) ** (1 / p)

    def relu(self, x: Any) -> Any:
        return jax.nn.relu(x)

    def sigmoid(self, x: Any) -> Any:
        return jax.nn.sigmoid(x)

    def add(self, x: Any, y: Any) -> Any:
        return x + y

    def subtract(self, x: Any, y: Any) -> Any:
        return x - y

    def multiply(self, x: Any, y: Any) -> Any:
        return x * y

    def sandwich(self, left: Any, x: Any, right: Any) -> Any:
        return jnp.einsum("ih,nhwc,jw->nijc", left, x, right, optimize=True)

    def gate(self, weight: Any, channels: int) -> Any:
        return jnp.moveaxis(weight, 0, -1)[..., None, :]

    def join_channels(self, parts: Sequence[Any]) -> Any:
        return jnp.concatenate(parts, -1)

    def join_vectors(self, parts: Sequence[Any]) -> Any:
        return jnp.concatenate([jnp.moveaxis(part, -1, 1).reshape(part.shape[0], -1) for part in parts], -1)


def array(tensor: Tensor) -> Any:
    """A tensor's numbers, by their bits."""
    tensor = tensor.detach().contiguous()
    if tensor.dtype is torch.bfloat16:
        return jnp.asarray(tensor.view(torch.int16).numpy().view(jnp.bfloat16))
    return jnp.asarray(tensor.numpy())


def back(value: Any) -> Tensor:
    """A result as a tensor in PyTorch's order of dimensions."""
    tensor = torch.from_numpy(np.array(value.astype(jnp.float32)))
    return tensor.movedim(-1, 1) if tensor.dim() > 2 else tensor


def turned(name: str, tensor: Tensor, rank: int, is_local: bool) -> Any:
    """An argument in JAX's order of dimensions."""
    if name in ("input", "gradient") and tensor.dim() > 2:
        return array(tensor.movedim(1, -1))
    if is_local and name == "weight":  # (O, I, k…, place…) → (place…, I · k…, O)
        return array(tensor.flatten(1, 1 + rank).movedim((0, 1), (-1, -2)))
    if is_local and name == "bias":
        return array(tensor.movedim(0, -1))
    if "weight" in name:
        return array(tensor.movedim((0, 1), (-1, -2)))
    return array(tensor)


LONGEST = 3.0  # seconds of a call; XLA has no fast grouped convolution, and some take minutes


def by_jax(
    call: Call, tensors: dict[str, Any], gradient: Tensor
) -> tuple[Callable[[], Any], Callable[[], Any]]:
    """Forward; forward and backward, whose results come last: gradient after gradient.

    Raises:
        AbsentError: one picture takes so long that all of them would take seconds.
    """
    pictures = len(gradient)
    if len(tensors) > 1 and pictures > 1:
        first = by_jax(call, {**tensors, "input": tensors["input"][:1]}, gradient[:1])
        for step in first:
            for limit in (2 * LONGEST, LONGEST / pictures):  # with compiling, and without
                started = time.perf_counter()
                step()
                if (seconds := time.perf_counter() - started) > limit:
                    raise AbsentError(f"a call would take about {pictures * seconds:.0f} s")
    rank, is_local = tensors["input"].dim() - 2, call.function.startswith("local")
    values = {
        name: [turned(name, t, rank, is_local) for t in part]
        if isinstance(part, list)
        else turned(name, part, rank, is_local)
        for name, part in tensors.items()
    }
    engine = Jax(rank, values["input"].dtype)
    forward = jax.jit(lambda values: follow(engine, call, values))

    def compute(values: Any, gradient: Any) -> Any:
        y, pull = jax.vjp(lambda values: follow(engine, call, values), values)
        return y, pull(gradient)[0]

    both, along = jax.jit(compute), turned("gradient", gradient, rank, is_local)
    return (
        lambda: jax.block_until_ready(forward(values)),
        lambda: jax.block_until_ready(both(values, along)),
    )
