"""Resolves the names of space groups to spglib's 530 settings.

Settings and their operations are those of spglib's database, which follows S. R. Hall and
R. W. Grosse-Kunstleve (International Tables B, table A1.4.2.7).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

import numpy as np
import spglib
from numpy.typing import NDArray

from trainables.crystals.reading.operations import Operations

SETTINGS = range(1, 531)  # Hall numbers
# Symbols of the five groups with an e-plane before 1992, by the order of their settings.
_BEFORE_E = {
    39: "Abm2 Bma2 B2cm C2mb Cm2a Ac2m",
    41: "Aba2 Bba2 B2cb C2cb Cc2a Ac2a",
    64: "Cmca Ccmb Abma Acam Bbcm Bmab",
    67: "Cmma Cmmb Abmm Acmm Bmcm Bmam",
    68: "Ccca Cccb Abaa Acaa Bbcb Bbab",
}
_AXES = ("", "ba-c", "cab", "-cba", "bca", "a-cb")
_STANDARD = frozenset(("", "1", "2", "H", "R", "b1", "c1", "a1", "b", "c", "a"))
# Suffixes for settings: ICSD writes S and Z for the first and the second choice of the origin.
_SUFFIX = re.compile(
    r"(.*?)(?::\(?(?P<named>[hrsz12]|-?[abc][123]?|[12]?[-abc]{3,4})\)?"
    r"|\(?origin(?:choice)?:?(?P<origin>[12])\)?|(?P<letter>[hrsz]))"
)
_BAR = re.compile(r"\\(?:bar|overline|=)\s*\{?\s*(\d)|(\d)\s*bar")  # TeX, CIF, words
_CENTRED = re.compile(r"([abcifp])[-/1-6abcdemn]+")
_LATTICE_POINTS = {"p": 1, "a": 2, "b": 2, "c": 2, "i": 2, "f": 4}
_OLD_CUBIC = re.compile(r"([pfi][mnad])3")


@cache
def operations_of(setting: int) -> Operations:
    """The operations of a Hall number."""
    found = spglib.get_symmetry_from_database(setting)
    assert found is not None
    return Operations(found["rotations"].astype(np.float64), found["translations"])


@cache
def _type_of(setting: int) -> spglib.SpaceGroupType:
    found = spglib.get_spacegroup_type(setting)
    assert found is not None
    return found


@cache
def number_of(setting: int) -> int:
    """Number of the space group of a setting."""
    return int(_type_of(setting).number)


@cache
def choice_of(setting: int) -> str:
    """Axis, cell and origin of a setting in spglib's notation: `b1`, `2`, `H`, `cab` …"""
    return str(_type_of(setting).choice)


def settings_of_name(name: str) -> frozenset[int]:
    """Settings that a Hermann–Mauguin symbol may mean; empty if it is unknown.

    Blanks, underscores, brackets and case are ignored: `P 21/c`, `P2_1/c`, `P 2(1)/c`,
    `P 1 21/c 1`; old symbols are accepted: `F m 3 m`, `C m c a`. A suffix selects settings:
    `R -3 m :H`, `R -3 m H`, `F d -3 m :1`, `F d -3 m S`; `H 3 2` is R 32 in hexagonal axes, as
    protein crystallographers write it. A number stands for its standard setting.
    """
    text = _bare(name)
    if text in _names():
        return _names()[text]
    if text.isdecimal():
        return standard(settings_of_number(int(text)))
    if text.startswith("h") and (found := _names().get("r" + text[1:])):
        return frozenset(s for s in found if choice_of(s) == "H")
    match = _SUFFIX.fullmatch(text)
    if match is None or match[1] not in _names():
        return frozenset()
    suffix = match["named"] or match["origin"] or match["letter"]
    wanted = {"s": "1", "z": "2"}.get(suffix, suffix)
    found = _names()[match[1]]
    chosen = frozenset(s for s in found if choice_of(s).lower().startswith(wanted))
    # If a group has one origin only, programs still write that it is the first.
    return chosen or (found if wanted in ("1", "2") and not _origins(found) else frozenset())


