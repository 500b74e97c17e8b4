"""Text that comes out of a file, made safe to print: a terminal obeys some characters."""

from __future__ import annotations

import unicodedata

# Marks, embeddings, overrides and isolates by which a line shows another order than it has.
_DIRECTIONS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
# Control characters (escape sequences begin with one), separators of lines and paragraphs, and
# halves of characters.
_COMMANDS = frozenset(("Cc", "Zl", "Zp", "Cs"))


def printable(text: str, keep: str = "") -> str:
    r"""The text with each character that a terminal would obey written as `\x1b` or `\u202e`.

    Args:
        keep: control characters that are left as they are.
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
