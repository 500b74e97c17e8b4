"""Determines the element of an atom in a CIF from its type symbol, or else its label.

A type symbol is an element's, with an isotope's mass before it or a charge after it, or the name of
a scattering factor (`Cval`). A label only *starts* with one, and other text in labels is
misleading: T and M are sites, W and Wat water, CD and HO atoms of a ligand. So a label that can be
read in two ways is decided by the formula of the file, and refused if there is none.
"""

from __future__ import annotations

import re

from trainables.crystals.crystal import BadCrystal
from trainables.crystals.reading.formula import Formula
from trainables.crystals.symbols import NUMBERS

_CHARGE = r"(?:\d*\.?\d*[+-]|[+-]\d*\.?\d*|\++|-+)"
_TYPE = re.compile(rf"\d{{0,3}}([A-Za-z]{{1,2}})(?:{_CHARGE}|(\d+))?\**")
_VALENCE = {"cval": "C", "siva": "Si", "sival": "Si"}  # of neutral atoms, International Tables C
_LABEL = re.compile(r"\d{0,3}([A-Za-z]+)[^,/|&;]*")
_SEVERAL = re.compile(r"(?:[A-Z][a-z]?\d*){2,}")
_WATER = frozenset(("wat", "oh", "ow", "oh2", "h2o", "hoh", "d2o", "od", "water"))
# Written in capitals, these are more often a group of two atoms than an element.
_GROUPS = frozenset(("CO", "NO", "CN", "NH", "HO", "HF", "NP", "CF", "PO", "HS"))
_HEAVIEST = 103  # heavier elements have no crystals: Nh is NH, Cn is CN, Mt is a metal
_DOUBTFUL = frozenset("WDT")  # water, dummy, tetrahedron
# In capitals these are more often a rare earth, an aryl, a site A of kind C or M … than an element.
_DOUBTFUL_CAPITALS = frozenset(("RE", "AR", "AC", "AM", "AT", "RA", "RN", "FM", "MD", "ES", "LR"))
_HYDROGEN = re.compile(
    r"\d{0,3}(?:[A-Z][a-z]?\d*[-_ ]?\(?H\d*\)\S*|[A-Z][a-z]?\d*[-_]H\d*|[ONF]\d*H\d?)"
)
_SUFFIXES = frozenset("ABCDEGIJKLMPQRSTUVWXYZ")  # O, H, N and F behind an element are atoms


def element(type_symbol: str | None, label: str | None, formula: Formula | None) -> str:
    """Symbol of an atom's element; D and T are kept.

    Args:
        type_symbol, label: None if the file has none.

    Raises:
        BadCrystal: it is no element, or could be one of two.
    """
    if type_symbol is not None:
        found = _of_type(type_symbol, formula)
        if label is not None:
            _refuse_other_label(found, label, formula)
        return found
    if label is not None:
        return _of_label(label, formula)
    raise BadCrystal("unknown element: an atom of the CIF has neither a type symbol nor a label")


def _refuse_other_label(symbol: str, label: str, formula: Formula | None) -> None:
    """Refuses `Na1` as chlorine, unless the formula has no sodium.

    Labels with one letter in common with the type are a ligand's (`Cd1` and `Hg2` are δ and γ).
    """
    match = re.match(r"([A-Z][a-z])(?![a-z])", label)
    if match is None or match[1] not in NUMBERS or NUMBERS[match[1]] > _HEAVIEST:
        return
    named = match[1]
    if named == symbol or named[0] == symbol[0] or {named[0], symbol} <= {"H", "D", "T"}:
        return
    if formula is None or formula.has(named):
        raise BadCrystal(
            f"ambiguous atom: its label {label[:20]!r} is {named}, its type {symbol}; correct one"
        )


