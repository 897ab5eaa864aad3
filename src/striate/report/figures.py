"""The plots of the report: learning curves and the shift experiment."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from striate.report.svg import INK, MUTED, PAPER, SLOTS, inline, settings, slot_colour
from striate.verdict.results import LearnerResult

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MARKERS = "osD^vPXp"
WIDTH, HEIGHT = 400.0, 268.0  # user units; one is about 1.2 pixels on a wide page
_LABEL_GAP = 14.5
_LONGEST_LABEL = 14
_LONG = 8  # epochs from which on the start of a curve may be cut off


@dataclass(frozen=True)
class Line:
    """One curve: ``label`` stands at its right end; without one it is drawn as a companion."""

    label: str | None
    slot: int
    x: Sequence[float]
    y: Sequence[float]


@dataclass(frozen=True)
class Panel:
    """A drawn figure with its heading."""

    title: str
    svg: Markup


def learning_curves(learners: Sequence[LearnerResult]) -> list[Panel]:
    """Accuracy and loss by epoch of every learner that kept a history; empty if none has two epochs."""
    known = [(slot, learner) for slot, learner in enumerate(learners) if learner.history]
    if all(len(learner.history) < 2 for _, learner in known):
        return []
    panels = []
    for title, quantity, log in (("Accuracy", "accuracy", False), ("Loss (log scale)", "loss", True)):
        lines = [
            line
            for slot, learner in known
            for line in (
                _history_line(None, slot, learner.history, f"train_{quantity}"),
                _history_line(learner.name, slot, learner.history, f"val_{quantity}"),
            )
            if line
        ]
        if lines:
            label = _sketch(f"{title} by epoch", lines)
            span = _settled(lines, log)
            svg = _line_chart(f"curves-{quantity}", lines, "epoch", label, log=log, span=span)
            panels.append(Panel(title, svg))
    return panels


def shift_panels(learners: Sequence[LearnerResult]) -> list[Panel]:
    """Accuracy and consistency by offset of every learner that was shifted; empty if none was."""
    known = [(slot, learner) for slot, learner in enumerate(learners) if learner.shift]
    panels = []
    for title, quantity in (("Accuracy", "accuracy"), ("Consistency", "consistency")):
        lines = [
            Line(learner.name, slot, learner.shift.offsets, getattr(learner.shift, quantity))
            for slot, learner in known
            if learner.shift
        ]
        if lines:
            label = _sketch(f"{title} by offset in pixels", lines)
            panels.append(Panel(title, _line_chart(f"shift-{quantity}", lines, "offset in pixels", label)))
    return panels


def legible(name: str) -> str:
    """A learner's name, short enough for the margin of a plot.

    >>> legible("cnn"), legible("my_package.networks:factory")
    ('cnn', '…works:factory')
    """
    return name if len(name) <= _LONGEST_LABEL else "…" + name[-_LONGEST_LABEL + 1 :]


def spread(positions: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """``positions`` moved as little as it takes to lie ``gap`` apart within ``low``…``high``.

    >>> spread([10, 11, 50], 5, 0, 60)
    [8.0, 13.0, 50.0]
    """
    order = sorted(range(len(positions)), key=lambda i: positions[i])
    blocks: list[list[float]] = []  # [centre, size] of labels that touch
    for i in order:
        blocks.append(_within([float(positions[i]), 1], gap, low, high))
        while len(blocks) > 1 and _end(blocks[-2], gap, 1) + gap > _end(blocks[-1], gap, -1):
            (centre, size), (next_centre, next_size) = blocks[-2:]
            total = size + next_size
            merged = [(centre * size + next_centre * next_size) / total, total]
            blocks[-2:] = [_within(merged, gap, low, high)]
    placed = [centre + gap * (k - (size - 1) / 2) for centre, size in blocks for k in range(int(size))]
    result = [0.0] * len(positions)
    for i, position in zip(order, placed, strict=True):
        result[i] = position
    return result


def _end(block: list[float], gap: float, side: int) -> float:
    return block[0] + side * gap * (block[1] - 1) / 2


def _within(block: list[float], gap: float, low: float, high: float) -> list[float]:
    half = gap * (block[1] - 1) / 2
    return [max(low + half, min(high - half, block[0])), block[1]]


def _history_line(label: str | None, slot: int, history: Sequence[dict[str, Any]], key: str) -> Line | None:
    points = [(record["epoch"], record[key]) for record in history if record.get(key) is not None]
    if key.endswith("loss"):
        points = [(x, y) for x, y in points if y > 0]  # a loss of 0 has no place on a log scale
    if not points:
        return None
    return Line(label, slot, [x for x, _ in points], [y for _, y in points])


def _sketch(what: str, lines: Sequence[Line]) -> str:
    """The figure in words: where each labelled curve starts and ends."""
    ends = (
        f"{line.label} from {line.y[0]:.3g} to {line.y[-1]:.3g}, at most {max(line.y):.3g}"
        for line in lines
        if line.label
    )
    return f"{what}: {'; '.join(ends)}."


def _settled(lines: Sequence[Line], log: bool) -> tuple[float, float] | None:
    """Least and largest value worth showing: the first quarter of a long training may run out of the plot.

    A companion may also leave a log scale at the bottom, far below what is labelled.
    """
    if max(len(line.y) for line in lines) < _LONG:
        return None
    settled = [value for line in lines for value in line.y[len(line.y) // 4 :]]
    everything = [value for line in lines for value in line.y]
    if not log:
        return min(settled), max(everything)
    labelled = [value for line in lines if line.label for value in line.y] or everything
    return max(min(everything), min(labelled) / 3), max(settled)


def _line_chart(
    name: str,
    lines: Sequence[Line],
    x_label: str,
    label: str,
    *,
    log: bool = False,
    span: tuple[float, float] | None = None,
) -> Markup:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(settings(name)):
        figure = Figure(figsize=(WIDTH / 72, HEIGHT / 72), dpi=72)  # a pixel is a point
        longest = max((len(legible(line.label)) for line in lines if line.label), default=0)
        right = 1 - (26 + 6.9 * longest) / WIDTH
        axes = figure.add_axes((0.115, 0.155, right - 0.115, 0.81))
        for line in lines:
            _draw(axes, line)
        axes.set_xlabel(x_label, labelpad=5)
        axes.margins(x=0.02)
        _x_ticks(axes, lines)
        _y_ticks(axes, log, span)
        axes.spines["bottom"].set_color(MUTED)
        _label_ends(axes, [line for line in lines if line.label])
        return inline(figure, label)


def _draw(axes: Axes, line: Line) -> None:
    colour = slot_colour(line.slot)
    if line.label is None:
        axes.plot(line.x, line.y, color=colour, linewidth=1.2, linestyle=(0, (2.5, 2.5)), alpha=0.8, zorder=2)
        return
    axes.plot(
        line.x,
        line.y,
        color=colour,
        linestyle="-" if line.slot < SLOTS else "--",
        marker=MARKERS[line.slot % len(MARKERS)],
        markersize=5.5 if len(line.x) <= 20 else 4,
        markeredgecolor=PAPER,
        markeredgewidth=0.8,
        markevery=max(1, len(line.x) // 12),
        zorder=3,
    )


def _x_ticks(axes: Axes, lines: Sequence[Line]) -> None:
    from matplotlib.ticker import MaxNLocator

    axes.xaxis.set_major_locator(MaxNLocator(7, integer=True))
    points = {x for line in lines for x in line.x}
    if len(points) == 1:  # a single epoch: room on both sides of the lone mark
        (only,) = points
        axes.set_xlim(only - 1, only + 1)
        axes.set_xticks([only])


def _y_ticks(axes: Axes, log: bool, span: tuple[float, float] | None) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

    if log:
        axes.set_yscale("log")
        if span:
            axes.set_ylim(span[0] / 1.15, span[1] * 1.15)
        low, high = axes.get_ylim()
        steps = (1.0,) if high / low > 300 else (1.0, 2.0, 5.0)
        axes.yaxis.set_major_locator(LogLocator(subs=steps))
        axes.yaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        return
    low, high = axes.get_ylim()
    if span:
        margin = 0.05 * (span[1] - span[0]) or 0.01
        low, high = span[0] - margin, span[1] + margin
    axes.set_ylim(max(-0.02, low), min(high, 1.0 + 0.02 * (1.0 - low)))
    axes.yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(_percent_tick(axes)))


def _percent_tick(axes: Axes) -> Callable[[float, int | None], str]:
    def write(value: float, _: int | None) -> str:
        if value > 1.0 + 1e-9 or value < -1e-9:
            return ""
        low, high = axes.get_ylim()
        return f"{value * 100:.1f}%" if high - low < 0.04 else f"{value * 100:g}%"

    return write


def _label_ends(axes: Axes, lines: Sequence[Line]) -> None:
    """Writes each curve's name beside its end, moved apart where ends meet, with a leader."""
    if not lines:
        return
    box = axes.get_window_extent()
    ends = [axes.transData.transform((line.x[-1], line.y[-1])) for line in lines]
    heights = spread([float(y) for _, y in ends], _LABEL_GAP, box.y0 + 2, box.y1 + 2)
    for line, (x, y), height in zip(lines, ends, heights, strict=True):
        axes.annotate(
            legible(line.label or ""),
            xy=(x, y),
            xycoords="figure points",
            xytext=(box.x1 + 16, height),
            textcoords="figure points",
            va="center_baseline",
            ha="left",
            color=INK,
            annotation_clip=False,
            arrowprops={
                "arrowstyle": "-",
                "color": slot_colour(line.slot),
                "linewidth": 1,
                "shrinkA": 2,
                "shrinkB": 5,
                "relpos": (0, 0.5),
                "alpha": 0.75,
            },
        )
