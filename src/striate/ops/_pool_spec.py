"""Calls that every pooling has to master: sliding windows, adaptive windows, the whole picture."""

from __future__ import annotations

import random
from typing import Any

import torch

from striate import geometry
from striate.ops._spec import Call, InvalidCall, LayerSample, Shape, split_batch

SIZE = {1: (9,), 2: (7, 8), 3: (5, 4, 6)}
KERNEL: dict[int, Shape] = {1: (3,), 2: (3, 2), 3: (2, 3, 2)}
LARGE = {1: (2, 16, 131), 2: (2, 16, 33, 35), 3: (2, 8, 9, 10, 11)}
SERVED = {1: (2, 16, 131), 2: (1, 16, 16, 17), 3: (1, 8, 5, 9, 12)}  # the smallest that kernels take
SQUARES = (2, 19, 9, 45)  # whose windows of 2 × 2 fill registers and a part of one, in either layout


def picture_shape(call: Call) -> tuple[Shape, Shape]:
    """``(N,)`` or ``()``, and ``(C, *size)``, of the call of a function named ``…1d``, ``…2d`` or ``…3d``."""
    return split_batch(call, int(call.function[-2]))


def pool_shape(call: Call) -> Shape:
    """Shape of the result of any pooling here, by geometry."""
    batch, picture = picture_shape(call)
    if call.function.startswith("global"):
        return batch + geometry.global_pool(picture).output
    if call.function.startswith("adaptive"):
        return batch + geometry.adaptive_pool(picture, call.options["output_size"]).output
    names = ("kernel_size", "stride", "padding", "dilation", "ceil_mode")
    arguments = {name.removesuffix("_size"): call.options[name] for name in names if name in call.options}
    return batch + geometry.pool(picture, **arguments).output


def no_macs(call: Call) -> int:
    """A pooling has no weight to multiply by."""
    return 0


def window_samples(stem: str) -> list[Call]:
    """Valid calls of ``<stem>1d``, ``<stem>2d`` and ``<stem>3d`` with arguments that all of them have."""
    return [call for rank in (1, 2, 3) for call in _window_samples(f"{stem}{rank}d", rank)]


def _window_samples(function: str, rank: int) -> list[Call]:
    size, kernel = SIZE[rank], KERNEL[rank]
    picture = (2, 3, *size)
    pairs = ((1, 0), (0, 1), (1, 1))[:rank]
    wide = ((2, 3), (3, 0), (1, 2))[:rank]
    once = (1,) * rank

    def call(name: str, input: Shape, kernel_size: int | Shape, **options: Any) -> Call:
        return Call(function, {"input": input}, {"kernel_size": kernel_size, **options}, name)

    return [
        call("defaults", picture, 2),
        call("no batch", (3, *size), kernel),
        call("empty batch", (0, 3, *size), 2),
        call("ones everywhere", (1, 1, *once), 1),
        call("stride", picture, 2, stride=tuple(range(2, 2 + rank))),
        call("overlapping windows", picture, 3, stride=1),
        call("gaps between windows", picture, 1, stride=2),
        call("padding", picture, kernel, stride=2, padding=1),
        call("window larger than the picture", (2, 2, *once), 5, padding=2),
        call("ceil_mode", picture, 2, stride=3, ceil_mode=True),
        call(
            "ceil_mode, window larger than the picture", (1, 2, *((2,) * rank)), 3, stride=2, ceil_mode=True
        ),
        call(
            "ceil_mode, a window that would start in the padding",
            (1, 2, *((5,) * rank)),
            2,
            stride=3,
            padding=1,
            ceil_mode=True,
        ),
        call("pairs", picture, kernel, stride=2, padding=pairs),
        call("pairs before only", picture, 2, stride=1, padding=((1, 0),) * rank),
        call("pairs of more than half the kernel", picture, 4, stride=1, padding=wide),
        call("pairs and ceil_mode", picture, 3, stride=2, padding=((1, 2),) * rank, ceil_mode=True),
        call("same", picture, 4, stride=1, padding="same"),
        call("same with stride", picture, kernel, stride=3, padding="same"),
        call("valid", picture, kernel, padding="valid"),
        call("larger", LARGE[rank], 3, stride=2, padding=1),
    ]


