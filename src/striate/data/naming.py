"""What names of files, classes and splits mean, and how they are shown."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Sequence
from pathlib import Path

SPLITS = ("train", "val", "test")
_ALIASES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "test": "test",
    "testing": "test",
}
_DIGITS = re.compile(r"([0-9]+)")
# Besides control characters and lone surrogates: what reorders the text around it on a screen.
_REORDERING = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_ESCAPED_CATEGORIES = frozenset({"Cc", "Cs", "Zl", "Zp"})


def split_of(word: str) -> str | None:
    """The split that a folder's name or a table's cell means, or ``None``.

    >>> split_of("Validation"), split_of("TEST"), split_of("tests")
    ('val', 'test', None)
    """
    return _ALIASES.get(word.strip().casefold())


def shown(name: str | Path) -> str:
    """``name`` on one line, safe to print, log and encode: control characters and bytes that are no
    UTF-8 become backslash escapes; letters of every script stay, in Unicode's composed form (NFC).

    >>> print(shown("two\\nlines"), shown("caf\\udce9.png"), shown("Äpfel"))
    two\\nlines caf\\xe9.png Äpfel
    """
    text = str(name)
    if text.isascii() and text.isprintable():
        return text
    text = os.fsencode(text).decode("utf-8", "backslashreplace") if _has_bytes(text) else text
    return "".join(map(_escaped, unicodedata.normalize("NFC", text)))


def _has_bytes(text: str) -> bool:
    return any("\udc80" <= c <= "\udcff" for c in text)


def _escaped(character: str) -> str:
    if unicodedata.category(character) in _ESCAPED_CATEGORIES or character in _REORDERING:
        return character.encode("unicode_escape").decode("ascii")
    return character


def listed(items: Sequence[str], most: int = 5) -> str:
    """The first few of ``items``, and how many more there are.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    more = f" and {len(items) - most:,} more" if len(items) > most else ""
    return ", ".join(items[:most]) + more


def natural_key(name: str) -> tuple[object, ...]:
    """Sort key that counts as people do, without regard to case unless nothing else differs.

    >>> sorted(["img10", "img2", "Img1", "img02"], key=natural_key)
    ['Img1', 'img02', 'img2', 'img10']
    """
    parts: list[tuple[int, int, str]] = []
    for part in _DIGITS.split(name.casefold()):
        if part and part[0] in "0123456789":
            digits = part.lstrip("0")
            parts.append((0, len(digits), digits))  # by length, then digit by digit: no limit on the number
        elif part:
            parts.append((1, 0, part))
    return (tuple(parts), name)
