"""All who compute a case besides Striate: their steps, and why somebody is missing."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass, field
from typing import Any

import torch

from cases import Case, by_pytorch, distance, through_pytorch
from peers.recipes import AbsentError
from racing import Step

PEERS = ("compile", "onnxruntime", "openvino", "jax")


@dataclass
class Field:
    """Steps by contender, and the reason of each one that has none."""

    forward: dict[str, Step] = field(default_factory=dict)
    both: dict[str, Step] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)


def set_threads(threads: int) -> None:
    """The same number for everybody; before any of them is imported."""
    torch.set_num_threads(threads)
    os.environ |= {"NPROC": str(threads), "PJRT_NPROC": str(threads), "JAX_PLATFORMS": "cpu"}
    os.environ |= {"OMP_NUM_THREADS": str(threads), "TF_CPP_MIN_LOG_LEVEL": "3"}


def gather(case: Case, wanted: list[str], exact: list[torch.Tensor], bound: float) -> Field:
    """Everybody's steps, each tried once: a result that is not ``exact`` within ``bound`` does not race."""
    found = Field()
    eager = {}
    for last in case.layouts:
        name = "pytorch, channels last" if last else "pytorch"
        forward, both = map(by_pytorch, case.steps(last, case.run))
        found.forward[name], found.both[name] = forward, both
        both()
        started = time.perf_counter()
        both()
        eager[last] = time.perf_counter() - started
    for peer in wanted:
        try:
            if peer == "compile":
                steps: tuple[Step | None, Step | None] = _compiled(case, min(eager, key=eager.__getitem__))
                back = None
            elif peer == "jax":
                from peers.jax_steps import back, by_jax

                steps = by_jax(case.call, case.tensors, case.gradient)
            else:
                from peers import onnx_graphs

                by = onnx_graphs.by_openvino if peer == "openvino" else onnx_graphs.by_onnx_runtime
                model = onnx_graphs.graph_of(case.call, case.tensors, case.gradient.shape, case.dtype)
                steps, back = (by(model, case.tensors["input"], torch.get_num_threads()), None), None
            name = NAMES[peer]
            for what, step, into in zip(("forward", "both"), steps, (found.forward, found.both), strict=True):
                if step is None:
                    continue
                result = step()
                result = result[0] if what == "both" else result
                apart = distance([back(result) if back else result], exact[:1])
                if apart > bound:
                    raise ValueError(f"its result is {apart:.2g} away")
                into[name] = step
        except Exception as error:  # a peer's failure is a fact about the peer, whatever it is
            kind = "" if isinstance(error, AbsentError) else f"{type(error).__name__}: "
            found.absent[NAMES[peer]] = f"{kind}{error}".splitlines()[0][:160]
    return found


NAMES = {"compile": "torch.compile", "onnxruntime": "ONNX Runtime", "openvino": "OpenVINO", "jax": "JAX"}


def _compiled(case: Case, last: bool) -> tuple[Any, Any]:
    """By ``torch.compile`` in the layout that is faster without."""
    torch.compiler.reset()
    with through_pytorch():
        steps = case.steps(last, torch.compile(case.run, dynamic=False))
        for step in steps:
            step()
    return by_pytorch(steps[0]), by_pytorch(steps[1])
