"""What PyTorch's layers read: convolution, pooling, interpolation, matrix products, normalisation.

A rule gets a finished call of an operator and returns a node for each of its results.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import prod
from typing import Any

from torch import Tensor

from striate.errors import ArgumentError
from striate.geometry._follow import Call
from striate.geometry._rules_of_places import PLACE_RULES
from striate.geometry._rules_of_views import VIEW_RULES, Rule, registrar
from striate.geometry.along import SAME, All, Along, Bins, Blocks, One, Resample, Transposed, Window
from striate.geometry.graph import Link, Node, Reads

RULES: dict[Any, Rule] = {**VIEW_RULES, **PLACE_RULES}
rule = registrar(RULES)


@rule("convolution", "_convolution")
def convolution(call: Call) -> list[Node]:
    """Every output channel reads the channels of its group through a window."""
    given, result = call.given, call.result
    x, weight = given["input"], given["weight"]
    rank = weight.dim() - 2
    kernel, groups = tuple(weight.shape[2:]), given["groups"]
    stride, padding, dilation = (each(given[name], rank) for name in ("stride", "padding", "dilation"))
    transposed = given["transposed"]
    if transposed and x.shape[1] != weight.shape[0]:  # PyTorch's meta kernel does not look
        raise ArgumentError(f"input came with {x.shape[1]} channels, the weight takes {weight.shape[0]}")
    call.follower.count((x if transposed else result).numel() * prod(weight.shape[1:]), weight)
    settings = {"kernel": kernel, "stride": stride, "padding": padding}
    if transposed:
        settings["output_padding"] = each(given["output_padding"], rank)
    call.follower.note(
        "conv_transpose" if transposed else "conv",
        input=tuple(x.shape[1:]),
        output=tuple(result.shape[1:]),
        **settings,
        dilation=dilation,
        groups=groups,
        bias=given["bias"] is not None,
    )
    call.follower.show()
    if call.follower.node(weight) is not None:
        return call.lost("convolution with weights that depend on the picture")
    kind = Transposed if transposed else Window
    along = [kind(*numbers) for numbers in zip(kernel, stride, padding, dilation, strict=True)]
    return [_sliding(call, along, _grouped(x.shape[1], result.shape[1], groups))]


@rule("max_pool1d", "max_pool2d", "max_pool3d", "max_pool2d_with_indices", "max_pool3d_with_indices")
@rule("max_pool1d_with_indices", "avg_pool1d", "avg_pool2d", "avg_pool3d")
def pooling(call: Call) -> list[Node]:
    """A window over each channel."""
    given = call.given
    rank = rank_of(call.name)
    kernel = each(given["kernel_size"], rank)
    stride = each(given["stride"] or kernel, rank)
    padding, dilation = each(given["padding"], rank), each(given.get("dilation", 1), rank)
    call.follower.note(
        "pool",
        **_shapes(call, rank),
        kernel=kernel,
        stride=stride,
        padding=padding,
        dilation=dilation,
        ceil_mode=given["ceil_mode"],
    )
    call.follower.show()
    along = [Window(*numbers) for numbers in zip(kernel, stride, padding, dilation, strict=True)]
    return [_sliding(call, along)] * len(call.results)


@rule("adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_avg_pool3d", "_adaptive_avg_pool2d")
@rule("_adaptive_avg_pool3d", "adaptive_max_pool1d", "adaptive_max_pool2d", "adaptive_max_pool3d")
def adaptive_pooling(call: Call) -> list[Node]:
    """Bins that cover each channel."""
    rank = rank_of(call.name)
    sizes = call.input.shape[-rank:]
    bins = tuple(call.result.shape[-rank:])
    call.follower.note("adaptive_pool", **_shapes(call, rank))
    call.follower.show()
    along = [Bins(size, number) for size, number in zip(sizes, bins, strict=True)]
    return [_sliding(call, along)] * len(call.results)


@rule("upsample_nearest1d", "upsample_nearest2d", "upsample_nearest3d", "_upsample_nearest_exact1d")
@rule("_upsample_nearest_exact2d", "_upsample_nearest_exact3d", "upsample_linear1d", "upsample_bilinear2d")
@rule("upsample_trilinear3d", "upsample_bicubic2d")
def interpolation(call: Call) -> list[Node]:
    """Each output reads the samples around its place."""
    rank = rank_of(call.name)
    given = call.given
    factors = given.get("scale_factors") or [
        given.get(f"scales{axis}") for axis in ("_d", "_h", "_w")[3 - rank :]
    ]
    if rank == 1 and "scales" in given:
        factors = [given["scales"]]
    sizes = zip(call.input.shape[-rank:], call.result.shape[-rank:], factors, strict=True)
    along = [_resample(call.name, *each, given.get("align_corners", False)) for each in sizes]
    call.follower.show()
    return [_sliding(call, along)]


def _resample(name: str, size: int, wanted: int, factor: float | None, align_corners: bool) -> Resample:
    scale = Fraction(size, wanted) if factor is None else 1 / Fraction(factor).limit_denominator(100_000)
    half = Fraction(1, 2)
    if "nearest_exact" in name:
        return Resample(scale, half * scale, 1)
    if "nearest" in name:
        return Resample(scale, Fraction(0), 1)
    reach = 4 if "cubic" in name else 2
    if align_corners:
        return Resample(Fraction(size - 1, max(wanted - 1, 1)), Fraction(0), reach)
    return Resample(scale, half * scale - half, reach)


@rule("linear")
def linear(call: Call) -> list[Node]:
    """The last dimension is mixed."""
    x, weight = call.given["input"], call.given["weight"]
    call.follower.count(call.result.numel() * weight.shape[-1], weight)
    bias = call.given["bias"] is not None
    call.follower.note(
        "linear",
        inputs=weight.shape[-1],
        outputs=call.result.shape[-1],
        positions=prod(call.result.shape[1:-1]),
        bias=bias,
    )
    call.follower.show()
    if call.follower.node(weight) is not None:
        return call.lost("linear with weights that depend on the picture")
    keep: list[Reads] = [(dim, SAME) for dim in range(x.dim() - 1)]
    last = x.dim() - 1
    mixed: Reads = (last if call.result.dim() == x.dim() else None, All(x.shape[-1]))
    return [call.new(Link(call.node(), [*keep, mixed]))]


@rule("mm", "addmm", "bmm", "baddbmm", "mv", "addmv", "dot", "_addmm_activation")
def product(call: Call) -> list[Node]:
    """Rows of the first factor with columns of the second; what is added is broadcast."""
    given, follower = call.given, call.follower
    factors = [
        given[name]
        for name in ("self", "mat2", "batch2", "mat1", "batch1", "vec", "vec2", "tensor")
        if name in given
    ]
    added = factors.pop(0) if call.name.startswith(("addm", "badd")) else None
    first, second = sorted(factors, key=lambda t: not _is_first(t, given))
    inner = first.shape[-1]
    follower.count(call.result.numel() * inner, second if follower.node(first) else first)
    follower.show()
    links = []
    shape = tuple(call.result.shape)
    if (node := follower.node(first)) is not None:
        keep: list[Reads] = [(dim, SAME) for dim in range(first.dim() - 1)]
        links.append(Link(node, [*keep, (None, All(inner))]))
    if (node := follower.node(second)) is not None:
        batch: list[Reads] = [(dim, SAME) for dim in range(second.dim() - 2)]
        columns: list[Reads] = [(len(shape) - 1, SAME)] if second.dim() > 1 else []
        links.append(Link(node, [*batch, (None, All(inner)), *columns]))
    if added is not None and (node := follower.node(added)) is not None:
        links.append(Link(node, _broadcast_into(node.shape, shape)))
    return [call.new(*links)]


def _is_first(tensor: Tensor, given: dict[str, Any]) -> bool:
    return any(given.get(name) is tensor for name in ("mat1", "batch1")) or given.get("self") is tensor


def _broadcast_into(shape: Sequence[int], result: Sequence[int]) -> list[Reads]:
    offset = len(result) - len(shape)
    return [(offset + d, SAME if n == result[offset + d] else One()) for d, n in enumerate(shape)]


@rule("batch_norm", "native_batch_norm", "_native_batch_norm_legit", "_native_batch_norm_legit_no_training")
@rule("cudnn_batch_norm", "_batch_norm_impl_index")
def batch_normalisation(call: Call) -> list[Node | None]:
    """Element by element with kept statistics; over the batch and all positions without."""
    x = call.node()
    own = call.given.get("training", False) or call.given.get("running_mean") is None
    if own and not call.name.endswith("no_training"):
        x = call.new(Link(x, [(d, SAME if d == 1 else All(n)) for d, n in enumerate(x.shape)]))
    return [x, *(None for _ in call.results[1:])]


@rule("layer_norm", "native_layer_norm", "rms_norm", "_fused_rms_norm")
def layer_normalisation(call: Call) -> list[Node | None]:
    """Over the last dimensions."""
    x = call.node()
    first = len(x.shape) - len(call.given["normalized_shape"])
    dims: list[Reads] = [(d, All(n) if d >= first else SAME) for d, n in enumerate(x.shape)]
    return [call.new(Link(x, dims)), *(None for _ in call.results[1:])]


@rule("group_norm", "native_group_norm")
def group_normalisation(call: Call) -> list[Node | None]:
    """Over the channels of a group and all positions."""
    x = call.node()
    groups = call.given["num_groups"] if "num_groups" in call.given else call.given["group"]
    channels = Blocks(x.shape[1] // groups, x.shape[1] // groups)
    dims: list[Reads] = [(0, SAME), (1, channels), *((d, All(n)) for d, n in enumerate(x.shape) if d > 1)]
    return [call.new(Link(x, dims)), *(None for _ in call.results[1:])]


@rule("instance_norm")
def instance_normalisation(call: Call) -> list[Node]:
    """Over all positions of a channel; element by element with kept statistics."""
    x = call.node()
    if not call.given["use_input_stats"]:
        return [x]
    dims: list[Reads] = [(d, All(n) if d > 1 else SAME) for d, n in enumerate(x.shape)]
    return [call.new(Link(x, dims))]


def _sliding(call: Call, along: Sequence[Along], channels: Along = SAME) -> Node:
    """The last dimensions are read ``along``, the one before is the channels'."""
    node = call.node()
    first = len(node.shape) - len(along)
    dims: list[Reads] = [(dim, SAME) for dim in range(first - 1)]
    if first:
        dims.append((first - 1, channels))
    dims += [(first + i, each) for i, each in enumerate(along)]
    return call.new(Link(node, dims))


def _shapes(call: Call, rank: int) -> dict[str, tuple[int, ...]]:
    """Channels and sizes that come and leave."""
    return {"input": tuple(call.input.shape[-rank - 1 :]), "output": tuple(call.result.shape[-rank - 1 :])}


def _grouped(inputs: int, outputs: int, groups: int) -> Along:
    if groups == 1:
        return All(inputs)
    return SAME if inputs == outputs == groups else Blocks(inputs // groups, outputs // groups)


def rank_of(name: str) -> int:
    """The dimensions in an operator's name: 2 of ``max_pool2d``."""
    return int(next(letter for letter in name if letter.isdigit()))


def each(value: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """One number for each dimension."""
    numbers = (value,) if isinstance(value, int) else tuple(value)
    return numbers * rank if len(numbers) == 1 else numbers