def dilated_samples(stem: str) -> list[Call]:
    """Valid calls with a dilation."""
    calls = []
    for rank in (1, 2, 3):
        picture = (2, 3, *SIZE[rank])
        pairs = ((2, 1), (0, 2), (1, 1))[:rank]
        table: list[tuple[str, Shape, dict[str, Any]]] = [
            ("dilation", picture, {"kernel_size": 2, "dilation": (3, 2, 4)[:rank], "stride": 1}),
            ("dilation and padding", picture, {"kernel_size": 2, "dilation": 2, "padding": 1, "stride": 2}),
            ("dilation and pairs", picture, {"kernel_size": KERNEL[rank], "dilation": 2, "padding": pairs}),
            ("dilation, same", picture, {"kernel_size": 3, "dilation": 2, "stride": 1, "padding": "same"}),
            (
                "dilation and ceil_mode",
                picture,
                {"kernel_size": 2, "dilation": 2, "stride": 2, "ceil_mode": True},
            ),
            ("dilation, larger", LARGE[rank], {"kernel_size": 3, "dilation": 2, "stride": 1}),
        ]
        calls += [Call(f"{stem}{rank}d", {"input": input}, options, name) for name, input, options in table]
    return calls


def empty_window_samples(stem: str) -> list[Call]:
    """Valid calls with windows that have no tap in the picture."""
    calls = []
    for rank in (1, 2, 3):
        beyond = {"kernel_size": 2, "padding": ((3, 4),) * rank}
        over = {"kernel_size": 2, "dilation": 3, "padding": 1, "stride": 1}
        before = {"kernel_size": 2, "stride": 4, "padding": ((3, 0),) * rank}
        calls += [
            Call(
                f"{stem}{rank}d", {"input": (1, 2, *((3,) * rank))}, beyond, "pairs of more than the kernel"
            ),
            Call(
                f"{stem}{rank}d", {"input": (1, 2, *((2,) * rank))}, over, "taps that jump over the picture"
            ),
            Call(f"{stem}{rank}d", {"input": (1, 2, *((2,) * rank))}, before, "a window before the picture"),
        ]
    return calls


def adaptive_samples(stem: str) -> list[Call]:
    """Valid calls of the adaptive and the global forms: ``adaptive_<stem>2d``, ``global_<stem>2d`` …"""
    calls = []
    for rank in (1, 2, 3):
        size = SIZE[rank]
        pictures = {
            "defaults": (2, 3, *size),
            "no batch": (3, *size),
            "empty batch": (0, 3, *size),
            "ones everywhere": (1, 1, *((1,) * rank)),
            "larger": LARGE[rank],
        }
        for name, picture in pictures.items():
            calls.append(Call(f"global_{stem}{rank}d", {"input": picture}, {}, name))
            calls.append(Call(f"adaptive_{stem}{rank}d", {"input": picture}, {"output_size": 3}, name))
        more: dict[str, Any] = {"one": 1, "each": (4, 2, 5)[:rank], "more bins than samples": 11}
        if rank > 1:
            more = {"kept": (None, 3, None)[:rank], **more}
        calls += [
            Call(f"adaptive_{stem}{rank}d", {"input": (2, 3, *size)}, {"output_size": wanted}, name)
            for name, wanted in more.items()
        ]
    return calls


