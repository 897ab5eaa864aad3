"""``striate doctor``: what this installation has, and who computes what."""

from __future__ import annotations

from typing import Any

import typer

from striate.cli.flags import Json
from striate.errors import StriateError


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(doctor)


def doctor(as_json: Json = False) -> None:
    """Say what this installation has, and who computes what.

    Versions, processor, threads and accelerators; whether the CPU kernels are there, which instruction
    set they use and whether each computes rightly; then, for the cases that are benchmarked, whether
    a kernel or PyTorch serves the operator, and why.

    Environment
      STRIATE_NATIVE=0                      compute through PyTorch alone
      STRIATE_ISA=avx512 | avx2 | portable  use this instruction set
    """
    from dataclasses import asdict

    from striate.ops._serving import served

    facts = examine()
    cases = list(served())
    if as_json:
        from striate.cli._results import print_json

        print_json({**facts, "operators": [asdict(case) for case in cases]})
    else:
        for name, value in facts.items():
            print(f"{name.replace('_', ' '):18}{_words(value)}")
        print()
        for case in cases:
            print(f"{case.operator}: {case.case}\n    {_server(case.by, case.why)}")
    if wrong := [name for name, fine in facts["computes_rightly"].items() if not fine]:
        raise StriateError(f"the kernels for {', '.join(wrong)} compute wrongly on this machine")


def examine() -> dict[str, Any]:
    """Plain facts about this installation."""
    import os
    import platform
    import shutil

    import torch

    import striate
    from striate.ops._library import NATIVE
    from striate.train.provenance import processor

    compiler = os.environ.get("CXX", "c++")
    return {
        "striate": striate.__version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "threads": torch.get_num_threads(),
        "accelerator": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "kernels": NATIVE.why,
        "instruction_set": NATIVE.instruction_set or None,
        "forced": NATIVE.forced or None,
        "instruction_sets": NATIVE.instruction_sets,
        "computes_rightly": {name: computes_rightly(name) for name in NATIVE.instruction_sets},
        "compiler": shutil.which(compiler.split()[0]),
    }


def computes_rightly(name: str) -> bool:
    """A dot product by the kernels for one instruction set, against PyTorch's."""
    import torch

    from striate.ops._library import instruction_set

    a, b = torch.linspace(-1, 1, 10_007), torch.linspace(2, -3, 10_007)
    with instruction_set(name):
        found = torch.ops.striate.native_dot(a, b)
    return bool((found.double() - a.double() @ b.double()).abs() < 1e-2)


def _words(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name}: {'yes' if fine else 'NO'}" for name, fine in value.items()) or "–"
    if isinstance(value, list):
        return ", ".join(value) or "–"
    return "–" if value is None else str(value)


def _server(by: tuple[str, ...], why: str) -> str:
    return f"kernel {', '.join(by)}" if by else f"PyTorch: {why}"
