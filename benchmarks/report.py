"""Writes ``docs/benchmarks.md`` from ``benchmarks/results/*.jsonl``; nothing in it is written by hand.

``report.py --check`` writes nothing and exits with 1 if the page is not what the results say.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import report_speed
from stamp import ROOT, read_results

PAGE = ROOT / "docs" / "benchmarks.md"
INTRODUCTION = """# Benchmarks

Written by `benchmarks/report.py` from `benchmarks/results/*.jsonl`: every row there carries its date,
commit, machine, threads and versions. `make bench` measures everything again, `make bench ONLY=demo`
one of them. A commit that ends in `+dirty` had changes that were not committed.

*Margin* says how far a figure is passed: above 1 it is reached. For times it is the limit divided by
the time, for speed-ups the measured one divided by the wanted one, and for accuracies the allowed
error divided by the error.
"""

Row = dict[str, Any]


@dataclass(frozen=True)
class Figure:
    """A figure to reach.

    Attributes:
        what: in words.
        wanted: in words.
        result: name of the results.
        measure: rows, oldest first → (measured in words, margin, row whose stamp counts), or ``None``
            where nothing was measured.
    """

    what: str
    wanted: str
    result: str
    measure: Callable[[list[Row]], tuple[str, float, Row] | None]


def latest(key: str, limit: float, unit: str) -> Callable[[list[Row]], tuple[str, float, Row] | None]:
    """The newest row's ``key``, which is to be at most ``limit``."""

    def measure(rows: list[Row]) -> tuple[str, float, Row] | None:
        if not rows:
            return None
        value = rows[-1][key]
        shown = value * 1000 if unit == "ms" else value
        return f"{shown:.3g} {unit}", limit / max(value, 1e-9), rows[-1]

    return measure


def accuracy(
    name: str, model: str, wanted: float, seeds: int, minutes: float | None = None
) -> Callable[[list[Row]], tuple[str, float, Row] | None]:
    """Mean over the seeds that the newest commit measured; ``minutes`` limits the slowest run."""

    def measure(rows: list[Row]) -> tuple[str, float, Row] | None:
        group = newest_group(rows, name, model)
        if not group:
            return None
        scores = [row["accuracy"] for row in group]
        count = f"{len(scores)} seeds" if len(scores) >= seeds else f"{len(scores)} of {seeds} seeds"
        slowest = max(row["seconds"] for row in group) / 60
        words = f"{mean(scores):.2%} ({count}, at most {slowest:.1f} min each)"
        margin = (1 - wanted) / max(1 - mean(scores), 1e-9)
        return words, min(margin, minutes / slowest) if minutes else margin, group[-1]

    return measure


def speed_up(best: str, wanted: float) -> Callable[[list[Row]], tuple[str, float, Row] | None]:
    """Striate's epoch against the contender that the row's key ``best`` names."""

    def measure(rows: list[Row]) -> tuple[str, float, Row] | None:
        rows = [row for row in rows if row.get(best)]
        if not rows:
            return None
        row = rows[-1]
        factor = row["speed_up"][row[best]]
        return f"{factor:.2f}× ({row[best]})", factor / wanted, row

    return measure


def jpegs(size: int) -> Callable[[list[Row]], tuple[str, float, Row] | None]:
    """Decoding against Pillow in a DataLoader, for pictures of one wanted size."""

    def measure(rows: list[Row]) -> tuple[str, float, Row] | None:
        rows = [row for row in rows if row["size"] == size]
        if not rows:
            return None
        row = rows[-1]
        words = f"{row['times_pillow']:.2f}× ({row['median']['striate']:.0f} pictures a second)"
        return words, row["times_pillow"] / 1.5, row

    return measure


def kills(rows: list[Row]) -> tuple[str, float, Row] | None:
    """Kills survived without a broken or different run, over all rows of the newest commit."""
    if not rows:
        return None
    group = [row for row in rows if row["commit"] == rows[-1]["commit"]]
    total, lost = (
        sum(row[key] for row in group for key in keys) for keys in (("kills",), ("broken", "different"))
    )
    return f"{total} kills, {lost} runs lost or changed", total / 50 if not lost else 0.0, group[-1]


def seconds_to(
    source: str, target: float, what: str, most: float
) -> Callable[[list[Row]], tuple[str, float, Row] | None]:
    """Seconds of a run whose mean accuracy reaches the target; 0 margin where it does not."""

    def measure(rows: list[Row]) -> tuple[str, float, Row] | None:
        rows = [row for row in rows if (row["source"], row["target"]) == (source, target)]
        if not rows:
            return None
        ours, peer = rows[-1]["striate"], rows[-1]["pytorch"]
        words = f"{ours[what]:.2f} s, {ours['accuracy']:.2%} (through PyTorch's operators {peer[what]:.2f} s)"
        return words, most / ours[what] if ours["accuracy"] >= target else 0.0, rows[-1]

    return measure


