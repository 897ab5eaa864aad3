#!/usr/bin/env bash
# Builds the CPU kernels in place, what has changed only; without a compiler it says so and succeeds.
# Usage: tools/build_kernels.sh PYTHON      PYTHON has torch, setuptools and ninja
set -euo pipefail
cd "$(dirname "$0")/.."
mkdir -p build
log=build/kernels.log
echo "striate: building the CPU kernels"
"$1" setup.py -q build_ext --inplace >"$log" || {
    grep -E -A 6 'error' "$log" | head -n 60 >&2 || true
    printf 'striate: %s\n' "the CPU kernels could not be built; all of the compiler's words are in $log" \
        "STRIATE_BUILD=0 make … goes on without them" >&2
    exit 1
}
