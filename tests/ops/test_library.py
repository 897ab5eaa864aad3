"""The kernels' machinery: loading, instruction sets, threads, and which calls may take a kernel."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.autograd import forward_ad

import striate
from striate.errors import UsageError
from striate.ops._library import NATIVE, instruction_set, obstacle

needs_kernels = pytest.mark.skipif(not NATIVE.loaded, reason="the kernels are not built")
DTYPES = (torch.float32, torch.float64, torch.bfloat16)


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """A process of its own, because the environment is read when the library is loaded."""
    command = [sys.executable, "-c", code]
    return subprocess.run(
        command, check=False, capture_output=True, text=True, env={**os.environ, **environment}
    )


REPORT = (
    "import torch, striate.ops._library as l; print(l.NATIVE.loaded, l.NATIVE.instruction_set, l.NATIVE.why)"
)


@needs_kernels
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("count", [0, 1, 5, 16, 17, 4096, 100_003])
@pytest.mark.parametrize("name", NATIVE.instruction_sets)
def test_dot_product_with_every_instruction_set(name: str, count: int, dtype: torch.dtype):
    generator = torch.Generator().manual_seed(count)
    a, b = (torch.randn(count, generator=generator, dtype=torch.float64).to(dtype) for _ in range(2))
    exact = a.double() @ b.double()
    with instruction_set(name):
        found = torch.ops.striate.native_dot(a, b)
    scale = a.double().norm() * b.double().norm()
    assert found.dtype == dtype
    assert abs(found.double() - exact) <= scale * max(torch.finfo(dtype).eps, 1e-15)


@needs_kernels
def test_same_bits_at_any_number_of_threads():
    a, b = torch.randn(2, 50_000, generator=torch.Generator().manual_seed(0))
    threads = torch.get_num_threads()
    try:
        found = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            found.append(torch.ops.striate.native_dot(a, b).item())
    finally:
        torch.set_num_threads(threads)
    assert len(set(found)) == 1


@needs_kernels
@pytest.mark.parametrize("value", [float("nan"), float("inf"), -3.0e38, 1e-40, 1.0, 1.0078125, 0.3])
def test_bfloat16_is_rounded_as_torch_rounds(value: float):
    x, factor = torch.tensor([value]).bfloat16(), torch.tensor([1.5]).bfloat16()
    found = torch.ops.striate.native_dot(x, factor)
    torch.testing.assert_close(found, (x.float() * 1.5).bfloat16()[0], rtol=0, atol=0, equal_nan=True)


@needs_kernels
@pytest.mark.parametrize("name", NATIVE.instruction_sets)
def test_forced_instruction_set(name: str):
    assert python(REPORT, STRIATE_ISA=name).stdout.startswith(f"True {name} ")


def test_kernels_can_be_turned_off():
    done = python(f"{REPORT}; print(l.obstacle(torch.ones(1)))", STRIATE_NATIVE="0")
    assert done.stdout == "False  turned off by STRIATE_NATIVE=0\nturned off by STRIATE_NATIVE=0\n"


def test_missing_kernels_are_told_once(tmp_path: Path):
    shutil.copytree(
        Path(striate.__file__).parent,
        tmp_path / "striate",
        ignore=shutil.ignore_patterns("*.so", "__pycache__"),
    )
    done = python("import striate.functional, striate.nn; " + REPORT, PYTHONPATH=str(tmp_path))
    assert (
        done.stdout
        == "False  _kernels.so was not built: it needs a C++ compiler, then install Striate again\n"
    )
    assert done.stderr.count("NoKernelsWarning: Striate computes through PyTorch's own operators") == 1


@needs_kernels
def test_kernels_older_than_the_package_are_not_used():
    code = (
        "import striate.ops._library as l; l.plain('new_thing(Tensor x) -> Tensor', lambda x: x);"
        " l.plain('newer_thing(Tensor x) -> Tensor', lambda x: x); print(l.NATIVE.loaded)"
    )
    done = python(code)
    assert done.stdout == "False\n"
    assert done.stderr.count("_kernels.so lacks new_thing, it is older than the package") == 1


@pytest.mark.parametrize(
    "environment, says",
    [
        ({"STRIATE_ISA": "mmx"}, "STRIATE_ISA is 'mmx'; wanted one of avx512, avx2, portable"),
        ({"STRIATE_NATIVE": "yes"}, "STRIATE_NATIVE is 'yes'; wanted 0"),
    ],
)
def test_unknown_settings_are_refused(environment: dict[str, str], says: str):
    done = python(REPORT, **environment)
    assert done.returncode == 1 and says in done.stderr


def test_unknown_instruction_set_is_refused():
    with pytest.raises(UsageError, match="no kernels for 'mmx' here"), instruction_set("mmx"):
        pass


@needs_kernels
def test_obstacles():
    x = torch.ones(3)
    assert obstacle(x, None, x) == ""
    assert obstacle(x, x.double()) == "of different dtypes or devices"
    assert obstacle(x.half()) == "not float32, float64 or bfloat16"
    assert obstacle(torch.ones(3, device="meta")) == "not on the CPU"
    assert obstacle(x.as_subclass(type("Mine", (torch.Tensor,), {}))) == "a tensor subclass"
    assert obstacle(torch.nn.Parameter(x)) == ""
    told = []
    torch.func.vmap(lambda y: told.append(obstacle(y)) or y)(x)
    with forward_ad.dual_level():
        told.append(obstacle(x))
    assert told == ["inside torch.func", "inside forward-mode differentiation"]
