"""What an operator's folder promises is public, told and alone: names, docstrings, nothing orphaned."""

from __future__ import annotations

import inspect

import contract_helpers as contract

import striate.functional
import striate.nn
from striate.ops._spec import OpSpec


@contract.functions()
def test_functions_are_public_and_told(spec: OpSpec, function: str):
    assert getattr(striate.functional, function) is spec.functions[function]
    text = inspect.getdoc(spec.functions[function]) or ""
    assert ">>>" in text, f"{function} has no example"
    own = inspect.signature(spec.functions[function]).parameters
    by_definition = inspect.signature(spec.references[function]).parameters
    assert [(p.name, p.default) for p in own.values()] == [
        (p.name, p.default) for p in by_definition.values()
    ]


@contract.specs()
def test_layers_are_public_and_told(spec: OpSpec):
    for layer in spec.layers:
        assert layer.__name__ in striate.nn.__all__
        assert layer.__doc__ and layer.__doc__.strip(), f"{layer.__name__} has no docstring"


@contract.specs()
def test_a_family_tells_everything_once(spec: OpSpec):
    """One docstring at least of the family says what is raised and where the definition comes from."""
    texts = [inspect.getdoc(function) or "" for function in spec.functions.values()]
    for heading in ("Args:", "Raises:", "Source:"):
        assert any(heading in text for text in texts), f"no docstring of {spec.name} has {heading}"
    assert spec.paper


def test_every_public_name_belongs_to_an_operator():
    functions = {name for spec in contract.SPECS for name in spec.functions}
    layers = {layer.__name__ for spec in contract.SPECS for layer in spec.layers}
    classes = {name for name in striate.nn.__all__ if isinstance(getattr(striate.nn, name), type)}
    assert classes == layers  # beside what fills their weights
    assert functions <= set(striate.functional.__all__)
