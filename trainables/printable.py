"""Makes text from files safe to print, as terminals interpret some characters."""

from __future__ import annotations

import unicodedata

# Marks, embeddings, overrides and isolates that change the displayed order of a line.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Control characters (escape sequences start with one), line and paragraph separators, surrogates.
_COMMANDS = frozenset(("Cc", "Zl", "Zp", "Cs"))


def printable(text: str, keep: str = "") -> str:
    r"""Writes each character that a terminal would interpret as `\x1b` or `\u202e`.

    Args:
        keep: control characters that are left unchanged.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character in keep or not _commands(character) else _escaped(character)
        for character in text
    )


def _commands(character: str) -> bool:
    return character in _DIRECTIONS or unicodedata.category(character) in _COMMANDS


def _escaped(character: str) -> str:
    return ascii(character)[1:-1]
