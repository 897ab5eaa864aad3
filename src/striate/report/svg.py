"""Turns what matplotlib draws into inline SVG that takes its colours and its type from the page."""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree

from markupsafe import Markup

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SLOTS = 8  # colours that the style sheet has for learners

# Stand-ins that matplotlib paints with; each becomes a variable of the style sheet.
INK, MUTED, GRID, PAPER = "#010101", "#010102", "#010103", "#010104"
_VARIABLES = {INK: "--ink", MUTED: "--muted", GRID: "--line", PAPER: "--card"}
_COLOUR = re.compile(r"#01[0-9a-f]{4}\b")
_FAMILY = re.compile(r"\s*font-family:[^;]*;?")
_NUMBER = re.compile(r"-?\d+\.\d{3,}")
_SPACE = re.compile(r"\s+")
_IDLE = re.compile(r"rotate\(-?0 [^)]*\)")
_REFERENCE = re.compile(r"#([pmC][0-9a-f_]{6,})")


def slot_colour(slot: int) -> str:
    """The stand-in for the colour of learner ``slot``; they repeat after :data:`SLOTS`.

    >>> slot_colour(0), slot_colour(8)
    ('#010200', '#010200')
    """
    return f"#0102{slot % SLOTS:02x}"


def settings(name: str) -> dict[Any, Any]:
    """The matplotlib settings under which a figure of the report is drawn.

    Args:
        name: of the figure; keeps its ids apart from those of the page's other figures, and makes
            them the same in every build.
    """
    return {
        "svg.fonttype": "none",
        "svg.hashsalt": f"striate-{name}",
        "text.parse_math": False,  # a class named "$x$" is no formula
        "font.family": "DejaVu Sans",  # ships with matplotlib and is wide: what fits in it fits the page
        "font.size": 11.5,
        "axes.linewidth": 0.8,
        "axes.edgecolor": GRID,
        "axes.labelcolor": MUTED,
        "axes.unicode_minus": True,
        "text.color": INK,
        "xtick.color": MUTED,
        "ytick.color": MUTED,
        "xtick.major.size": 0,
        "ytick.major.size": 0,
        "ytick.minor.size": 0,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.spines.left": False,
        "axes.grid": True,
        "axes.grid.axis": "y",
        "grid.color": GRID,
        "grid.linewidth": 0.8,
        "axes.axisbelow": True,
        "lines.linewidth": 2.0,
        "lines.solid_capstyle": "round",
        "path.simplify": True,
    }


def inline(figure: Figure, label: str) -> Markup:
    """``figure`` as an ``<svg>`` element to put into a page.

    Colours become the page's variables, text keeps the page's font, sizes follow the container,
    nothing but referenced ids is left, and no date: the same figure gives the same markup.

    Args:
        figure: drawn under :func:`settings`.
        label: what the figure shows, for those who do not see it.
    """
    text = io.StringIO()
    metadata = dict.fromkeys(("Date", "Creator", "Format", "Type"))
    figure.savefig(text, format="svg", transparent=True, metadata=metadata)
    root = ElementTree.fromstring(text.getvalue())
    referenced = set(_REFERENCE.findall(text.getvalue()))
    _clean(root, referenced)
    _flatten(root)
    for size in ("width", "height"):
        root.attrib.pop(size, None)
    root.attrib.update({"class": "figure", "role": "img", "aria-label": label})
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _clean(element: ElementTree.Element, referenced: set[str]) -> None:
    """Strips namespaces, idle attributes, ids nobody refers to and the style element, in place."""
    element.tag = element.tag.rpartition("}")[2]
    element.tail = None
    if element.tag != "text" and not (element.text or "").strip():
        element.text = None
    attributes = {key.rpartition("}")[2]: value for key, value in element.attrib.items()}
    if attributes.get("id") not in referenced:
        attributes.pop("id", None)
    if _IDLE.fullmatch(attributes.get("transform", "")):
        del attributes["transform"]
    if "style" in attributes:
        attributes["style"] = _FAMILY.sub("", _COLOUR.sub(_variable, attributes["style"])).strip()
    if "d" in attributes:
        attributes["d"] = _SPACE.sub(" ", _NUMBER.sub(_short, attributes["d"])).strip()
    for key in ("x", "y", "transform"):
        if key in attributes:
            attributes[key] = _NUMBER.sub(_short, attributes[key])
    element.attrib.clear()
    element.attrib.update(attributes)
    for child in list(element):
        if child.tag.endswith(("}style", "}metadata")):
            element.remove(child)
        else:
            _clean(child, referenced)


def _flatten(element: ElementTree.Element) -> None:
    """Replaces groups that say nothing by what they hold, in place."""
    children: list[ElementTree.Element] = []
    for child in list(element):
        _flatten(child)
        if child.tag in ("g", "defs") and not child.attrib and (child.tag == "g" or not len(child)):
            children.extend(child)
        else:
            children.append(child)
    element[:] = children


def _variable(match: re.Match[str]) -> str:
    colour = match.group()
    if colour in _VARIABLES:
        return f"var({_VARIABLES[colour]})"
    if colour.startswith("#0102"):
        return f"var(--s{int(colour[5:], 16)})"
    raise ValueError(f"a figure of the report uses {colour}, which stands for no colour of the style sheet")


def _short(match: re.Match[str]) -> str:
    return f"{float(match.group()):.2f}".rstrip("0").rstrip(".")