def tells_setting(name: str) -> bool:
    """Whether a Hermann–Mauguin symbol has a suffix that determines origin or axes.

    That of rhombohedral groups only states what the cell shows; reverse axes are hexagonal too.
    """
    text = _bare(name)
    match = None if text in _names() else _SUFFIX.fullmatch(text)
    if match is None or (match["named"] or match["letter"]) in ("h", "r"):
        return False
    return settings_of_name(name) != _names().get(match[1])


def centring_of(name: str) -> int | None:
    """Lattice points in the cell by a symbol's first letter; None if it is no such symbol."""
    match = _CENTRED.fullmatch(_bare(name))
    return _LATTICE_POINTS[match[1]] if match else None


def number_of_operations(operations: Operations, lattice: NDArray[np.float64]) -> int | None:
    """Number of the space group that a group of operations forms, in any setting.

    Args:
        operations: a group, see `Operations.is_group`.
        lattice: [3, 3] rows a, b, c in Å, which they leave roughly invariant.
    """
    rotations = operations.rotations
    metric = (np.swapaxes(rotations, 1, 2) @ (lattice @ lattice.T) @ rotations).mean(axis=0)
    try:
        found = spglib.get_spacegroup_type_from_symmetry(
            rotations.astype(np.intc),
            operations.on_grid().translations,
            np.linalg.cholesky(metric),
            symprec=1e-2,
        )
    except spglib.SpglibError:
        return None
    return None if found is None else int(found.number)


def settings_of_hall(symbol: str) -> frozenset[int]:
    """Settings of a Hall symbol; empty if spglib does not list it."""
    return _halls().get(_bare_hall(symbol), frozenset())


def settings_of_number(number: int) -> frozenset[int]:
    """All settings of a number of the International Tables."""
    return frozenset(s for s in SETTINGS if number_of(s) == number)


def standard(settings: frozenset[int]) -> frozenset[int]:
    """The settings that a bare number may mean: standard axes and cell, any choice of origin."""
    return frozenset(s for s in settings if choice_of(s) in _STANDARD)


def conventional(settings: frozenset[int]) -> frozenset[int]:
    """Selects the unique axis b among monoclinic settings that fit the cell equally well."""
    unique_b = frozenset(s for s in settings if "b" in choice_of(s)[:2])
    monoclinic = all(3 <= number_of(s) <= 15 for s in settings)
    return unique_b if monoclinic and unique_b else settings


def _origins(settings: frozenset[int]) -> bool:
    return any(choice_of(s)[:1] in ("1", "2") for s in settings)


def _bare(name: str) -> str:
    name = _BAR.sub(lambda match: f"-{match[1] or match[2]}", name.lower())
    text = re.sub(r"<[^>]*>|\(?\bno\.?\s*\d+\)?", "", name)
    text = re.sub(r"[−–‐]", "-", text)  # noqa: RUF001
    text = re.sub(r"[\s_'\"~{}$\\,]", "", text)
    text = re.sub(r"(?<=[2346])\(([1-5])\)", r"\1", text)  # P 2(1)/c
    text = re.sub(r"(?<=.)\(\d{2,3}\)$", "", text)  # Pnma (62)
    return _OLD_CUBIC.sub(r"\1-3", text, count=1)


def _bare_hall(symbol: str) -> str:
    return " ".join(symbol.lower().replace("_", " ").split())


def _collected(pairs: Iterator[tuple[str, int]]) -> dict[str, frozenset[int]]:
    found: dict[str, set[int]] = {}
    for name, setting in pairs:
        found.setdefault(name, set()).add(setting)
    return {name: frozenset(settings) for name, settings in found.items()}


@cache
def _names() -> dict[str, frozenset[int]]:
    return _collected((_bare(name), s) for s in SETTINGS for name in _symbols(s))


@cache
def _halls() -> dict[str, frozenset[int]]:
    halls = ((s, _type_of(s).hall_symbol) for s in SETTINGS)
    return _collected((_bare_hall(symbol), s) for s, symbol in halls)


def _symbols(setting: int) -> Iterator[str]:
    kind = _type_of(setting)
    yield kind.international_full
    if not 3 <= kind.number <= 15:
        yield kind.international
    else:
        # `P 1 21/c 1`, which is `P 21/c` for short
        yield "".join(part for part in kind.international_full.split() if part != "1")
    if kind.number in _BEFORE_E:
        yield _BEFORE_E[kind.number].split()[_AXES.index(kind.choice.lstrip("12"))]
