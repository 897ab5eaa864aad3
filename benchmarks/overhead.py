"""Microseconds that a call of each operator costs beyond PyTorch's, on a picture of 1×1×8×8.

The picture is so small that a call is nearly all overhead. The peer is PyTorch's function of the
same name; where there is none, the shortest composition of PyTorch's functions with the same result.
Ours and the peer take turns in batches of calls; the figure is the median over the rounds of the
difference. No operator is reported whose result differs from the peer's.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

import striate.functional as S
from stamp import write_result

Call = Callable[[Tensor], Tensor]
CALLS = 25  # in a batch: short, so that few are interrupted


def pairs() -> dict[str, tuple[Call, Call]]:
    """Ours and the peer by operator."""
    generator = torch.Generator().manual_seed(0)

    def weights(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    square, point, column, row = (
        weights(1, 1, 3, 3),
        weights(2, 1, 1, 1),
        weights(1, 1, 3, 1),
        weights(1, 1, 1, 3),
    )
    local = weights(1, 1, 3, 3, 6, 6)

    def by_position(x: Tensor) -> Tensor:
        patches = F.unfold(x, 3).view(1, 9, 36)
        return (patches * local.view(1, 9, 36)).sum(1).view(1, 1, 6, 6)

    def by_bins(x: Tensor) -> Tensor:
        return torch.cat([F.adaptive_max_pool2d(x, level).flatten(1) for level in (1, 2, 4)], 1)

    def by_spectrum(x: Tensor) -> Tensor:
        spectrum = torch.fft.fftshift(torch.fft.fft2(x, norm="ortho"), dim=(-2, -1))[..., 2:7, 2:7]
        return torch.fft.ifft2(torch.fft.ifftshift(spectrum, dim=(-2, -1)), norm="ortho").real * (5 / 8)

    return {
        "conv2d": (lambda x: S.conv2d(x, square), lambda x: F.conv2d(x, square)),
        "conv_transpose2d": (
            lambda x: S.conv_transpose2d(x, square),
            lambda x: F.conv_transpose2d(x, square),
        ),
        "max_pool2d": (lambda x: S.max_pool2d(x, 2), lambda x: F.max_pool2d(x, 2)),
        "avg_pool2d": (lambda x: S.avg_pool2d(x, 2), lambda x: F.avg_pool2d(x, 2)),
        "adaptive_max_pool2d": (
            lambda x: S.adaptive_max_pool2d(x, 2),
            lambda x: F.adaptive_max_pool2d(x, 2),
        ),
        "adaptive_avg_pool2d": (
            lambda x: S.adaptive_avg_pool2d(x, 2),
            lambda x: F.adaptive_avg_pool2d(x, 2),
        ),
        "lp_pool2d": (lambda x: S.lp_pool2d(x, 2.0, 2), lambda x: F.lp_pool2d(x, 2.0, 2)),
        "mixed_pool2d": (
            lambda x: S.mixed_pool2d(x, 2),
            lambda x: 0.5 * F.max_pool2d(x, 2) + 0.5 * F.avg_pool2d(x, 2),
        ),
        "pyramid_pool2d": (lambda x: S.pyramid_pool2d(x, (1, 2, 4)), by_bins),
        "spectral_pool2d": (lambda x: S.spectral_pool2d(x, 5), by_spectrum),
        "separable_conv2d": (
            lambda x: S.separable_conv2d(x, square, point),
            lambda x: F.conv2d(F.conv2d(x, square), point),
        ),
        "spatial_separable_conv2d": (
            lambda x: S.spatial_separable_conv2d(x, column, row),
            lambda x: F.conv2d(F.conv2d(x, column), row),
        ),
        "flattened_conv2d": (
            lambda x: S.flattened_conv2d(x, point[:1], column, row),
            lambda x: F.conv2d(F.conv2d(F.conv2d(x, point[:1]), column), row),
        ),
        "parallel_conv": (
            lambda x: S.parallel_conv(x, [square, point]),
            lambda x: torch.cat([F.conv2d(x, square, padding="same"), F.conv2d(x, point)], 1),
        ),
        "local_conv2d": (lambda x: S.local_conv2d(x, local), by_position),
        "conv_pool2d": (
            lambda x: S.conv_pool2d(x, square),
            lambda x: F.max_pool2d(F.relu(F.conv2d(x, square)), 2),
        ),
    }


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=201)
    parser.add_argument("--op", nargs="+", default=[], metavar="WORD", help="only these")
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    picture = torch.randn(1, 1, 8, 8)
    rows = {}
    for name, (ours, peer) in pairs().items():
        if options.op and not any(word in name for word in options.op):
            continue
        torch.testing.assert_close(
            ours(picture), peer(picture), msg=lambda text, name=name: f"{name}: {text}"
        )
        rows[name] = {}
        for mode, x in (("inference", picture), ("training", picture.clone().requires_grad_())):
            with torch.set_grad_enabled(mode == "training"):
                rows[name][mode] = compare(ours, peer, x, options.rounds)
        print(f"{name:26}" + "   ".join(f"{m}: {told(row)}" for m, row in rows[name].items()), flush=True)
    if not options.no_record:
        print("recorded in", write_result("overhead", {"rounds": options.rounds, "microseconds": rows}))


def compare(ours: Call, peer: Call, x: Tensor, rounds: int) -> dict[str, float]:
    """Microseconds a call: ours, the peer's, and the median difference."""
    times: list[tuple[float, float]] = []
    for _ in range(rounds + 1):
        times.append((batch(partial(ours, x)), batch(partial(peer, x))))
    del times[0]
    mine, theirs = (median(part) for part in zip(*times, strict=True))
    beyond = median(a - b for a, b in times)
    return {"striate": round(mine, 2), "peer": round(theirs, 2), "beyond": round(beyond, 2)}


def batch(step: Callable[[], Any]) -> float:
    """Microseconds a call, over a batch of them."""
    started = time.perf_counter()
    for _ in range(CALLS):
        step()
    return (time.perf_counter() - started) / CALLS * 1e6


def told(row: dict[str, float]) -> str:
    """A row in a few words."""
    return f"{row['striate']:6.1f} µs, peer {row['peer']:6.1f}, {row['beyond']:+6.1f}"


if __name__ == "__main__":
    main()
