"""Draws docs/images/ops/<operator>.svg for every operator, or for those that are named.

    python tools/draw_operators.py
    python tools/draw_operators.py conv max_pool

The same numbers give the same bytes.
"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib
from matplotlib import pyplot as plt

from drawings import convolutions, poolings
from striate.ops._registry import operator_names

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "images" / "ops"


def main(names: list[str]) -> int:
    """Draw; the exit code is 1 where an operator has no drawing."""
    matplotlib.use("agg")
    plt.rcParams["svg.hashsalt"] = "striate"
    FOLDER.mkdir(exist_ok=True)
    missing = 0
    for name in names or operator_names():
        draw = getattr(convolutions, name, None) or getattr(poolings, name, None)
        if draw is None:
            print(f"{name}: no drawing; add a function of that name to tools/drawings", file=sys.stderr)
            missing = 1
            continue
        figure = draw()
        figure.savefig(FOLDER / f"{name}.svg", transparent=True, metadata={"Date": None, "Creator": None})
        plt.close(figure)
        print(f"docs/images/ops/{name}.svg")
    return missing


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
