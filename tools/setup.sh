#!/usr/bin/env bash
# Makes a virtual environment and installs Striate into it at the tested versions.
# Usage: tools/setup.sh PYTHON VENV REQUIREMENT      REQUIREMENT is "." or ".[dev]" or ".[bench]"
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1 venv=$2 requirement=$3

stop() {
    printf 'striate: %s\n' "$@" >&2
    exit 1
}

if [ ! -x "$venv/bin/python" ] || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    command -v "$python" >/dev/null ||
        stop "'$python' was not found: install Python 3.11 or newer, or name yours: make PYTHON=/path/to/python3"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        stop "$("$python" --version) is too old: Striate needs Python 3.11 or newer; name another: make PYTHON=python3.12"
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        stop "this Python cannot make virtual environments (no venv or ensurepip)" \
            "on Debian or Ubuntu: apt install python3-venv"
    echo "striate: making $venv with $("$python" --version)"
    "$python" -m venv --clear "$venv" || stop "could not make $venv: see the message above"
fi

pinned() { grep -E "^$1==" constraints.txt; }

echo "striate: installing $requirement into $venv (some minutes the first time)"
install() { "$venv/bin/python" -m pip install -qq --disable-pip-version-check -c constraints.txt "$@"; }
install "$(pinned setuptools)" "$(pinned wheel)" "$(pinned ninja)" "$(pinned torch)" &&
    STRIATE_BUILD=0 install --no-build-isolation -e "$requirement" ||
    stop "installing failed: see the message above" \
        "the first install needs a network (or PIP_FIND_LINKS with the wheels) and about 2 GB of disk"
exec tools/build_kernels.sh "$venv/bin/python"