FIGURES = (
    Figure("`make demo` after the install", "≤ 60 s", "demo", latest("seconds", 60, "s")),
    Figure("MNIST, `mlp`", "≥ 98.0 %", "accuracy", accuracy("mnist", "mlp", 0.98, 5)),
    Figure("MNIST, `lenet`", "≥ 99.0 %", "accuracy", accuracy("mnist", "lenet", 0.99, 5)),
    Figure("MNIST, `cnn`", "≥ 99.5 %", "accuracy", accuracy("mnist", "cnn", 0.995, 5)),
    Figure(
        "Fashion-MNIST, `cnn`",
        "≥ 93 %, ≤ 10 min",
        "accuracy",
        accuracy("fashion-mnist", "cnn", 0.93, 3, minutes=10),
    ),
    Figure("LeNet epoch against plain PyTorch", "≥ 4×", "lenet_epoch", speed_up("best_pytorch", 4.0)),
    Figure("LeNet epoch against Keras 3", "≥ 1.5×", "lenet_epoch", speed_up("best_keras", 1.5)),
    Figure(
        "JPEGs of 1600×1200 to 96×96, against Pillow in a DataLoader", "≥ 1.5×", "jpeg_loading", jpegs(96)
    ),
    Figure("the same to 224×224", "≥ 1.5×", "jpeg_loading", jpegs(224)),
    Figure(
        "every operator and layout against its best peer", "≥ 0.97×", "operators", report_speed.never_slower
    ),
    Figure("the same with backward, geometric mean", "≥ 4×", "operators", report_speed.mean_gain),
    Figure(
        "own kernels with backward, of the roofline",
        "median ≥ 60 %, all ≥ 40 %",
        "operators",
        report_speed.roofline,
    ),
    Figure(
        "the same in bfloat16 against Striate's float32", "≥ 0.97×", "operators", report_speed.in_bfloat16
    ),
    Figure("accelerated models, training step", "≥ 0.97×", "models", report_speed.accelerated),
    Figure(
        "MNIST to 99.0 %, training, mean of 10 seeds",
        "≤ 3 s",
        "time_to_accuracy",
        seconds_to("mnist", 0.99, "train_seconds", 3),
    ),
    Figure(
        "the same, whole process",
        "≤ 7 s",
        "time_to_accuracy",
        seconds_to("mnist", 0.99, "process_seconds", 7),
    ),
    Figure("kill −9 and resume", "50 kills, none lost", "kill_resume", kills),
    Figure("`striate --help`", "≤ 0.4 s", "startup", latest("help_seconds", 0.4, "s")),
    Figure(
        "`import striate` beyond `import torch`",
        "≤ 50 ms",
        "startup",
        latest("import_beyond_torch_seconds", 0.05, "ms"),
    ),
    Figure("`import striate.geometry`", "≤ 20 ms", "geometry", latest("import_seconds", 0.02, "ms")),
    Figure(
        "`geometry.trace` of 200 blocks, 600 layers",
        "≤ 0.5 s",
        "geometry",
        latest("trace_seconds", 0.5, "s"),
    ),
    Figure(
        "a call on 1×1×8×8 beyond PyTorch's",
        "≤ 10 µs",
        "overhead",
        report_speed.overhead("beyond", 10, "inference", "training"),
    ),
    Figure(
        "a native operator's call beyond its C++ kernel",
        "≤ 8 µs",
        "kernel_overhead",
        report_speed.overhead("besides", 8, "operator"),
    ),
    Figure(
        "the same through `striate.functional`",
        "≤ 8 µs",
        "kernel_overhead",
        report_speed.overhead("besides", 8, "inference", "training"),
    ),
)


