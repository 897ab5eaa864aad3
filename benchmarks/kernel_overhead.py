"""Microseconds that a call of each operator costs beyond what its C++ kernel computes.

A kernel's time grows with the number of pictures; what a call costs besides (checks, choice of the
kernel, PyTorch's dispatcher, the result's memory) does not. So calls with n and with 2n small pictures
take turns in batches, on one thread, and the cost besides is twice the first less the second: the median
over the rounds. What a kernel prepares once a call, such as packed weights, counts as overhead. No
operator is reported that the kernels do not serve here.

Each is measured as the registered operator alone, ``torch.ops.striate.…`` with the arguments that the call ends
in, and as the function of ``striate.functional`` that checks and chooses before, without gradients and with.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor

import striate.functional as S
from overhead import batch
from stamp import write_result
from striate.ops._serving import kernel_calls

Call = Callable[[Tensor], Tensor]
Step = Callable[[], Any]


def calls() -> dict[str, tuple[Call, tuple[int, ...]]]:
    """Operators that have kernels, each with the shape of the n pictures."""
    generator = torch.Generator().manual_seed(0)

    def weights(*shape: int) -> Tensor:
        return torch.randn(shape, generator=generator)

    depthwise, first, grouped = weights(8, 1, 3, 3), weights(8, 1, 5, 5), weights(8, 4, 3, 3)
    column, row, local = weights(8, 1, 3, 1), weights(8, 1, 1, 3), weights(4, 2, 3, 3, 14, 14)
    planes = (2, 8, 24, 24)
    return {
        "conv2d, depthwise": (lambda x: S.conv2d(x, depthwise, padding=1, groups=8), planes),
        "conv2d, 4 channels a group": (lambda x: S.conv2d(x, grouped, padding=1, groups=2), planes),
        "conv2d, 1 input channel": (lambda x: S.conv2d(x, first), (4, 1, 28, 28)),
        "conv_transpose2d, depthwise": (
            lambda x: S.conv_transpose2d(x, depthwise, stride=2, padding=1, groups=8),
            planes,
        ),
        "spatial_separable_conv2d, depthwise": (
            lambda x: S.spatial_separable_conv2d(x, column, row, groups=8),
            planes,
        ),
        "conv_pool2d": (lambda x: S.conv_pool2d(x, first), (16, 1, 28, 28)),  # a picture in each lane
        "local_conv2d": (lambda x: S.local_conv2d(x, local), (8, 2, 16, 16)),
        "max_pool2d": (lambda x: S.max_pool2d(x, 2), planes),
        "avg_pool2d": (lambda x: S.avg_pool2d(x, 3, 1, 1), planes),
        "lp_pool2d": (lambda x: S.lp_pool2d(x, 2.0, 2), planes),
        "mixed_pool2d": (lambda x: S.mixed_pool2d(x, 2), planes),
        "pyramid_pool2d": (lambda x: S.pyramid_pool2d(x, (1, 2, 4)), planes),
        "spectral_pool2d": (lambda x: S.spectral_pool2d(x, 12), planes),
    }


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=401)
    parser.add_argument("--op", nargs="+", default=[], metavar="WORD", help="only these")
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = {}
    for name, (call, shape) in calls().items():
        if options.op and not any(word in name for word in options.op):
            continue
        few = torch.randn(shape)
        if not kernel_calls(partial(call, few)):
            print(f"{name:38} PyTorch serves this call here")
            continue
        many = torch.cat([few, few])
        rows[name] = {
            "operator": compare(alone(call, few), alone(call, many), options.rounds),
            "inference": compare(partial(call, few), partial(call, many), options.rounds),
        }
        few, many = few.requires_grad_(), many.requires_grad_()
        rows[name]["training"] = compare(partial(call, few), partial(call, many), options.rounds)
        told = "   ".join(f"{m}: {t['besides']:5.1f} of {t['call']:6.1f} µs" for m, t in rows[name].items())
        print(f"{name:38} {told}", flush=True)
    if not options.no_record:
        found = {"rounds": options.rounds, "microseconds": rows}
        print("recorded in", write_result("kernel_overhead", found))


def alone(call: Call, x: Tensor) -> Step:
    """The registered operator that ``call`` ends in, with its arguments."""
    ((operator, arguments),) = kernel_calls(partial(call, x))
    return partial(operator, *arguments)


def compare(few: Step, many: Step, rounds: int) -> dict[str, float]:
    """Microseconds of a call with few pictures, and of them what does not grow with their number."""
    times = [(batch(few), batch(many)) for _ in range(rounds + 1)][1:]
    return {
        "call": round(median(once for once, _ in times), 2),
        "besides": round(median(2 * once - twice for once, twice in times), 2),
    }


if __name__ == "__main__":
    main()
