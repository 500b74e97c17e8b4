"""The formula that a CIF states, compared with the atoms that it lists."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from trainables.crystals.crystal import BadCrystal
from trainables.crystals.reading.cif_syntax import Block
from trainables.crystals.reading.numbers import number
from trainables.crystals.symbols import NUMBERS

# Tolerance in atoms per formula unit, since amounts may be rounded (`Al0.67` × 3).
TOLERANCE = 0.02
_AMOUNT = r"(\d+\.?\d*|\.\d+)?(?:\(\d+\))?"
_TERM = re.compile(rf"([A-Z][a-z]?){_AMOUNT}")
_LOOSE = re.compile(rf"([A-Za-z]{{1,2}}){_AMOUNT}")
_TAGS = tuple(f"_chemical_formula_{kind}" for kind in ("sum", "moiety", "structural", "iupac"))
# A number with a point right before another element is two: `Ca S O4.2H2 O` has a part 2 H2 O.
_TOKEN = re.compile(
    r"""(?P<blank>\s+) | (?P<open>[(\[{]) | (?P<close>[)\]}]) | (?P<part>[,;:*·•∙⋅×])
    | (?P<element>[A-Z][a-z]?)
    | (?P<amount>(?<![A-Za-z)\]])\d+\.\d+ | \d+\.\d+(?![A-Z(\[]) | \d+ | \.\d+(?![A-Z\d(\[]))
    | (?P<dot>\.)""",
    re.VERBOSE,
)
# Charges such as `Na +` and `S O4 2-`; in `Na1+` it is unclear whose digits they are.
_CHARGE = re.compile(r"(?<![^\s(\[])\d*[+-]+(?=[\s,;)\]}]|$)")
_JOINED = re.compile(r"(?<=[A-Za-z\d)\]])(\d*)[+-]+(?=[\s,;)\]}]|$)")
_UNKNOWNS = frozenset("mnxyz")  # amounts as letters
_NAMED = re.compile(r"[A-Z][a-z]?")

Amounts = dict[str, float]


@dataclass(frozen=True)
class Formula:
    """The formula that a file states.

    Attributes:
        text: as in the file.
        readings: element -> amount; two if capitals leave open whether CO is cobalt; none if the
            text is not understood.
        units: `_cell_formula_units_Z`, None if missing.
    """

    text: str
    readings: tuple[Amounts, ...]
    units: float | None

    def has(self, element: str) -> bool:
        """Whether an element is in the formula; hydrogen and its isotopes are one."""
        if not self.readings:
            return _plain(element) in _elements(self.text)
        return any(_plain(element) in reading for reading in self.readings)

    def agrees(self, atoms: Mapping[str, int]) -> bool:
        """Whether the atoms of a cell are Z times the formula; any multiple if Z is unknown.

        A formula that is Z times another may be that of the whole cell, as some programs (including
        pymatgen) write it. If a formula is not understood, all its elements have to be present.
        """
        if not self.readings:
            return _elements(self.text) <= {_plain(element) for element in atoms}
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
            BadCrystal: names both formulas.
        """
        if self.agrees(atoms):
            return
        units = "" if self.units is None else f", Z = {self.units:g}"
        kind, cure = "atoms are not those of the formula", ""
        if self.has("H") and not atoms.get("H"):
            kind, cure = "missing atoms: the formula has hydrogen, the list has none", "; add them"
        listed = " ".join(f"{element}{atoms[element]}" for element in sorted(atoms))
        raise BadCrystal(
            f"{kind}: the cell holds {listed[:60]}, the CIF says '{self.text[:60]}'{units}{cure}"
        )


def formula_of(block: Block) -> Formula | None:
    """The formula of a block, None if it has none.

    `_chemical_formula_sum`, else the moieties, the structural formula or IUPAC's.
    """
    units = None
    if (text := block.first("_cell_formula_units_z")) is not None:
        value = number(text)
        units = value if value and value > 0 else None
    texts = [" ".join(text.split()) for tag in _TAGS for text in block.stated(tag)[:1]]
    return Formula(texts[0], _readings(texts[0]), units) if texts else None


def _readings(text: str) -> tuple[Amounts, ...]:
    words = re.sub(r"[{}\[\]~_]", "", text).split()
    capitals = _read(words, _TERM)
    loose = None if _UNKNOWNS.intersection(words) else _read(words, _LOOSE)
    plain = _CHARGE.sub(" ", text)
    grouped = (_grouped(_JOINED.sub(digits, plain)) for digits in ("", r"\1"))
    found: list[Amounts] = []
    for reading in (capitals, loose, *grouped):
        if reading and reading not in found:
            found.append(reading)
    return tuple(found)


def _grouped(text: str) -> Amounts | None:
    """Amounts of a formula with groups, factors and parts: `Na Cl (H2 O)2`, `Ca S O4 . 2H2 O`.

    A factor multiplies its part, or the group that directly follows it. None if a character or a
    number is left over.
    """
    totals: list[Amounts] = [{}]
    factors, groups = [1.0], [1.0]
    last: Amounts = {}  # what a following number would multiply
    begins, waiting, at = True, 1.0, 0  # start of a part; factor of the next group
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None or (waiting != 1.0 and match.lastgroup not in ("open", "blank")):
            return None
        kind, word, at = match.lastgroup, match[0], match.end()
        if kind == "blank":
            last = {}
            continue
        if kind == "element":
            element = _plain(word)
            if element not in NUMBERS:
                return None
            last = {element: 1.0}
            _add(totals[-1], last, factors[-1])
        elif kind == "amount":
            if last:
                _add(totals[-1], last, factors[-1] * (float(word) - 1))
            elif begins:
                factors[-1] = float(word)
            else:
                waiting = float(word)
            last = {}
        elif kind == "open":
            totals.append({})
            groups.append(waiting)
            factors.append(1.0)
            last, waiting = {}, 1.0
        elif kind == "close":
            if len(totals) == 1 or not totals[-1]:
                return None
            inner, times = totals.pop(), groups.pop()
            factors.pop()
            last = {element: amount * times for element, amount in inner.items()}
            _add(totals[-1], last, factors[-1])
        else:
            factors[-1], last = 1.0, {}
        begins = kind in ("open", "part", "dot")
    if len(totals) > 1 or waiting != 1.0:
        return None
    return {element: amount for element, amount in totals[0].items() if amount > 0} or None


def _add(total: Amounts, amounts: Amounts, times: float) -> None:
    for element, amount in amounts.items():
        total[element] = total.get(element, 0.0) + times * amount


def _elements(text: str) -> set[str]:
    """Elements that a text names, even if it is not understood."""
    return {_plain(word) for word in _NAMED.findall(text) if word in NUMBERS}


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
