"""Extended XYZ, many structures a file: https://github.com/libAtoms/extxyz, as ASE writes it.

A frame is a line with the number of atoms, a comment of `key=value` with `Lattice` (a, b, c in Å)
and `Properties` (the columns), and a line for each atom. The other keys are columns of the source.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import partial

from trainables.crystals.crystal import BadCrystal, one_line
from trainables.crystals.sources.ase_structure import MOST_ATOMS, demand_few, structure_text
from trainables.crystals.sources.base import SourceError, open_text, readable
from trainables.crystals.sources.record_source import Record, RecordSource, bad_record
from trainables.crystals.sources.structure_files import LARGEST_FILE
from trainables.crystals.symbols import symbol

LONGEST_COMMENT = 1 << 20  # characters
DEFAULT = "species:S:1:pos:R:3"
_OWN = ("Lattice", "Properties", "pbc")
_TRUE, _FALSE = ("T", "True", "TRUE", "true", "1"), ("F", "False", "FALSE", "false", "0")
_QUOTES = (("'", "'"), ('"', '"'), ("{", "}"), ("[", "]"))
_QUOTED = "|".join(
    rf"{re.escape(one)}(?:[^\\{re.escape(end)}]++|\\.)*+{re.escape(end)}" for one, end in _QUOTES
)
_PIECE = re.compile(
    rf"(?P<space>\s+)|(?P<equals>=)|\\(?P<escaped>.)|(?P<quoted>{_QUOTED})"
    r"|(?P<plain>[^\s=\\'\"{\[]++)",
    re.DOTALL,
)
FIXED = 4  # decimals; a column with as many in every row is printed in a fixed format, as by ASE
_COUNT = re.compile(r"[0-9]{1,18}")
_VALUES = re.compile(r"[^\s,]+")


class ExtendedXYZ(RecordSource):
    """Streams the frames of an .xyz file, plain or gzipped."""

    def records(self) -> Iterator[Record]:
        """Yields a record for each frame.

        Raises:
            SourceError: a line should have the number of atoms and does not, or the file ends
                within a frame, so that it is unknown where the next one begins.
        """
        with readable(self.path), open_text(self.path) as file:
            lines = enumerate(file, 1)
            for number, line in lines:
                if line.strip():
                    yield self._frame(number, self._count(number, line), lines)

    def _count(self, number: int, line: str) -> int:
        if not _COUNT.fullmatch(line.strip()):
            raise SourceError(
                f"{self.path}: line {number} is {one_line(ascii(line.strip()), 40)} where the"
                " number of atoms of the next structure is expected; is the file XYZ, and is the"
                " number before right?"
            )
        return int(line)

    def _frame(self, begin: int, count: int, lines: Iterator[tuple[int, str]]) -> Record:
        """Reads the lines of a frame; of one that is too large none is kept."""
        kept: list[str] = []
        came = size = 0
        for _, line in lines:
            came, size = came + 1, size + len(line)
            if size > LARGEST_FILE or count > MOST_ATOMS:
                kept.clear()
            else:
                kept.append(line)
            if came == count + 1:
                break
        else:
            raise SourceError(
                f"{self.path}: it ends within the structure that begins in line {begin}, after"
                f" {max(0, came - 1)} of {count} atoms; write or fetch it again"
            )
        try:
            demand_few(count)
            if size > LARGEST_FILE:
                raise BadCrystal(f"text too large: more than {LARGEST_FILE >> 20} MB")
            return _record(kept[0], kept[1:])
        except BadCrystal as bad:
            return bad_record(str(bad))


def _record(comment: str, atoms: list[str]) -> Record:
    if len(comment) > LONGEST_COMMENT:
        raise BadCrystal(f"text too large: a comment of more than {LONGEST_COMMENT} characters")
    pairs = pairs_of(comment)
    columns = _columns(pairs.get("Properties", DEFAULT))
    rows = [line.split() for line in atoms]
    needed = max(end for _, end, _ in columns.values())
    if short := next((place for place, row in enumerate(rows, 1) if len(row) < needed), None):
        raise BadCrystal(
            f"broken structure: atom {short} has {len(rows[short - 1])} of {needed} columns"
        )
    if atoms and not atoms[-1].endswith("\n"):
        _demand_whole(columns, rows)
    fields = _per_atom(columns, rows)
    fields |= {key: _cell(value) for key, value in pairs.items() if key not in _OWN}
    return Record(fields, partial(_structure, pairs, columns, rows))


def _demand_whole(columns: dict[str, tuple[int, int, str]], rows: list[list[str]]) -> None:
    """Refuses a last line, without its end, whose last number has been cut.

    Raises:
        BadCrystal: it has fewer decimals than all others, which have the same number.
    """
    real = [range(start, end) for start, end, kind in columns.values() if kind == "R"]
    if not any(len(rows[-1]) - 1 in places for places in real):
        return
    words = [row[place] for row in rows for places in real for place in places]
    *others, last = (len(word.partition(".")[2]) for word in words)
    if len(set(others)) == 1 and others[0] >= FIXED and last < others[0]:
        raise BadCrystal(
            f"broken structure: the file ends within the last number of atom {len(rows)},"
            f" {one_line(words[-1], 20)!r}, as all others have {others[0]} decimals; write or fetch"
            " it again"
        )


def pairs_of(comment: str) -> dict[str, str]:
    """The `key=value` of a comment, without quotes and backslashes; a key alone says T.

    Raises:
        BadCrystal: a quote or bracket is never closed.
    """
    # of each pair what stands before, between and behind its equals signs; None until it comes
    pairs: list[list[str | None]] = [[None]]
    place = 0
    comment = comment.strip()
    while place < len(comment):
        piece = _PIECE.match(comment, place)
        if piece is None:
            shown = one_line(comment[place:], 20)
            raise BadCrystal(f"broken comment: {shown!r} has a quote or bracket without its end")
        place = piece.end()
        if piece["space"]:
            if pairs[-1][-1] is not None:
                pairs.append([None])
        elif piece["equals"]:
            if pairs[-1] == [None] and len(pairs) > 1:  # blanks before the equals sign
                pairs.pop()
            pairs[-1].append(None)
        else:
            quoted = piece["quoted"]
            text = piece["escaped"] or piece["plain"] or _unescaped(quoted[1:-1])
            pairs[-1][-1] = (pairs[-1][-1] or "") + text
    return {
        parts[0] or "": "=".join(part or "" for part in parts[1:]) if len(parts) > 1 else "T"
        for parts in pairs
        if parts != [None]
    }


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


def _columns(properties: str) -> dict[str, tuple[int, int, str]]:
    """Start, end and type of each column that `name:type:width:…` names.

    Raises:
        BadCrystal: it is no such text, or names no elements or no positions.
    """
    parts = properties.split(":")
    found: dict[str, tuple[int, int, str]] = {}
    start = 0
    for name, kind, width in zip(parts[::3], parts[1::3], parts[2::3], strict=False):
        if kind not in ("S", "R", "I", "L") or not re.fullmatch("[1-9][0-9]{0,5}", width):
            raise BadCrystal(f"broken structure: its Properties are {one_line(properties, 60)!r}")
        if name in found:
            raise BadCrystal(f"broken structure: its Properties name {one_line(name, 40)!r} twice")
        found[name] = (start, start + int(width), kind)
        start += int(width)
    place = found.get("pos", (0, 0, ""))
    if len(parts) % 3 or not {"species", "Z"} & found.keys() or place[1] - place[0] != 3:
        raise BadCrystal(f"broken structure: its Properties are {one_line(properties, 60)!r}")
    return found


def _per_atom(columns: dict[str, tuple[int, int, str]], rows: list[list[str]]) -> dict[str, str]:
    """The columns with a number an atom, as lists."""
    found = {}
    for name, (start, end, kind) in columns.items():
        if kind in ("R", "I") and end == start + 1 and name != "Z":
            values = _numbers([row[start] for row in rows])
            if values is not None:
                found[name] = json.dumps(values)
    return found


def _cell(text: str) -> str:
    if text.startswith("_JSON "):
        return text.removeprefix("_JSON ")
    if text in ("T", "F"):
        return "true" if text == "T" else "false"
    values = _VALUES.findall(text)
    numbers = _numbers(values) if len(values) > 1 else None
    return text if numbers is None else json.dumps(numbers)


def _numbers(words: list[str]) -> list[float] | None:
    try:
        return None if any("_" in word for word in words) else list(map(float, words))
    except ValueError:
        return None


def _structure(
    pairs: dict[str, str], columns: dict[str, tuple[int, int, str]], rows: list[list[str]]
) -> str:
    if "Lattice" not in pairs:
        raise BadCrystal("no cell: the comment has no Lattice, so the structure is no crystal")
    lattice = _numbers(_VALUES.findall(pairs["Lattice"]))
    if lattice is None or len(lattice) != 9:
        shown = one_line(pairs["Lattice"], 60)
        raise BadCrystal(f"broken structure: its Lattice is {shown!r}, no nine numbers")
    at = columns["pos"][0]
    positions = []
    for place, row in enumerate(rows, 1):
        numbers = _numbers(row[at : at + 3])
        if numbers is None:
            shown = one_line(" ".join(row[at : at + 3]), 60)
            raise BadCrystal(f"broken structure: atom {place} lies at {shown!r}")
        positions.append(numbers)
    cell = [lattice[0:3], lattice[3:6], lattice[6:9]]
    return structure_text(_symbols(columns, rows), positions, cell, _periodic(pairs))


def _symbols(columns: dict[str, tuple[int, int, str]], rows: list[list[str]]) -> list[str]:
    if "species" in columns:
        return [row[columns["species"][0]] for row in rows]
    words = [row[columns["Z"][0]] for row in rows]
    return [symbol(int(word)) if _COUNT.fullmatch(word) else word for word in words]


def _periodic(pairs: dict[str, str]) -> list[bool]:
    words = _VALUES.findall(pairs.get("pbc", "T T T"))
    if len(words) != 3 or any(word not in (*_TRUE, *_FALSE) for word in words):
        raise BadCrystal(f"broken structure: its pbc is {one_line(pairs['pbc'], 60)!r}")
    return [word in _TRUE for word in words]
