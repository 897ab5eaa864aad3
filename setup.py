"""Builds the CPU kernels, where there is a compiler: everything else is in pyproject.toml.

Every ``src/striate/ops/*.cpp`` and ``src/striate/ops/*/*.cpp`` goes into one library, ``striate/_kernels.so``.
It uses PyTorch's stable ABI and no Python at all, so one build serves every torch from 2.10 and every Python.

Without torch at build time or without a compiler nothing is built, and Striate computes through PyTorch's
own operators. ``STRIATE_BUILD=0`` asks for that; ``STRIATE_BUILD=1`` makes it an error;
``STRIATE_SANITIZE=address,undefined`` builds with these sanitizers; ``tools/sanitize.sh`` uses it.
"""

from __future__ import annotations

import os
import platform
import shutil
import sys
import sysconfig
from pathlib import Path
from typing import Any

from setuptools import setup

ROOT = Path(__file__).resolve().parent
OPS = Path("src/striate/ops")
CHOICE = os.environ.get("STRIATE_BUILD", "")
SANITIZE = os.environ.get("STRIATE_SANITIZE", "")


def missing() -> str:
    """What the build lacks, or nothing."""
    if CHOICE == "0":
        return "STRIATE_BUILD=0"
    if platform.system() == "Windows":
        return "the kernels need g++ or clang++"
    try:
        import torch  # noqa: F401
    except ImportError:
        return "torch is not installed here (install it first, then pip install --no-build-isolation)"
    compiler = os.environ.get("CXX", "c++").split()[0]
    return (
        ""
        if shutil.which(compiler)
        else f"there is no C++ compiler ({compiler}); on Debian or Ubuntu: apt install g++"
    )


def kernels() -> dict[str, Any]:
    """Arguments of ``setup`` that build the library."""
    from torch.utils.cpp_extension import BuildExtension, CppExtension, include_paths

    # pip does not put the environment's own programs, such as ninja, on the path
    os.environ["PATH"] = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    # -O3 takes half as long again and gains nothing beyond these two
    flags = ["-std=c++20", "-O2", "-fpeel-loops", "-funswitch-loops", "-g0", "-fvisibility=hidden"]
    flags += ["-fno-math-errno", "-ffp-contract=fast"]
    flags += ["-Wall", "-Wextra", "-Werror", "-DTORCH_TARGET_VERSION=0x020a000000000000"]
    flags += [f"-isystem{path}" for path in include_paths()]  # warnings in torch's headers are not ours
    link = ["-Wl,-s"] if sys.platform == "linux" else []
    if SANITIZE:
        flags += [f"-fsanitize={SANITIZE}", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all"]
        # What compiles in a third of the time: calls for the checks of addresses, and those of UndefinedBehavior's
        # checks left out that only say sooner what AddressSanitizer says of the access itself
        flags += ["-g1", "-O1", "-fno-sanitize=null,object-size,vptr,pointer-overflow"]
        flags += ["--param", "asan-instrumentation-with-call-threshold=0"]
        link = [f"-fsanitize={SANITIZE}"]
    sources = sorted(str(path.relative_to(ROOT)) for path in (ROOT / OPS).glob("**/*.cpp"))
    library = CppExtension(
        "striate._kernels",
        sources,
        include_dirs=[str(ROOT / OPS)],
        extra_compile_args={"cxx": flags},
        extra_link_args=link,
        py_limited_api=True,
    )
    return {
        "ext_modules": [library],
        "cmdclass": {"build_ext": BuildExtension.with_options(no_python_abi_suffix=True)},
        "options": {"bdist_wheel": {"py_limited_api": "cp311"}},
    }


lacking = missing()
if lacking and CHOICE == "1":
    sys.exit(f"striate: cannot build the CPU kernels: {lacking}")
if lacking:
    print(
        f"striate: the CPU kernels are not built: {lacking}; everything works, more slowly", file=sys.stderr
    )
setup(**({} if lacking else kernels()))
