"""Reads POSCAR and CONTCAR of VASP, as documented at https://www.vasp.at/wiki/index.php/POSCAR.

Written here because pymatgen's reader silently drops coordinates and symbols in excess of the
counts, and supports neither three scale factors nor Fortran's exponents.
"""

from __future__ import annotations

import re
from itertools import takewhile

import numpy as np
from numpy.typing import NDArray

from trainables.crystals.crystal import BadCrystal, Crystal, one_line
from trainables.crystals.reading.numbers import number
from trainables.crystals.symbols import NUMBERS, symbol

_COUNT = re.compile(r"\d+")
_COMMENT = re.compile(r"[#!].*")
# Fortran may leave out blanks: `0.50000000-0.25000000-0.75000000`.
_JOINED = re.compile(r"[+-]?(?:\d+\.\d*|\.\d+)(?:[eEdD][+-]?\d+)?")
_FLAG = re.compile(r"\.?(?:t|f|true|false)\.?", re.IGNORECASE)  # Fortran's logical values
_CHARGED = re.compile(r"([A-Z][a-z]?)\d*[+-]\d*")
_LABEL = re.compile(r"([A-Z][A-Za-z]?)(?:\d+|\d*[+-]\d*)?(?:_\w*)?")
_FRAME = re.compile(r"(?:configuration|konfig)\s*=", re.IGNORECASE)
_MODES = re.compile(r"[dck]", re.IGNORECASE)


def read_poscar(text: str) -> Crystal:
    """Reads the crystal of a POSCAR; what follows the coordinates (velocities) is ignored.

    Raises:
        BadCrystal: the reason in one line.
    """
    lines = [_COMMENT.sub("", line).strip() for line in text.rstrip().split("\n")]
    if len(lines) < 7:
        raise _broken("it ends before its coordinates")
    lattice, scale = _lattice(lines[1:5])
    symbols, counts, at = _counts(lines)
    if lines[at : at + 1] and lines[at][:1] in ("s", "S"):
        at += 1
    mode = lines[at] if at < len(lines) else ""
    if not mode or not mode[0].isalpha():
        raise _broken(f"line {at + 1} says neither Direct nor Cartesian")
    total = sum(counts)
    rows = lines[at + 1 : at + 1 + total]
    if "" in rows:
        rows = rows[: rows.index("")]
    if len(rows) < total:
        raise _broken(f"its counts say {total} atoms, it lists {len(rows)}")
    _refuse_more(lines[at + 1 + total :], total)
    places = np.array([_numbers(row, 3, "coordinates") for row in rows]).reshape(-1, 3)
    if mode[0] in "cCkK":
        places = (places * scale) @ np.linalg.inv(lattice)
    symbols = symbols or _symbols_of_comment(lines[0], len(counts))
    symbols = symbols or _symbols_of_rows(rows, counts)
    elements = [name for name, count in zip(symbols, counts, strict=True) for _ in range(count)]
    _refuse_other_symbols(rows, elements)
    return Crystal(np.array([NUMBERS[e] for e in elements], dtype=np.uint8), places, lattice)


def _broken(reason: str) -> BadCrystal:
    return BadCrystal(f"no structure: broken POSCAR, {one_line(reason)}")


def _numbers(line: str, count: int, what: str) -> list[float]:
    words = line.split()
    if len(words) < count:
        words = _JOINED.findall(line)
    values = [number(word) for word in words[:count]]
    if any(word.lower().lstrip("+-") in ("nan", "inf", "infinity") for word in words[:count]):
        raise BadCrystal(f"{what} are not finite: {line[:40]!r}")
    if len(values) < count or None in values:
        raise _broken(f"{line[:40]!r} is not {count} {what}")
    return [value for value in values if value is not None]


