"""``striate describe``: what a network's layers do with one picture."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from striate.cli.flags import OUTPUT, Json
from striate.errors import ArgumentError, UsageError

if TYPE_CHECKING:
    from torch import nn

DEFAULT_INPUT = (3, 32, 32)

Model = Annotated[
    str,
    typer.Argument(
        metavar="MODEL",
        help="A network's name, the folder of a finished run, or your own as package.module:factory.",
        show_default=False,
    ),
]
Input = Annotated[
    str | None,
    typer.Option(
        "--input",
        "-i",
        metavar="CxHxW",
        help="Channels, height and width of a picture [default: those of the run, or 3x32x32].",
        show_default=False,
    ),
]
Classes = Annotated[int, typer.Option("--classes", metavar="N", help="Number of classes.", min=1)]
Markdown = Annotated[bool, typer.Option("--markdown", help="The table in Markdown.", rich_help_panel=OUTPUT)]
Explain = Annotated[
    str | None,
    typer.Option(
        "--explain",
        metavar="LAYER",
        help="The formulas of one layer, with the numbers filled in.",
        rich_help_panel=OUTPUT,
        show_default=False,
    ),
]


def register(app: typer.Typer) -> None:
    """Add the verb."""
    app.command()(describe)


def describe(
    model: Model,
    input: Input = None,
    classes: Classes = 10,
    explain: Explain = None,
    as_json: Json = False,
    markdown: Markdown = False,
) -> None:
    """Show what every layer of a network does with one picture.

    Sizes, parameters, multiply-adds (MACs: multiplications, summed up, of convolutions and matrix
    products), memory and receptive fields; nothing is computed, and no data is needed.

    Examples
      striate describe lenet --input 1x28x28
      striate describe runs/cnn-digits-20260101-120000
      striate describe mypackage.nets:net --input 3x224x224 --markdown
      striate describe lenet --explain conv2
    """
    shape = None if input is None else parse_input(input)
    from striate.cli import _layers as layers
    from striate.cli._results import print_json
    from striate.geometry import trace

    network, shape = _network(model, shape, classes)
    try:
        traced = trace(network, shape)
    except ArgumentError as error:
        raise UsageError(f"{model}: {error}") from error
    if explain is not None:
        layers.show_explanation(traced, explain, as_json)
    elif as_json:
        print_json({"model": model, **traced.to_dict()})
    else:
        layers.show(traced, markdown)


def parse_input(text: str) -> tuple[int, ...]:
    """``"3x224x224"`` as numbers.

    >>> parse_input("3x224x224"), parse_input("1×28×28")
    ((3, 224, 224), (1, 28, 28))
    """
    parts = re.split(r"[x×,*]", text.strip().lower())
    if not 2 <= len(parts) <= 4 or not all(part.isascii() and part.isdigit() and int(part) for part in parts):
        raise UsageError(f"--input: wanted channels and sizes such as 3x224x224, got {text!r}")
    return tuple(map(int, parts))


def _network(model: str, shape: tuple[int, ...] | None, classes: int) -> tuple[nn.Module, tuple[int, ...]]:
    if Path(model).is_dir():
        from striate.models.network import NetworkLearner
        from striate.train.run_folder import load_model

        learner = load_model(Path(model)).learner
        if not isinstance(learner, NetworkLearner):
            raise UsageError(f"{model}: {learner.title} has no layers; describe a network")
        return learner.network, shape or learner.shape
    from striate.models.registry import HANDCRAFTED, check_name

    check_name(model)
    if model in HANDCRAFTED:
        raise UsageError(f"{model} has no layers; describe a network, such as cnn")
    from striate.models.network import build_network

    shape = shape or DEFAULT_INPUT
    return build_network(model, shape, classes), shape
