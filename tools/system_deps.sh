#!/usr/bin/env bash
# Sees that a program from outside Python is there: installs it where that is possible, else says how.
# Usage: tools/system_deps.sh chromium|npm
# Missing is an error under CI=true; elsewhere the tests that need the program are skipped.
set -euo pipefail
program=$1
candidates=$program
[ "$program" = chromium ] && candidates="chromium chromium-browser google-chrome"

present() {
    for name in $candidates; do
        command -v "$name" >/dev/null && return 0
    done
    return 1
}

present && exit 0

if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "striate: installing $program with apt-get"
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends "$program" >/dev/null || true
    present && exit 0
fi

echo "striate: $program is missing; on Debian or Ubuntu: sudo apt-get install $program" >&2
[ "${CI:-}" != true ]