def _lattice(lines: list[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Cell [3, 3] in Å and the factors [3] of Cartesian coordinates along x, y, z."""
    words = lines[0].split()
    factors = _numbers(lines[0], 3 if len(words) >= 3 and number(words[2]) else 1, "scale factors")
    rows = np.array([_numbers(line, 3, "components of a cell vector") for line in lines[1:4]])
    if 0.0 in factors or (len(factors) == 3 and min(factors) < 0):
        raise _broken(f"{lines[0][:40]!r} are no scale factors")
    scale = np.array(factors * (3 if len(factors) == 1 else 1))
    if factors[0] < 0:  # minus the volume
        volume = abs(float(np.linalg.det(rows)))
        if not volume > 0:
            raise BadCrystal("zero volume: the cell's vectors lie in one plane")
        scale[:] = (-factors[0] / volume) ** (1 / 3)
    lattice = rows * scale
    if not np.isfinite(lattice).all():
        raise BadCrystal("lattice is not finite: its scale factor is too large")
    if not abs(np.linalg.det(lattice)) > 1e-6:
        raise BadCrystal("zero volume: the cell's vectors lie in one plane")
    return lattice, scale


def _counts(lines: list[str]) -> tuple[list[str] | None, list[int], int]:
    """Symbols (None if there are none), counts, and the next line; both may span several lines."""
    at = 5
    names: list[str] = []
    while at < len(lines) and lines[at] and not _COUNT.fullmatch(lines[at].split()[0]):
        names += lines[at].split()
        at += 1
        if at > 100:
            break
    counts: list[int] = []
    wanted = len(names) or 1
    while at < len(lines) and len(counts) < wanted and lines[at]:
        words = lines[at].split()
        if not all(_COUNT.fullmatch(word) for word in words):
            break
        counts += [int(word) for word in words]
        at += 1
    if not counts:
        raise _broken(f"line {min(at, len(lines) - 1) + 1} has no counts of atoms")
    if names and len(names) != len(counts):
        raise _broken(f"it names {len(names)} elements and has {len(counts)} counts")
    return [_element(name) for name in names] or None, counts, at


def _element(name: str) -> str:
    """Element of a name as VASP writes it: `Na`, `Na_pv`, `Na_sv/1f2e3d`; or of an ion: `Na+`."""
    bare = name.split("/")[0].split("_")[0]
    charged = _CHARGED.fullmatch(bare)
    bare = charged[1] if charged else bare
    if bare not in NUMBERS:
        raise BadCrystal(f"unknown element: {name[:20]!r} in the POSCAR's line of symbols")
    return bare


def _behind(row: str) -> str:
    """The first word after the three coordinates and, if present, the flags: VASP reads three flags
    with `Selective dynamics`, and ignores them without. A single F is fluorine.
    """
    words = row.split()
    words = words[3:] if len(words) >= 3 else _JOINED.sub(" ", row, count=3).split()
    flags = len(list(takewhile(_FLAG.fullmatch, words[:3])))
    return next(iter(words[flags if flags > 1 else 0 :]), "")


def _symbols_of_comment(comment: str, counts: int) -> list[str] | None:
    """Symbols in the first line of a POSCAR of VASP 4, if there is exactly one for each count."""
    words = comment.split()
    return words if len(words) == counts and all(word in NUMBERS for word in words) else None


def _symbols_of_rows(rows: list[str], counts: list[int]) -> list[str]:
    """Symbols [counts] after the coordinates, as VASP 4 has no line for them."""
    found = [_LABEL.fullmatch(_behind(row)) for row in rows]
    names = [match[1] if match else "" for match in found]
    # T and F alone may be flags, some of which are left out.
    if set(names) <= {"T", "F"} or any(name not in NUMBERS for name in names):
        raise BadCrystal("unknown element: the POSCAR names no elements, add a line of symbols")
    starts = [sum(counts[:place]) for place in range(len(counts))]
    return [names[start] if start < len(names) else names[-1] for start in starts]


def _refuse_other_symbols(rows: list[str], elements: list[str]) -> None:
    for place, (row, element) in enumerate(zip(rows, elements, strict=True)):
        word = _LABEL.fullmatch(_behind(row))
        if word is None:  # a comment
            continue
        # `CL1` may be chlorine in capitals, or a label of carbon.
        meant = {word[1]} if word[1] in NUMBERS else {word[1].capitalize(), word[1][0]}
        named = {NUMBERS[name] for name in meant if name in NUMBERS}
        if named and NUMBERS[element] not in named:
            raise BadCrystal(
                f"contradictory POSCAR: atom {place + 1} is {word[0]} in its line and "
                f"{symbol(NUMBERS[element])} by the counts"
            )


def _refuse_more(lines: list[str], total: int) -> None:
    """Refuses coordinates in excess of the counts; velocities follow an empty line or a word."""
    if any(map(_begins_another, lines, ["", *lines])):
        raise BadCrystal(
            f"several structures: behind the {total} coordinates of the POSCAR another one begins,"
            " as in an XDATCAR; give each a file of its own"
        )
    following = 0
    for line in lines:
        if not line or line[0].isalpha():
            break
        following += 1
    if following:
        raise _broken(f"its counts say {total} atoms, it lists {total + following}")
    # The velocities, after one empty line, are as many as the atoms.
    if lines and not lines[0]:
        block = lines[1 : lines.index("", 1)] if "" in lines[1:] else lines[1:]
        block = [line for line in block if not line[:1].isalpha()]
        if block and len(block) != total:
            raise _broken(
                f"behind its {total} coordinates stand {len(block)} lines, which are no velocities"
            )


def _begins_another(line: str, before: str) -> bool:
    """Whether a line starts another structure: XDATCAR's word for a frame, symbols of elements, or
    counts (`before`) and a mode.
    """
    words = line.split()
    return bool(
        _FRAME.search(line)
        or (words and all(word in NUMBERS for word in words))
        or (_MODES.match(line) and _are_counts(before))
    )


def _are_counts(line: str) -> bool:
    words = line.split()
    return all(map(_COUNT.fullmatch, words)) and any(map(int, words))  # zeros are a velocity
