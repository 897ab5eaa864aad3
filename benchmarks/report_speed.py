"""The parts of ``docs/benchmarks.md`` about operators and whole models."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from statistics import geometric_mean, median
from typing import Any

from operators import limit

Row = dict[str, Any]
Found = tuple[str, float, Row] | None  # measured in words, margin, row whose stamp counts
LAYOUTS = {False: "NCHW", True: "channels last"}
HEADINGS = ["ms", "best peer", "ratio", "of the limit", "MiB", "PyTorch's MiB"]
NOISE = 0.97


def newest(rows: list[Row], *keys: str) -> list[Row]:
    """The newest row of each combination of ``keys``, in the order in which they first appeared."""
    return list({tuple(row[key] for key in keys): row for row in rows}.values())


def cases(rows: list[Row], dtype: str) -> list[Row]:
    """The newest row of each case and layout."""
    chosen = [row for row in rows if row["dtype"] == dtype]
    return newest(chosen, "operator", "case", "channels_last")


def share(row: Row, what: str) -> float:
    """Of the limit: the time that the machine needs at least, by the time that was taken."""
    return limit(row, what) / float(row[what]["milliseconds"]["striate"])


def peaks(row: Row, what: str) -> list[str]:
    """Peak memory of Striate and of the faster of PyTorch's layouts."""
    times, peak = row[what]["milliseconds"], row["peak"][what]
    theirs = min((name for name in peak if name.startswith("pytorch")), key=times.__getitem__)
    mine = "striate, channels last" if row["channels_last"] else "striate"
    return ["–" if peak[name] is None else f"{peak[name]:.1f}" for name in (mine, theirs)]


def operators_part(
    rows: list[Row], table: Callable[[list[str], list[list[str]]], str], where: Callable[[list[Row]], str]
) -> list[str]:
    """One table for each dtype: a line for each case and layout."""
    parts = []
    for dtype in ("float32", "bfloat16"):
        chosen = cases(rows, dtype)
        if not chosen:
            continue
        lines = []
        for row in chosen:
            line = [f"`{row['operator']}`", row["case"], LAYOUTS[row["channels_last"]]]
            for what in ("forward", "both"):
                found = row[what]
                best = found["best_peer"]
                line += [
                    f"{found['milliseconds']['striate']:.3g}",
                    f"{found['milliseconds'][best]:.3g} ({best})",
                    f"{found['ratio']:.2f}×",
                    f"{share(row, what):.0%}",
                    *peaks(row, what),
                    *([f"{found['to_float32']:.2f}×"] if "to_float32" in found else []),
                ]
            lines.append(line)
        every = HEADINGS if dtype == "float32" else [*HEADINGS, "to float32"]
        headings = ["operator", "case", "layout", *every, *(f"{name}, with backward" for name in every)]
        parts += [f"\n## Operators, {dtype}\n", table(headings, lines), summary(chosen), where(chosen)]
        parts += missing(chosen)
    return parts


def summary(rows: list[Row]) -> str:
    """Over all lines of a table."""
    told = []
    for what, name in (("forward", "Forward"), ("both", "Forward and backward")):
        ratios = [row[what]["ratio"] for row in rows]
        reached = sum(ratio >= NOISE for ratio in ratios)
        told.append(
            f"{name}: {geometric_mean(ratios):.2f}× the best peer (geometric mean),"
            f" {reached} of {len(ratios)} lines at {NOISE}× or more."
        )
        wider = [row[what]["to_float32"] for row in rows if "to_float32" in row[what]]
        if wider:
            reached = sum(ratio >= NOISE for ratio in wider)
            told[-1] += (
                f" {geometric_mean(wider):.2f}× Striate's float32, {reached} lines at {NOISE}× or more."
            )
    rates = rows[-1]["rates"]
    told.append(
        f"The limit is {rates['flops'] / 1e9:.0f} GF/s or {rates['bytes'] / 1e9:.0f} GB/s,"
        " whichever takes longer, measured in the same run."
    )
    return "\n".join(told)


def missing(rows: list[Row]) -> list[str]:
    """Which peers did not take part, and why."""
    reasons: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        for peer, why in row["absent"].items():
            reasons[peer, why].add(row["case"])
    if not reasons:
        return []
    lines = [
        f"- {peer}, {f'{len(names)} cases' if len(names) > 2 else ' and '.join(sorted(names))}: {why}"
        for (peer, why), names in sorted(reasons.items())
    ]
    return ["Peers that could not take part:\n", "\n".join(lines) + "\n"]


