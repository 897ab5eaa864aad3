"""Every operator's benchmark cases: Striate against PyTorch, forward and forward + backward.

    python benchmarks/operators.py                      all of them
    python benchmarks/operators.py --op depthwise pool  those whose operator or name has one of the words
    python benchmarks/operators.py --compile            torch.compile too (minutes more)

Striate and its peers take turns in one process; a figure is the median over the rounds, a ratio the
median of the rounds' ratios. The peers are PyTorch's operators with contiguous tensors and with
channels last (where PyTorch lacks the operator: the composition of its operators that Striate uses
without kernels). *Limit* is the time that the arithmetic or the memory traffic needs at the rates that
this run measured: a large matrix product and a copy. A case whose values or gradients differ from
float64 is not reported.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from statistics import median
from typing import Any

import torch
from torch import Tensor

from stamp import write_result
from striate.ops import _library
from striate.ops._registry import operators
from striate.ops._spec import Call, OpSpec

BOUNDS = {torch.float32: 1e-3, torch.bfloat16: 5e-2}  # of the largest value
LAST = {4: torch.channels_last, 5: torch.channels_last_3d}
Step = Callable[[], Any]


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--op", nargs="+", default=[], metavar="WORD", help="only these")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="float32")
    parser.add_argument("--compile", action="store_true", help="torch.compile as a peer")
    parser.add_argument("--no-record", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    dtype = getattr(torch, options.dtype)
    rates = measure_rates(dtype)
    print(f"{rates['flops'] / 1e9:.0f} GF/s, {rates['bytes'] / 1e9:.1f} GB/s, {options.threads} threads")
    wrong = []
    for spec in operators().values():
        for call in spec.benchmarks:
            if options.op and not any(word in f"{spec.name} {call}" for word in options.op):
                continue
            for last in (False, True):
                if last and len(call.tensors["input"]) not in LAST:
                    continue
                case = Case(spec, call, dtype, last)
                if distance := case.distance() > BOUNDS[dtype]:
                    wrong.append(f"{spec.name}: {call} ({distance:.2g} apart)")
                    continue
                row = case.measure(options.rounds, options.compile) | {"rates": rates}
                print(told(row, rates), flush=True)
                if not options.no_record:
                    write_result("operators", row)
    if wrong:
        sys.exit("not reported, because they are wrong:\n" + "\n".join(wrong))


class Case:
    """One call in one layout, and all who compute it."""

    def __init__(self, spec: OpSpec, call: Call, dtype: torch.dtype, last: bool) -> None:
        self.spec, self.call, self.dtype, self.last = spec, call, dtype, last
        self.function = spec.functions[call.function]
        self.tensors = {
            name: self.laid_out(tensor, last) for name, tensor in spec.tensors(call, dtype).items()
        }
        self.gradient = torch.randn(self.run(self.tensors).shape).to(dtype)

    @staticmethod
    def laid_out(tensors: Any, last: bool) -> Any:
        """Tensors of pictures and kernels in one of the two orders."""
        if isinstance(tensors, list):
            return [Case.laid_out(tensor, last) for tensor in tensors]
        form = LAST.get(tensors.dim()) if last else None
        return tensors.contiguous(memory_format=form) if form else tensors.contiguous()

    def run(self, tensors: dict[str, Any]) -> Tensor:
        """The result for these tensors."""
        result = self.function(**tensors, **self.call.options)
        return result[0] if isinstance(result, tuple) else result

    def steps(self, last: bool, run: Callable[[dict[str, Any]], Tensor]) -> tuple[Step, Step]:
        """Forward without gradients; forward and backward."""
        tensors = {name: self.laid_out(tensor, last) for name, tensor in self.tensors.items()}
        leaves = {name: asking(tensor) for name, tensor in tensors.items()}
        flat = [leaf for part in leaves.values() for leaf in (part if isinstance(part, list) else [part])]
        gradient = self.laid_out(self.gradient, last)

        def forward() -> Tensor:
            with torch.no_grad():
                return run(tensors)

        def both() -> tuple[Tensor, ...]:
            return torch.autograd.grad(run(leaves), flat, gradient)

        return forward, both

    def distance(self) -> float:
        """Of value and gradients from those in float64 by PyTorch, relative to the largest number."""
        found = [self.steps(self.last, self.run)[0](), *self.steps(self.last, self.run)[1]()]
        exact = Case.__new__(Case)
        exact.__dict__.update(self.__dict__)
        exact.tensors = {
            name: [t.double() for t in part] if isinstance(part, list) else part.double()
            for name, part in self.tensors.items()
        }
        exact.gradient = self.gradient.double()
        with through_pytorch():
            forward, both = exact.steps(False, exact.run)
            wanted = [forward(), *both()]
        return max(
            float((a.double() - b).abs().max() / b.abs().max().clamp(min=1e-9))
            for a, b in zip(found, wanted, strict=True)
        )

    def measure(self, rounds: int, compiled: bool) -> dict[str, Any]:
        """Times of everybody, in milliseconds, and ratios to the best peer."""
        contenders = {"striate": self.steps(self.last, self.run)}
        peers = {"pytorch": False} | ({"pytorch, channels last": True} if self.gradient.dim() in LAST else {})
        for name, last in peers.items():
            contenders[name] = tuple(map(by_pytorch, self.steps(last, self.run)))  # type: ignore[assignment]
        if compiled:
            with through_pytorch():
                steps = self.steps(self.last, torch.compile(self.run))
                for step in steps:
                    step()
            contenders["torch.compile"] = tuple(map(by_pytorch, steps))  # type: ignore[assignment]
        row: dict[str, Any] = {
            "operator": self.spec.name,
            "case": str(self.call),
            "dtype": str(self.dtype).removeprefix("torch."),
            "channels_last": self.last,
            "rounds": rounds,
            "macs": self.spec.macs(self.call),
            "bytes": self.traffic(),
        }
        for number, what in enumerate(("forward", "both")):
            times = race({name: steps[number] for name, steps in contenders.items()}, rounds)
            medians = {name: median(values) for name, values in times.items()}
            best = min((name for name in medians if name != "striate"), key=medians.__getitem__)
            ratio = median(b / a for a, b in zip(times["striate"], times[best], strict=True))
            shown = {name: round(value * 1e3, 4) for name, value in medians.items()}
            row[what] = {"milliseconds": shown, "best_peer": best, "ratio": round(ratio, 3)}
        return row

    def traffic(self) -> dict[str, int]:
        """Bytes that must be read and written at least."""
        numbers = {
            name: sum(t.numel() for t in (part if isinstance(part, list) else [part]))
            for name, part in self.tensors.items()
        }
        x, y, weights = numbers["input"], self.gradient.numel(), sum(numbers.values()) - numbers["input"]
        both = 3 * x + 2 * y + 3 * weights if weights else 2 * x + 2 * y
        size = self.gradient.element_size()
        return {"forward": (x + y + weights) * size, "both": both * size}


def asking(tensors: Any) -> Any:
    """Leaves that want gradients."""
    if isinstance(tensors, list):
        return [asking(tensor) for tensor in tensors]
    return tensors.detach().clone().requires_grad_()


@contextmanager
def through_pytorch() -> Iterator[None]:
    """Without the kernels, as with ``STRIATE_NATIVE=0``."""
    native = _library.NATIVE
    _library.NATIVE = _library.Native(False, "a peer's turn")
    try:
        yield
    finally:
        _library.NATIVE = native


def by_pytorch(step: Step) -> Step:
    """The step without the kernels."""

    def peer() -> Any:
        with through_pytorch():
            return step()

    return peer


def race(steps: dict[str, Step], rounds: int) -> dict[str, list[float]]:
    """Seconds of each round: everybody once a round, the order turning."""
    names, times = list(steps), {name: [] for name in steps}  # type: ignore[var-annotated]
    for step in steps.values():
        step()
    for number in range(rounds):
        for name in names[number % len(names) :] + names[: number % len(names)]:
            started = time.perf_counter()
            steps[name]()
            times[name].append(time.perf_counter() - started)
    return times


def measure_rates(dtype: torch.dtype) -> dict[str, float]:
    """What this machine can do: multiply-adds as floating-point operations, and bytes, per second."""
    a, b = torch.randn(2, 1536, 1536).to(dtype)
    source = torch.randn(2**25)
    target = torch.empty_like(source)
    best = {}
    for name, work, step in (
        ("flops", 2 * 1536**3, lambda: a @ b),
        ("bytes", 2 * source.numel() * 4, lambda: target.copy_(source)),
    ):
        best[name] = work / min(race({name: step}, 12)[name])
    return best


def told(row: dict[str, Any], rates: dict[str, float]) -> str:
    """A row in a line."""
    parts = [f"{row['operator']:>22} {row['case'][:34]:34} {'NHWC' if row['channels_last'] else 'NCHW'}"]
    for what, factor in (("forward", 2), ("both", 6)):
        found = row[what]
        limit = max(factor * row["macs"] / rates["flops"], row["bytes"][what] / rates["bytes"]) * 1e3
        mine = found["milliseconds"]["striate"]
        peer = found["milliseconds"][found["best_peer"]]
        parts.append(
            f"{mine:8.2f} ms, best peer {peer:8.2f}, {found['ratio']:6.2f}×, {limit / mine:4.0%} of limit"
        )
    return "  |  ".join(parts)


if __name__ == "__main__":
    main()