def random_pool(function: str, source: random.Random, *, dilated: bool = True) -> Call:
    """A valid call with random sizes and arguments."""
    rank = int(function[-2])
    channels = (source.randint(1, 3),)
    batch = (source.randint(1, 2),) if source.random() < 0.8 else ()

    def draw(least: int, most: int) -> Shape:
        return tuple(source.randint(least, most) for _ in range(rank))

    if function.startswith(("adaptive", "global")):
        options: dict[str, Any] = {"output_size": draw(1, 5)} if function.startswith("adaptive") else {}
        return Call(function, {"input": (*batch, *channels, *draw(1, 7))}, options, "random")
    kernel, dilation = draw(1, 3), draw(1, 3) if dilated and source.random() < 0.5 else (1,) * rank
    size = tuple(d * (k - 1) + 1 + source.randint(0, 3) for k, d in zip(kernel, dilation, strict=True))
    padding: Any = source.choice(["same", "valid", "equal", "pairs", "none"])
    if padding == "equal":
        padding = tuple(source.randint(0, k // 2) for k in kernel)
    elif padding == "pairs":
        padding = tuple(zip(draw(0, 4), draw(0, 4), strict=True))
    options = {
        "kernel_size": kernel,
        "stride": source.choice([None, draw(1, 3)]),
        "padding": 0 if padding == "none" else padding,
        "ceil_mode": source.random() < 0.3,
    }
    if dilated:
        options["dilation"] = dilation
    return Call(function, {"input": (*batch, *channels, *size)}, options, "random")


def invalid_windows(stem: str) -> list[InvalidCall]:
    """Calls of ``<stem>1d``, ``<stem>2d`` and ``<stem>3d`` that must be refused."""

    def invalid(
        *says: str, input: Shape = (2, 3, 6, 7), dtype: torch.dtype = torch.float32, **options: Any
    ) -> InvalidCall:
        call = Call(f"{stem}2d", {"input": input}, {"kernel_size": 2, **options})
        return InvalidCall(call, says, dtype)

    return [
        invalid("input", "2 dimensions", "(N, C, H, W)", input=(6, 7)),
        invalid("input", "5 dimensions", input=(1, 2, 3, 6, 7)),
        invalid("input", "(2, 0, 6, 7)", "one channel", input=(2, 0, 6, 7)),
        invalid("input", "(2, 3, 0, 7)", "height and width", input=(2, 3, 0, 7)),
        invalid("input", "torch.complex64", dtype=torch.complex64),
        invalid("input", "torch.bool", dtype=torch.bool),
        invalid("kernel_size", "0", kernel_size=0),
        invalid("kernel_size", "(2, -1)", kernel_size=(2, -1)),
        invalid("kernel_size", "3 numbers", kernel_size=(2, 2, 2)),
        invalid("kernel_size", "'two'", kernel_size="two"),
        invalid("kernel_size", "2.5", kernel_size=2.5),
        invalid("kernel_size", "2147483648", kernel_size=2**31),
        invalid("height", "window of 7", "does not fit in 6", "padding=1", kernel_size=7),
        invalid("width", "window of 8", "⌊(7 + 0 + 0 − 1·(8 − 1) − 1) / 8⌋ + 1", kernel_size=(2, 8)),
        invalid("stride", "0", stride=0),
        invalid("stride", "9223372036854775807", stride=2**63 - 1),
        invalid("padding", "-1", padding=-1),
        invalid("padding", "2 // 2 = 1", "padding=((2, 2), (2, 2))", padding=2),
        invalid("padding", "9223372036854775807", padding=2**63 - 1),
        invalid("padding", "'full'", '"same"', padding="full"),
        invalid("padding", "wanted 2 numbers or (before, after) pairs", padding=((1, 0), (1, 0), (1, 0))),
        invalid("padding", "-1", padding=((0, -1), (0, 0))),
        invalid("dilation", "0", dilation=0),
        invalid("dilation", "2147483648", dilation=2**31),
        invalid("height", "window of 2 (dilation 6)", dilation=(6, 1)),
        InvalidCall(Call(f"{stem}1d", {"input": (2, 3, 4, 5)}, {"kernel_size": 2}), ("(N, C, L)",)),
        InvalidCall(Call(f"{stem}1d", {"input": (2, 3, 6)}, {"kernel_size": 2**32 + 1}), ("4294967297",)),
        InvalidCall(
            Call(f"{stem}3d", {"input": (2, 3, 4, 4, 4)}, {"kernel_size": (2, 2, 5)}),
            ("width", "window of 5"),
        ),
    ]


def invalid_adaptive(stem: str) -> list[InvalidCall]:
    """Calls of the adaptive and the global forms that must be refused."""
    found = []
    for rank, letters in ((1, "(N, C, L)"), (2, "(N, C, H, W)"), (3, "(N, C, D, H, W)")):
        picture = (2, 3, *SIZE[rank])
        adaptive, whole = f"adaptive_{stem}{rank}d", f"global_{stem}{rank}d"
        bad: list[tuple[Any, str]] = [
            (-1, "-1"),
            ((2,) * (rank + 1), f"{rank} of them"),
            ("two", "whole numbers"),
        ]
        found += [
            InvalidCall(Call(adaptive, {"input": picture}, {"output_size": wanted}), ("output_size", says))
            for wanted, says in bad
        ]
        for function, options in ((adaptive, {"output_size": 2}), (whole, {})):
            found += [
                InvalidCall(Call(function, {"input": (2,) * rank}, options), ("input", letters)),
                InvalidCall(
                    Call(function, {"input": (2, 3, *SIZE[rank][1:], 0)}, options), ("input", "a sample")
                ),
                InvalidCall(
                    Call(function, {"input": picture}, options), ("torch.complex64",), torch.complex64
                ),
                InvalidCall(Call(function, {"input": picture}, options), ("torch.int64",), torch.int64),
            ]
    return found


def layer_samples(stem: str) -> list[LayerSample]:
    """Samples of ``<stem>``, ``Adaptive<stem>`` and ``Global<stem>`` layers, as in ``MaxPool``."""
    found = []
    for rank in (1, 2, 3):
        picture = (2, 3, *SIZE[rank])
        found += [
            LayerSample(f"{stem}{rank}d", {"kernel_size": 2}, picture),
            LayerSample(
                f"{stem}{rank}d", {"kernel_size": 3, "stride": 2, "padding": 1, "ceil_mode": True}, picture
            ),
            LayerSample(f"{stem}{rank}d", {"kernel_size": 2, "stride": 1, "padding": "same"}, picture),
            LayerSample(f"Adaptive{stem}{rank}d", {"output_size": 3}, picture),
            LayerSample(f"Global{stem}{rank}d", {}, picture),
        ]
    return found
