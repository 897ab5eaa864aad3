"""Striate: labelled pictures in, a judged classifier out."""

__version__ = "0.1.0"
