"""The formula that a CIF states, beside the atoms that it lists."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from trainables.crystals.crystal import BadCrystal
from trainables.crystals.reading.cif_syntax import Block
from trainables.crystals.reading.numbers import number
from trainables.crystals.symbols import NUMBERS

# Atoms of a formula unit by which a cell may differ, since amounts may be rounded (`Al0.67` × 3).
TOLERANCE = 0.02
_AMOUNT = r"(\d+\.?\d*|\.\d+)?(?:\(\d+\))?"
_TERM = re.compile(rf"([A-Z][a-z]?){_AMOUNT}")
_LOOSE = re.compile(rf"([A-Za-z]{{1,2}}){_AMOUNT}")

Amounts = dict[str, float]


@dataclass(frozen=True)
class Formula:
    """What a file says that it holds.

    Attributes:
        text: as it stands in the file.
        readings: element -> amount; two where capitals leave it open whether CO is cobalt.
        units: `_cell_formula_units_Z`, None where it is not given.
    """

    text: str
    readings: tuple[Amounts, ...]
    units: float | None

    def has(self, element: str) -> bool:
        """Whether an element is in the formula; hydrogen and its isotopes are one."""
        return any(_plain(element) in reading for reading in self.readings)

    def agrees(self, atoms: Mapping[str, int]) -> bool:
        """Whether the atoms of a cell are Z of the formula; any number of it where Z is unknown.

        A formula that is Z times another may be that of the whole cell, as some programs (pymatgen
        among them) write it.
        """
        return any(self._agrees(atoms, reading) for reading in self.readings)

    def _agrees(self, atoms: Mapping[str, int], reading: Amounts) -> bool:
        if self.units is None:
            return _same(atoms, reading, sum(atoms.values()) / sum(reading.values()))
        if _same(atoms, reading, self.units):
            return True
        whole = all(abs(n / self.units - round(n / self.units)) < 1e-6 for n in reading.values())
        return whole and _same(atoms, reading, 1.0)

    def refuse_others(self, atoms: Mapping[str, int]) -> None:
        """Refuses a cell that does not agree.

        Raises:
            BadCrystal: with both formulas.
        """
        if self.agrees(atoms):
            return
        units = "" if self.units is None else f", Z = {self.units:g}"
        kind, cure = "atoms are not those of the formula", ""
        if any(n.get("H", 0) > 0 and not atoms.get("H") for n in self.readings):
            kind, cure = "missing atoms: the formula has hydrogen, the list has none", "; add them"
        listed = " ".join(f"{element}{atoms[element]}" for element in sorted(atoms))
        raise BadCrystal(
            f"{kind}: the cell holds {listed[:60]}, the CIF says '{self.text[:60]}'{units}{cure}"
        )


def formula_of(block: Block) -> Formula | None:
    """The formula of a block, None where none stands there that can be understood.

    `_chemical_formula_sum`, else `_chemical_formula_moiety` where it is a single, plain moiety.
    """
    units = None
    if (text := block.first("_cell_formula_units_z")) is not None:
        value = number(text)
        units = value if value and value > 0 else None
    for tag in ("_chemical_formula_sum", "_chemical_formula_moiety"):
        text = block.first(tag)
        if text is not None and (readings := _readings(text)):
            return Formula(" ".join(text.split()), readings, units)
    return None


def _readings(text: str) -> tuple[Amounts, ...]:
    words = re.sub(r"[{}\[\]~_]", "", text).split()
    capitals, loose = _read(words, _TERM), _read(words, _LOOSE)
    found = [capitals] if capitals == loose else [capitals, loose]
    return tuple(reading for reading in found if reading)


def _read(words: list[str], term: re.Pattern[str]) -> Amounts | None:
    amounts: Amounts = {}
    for word in words:
        if term is _LOOSE:
            matches = [match] if (match := term.fullmatch(word)) else []
        else:
            matches = list(term.finditer(word))
        if not matches or "".join(match[0] for match in matches) != word:
            return None
        for match in matches:
            element = _plain(match[1].capitalize())
            if element not in NUMBERS:
                return None
            amounts[element] = amounts.get(element, 0.0) + float(match[2] or 1)
    return {element: amount for element, amount in amounts.items() if amount > 0} or None


def _plain(element: str) -> str:
    return "H" if element in ("D", "T") else element


def _same(atoms: Mapping[str, int], reading: Amounts, times: float) -> bool:
    tolerance = min(TOLERANCE * max(times, 1.0), 0.5)
    return all(
        abs(atoms.get(element, 0) - times * reading.get(element, 0)) <= tolerance
        for element in {*atoms, *reading}
    )
