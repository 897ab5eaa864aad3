"""The tables of ``docs/benchmarks.md`` about operators say what the rows of results say."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"


@pytest.fixture
def report_speed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module("report_speed")


def row(ratio: float, last: bool, absent: dict[str, str]) -> dict:
    added = ", channels last" if last else ""
    times = {"striate": 2.0, "pytorch": 2 * ratio, "pytorch, channels last": 3 * ratio}
    peaks = {f"{who}{layout}": 1.5 for who in ("striate", "pytorch") for layout in ("", ", channels last")}
    found = {"milliseconds": times, "best_peer": "pytorch", "ratio": ratio}
    return {
        "operator": "conv", "case": "depthwise", "dtype": "float32", "channels_last": last, "macs": 10**8,
        "bytes": {"forward": 10**6, "both": 10**7}, "rates": {"flops": 2e11, "bytes": 2e10}, "absent": absent,
        "kernels": ["depthwise_conv"], "forward": found, "both": found,
        "peak": {"forward": {**peaks, "striate" + added: 7.25}, "both": peaks},
    }  # fmt: skip


def test_newest_row_of_each_layout_is_a_line_and_missing_peers_are_named(report_speed):
    rows = [row(1.5, False, {}), row(0.9, True, {"JAX": "too slow"}), row(3.0, False, {})]
    lines: list[list[str]] = []
    told = report_speed.operators_part(rows, lambda headings, found: lines.extend(found) or "", lambda _: "")
    assert [line[:6] for line in lines] == [
        ["`conv`", "depthwise", "NCHW", "2", "6 (pytorch)", "3.00×"],
        ["`conv`", "depthwise", "channels last", "2", "1.8 (pytorch)", "0.90×"],
    ]
    assert [line[6:8] for line in lines] == [["50%", "7.2"], ["50%", "7.2"]]
    assert "- JAX, depthwise: too slow" in "\n".join(told)
    assert "1 of 2 lines at 0.97× or more" in "\n".join(told)
    words = report_speed.never_slower(rows)[0]
    assert words == "0.90× at least (depthwise, channels last, forward), 2 of 4 within"
    worse = [*rows, row(0.5, False, {})]
    assert report_speed.never_slower(worse)[0].startswith("0.50× at least (depthwise, NCHW, forward), 0 of 4")
    assert report_speed.roofline(rows)[1] == pytest.approx(1.5 / 0.6)  # 3 ms of arithmetic in 2 ms


def test_nothing_measured_is_no_table(report_speed):
    assert report_speed.operators_part([], None, None) == report_speed.models_part([], None, None) == []
    assert report_speed.never_slower([]) is report_speed.accelerated([]) is None
