"""How formulas are misspelt, and how they are written so that nobody misreads them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainables.crystals.crystal import one_line
from trainables.crystals.symbols import NUMBERS

# Of what stands for no value; as formulas some would be read, as nitrides or as nobelium.
_MISSING = re.compile(
    r"(?i:#?n/a|#na|n\.a\.|<na>|nan|null|none|nil|[+-]?inf(inity)?|unknown|missing)|NA|na|No"
    r"|[-–—?.*]*"
)
_SPELT_OUT = {"NaN": "Na1N1", "INF": "I1N1F1", "No": "No1"}
# Of a dot before water or ammonia, where no amount below 1 ends: CuSO4.5H2O would be SO4.5 and H2O.
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = re.compile(
    rf"(?i)\d{{1,4}}[-/. ](?:{_MONTHS})[a-z]*(?:[-/. ]\d+)?|(?:{_MONTHS})[a-z]*[-/. ]\d{{1,4}}"
    r"|\d{1,4}[-/]\d{1,2}(?:[-/]\d{1,4})?"
)
_SOLVATE = re.compile(r"(?<![^\d]0)\.(\d*)(\(?(?:[HD]2O|NH3)\)?)(?!\d)")
_BARE_DOT = re.compile(r"(?<!\d)\.\d+")
_TRITIUM = re.compile(r"T(?![a-z])")
_APART = re.compile(r"[A-Za-z)\]]\s+[\d.]")
_ZERO = re.compile(r"(?<![\d.])0\d*(?![\d.])")
_ZERO_INSIDE = re.compile(
    r"(?<![CH\d.])(?:[2-9]|[1-9]\d)0[1-9]\d?\s*$"
)  # at the end, where oxygen stands

_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_MARKUP = re.compile(r"</?sub>|\\(?:mathrm|mathit|rm|ce|text)|[_${}~]")
_SEPARATORS = r"[·•∙⋅・･*×]|(?<=[A-Za-z)\]])\.(?=\d*\.?\d*[A-Z(])|\.(?=\d+\.\d+[A-Z(])"


# Symbols that capitals alone may hide, like CO for Co: of what makes materials, and not Po, Cf, No.
_HIDDEN = {
    name.upper(): name
    for name, z in NUMBERS.items()
    if len(name) == 2 and (z <= NUMBERS["Bi"] or NUMBERS["Ac"] <= z <= NUMBERS["Pu"])
}
_IN_CAPITALS = re.compile("|".join(_HIDDEN))
_SPELT = re.compile(r"[A-Z][a-z]")
_BARE = re.compile(r"[A-Z](?![\d.])")
SLIPS = 0.05  # of a column in capitals, the share of cells that may have small letters
LEAST_IN_CAPITALS = 3  # cells that may be read otherwise; fewer are what they say


def why_in_capitals(column: Sequence[str]) -> dict[int, str]:
    """Row -> why a formula is perhaps another one, where a column is written in capitals: CUO, SIC.

    A column in which formulas have small letters has CO2, HF and KCN beside them as they are.
    """
    filled = [text.strip() for text in column if not _MISSING.fullmatch(text.strip())]
    spelt = sum(any(found in NUMBERS for found in _SPELT.findall(text)) for text in filled)
    if spelt > SLIPS * len(filled):
        return {}
    doubtful: dict[int, str] = {}
    for row, text in enumerate(column):
        shown = one_line(text.strip(), 60)
        if re.search("[a-z]", shown) or _MISSING.fullmatch(shown):
            continue
        if (meant := _IN_CAPITALS.sub(lambda found: _HIDDEN[found[0]], shown)) != shown:
            apart = _BARE.sub(r"\g<0>1", shown)
            doubtful[row] = (
                f"{shown!r} in capitals, as all are, may be {meant}; write that, or {apart} if it"
                " is not"
            )
    return doubtful if len(doubtful) >= LEAST_IN_CAPITALS else {}


def why_doubtful(formula: str) -> str:
    """Why a formula that may well be read is perhaps another one; "" where it is not."""
    text = formula.strip()
    if _MISSING.fullmatch(text):
        meant = _SPELT_OUT.get(text)
        as_formula = f"; write {meant} if it is one" if meant else ""
        return f"it stands for a missing value{as_formula}" if text else "it is empty"
    if _DATE.fullmatch(text):
        return "a date, as a spreadsheet makes it; enter the formula as text"
    if (found := _SOLVATE.search(text)) is not None:
        salt, number, solvent = text[: found.start()], found[1], found[2].strip("()")
        rest = text[found.end() :]
        return (
            f"{found.group()!r} may be water or an amount that is no whole number; write"
            f" {salt}({solvent}){number}{rest} for the one, {solvent}{salt}.{number or 0}{rest}"
            " for the other"
        )
    if (found := _BARE_DOT.search(text)) is not None:
        return (
            f"{found.group()!r} may be an amount or the next substance; write 0{found.group()} for"
            " the one, brackets for the other, like Na2O(SiO2)2"
        )
    if (found := _APART.search(text)) is not None:
        return "a number stands apart; write it at its element, and no charge"
    if (found := _ZERO.search(text)) is not None:
        return f"{found.group()!r} may have a zero for an O; {_with_o(text, found)}"
    return ""


def why_other_elements(formula: str, numbers: set[int]) -> str:
    """Why a formula that is read perhaps has other elements, like Fe203; "" where it has not.

    Args:
        numbers: atomic numbers of its elements.
    """
    if _TRITIUM.search(formula):
        return "T is tritium; write H for it, or Ti, Ta, Tl … in small letters"
    found = _ZERO_INSIDE.search(formula)
    if found is None or 8 in numbers or len(re.findall(r"\d{3,}", formula)) > 1:
        return ""
    return f"{found.group()!r} may have a zero for an O; {_with_o(formula, found)}"


def _with_o(text: str, found: re.Match[str]) -> str:
    number = found.group().replace("0", "O", 1)
    return f"write {text[: found.start()]}{number}{text[found.end() :]} if it has"


@dataclass(frozen=True)
class _Habit:
    """A way in which formulas are written that is none, and what to write instead."""

    pattern: re.Pattern[str]
    what: str
    rewritten: Callable[[str], str] | None = None


def _without(pattern: str) -> Callable[[str], str]:
    return lambda text: re.sub(pattern, "", text).strip()


def _in_brackets(text: str) -> str:
    """CuSO4·5H2O as CuSO4(H2O)5."""
    first, *others = (part.strip() for part in re.split(_SEPARATORS, text))
    leading = re.fullmatch(r"(\d+\.?\d*)(\D.*)", first)
    parts = [f"({leading[2]}){leading[1]}" if leading else first]
    for part in filter(None, others):
        number, rest = re.fullmatch(r"(\d*\.?\d*)(.*)", part).groups()  # type: ignore[union-attr]
        parts.append(f"({rest.strip().strip('()')}){number}")
    return "".join(parts)


_PHASE = (
    r"\s*\(\s*(?:[a-z][a-z ,_-]*|cr|[IVX]+)\s*\)\s*$"
    r"|^(?:[a-z]{2,}|[α-ω]|[a-z]|\d+[A-Z])['’]?[-–\s]+"
    r"|\s*[-–]\s*(?:[a-z]{2,}|[α-ω])\s*$|\s+[a-z][a-z ]+$|\s+\([^()]*[a-z]{3,}[^()]*\)$"
)
_HABITS = (
    _Habit(re.compile(r"^[+-]?[\d.,]+([eE][+-]?\d+)?\s*%?$"), "a number"),
    _Habit(
        re.compile(r"[₀-₉]|_\{?[\d.]|\$|~\d|<sub>"),
        "subscripts that are no plain digits",
        lambda text: _MARKUP.sub("", text.translate(_SUBSCRIPTS)),
    ),
    _Habit(
        re.compile(r"^\d*\.?\d+\s*[A-Z(\[].*[-–—−+]\s*\d*\.?\d+\s*[A-Z(\[]"),
        "a mixture; write the formula of the whole",
    ),
    _Habit(
        re.compile(r"[-–—−~±]\s*\d*\.\d|\d\.\d*\s*[-–—−~±]\s*\d"),
        "a range of amounts; write one number",
    ),
    _Habit(
        re.compile(_SEPARATORS),
        "several substances, as in a hydrate; write them like CuSO4(H2O)5",
        _in_brackets,
    ),
    _Habit(
        re.compile(
            r"[-–−+±]\s*\d*[a-zδ](?![a-z])|[)\]\d][xyznmδ](?![a-z])|[A-Z][a-z]?[xyδ](?![a-z])"
            r"|δ|(?<![A-Za-z])[xyn](?![a-z])"
        ),
        "an amount that is a variable; write a number for it",
    ),
    _Habit(re.compile(_PHASE), "words beside the formula", _without(_PHASE)),
    _Habit(
        re.compile(r"\^|[⁰¹²³⁴-⁹]*[⁺⁻]|\d*[+]\d*(?=$|[A-Z(\])])|[\d)\]A-Za-z]\s*\d*[-–−]\d*$"),
        "a charge; leave it out",
        lambda text: re.sub(
            r"\^\{?\d*[-–−+]?\d*\}?|[⁰¹²³⁴-⁹]*[⁺⁻]|(?<=[\])])\d*[-–−+]$|(?<=[A-Za-z])[-–−+]$|\s+\d*[-–−+]$",
            "",
            text,
        ),
    ),
    _Habit(
        re.compile(r"^\d+\.?\d*\s*(?=[A-Z(\[])"),
        "a number before the formula",
        _without(r"^\d+\.?\d*\s*"),
    ),
    _Habit(re.compile(r"\d\s*[-–—−]\s*\d"), "a range of amounts; write one number"),
    _Habit(re.compile(r"[-–/:;,+%&|]"), "more than one substance; write the formula of one"),
    _Habit(
        re.compile(r"^[a-z]|^[A-Z0-9.()]*[A-Z]{2}[A-Z0-9.()]*$|^[A-Z][a-z]{2}"),
        "symbols are a capital and at most one small letter, like NaCl",
    ),
    _Habit(
        re.compile(r"[^\x20-\x7e]"),
        "a character that is no plain letter or digit; type it anew",
        lambda text: re.sub(r"[^\x20-\x7e]", "", unicodedata.normalize("NFKC", text)),
    ),
    _Habit(
        re.compile(r"(?:Ln|RE|Re?E|Me|[XMARQEJLZG])(?![a-z])"),
        "a letter that stands for some element",
    ),
)


def hint(formula: str, reads: Callable[[str], bool]) -> str:
    """What is wrong with a formula that cannot be read, in words; "" where nothing is known of it.

    Args:
        reads: whether a formula is one; what is advised has to be.
    """
    text = formula.strip()
    for habit in _HABITS:
        if habit.pattern.search(text) is None:
            continue
        meant = habit.rewritten(text) if habit.rewritten else ""
        if meant and meant != text and reads(meant):
            return f"{habit.what.partition(';')[0]}; write {meant}"
        if not habit.rewritten or ";" in habit.what:
            return habit.what
    return ""