def _of_type(text: str, formula: Formula | None) -> str:
    if text.lower() in _VALENCE:
        return _VALENCE[text.lower()]
    match = _TYPE.fullmatch(text)
    if match is not None:
        letters, digits = match[1], match[2]
        symbol = letters.capitalize()
        if symbol == "T" and not (formula is not None and formula.has(symbol)):
            raise BadCrystal(
                f"ambiguous type: {text[:20]!r} could be tritium or a tetrahedral site; name its "
                "element, or hydrogen in _chemical_formula_sum"
            )
        if symbol in NUMBERS:
            heavy = NUMBERS[symbol] > _HEAVIEST
            plain = letters == symbol or len(letters) == 1
            rare = letters.upper() in _GROUPS or digits
            if (formula is not None and formula.has(symbol)) or (not heavy and (plain or not rare)):
                return symbol
    raise _refusal(text)


def _of_label(text: str, formula: Formula | None) -> str:
    match = _LABEL.fullmatch(text)
    letters = match[1] if match else ""
    choices = _choices(letters, formula)
    if not choices:
        raise _refusal(text)
    if formula is None and _is_group(text, letters):
        raise BadCrystal(
            f"missing atoms: {text[:20]!r} could be a group; list each of its atoms, or add "
            "_atom_site_type_symbol"
        )
    if formula is not None:
        fitting = [symbol for symbol in choices if formula.has(symbol)]
        if len(fitting) == 1 or (fitting and _plain(letters)):
            return fitting[0]
        if not fitting:
            raise BadCrystal(
                f"atoms are not those of the formula: {text[:20]!r} is none of "
                f"'{formula.text[:60]}'"
            )
    elif _plain(letters) or (len(choices) == 1 and not _doubtful(letters)):
        return choices[0]
    elif letters.lower() in _WATER:
        raise _refusal(letters)
    either = " or ".join(choices) if len(choices) > 1 else f"{choices[0]} or something else"
    raise BadCrystal(
        f"ambiguous label: {text[:20]!r} could be {either}; "
        "add _atom_site_type_symbol or _chemical_formula_sum"
    )


def _choices(letters: str, formula: Formula | None) -> list[str]:
    """Elements with which a label may start, longest symbol first; heavy ones by the formula."""
    found = [letters[:2].capitalize()] if len(letters) > 1 else []
    return [
        symbol
        for symbol in (*found, letters[:1].upper())
        if symbol in NUMBERS
        and (NUMBERS[symbol] <= _HEAVIEST or (formula is not None and formula.has(symbol)))
    ]


def _is_group(text: str, letters: str) -> bool:
    """Whether a label may name several atoms: MgO, NaCl, O-H, O(H), O4H; not SiA, NaM, C4H."""
    if _HYDROGEN.fullmatch(text) or letters in ("CN", "NH"):
        return True
    match = re.fullmatch(r"([A-Z][a-z]?)([A-Z][a-z]?)", letters)
    if match is None or match[1] not in NUMBERS or match[2] not in NUMBERS:
        return False
    return len(letters) > 2 and match[2] not in _SUFFIXES


def _plain(letters: str) -> bool:
    """Whether a label's capitals show its element: Fe, SiA, O; not FE, Wat, Ow, W."""
    symbol = letters[:2] if letters[1:2].islower() else letters[:1]
    rest = letters[len(symbol) :]
    if symbol not in NUMBERS or (rest and (len(symbol) == 1 or not rest.isupper())):
        return False
    return symbol not in _DOUBTFUL and NUMBERS[symbol] <= _HEAVIEST


def _doubtful(letters: str) -> bool:
    return (
        letters[0].upper() in _DOUBTFUL
        or letters.lower() in _WATER
        or letters[:2] in _DOUBTFUL_CAPITALS
        or letters[1:2].islower()
    )


def _refusal(text: str) -> BadCrystal:
    symbols = [match[1] for match in re.finditer(r"([A-Z][a-z]?)\d*", text)]
    group = _SEVERAL.fullmatch(text) and all(symbol in NUMBERS for symbol in symbols)
    if group or text.lower() in _WATER:
        return BadCrystal(
            f"missing atoms: {text[:20]!r} is a group; list each of its atoms, hydrogens too"
        )
    if re.search(r"[,/|&;]|\+ ", text):
        return BadCrystal(f"partial occupancy: {text[:40]!r} names several elements")
    return BadCrystal(f"unknown element: {text[:20]!r} in the CIF's atom list")