def main() -> None:
    """Write or check the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args()
    text = page()
    if options.check:
        current = PAGE.read_text(encoding="utf-8") if PAGE.exists() else ""
        sys.exit(0 if current == text else f"{PAGE.relative_to(ROOT)} is stale: run benchmarks/report.py")
    PAGE.write_text(text, encoding="utf-8")
    print("wrote", PAGE.relative_to(ROOT))


def page() -> str:
    """The whole page."""
    parts = [
        INTRODUCTION,
        "## Figures to reach\n",
        figures_table(),
        *accuracy_part(),
        *epoch_part(),
        *seconds_part(),
        *report_speed.operators_part(read_results("operators"), table, where),
        *report_speed.models_part(read_results("models"), table, where),
        *kill_part(),
    ]
    return "\n".join(part for part in parts if part).rstrip() + "\n"


def figures_table() -> str:
    """One line per figure."""
    lines = []
    for figure in FIGURES:
        found = figure.measure(read_results(figure.result))
        if found is None:
            lines.append([figure.what, figure.wanted, "not measured yet", "", "", "", ""])
            continue
        words, margin, row = found
        reached = "yes" if margin >= 1 else "**no**"
        lines.append(
            [figure.what, figure.wanted, words, f"{margin:.2f}", reached, row["date"][:10], row["commit"]]
        )
    return table(["what", "wanted", "measured", "margin", "reached", "date", "commit"], lines)


def accuracy_part() -> list[str]:
    """Accuracies per seed."""
    rows = read_results("accuracy")
    keys = list(dict.fromkeys((row["set"], row["model"]) for row in rows))
    lines = []
    for name, model in keys:
        group = newest_group(rows, name, model)
        scores = [row["accuracy"] for row in group]
        spread = f"± {stdev(scores):.2%}" if len(scores) > 1 else ""
        minutes = mean(row["train_seconds"] for row in group) / 60
        each = ", ".join(f"{score:.2%}" for score in scores)
        epochs = "–" if group[0]["epochs"] is None else str(group[0]["epochs"])
        parameters = f"{group[0]['parameters']:,}"
        lines.append(
            [name, f"`{model}`", f"{mean(scores):.2%} {spread}", each, epochs, parameters, f"{minutes:.1f}"]
        )
    headings = ["set", "model", "mean test accuracy", "each seed", "epochs", "parameters", "minutes to train"]
    return ["\n## Accuracy\n", table(headings, lines), where(rows)] if rows else []


def epoch_part() -> list[str]:
    """Every contender of the newest LeNet race."""
    rows = read_results("lenet_epoch")
    if not rows:
        return []
    row = rows[-1]
    lines = [
        [
            name,
            f"{seconds:.3f}",
            f"{60_000 // row['batch'] * row['batch'] / seconds:,.0f}",
            f"{row['speed_up'][name]:.2f}×",
            f"{row['accuracy'][name]:.2%}",
        ]
        for name, seconds in row["seconds"].items()
    ]
    headings = ["contender", "seconds", "pictures a second", "Striate is", "test accuracy"]
    trials = "; ".join(f"{name} {seconds:.2f} s" for name, seconds in row["trials"].items())
    versions = ", ".join(
        sorted(
            {
                f"{k} {v}"
                for about in row["peers"].values()
                for k, v in about.items()
                if k in ("keras", "torch")
            }
        )
    )
    said = f"Medians of {row['rounds']} interleaved rounds; speed-ups are medians of the rounds' ratios. Peers: {versions}."
    return [
        "\n## LeNet epoch on MNIST, batch 128\n",
        table(headings, lines),
        said,
        f"\nVariants tried first: {trials}.",
        where(rows),
    ]


def seconds_part() -> list[str]:
    """Every target's newest row."""
    rows = list({(row["source"], row["target"]): row for row in read_results("time_to_accuracy")}.values())
    headings = ["set", "target", "mean test accuracy", "seeds", "`striate train` with"]
    headings += [f"{kind}, {who}" for who in ("Striate", "PyTorch") for kind in ("training s", "process s")]
    lines = [
        [
            row["source"],
            f"{row['target']:.0%}",
            f"{row['striate']['accuracy']:.2%}",
            str(len(row["striate"]["accuracies"])),
            f"`{row['flags']}`",
            *(
                f"{row[who][kind]:.2f}"
                for who in ("striate", "pytorch")
                for kind in ("train_seconds", "process_seconds")
            ),
        ]
        for row in rows
    ]
    said = "*PyTorch*: the same command with `STRIATE_NATIVE=0`, so the same network through PyTorch's operators."
    return ["\n## Seconds to an accuracy\n", table(headings, lines), said, where(rows)] if rows else []


def kill_part() -> list[str]:
    """The newest hunts."""
    rows = read_results("kill_resume")
    headings = [
        "set",
        "model",
        "kills",
        "while writing",
        "runs finished",
        "broken",
        "different",
        "date",
        "commit",
    ]
    lines = [
        [
            row["set"],
            f"`{row['model']}`",
            *(str(row[k]) for k in ("kills", "while_writing", "finished", "broken", "different")),
            row["date"][:10],
            row["commit"],
        ]
        for row in rows[-6:]
    ]
    return ["\n## Kill and resume\n", table(headings, lines)] if rows else []


def newest_group(rows: list[Row], name: str, model: str) -> list[Row]:
    """The newest row of each seed, of the newest commit that measured this set and model."""
    chosen = [row for row in rows if (row["set"], row["model"]) == (name, model)]
    by_seed = {row["seed"]: row for row in chosen if row["commit"] == chosen[-1]["commit"]}
    return [by_seed[seed] for seed in sorted(by_seed)]


def table(headings: list[str], lines: list[list[str]]) -> str:
    """A Markdown table."""
    rows = [headings, ["---"] * len(headings), *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows) + "\n"


def where(rows: list[Row]) -> str:
    """The newest row's machine and versions, in a line."""
    row = rows[-1]
    versions = f"Python {row['python']}, torch {row['torch']}"
    return f"\n{row['machine']}, {row['cores']} cores, {row['threads']} threads, {versions}; {row['date'][:10]}, {row['commit']}.\n"


if __name__ == "__main__":
    main()
