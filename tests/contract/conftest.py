"""Tells, after the contract tests, how much was tried of every operator."""

from __future__ import annotations

import re
from collections import defaultdict

import pytest

from striate.ops._registry import operator_names


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each operator: tests, calls in them, seconds."""
    tests: dict[str, int] = defaultdict(int)
    calls: dict[str, int] = defaultdict(int)
    seconds: dict[str, float] = defaultdict(float)
    for report in terminalreporter.getreports("passed") + terminalreporter.getreports("failed"):
        found = re.search(r"tests/contract/.*\[([a-z_]+)[\]:]", report.nodeid)
        if report.when == "call" and found and found[1] in operator_names():
            tests[found[1]] += 1
            calls[found[1]] += dict(report.user_properties).get("calls", 1)
            seconds[found[1]] += report.duration
    if not tests:
        return
    write = terminalreporter.write_line
    terminalreporter.section("contract")
    write(f"{'operator':24}{'tests':>8}{'calls':>8}{'seconds':>9}")
    for name in sorted(tests):
        write(f"{name:24}{tests[name]:8}{calls[name]:8}{seconds[name]:9.1f}")
    write(f"{'all':24}{sum(tests.values()):8}{sum(calls.values()):8}{sum(seconds.values()):9.1f}")