def models_part(
    rows: list[Row], table: Callable[[list[str], list[list[str]]], str], where: Callable[[list[Row]], str]
) -> list[str]:
    """A line for each model and kind of step."""
    chosen = newest(rows, "model")
    if not chosen:
        return []
    lines = []
    for row in chosen:
        for what in ("training", "inference"):
            found = row[what]
            best = found["best_peer"]
            plain = "pytorch", "pytorch, channels last"
            peak = ["–" if found["peak"][n] is None else f"{found['peak'][n]:.0f}" for n in ("striate", best)]
            lines.append(
                [row["model"], "×".join(map(str, row["input"])), what]
                + [f"{found['seconds'][name] * 1e3:.1f}" for name in ("striate", *plain)]
                + [f"{found['ratio']:.2f}× ({best})", *peak, str(len(row["changed"]))]
            )
    headings = ["model", "input", "step", "accelerated, ms", "PyTorch, ms", "channels last, ms"]
    headings += ["ratio to the best", "MiB", "the best's MiB", "changes"]
    said = "Each after `striate.accelerate(model)` against the same model as it was, in turns."
    return ["\n## Whole models\n", said, "", table(headings, lines), where(chosen)]


def never_slower(rows: list[Row]) -> Found:
    """The worst ratio of all cases and layouts, forward and with backward."""
    chosen = cases(rows, "float32")
    if not chosen:
        return None
    ratios = {
        (row["case"], LAYOUTS[row["channels_last"]], what): row[what]["ratio"]
        for row in chosen
        for what in ("forward", "both")
    }
    (case, layout, what), worst = min(ratios.items(), key=lambda item: item[1])
    kind = "forward" if what == "forward" else "with backward"
    reached = sum(ratio >= NOISE for ratio in ratios.values())
    words = f"{worst:.2f}× at least ({case}, {layout}, {kind}), {reached} of {len(ratios)} within"
    return words, worst / NOISE, chosen[-1]


def in_bfloat16(rows: list[Row]) -> Found:
    """The worst ratio of bfloat16 to Striate's own float32, forward and with backward."""
    chosen = [row for row in cases(rows, "bfloat16") if "to_float32" in row["both"]]
    if not chosen:
        return None
    ratios = [
        (row[what]["to_float32"], row["case"], LAYOUTS[row["channels_last"]], what)
        for row in chosen
        for what in ("forward", "both")
    ]
    worst, case, layout, what = min(ratios)
    kind = "forward" if what == "forward" else "with backward"
    reached = sum(ratio >= NOISE for ratio, *_ in ratios)
    words = f"{worst:.2f}× at least ({case}, {layout}, {kind}), {reached} of {len(ratios)} within"
    return words, worst / NOISE, chosen[-1]


def mean_gain(rows: list[Row]) -> Found:
    """Geometric mean of the ratios with backward."""
    chosen = cases(rows, "float32")
    if not chosen:
        return None
    gain = geometric_mean(row["both"]["ratio"] for row in chosen)
    most = gain / geometric_mean(share(row, "both") for row in chosen)
    return f"{gain:.2f}× (every row at its limit: {most:.2f}×)", gain / 4, chosen[-1]


def roofline(rows: list[Row]) -> Found:
    """Shares of the limit with backward, of the rows that Striate's own kernels compute."""
    chosen = [row for row in cases(rows, "float32") if row["kernels"]]
    if not chosen:
        return None
    shares = [share(row, "both") for row in chosen]
    words = f"median {median(shares):.0%}, least {min(shares):.0%}"
    return words, min(median(shares) / 0.6, min(shares) / 0.4), chosen[-1]


def accelerated(rows: list[Row]) -> Found:
    """The worst ratio of a training step."""
    chosen = newest(rows, "model")
    if not chosen:
        return None
    worst = min(chosen, key=lambda row: row["training"]["ratio"])
    ratio = worst["training"]["ratio"]
    return f"{ratio:.2f}× at least ({worst['model']})", ratio / NOISE, worst


def overhead(key: str, most: float, *modes: str) -> Callable[[list[Row]], Found]:
    """The operator whose call costs most microseconds, in any of the modes that were measured."""

    def measure(rows: list[Row]) -> Found:
        if not rows:
            return None
        found = [
            (times[mode][key], name, mode)
            for name, times in rows[-1]["microseconds"].items()
            for mode in modes
            if mode in times
        ]
        if not found:
            return None
        worst, name, mode = max(found)
        reached = sum(cost <= most for cost, _, _ in found)
        words = f"at most {worst:.1f} µs (`{name}`, {mode}), {reached} of {len(found)} calls within"
        return words, most / worst, rows[-1]

    return measure
