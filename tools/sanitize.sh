#!/usr/bin/env bash
# Builds the CPU kernels with AddressSanitizer and UndefinedBehaviorSanitizer beside the package and runs
# the operators' tests with them. Usage: tools/sanitize.sh PYTHON [PYTEST ARGUMENT…]
#
# Left out: what limits the address space (the sanitizer reserves terabytes of it), what compiles with
# torch.compile (its own compiler runs would be watched too), and operators without kernels.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
shift
package=build/sanitized/package
log=build/sanitized.log
mkdir -p build
compiler=${CXX:-c++}
for library in libasan.so libstdc++.so; do
    path=$($compiler -print-file-name=$library)
    [ "$path" != "$library" ] || {
        echo "striate: $compiler has no $library; on Debian or Ubuntu: apt install g++" >&2
        exit 1
    }
    preload=${preload:+$preload:}$(realpath "$path")
done

echo "striate: building the kernels with sanitizers (some minutes the first time)"
STRIATE_BUILD=1 STRIATE_SANITIZE=address,undefined "$python" setup.py -q build \
    --build-base build/sanitized --build-lib "$package" >"$log" 2>&1 || {
    grep -E -A 6 'error' "$log" | head -n 40 >&2 || tail -n 20 "$log" >&2
    exit 1
}

operators=$(grep -l library_operators src/striate/ops/*/spec.py | sed 's|/spec.py$||; s|.*/||')
names=$(for name in $operators; do printf '[%s: or ' "$name"; done)
tests=(tests/contract/test_{reference,gradients,shapes,layers,threads}.py)
own=()
for name in $operators; do own+=(tests/ops/test_"$name"*.py); done
[ $# -gt 0 ] || set -- -q -n auto --maxprocesses=8 --dist worksteal
set -- --capture=sys -p no:cacheprovider -o timeout=1200 "$@"  # reports are written to stderr itself
run() {
    ASAN_OPTIONS=detect_leaks=0:alloc_dealloc_mismatch=0 UBSAN_OPTIONS=print_stacktrace=1 \
        LD_PRELOAD="$preload" PYTHONPATH="$PWD/$package" "$python" -m pytest "$@"
}
run "$@" "${tests[@]}" -k "${names% or }"
run "$@" "${own[@]}" -k "not compil and not export and not memory and not graph"
