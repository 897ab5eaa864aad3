"""Whole models: a training step and an inference step, in plain PyTorch and after ``striate.accelerate``.

    python benchmarks/models.py                     all of them, about five minutes
    python benchmarks/models.py --model ConvNeXt-T
    python benchmarks/models.py --compile           torch.compile too (minutes more)

The same model with the same random weights, in one process that keeps its memory, everybody in turn:
as it is, with channels last (``model.to(memory_format=torch.channels_last)``) and after ``accelerate``. A
training step is forward, cross-entropy, backward and a step of SGD with momentum; an inference step is a
forward pass in ``eval`` mode without gradients. The accelerated model's logits and gradients have to be
those of the plain one, or there is no figure. Peak memory is from a process of its own for each contender, started
after the race: what a step takes beyond the model, its gradients and the optimiser's state.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import subprocess
import sys
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import striate
from memory import ENVIRONMENT, peak
from peers.model_zoo import MODELS
from racing import Step, compare, keep_memory, race
from stamp import installed, write_result

BOUNDS = {torch.float32: 2e-3, torch.float64: 1e-6}  # of logits and gradients, relative to the largest
CONTENDERS = ("striate", "pytorch", "pytorch, channels last")


def main() -> None:
    """Measure, print, record."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", nargs="+", choices=list(MODELS), default=list(MODELS))
    parser.add_argument("--rounds", type=int, default=9, help="at least; short steps have more")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--compile", action="store_true", help="torch.compile as a peer")
    parser.add_argument("--no-record", action="store_true")
    parser.add_argument("--peak", nargs=2, metavar=("CONTENDER", "WHAT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.peak:
        contender, what = options.peak
        steps = contend(options.model[0], contender)[what]
        print(json.dumps(peak(steps)))
        return
    keep_memory()
    wrong = []
    for name in options.model:
        if apart := differs(name):
            wrong.append(f"{name}: {apart}")
            continue
        row = measure(name, options.rounds, options.compile, options.threads)
        print(told(row), flush=True)
        if not options.no_record:
            write_result("models", row)
    if wrong:
        sys.exit("not reported, because they are wrong:\n" + "\n".join(wrong))


def prepared(name: str, contender: str) -> tuple[nn.Module, Tensor, Any]:
    """The model, its input, and what ``accelerate`` did to it."""
    torch.manual_seed(0)
    build, shape = MODELS[name]
    model, x = build(), torch.randn(shape)
    if contender.endswith("channels last"):
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    report = striate.accelerate(model) if contender == "striate" else None
    return model, x, report


def contend(name: str, contender: str) -> dict[str, Step]:
    """The two steps of one contender, each with a model of its own."""
    model, x, _ = prepared(name, contender)
    still = copy.deepcopy(model).eval()
    model.train()
    target = torch.arange(len(x)) % 10
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    compute, judge = model, still
    if contender == "torch.compile":
        compute, judge = (torch.compile(m, dynamic=False) for m in (model, still))  # type: ignore[assignment]

    def train() -> Tensor:
        optimiser.zero_grad()
        loss = F.cross_entropy(compute(x), target)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        return loss

    def infer() -> Tensor:
        with torch.no_grad():
            return judge(x)  # type: ignore[no-any-return]

    return {"training": train, "inference": infer}


def differs(name: str) -> str:
    """How the accelerated model's logits and gradients differ from the plain one's; nothing if they do not.

    In float32 a rounding beside the bend of a ReLU changes gradients visibly, in plain PyTorch as well. So
    where the two are further apart than the bound, ours may be at most twice as far from plain PyTorch's
    results in float64 as plain PyTorch's own in float32.
    """
    exact = computed(name, "pytorch", torch.float64)
    if (apart := distance(computed(name, "striate", torch.float64), exact)) > BOUNDS[torch.float64]:
        return f"{apart:.2g} apart in float64"
    ours, plain = (computed(name, contender, torch.float32) for contender in ("striate", "pytorch"))
    if (apart := distance(ours, plain)) > BOUNDS[torch.float32]:
        mine, theirs = distance(ours, exact), distance(plain, exact)
        if mine > 2 * theirs:
            return f"{apart:.2g} apart in float32, {mine:.2g} from float64's results (PyTorch {theirs:.2g})"
    return ""


def computed(name: str, contender: str, dtype: torch.dtype) -> list[Tensor]:
    """The logits, then the gradients of every parameter that has one, in ``eval`` mode."""
    model, x, _ = prepared(name, contender)
    model, x = model.eval().to(dtype), x.to(dtype)
    logits = model(x)
    gradients = torch.autograd.grad(logits.logsumexp(1).mean(), list(model.parameters()), allow_unused=True)
    return [logits.detach(), *(g for g in gradients if g is not None)]


def distance(found: list[Tensor], wanted: list[Tensor]) -> float:
    """The largest difference, of each tensor relative to its largest number (small gradients to all of them)."""
    scale = max(float(t.abs().max()) for t in wanted[1:])
    return max(
        float((a - b).abs().max() / b.abs().max().clamp(min=1e-3 * scale))
        for a, b in zip(found, wanted, strict=True)
    )


def measure(name: str, rounds: int, compiled: bool, threads: int) -> dict[str, Any]:
    """A row: seconds of everybody, the ratio to the best, peak memory, what accelerate did."""
    names = (*CONTENDERS, "torch.compile") if compiled else CONTENDERS
    steps = {contender: contend(name, contender) for contender in names}
    model, x, report = prepared(name, "striate")
    row: dict[str, Any] = {
        "model": name,
        "input": list(x.shape),
        "parameters": sum(p.numel() for p in model.parameters()),
        "changed": [f"{change.name}: {change.why}" for change in report.changed],
        "transformers": installed("transformers"),
    }
    for what in ("training", "inference"):
        times = race({contender: both[what] for contender, both in steps.items()}, rounds)
        best, ratio = compare(times, "striate", list(names[1:]))
        row[what] = {
            "rounds": len(times["striate"]),
            "seconds": {contender: round(median(values), 5) for contender, values in times.items()},
            "best_peer": best,
            "ratio": round(ratio, 3),
            "peak": {
                contender: measure_peak(name, contender, what, threads) for contender in ("striate", best)
            },
        }
    return row


def measure_peak(name: str, contender: str, what: str, threads: int) -> float | None:
    """Mebibytes that a step takes, in a process of its own."""
    command = [
        sys.executable,
        __file__,
        "--model",
        name,
        "--threads",
        str(threads),
        "--peak",
        contender,
        what,
    ]
    environment = {**os.environ, **ENVIRONMENT}
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
    found: float | None = json.loads(done.stdout.splitlines()[-1])
    return found


def told(row: dict[str, Any]) -> str:
    """A row in a line."""
    parts = [f"{row['model']:>16}"]
    for what in ("training", "inference"):
        found = row[what]
        best, peaks = found["best_peer"], found["peak"]
        shown = {n: f"{s * 1e3:.1f}" for n, s in found["seconds"].items()}
        memory = f"{peaks['striate']} MiB, theirs {peaks[best]}"
        parts.append(f"{what} {shown} ms, {found['ratio']:.2f}× {best}, {memory}")
    return "  |  ".join(parts)


if __name__ == "__main__":
    main()
