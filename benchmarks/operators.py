"""Every operator's benchmark cases: Striate against its peers, forward and forward + backward.

    python benchmarks/operators.py                      all of them, about ten minutes
    python benchmarks/operators.py --op depthwise pool  those whose operator or name has one of the words
    python benchmarks/operators.py --dtype bfloat16
    python benchmarks/operators.py --peers              against PyTorch's own operators only: two minutes

Everybody takes turns in one process, with the same number of threads. A figure is the median over the
rounds, a ratio the median of the rounds' ratios. The peers are PyTorch's operators with contiguous
tensors and with channels last (where PyTorch lacks the operator: the composition of its operators that
Striate uses without kernels), torch.compile in the layout that is faster without it, JAX, and, forward
only, ONNX Runtime and OpenVINO with the weights as constants of their graphs. *Limit* is the time that
the arithmetic or the memory traffic needs at the rates that this run measured: a large matrix product
and a copy. The allocator keeps what is freed, so that nobody pays for new pages by chance. Memory is what a
call takes beyond its arguments, from a process of its own. With ``--dtype bfloat16`` Striate's float32 races too.

An operator whose contract tests fail is not reported, nor is a case whose values or gradients differ from
float64. A peer that is missing, fails or differs is named.
"""

from __future__ import annotations

import argparse
import sys
from statistics import median
from typing import Any

import torch

from cases import Case, chosen, distance
from contract import failures
from memory import measure as measure_memory
from peers.field import NAMES, PEERS, gather, set_threads
from racing import compare, keep_memory, measure_rates, race
from stamp import installed, write_result
from striate.ops._serving import kernels_used

BOUNDS = {torch.float32: 1e-3, torch.bfloat16: 5e-2}  # of the largest value
PACKAGES = {"onnxruntime": "onnxruntime", "openvino": "openvino", "jax": "jax"}


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--op", nargs="+", default=[], metavar="WORD", help="only these")
    parser.add_argument("--peers", nargs="*", choices=PEERS, default=list(PEERS), help="besides PyTorch")
    parser.add_argument("--rounds", type=int, default=9, help="at least; short steps have more")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--no-contract", action="store_true", help="skip the contract tests; not recorded")
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    set_threads(options.threads)
    dtype = getattr(torch, options.dtype)
    cases = list(chosen(options.op))
    wrong = {}
    if not options.no_contract:
        print("contract tests, unless they are remembered …", flush=True)
        wrong = failures(sorted({spec.name for spec, _ in cases}))
    peaks = measure_memory(options.dtype, options.threads, options.op)
    kept = keep_memory()
    rates = measure_rates(dtype)
    print(f"{rates['flops'] / 1e9:.0f} GF/s, {rates['bytes'] / 1e9:.1f} GB/s, {options.threads} threads")
    versions = {name: installed(package) for name, package in PACKAGES.items() if name in options.peers}
    for spec, call in cases:
        if spec.name in wrong:
            continue
        case = Case(spec, call, dtype)
        try:
            rows = measure(case, options.peers, options.rounds)
        except WrongError as error:
            wrong[f"{spec.name}: {call}"] = str(error)
            continue
        for row in rows:
            row |= {
                "rates": rates,
                "memory_kept": kept,
                "peers": versions,
                "peak": peaks[f"{spec.name} {call}"],
            }
            print(told(row), flush=True)
            if not (options.no_record or options.no_contract):
                write_result("operators", row)
        for name, why in rows[0]["absent"].items():
            print(f"{'':24}without {name}: {why}", flush=True)
    if wrong:
        lines = "\n".join(f"{name}: {why}" for name, why in wrong.items())
        sys.exit("not reported, because they are wrong:\n" + lines)


class WrongError(Exception):
    """Striate's results are not what float64 gives."""


def measure(case: Case, wanted: list[str], rounds: int) -> list[dict[str, Any]]:
    """A row for each layout: everybody's times in milliseconds, and the ratio to the best peer."""
    bound, exact = BOUNDS[case.dtype], case.exact()
    ours, in_float32 = {}, {}
    wide = None if case.dtype == torch.float32 else Case(case.spec, case.call, torch.float32)
    for last in case.layouts:
        name = "striate, channels last" if last else "striate"
        ours[name] = case.steps(last, case.run)
        if wide:
            in_float32[f"{name}, float32"] = wide.steps(last, wide.run)
        forward, both = ours[name]
        if (apart := max(distance([forward()], exact[:1]), distance(list(both()), exact))) > bound:
            raise WrongError(f"{name}: {apart:.2g} away from float64")
    field = gather(case, wanted, exact, bound)
    about = {
        "operator": case.spec.name,
        "case": str(case.call),
        "dtype": str(case.dtype).removeprefix("torch."),
        "macs": case.spec.macs(case.call),
        "bytes": case.traffic(),
        "absent": field.absent,
    }
    rows = [
        about | {"channels_last": last, "kernels": kernels_used(both)}
        for last, (_, both) in zip(case.layouts, ours.values(), strict=True)
    ]
    for number, what in enumerate(("forward", "both")):
        peers = getattr(field, what)
        own = {name: steps[number] for name, steps in (ours | in_float32).items()}
        times = race({**own, **peers}, rounds)
        for row, name in zip(rows, ours, strict=True):
            best, ratio = compare(times, name, list(peers))
            shown = {n: round(median(times[n]) * 1e3, 4) for n in peers}
            mine = round(median(times[name]) * 1e3, 4)
            row[what] = {
                "rounds": len(times[name]),
                "milliseconds": {"striate": mine, **shown},
                "best_peer": best,
                "ratio": round(ratio, 3),
            }
            if wide:
                row[what]["to_float32"] = round(compare(times, name, [f"{name}, float32"])[1], 3)
    return rows


def told(row: dict[str, Any]) -> str:
    """A row in a line."""
    parts = [f"{row['operator']:>22} {row['case'][:34]:34} {'NHWC' if row['channels_last'] else 'NCHW'}"]
    added = ", channels last" if row["channels_last"] else ""
    for what in ("forward", "both"):
        found, peak = row[what], row["peak"][what]
        mine, best = found["milliseconds"]["striate"], found["best_peer"]
        parts.append(
            f"{mine:8.2f} ms, best {found['milliseconds'][best]:8.2f} {SHORT.get(best, best):12}"
            f" {found['ratio']:6.2f}×, {limit(row, what) / mine:4.0%} of limit, {peak['striate' + added]:6.1f} MiB"
            + (f", {found['to_float32']:.2f}× float32" if "to_float32" in found else "")
        )
    return "  |  ".join(parts)


SHORT = {
    "pytorch": "torch",
    "pytorch, channels last": "torch NHWC",
    **{name: name for name in NAMES.values()},
}


def limit(row: dict[str, Any], what: str) -> float:
    """Milliseconds that arithmetic or traffic needs at the measured rates."""
    work = (2 if what == "forward" else 6) * row["macs"]
    return float(max(work / row["rates"]["flops"], row["bytes"][what] / row["rates"]["bytes"]) * 1e3)


if __name__ == "__main__":
    main()
