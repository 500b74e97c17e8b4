"""Parses CIF syntax: text to data blocks of tags and values, without their meaning.

CIF 1.1 (S. R. Hall et al., International Tables G, chapter 2.2) and, where the first line says so,
CIF 2.0 (H. J. Bernstein et al., J. Appl. Cryst. 49, 277 (2016), doi:10.1107/S1600576715021871), of
which lists and tables are kept as text. A quote that is not closed ends with its line.

Tags compare without case. Dots count as underscores, so that the names of the newer dictionaries
(`_atom_site.fract_x`) are those of the older ones; so do names that end in an underscore, as some
programs write them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from trainables.crystals.crystal import BadCrystal

# No alternative backtracks beyond its start, so that any text takes linear time.
_TOKENS = re.compile(
    r"""^;(?P<field>(?s:.*?))(?:\n;|\Z) | \#[^\n]*
    | '(?P<single>[^\n]*?)'(?=\s|\Z) | "(?P<double>[^\n]*?)"(?=\s|\Z)
    | ['"](?P<open>[^\n]*) | (?P<word>\S+)""",
    re.MULTILINE | re.VERBOSE,
)
_TOKENS_2 = re.compile(
    r'''^;(?P<field>(?s:.*?))(?:\n;|\Z) | \#[^\n]*
    | \'\'\'(?P<singles>(?s:.*?))\'\'\' | """(?P<doubles>(?s:.*?))"""
    | '(?P<single>[^'\n]*)' | "(?P<double>[^"\n]*)"
    | (?P<bracket>[\[\]{}]) | (?P<word>[^\s\[\]{}]+)''',
    re.MULTILINE | re.VERBOSE,
)
_CIF_2 = re.compile(r"#\\#CIF_2")

Value = str | None  # None: a bare `.` or `?`
# What programs write, sometimes in quotes, for a text that they do not have.
_PLACEHOLDERS = frozenset(("", "?", ".", "-", "none", "unknown", "not given", "n/a", "null"))


@dataclass
class Block:
    """One data block: the values of each tag; a single one if the tag is not in a loop.

    Attributes:
        faults: tag -> what is wrong with its values; raised when they are requested.
    """

    name: str
    values: dict[str, list[Value]] = field(default_factory=dict)
    faults: dict[str, str] = field(default_factory=dict)

    def column(self, tag: str) -> list[Value] | None:
        """Values of a tag in the order of the file; None if it is missing.

        Raises:
            BadCrystal: the file contradicts itself about them.
        """
        if tag in self.faults:
            raise BadCrystal(self.faults[tag])
        return self.values.get(tag)

    def known(self, tag: str) -> list[str]:
        """Values of a tag without unknown ones."""
        return [value for value in self.column(tag) or [] if value is not None]

    def stated(self, tag: str) -> list[str]:
        """Known values of a text tag, without placeholders."""
        return [text for text in self.known(tag) if text.strip("'\" ").lower() not in _PLACEHOLDERS]

    def first(self, *tags: str) -> Value:
        """The first known value of the first of these tags that has one."""
        return next((value for tag in tags for value in self.known(tag)), None)

    def put(self, tag: str, values: list[Value]) -> None:
        """Stores the values of a tag; other values for the same tag are a fault."""
        if self.values.setdefault(tag, values) != values:
            self.faults[tag] = f"ambiguous CIF: {tag} stands twice with different values"


def blocks(text: str) -> list[Block]:
    """Data blocks of a CIF in the order of the file; save frames are left out."""
    reading = _Reading()
    for kind, word in _tokens(text):
        lower = word.lower() if kind == "word" else ""
        if lower.startswith("data_"):
            reading.begin(word[5:])
        elif lower.startswith("save_"):
            reading.leave_out()
        elif lower in ("loop_", "stop_", "global_"):
            reading.end()
            reading.columns = [] if lower == "loop_" else None
        elif lower.startswith("_"):
            reading.tag(lower.replace(".", "_").rstrip("_"))
        else:
            unknown = kind == "word" and word in (".", "?")
            reading.value(None if unknown else word.strip(), kind == "word")
    reading.end()
    return reading.blocks


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    second = _CIF_2.match(text) is not None
    depth, inside = 0, []
    for match in (_TOKENS_2 if second else _TOKENS).finditer(text):
        kind = match.lastgroup
        if kind is None:
            continue  # a comment
        if kind == "bracket":
            depth += 1 if match[0] in "[{" else -1
        if depth > 0 or kind == "bracket":
            inside.append(match[kind])
            if depth <= 0:
                yield "list", " ".join(inside)
                depth, inside = 0, []
            continue
        yield kind, match[kind]


class _Reading:
    """The state of the parser."""

    def __init__(self) -> None:
        self.blocks: list[Block] = []
        self.columns: list[str] | None = None  # of the current loop
        self._block = Block("")  # text before the first block is no data
        self._items: list[Value] = []
        self._tag: str | None = None  # waiting for its value, or for the rest of it
        self._waits = False

    def begin(self, name: str) -> None:
        self.leave_out()
        self.blocks.append(self._block)
        self._block.name = name

    def leave_out(self) -> None:
        self.end()
        self._block = Block("")

    def tag(self, tag: str) -> None:
        if self.columns is not None and not self._items:
            self.columns.append(tag)
            return
        self.end()
        self._tag, self._waits = tag, True

    def value(self, value: Value, bare: bool) -> None:
        if self.columns is not None:
            self._items.append(value)
        elif self._tag is not None and self._waits:
            self._items, self._waits = [value], False
        elif self._tag is not None and bare and self._items[0] is not None:
            # `P 21/c` without its quotes
            self._items = [f"{self._items[0]} {value or '?'}"]

    def end(self) -> None:
        """Stores the loop or the single value that ends here."""
        if self.columns and len(self._items) == 1 < len(self.columns):
            # A loop has at least one row: this is an empty loop, followed by a tag with its value.
            self._block.put(self.columns.pop(), self._items)
            self._items = []
        if self.columns:
            count, width = len(self._items), len(self.columns)
            for at, tag in enumerate(self.columns):
                self._block.put(tag, self._items[at::width])
                if count % width:
                    self._block.faults[tag] = (
                        f"no structure: broken CIF, the loop of {self.columns[0]} has {width} "
                        f"columns and {count} values"
                    )
        elif self._tag is not None:
            self._block.put(self._tag, self._items or [None])
        self.columns, self._items, self._tag, self._waits = None, [], None, False
