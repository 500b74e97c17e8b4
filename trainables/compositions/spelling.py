"""Detects misspelt or ambiguous formulas, and suggests unambiguous spellings."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from trainables.crystals.crystal import one_line
from trainables.crystals.symbols import NUMBERS

# Placeholders for missing values; as formulas some would be nitrides or nobelium.
_MISSING = re.compile(
    r"(?i:#?n/a|#na|n\.a\.|<na>|nan|null|none|nil|[+-]?inf(inity)?|unknown|missing)|NA|na|No"
    r"|[-–—?.*]*"
)
_SPELT_OUT = {"NaN": "Na1N1", "INF": "I1N1F1", "No": "No1"}
# A dot before water or ammonia, where no amount below 1 ends: CuSO4.5H2O would be SO4.5 and H2O.
_MONTHS = "jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec"
_DATE = re.compile(
    rf"(?i)\d{{1,4}}[-/. ](?:{_MONTHS})[a-z]*(?:[-/. ]\d+)?|(?:{_MONTHS})[a-z]*[-/. ]\d{{1,4}}"
    r"|\d{1,4}[-/]\d{1,2}(?:[-/]\d{1,4})?"
)
_SOLVATE = re.compile(r"(?<![^\d]0)\.(\d*)(\(?(?:[HD]2O|NH3)\)?)(?!\d)")
_BARE_DOT = re.compile(r"(?<!\d)\.\d+")
_TRITIUM = re.compile(r"T(?![a-z])")
_APART = re.compile(r"[A-Za-z)\]]\s+[\d.]")
_SOLVATE_APART = re.compile(r"(?<=[\w)\]])\s+(\d+\.?\d*)\s*\(?((?:[HD]2O|NH3))\)?$")
_ZERO = re.compile(r"(?<![\d.,])0\d*(?![\d.,])")
_NUMERAL = r"(?:I{1,3}|IV|VI{0,3}|IX|X)"
# Fe(II)O, Fe(II,III)3O4, FeIII2O3; an iodide is followed by its own number: Pb(I)2.
_STATE = re.compile(
    rf"(?<=[A-Za-z\d)\]])\s*[(\[]\+?{_NUMERAL}(?:[,/]\s*{_NUMERAL})*\+?[)\]](?!(?<=[(\[][IVX][)\]])\d+$)\s*"
    r"|(?<=[A-Za-z])\s*I{2,3}(?![a-z])"
)
# Two symbols in an unusual order, unless they are one symbol in capitals: SIO2, CUO, SNO2. BI3 and
# NI3 may be the iodides of boron and nitrogen.
_ONE_SYMBOL = re.compile(r"SI|NI|BI|IN|CU|PU|SN|SB|PB|NB|^OS")
_IODIDE = re.compile(r"[BN]I3")
_ZERO_INSIDE = re.compile(
    r"(?<![CH\d.])(?:[2-9]|[1-9]\d)0[1-9]\d?\s*$"
)  # at the end, where oxygen stands

_OXYGEN = re.compile(r"O(?!s)")
_SUBSCRIPTS = str.maketrans("₀₁₂₃₄₅₆₇₈₉", "0123456789")
_MARKUP = re.compile(r"</?sub>|\\(?:mathrm|mathit|rm|ce|text)|[_${}~]")
_SEPARATORS = r"[·•∙⋅・･*×]|(?<=[A-Za-z)\]])\.(?=\d*\.?\d*[A-Z(])|\.(?=\d+\.\d+[A-Z(])"


# Symbols that capitals may hide, like CO for Co: only elements of materials, not Po, Cf, No.
_HIDDEN = {
    name.upper(): name
    for name, z in NUMBERS.items()
    if len(name) == 2 and (z <= NUMBERS["Bi"] or NUMBERS["Ac"] <= z <= NUMBERS["Pu"])
}
_IN_CAPITALS = re.compile("|".join(_HIDDEN))
_SPELT = re.compile(r"[A-Z][a-z]")
_BARE = re.compile(r"[A-Z](?![\d.])")
SLIPS = 0.05  # share of cells with small letters in a column of capitals
LEAST_IN_CAPITALS = 3  # ambiguous cells; fewer are taken literally


def why_in_capitals(column: Sequence[str]) -> dict[int, str]:
    """Row -> why a formula may mean another one, if a column is written in capitals: CUO, SIC.

    In a column whose formulas have small letters, CO2, HF and KCN are taken literally.
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
    """Why a readable formula may mean another one; "" if it is unambiguous."""
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
    if (found := _SOLVATE_APART.search(text)) is not None:
        written = f"{text[: found.start()]}({found[2]}){found[1]}"
        return f"several substances, as in a hydrate; write {written}"
    if (found := _STATE.search(text)) is not None:
        return _without_states(text, found.group().strip())
    if (found := _ONE_SYMBOL.search(text)) is not None and _is_in_capitals(text):
        symbol = found.group()
        return (
            f"{symbol} may be {symbol[0]} and {symbol[1]} or {symbol.capitalize()} in capitals;"
            f" write {symbol[0]}1{symbol[1]} for the one, {symbol.capitalize()} for the other"
        )
    if (found := _APART.search(text)) is not None:
        return "a number stands apart; write it at its element, and no charge"
    if (found := _ZERO.search(text)) is not None:
        return f"{found.group()!r} may have a zero for an O; {_with_o(text, found)}"
    return ""


def why_other_elements(formula: str, numbers: set[int]) -> str:
    """Why a formula may have been meant with other elements, like Fe203; "" if it is clear.

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
    written = f"{text[: found.start()]}{number}{text[found.end() :]}"
    if _OXYGEN.search(text) or _ZERO.search(written):
        return "leave an element out of which there is none"
    return f"write {written} if it has"


def _without_states(text: str, state: str) -> str:
    written = _STATE.sub("", text)
    ways = [] if _STATE.search(written) else [f"{written} for a state"]
    if len(atoms := state.strip("()[]")) == 1:  # perhaps an iodide or vanadium
        ways.append(f"{text.replace(state, atoms, 1)} for atoms")
    told = f"; write {', '.join(ways)}" if ways else ""
    return f"{state!r} may be an oxidation state or atoms{told}"


def _is_in_capitals(text: str) -> bool:
    return text.upper() == text and not _IODIDE.fullmatch(text)


@dataclass(frozen=True)
class _Habit:
    """A wrong way of writing formulas, and what to write instead."""

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


def _after_symbols(text: str) -> str:
    """Fe64Ni36 for 64Fe36Ni, if the numbers are parts of a whole, and H2O for 2H2O."""
    pairs = re.findall(r"(\d+\.?\d*)([A-Z][a-z]?)", text)
    whole = math.fsum(float(number) for number, _ in pairs)
    if "".join(number + name for number, name in pairs) == text and len(pairs) > 1:
        if math.isclose(whole, 1) or math.isclose(whole, 100):
            return "".join(name + number for number, name in pairs)
        if re.fullmatch(r".*[HD]\d*O", text) is None:
            return ""  # 2Fe3O may be 2 Fe3O or Fe2O3
    return re.sub(r"^\d+\.?\d*\s*", "", text)


def _with_points(text: str) -> str:
    """Decimal commas as points, unless a comma may separate two substances: Fe2O3,2SiO2."""
    if re.search(r"(?<!\d)0,\d|^[^,]*,\d+\s*$", text) is None:
        return ""
    return re.sub(r"(?<=\d),(?=\d)", ".", text)


def _typed_anew(text: str) -> str:
    """The text in plain characters, if each has an equivalent."""
    parts = []
    for before, character in zip(f" {text}", text, strict=False):
        if unicodedata.category(character) == "No":
            value = f"{unicodedata.numeric(character):g}"
            if len(value) > 5 or "." not in value or before in "0123456789.":
                return ""  # a third, a power or a charge, 1½
            parts.append(value)
        elif unicodedata.category(character) != "Cf":
            parts.append(unicodedata.normalize("NFKC", character))
    written = "".join(parts).strip()
    return written if written.isascii() else ""


_PHASE = (
    r"\s*\(\s*(?:[a-z][a-z ,_-]*|cr|[IVX]+)\s*\)\s*$"
    r"|^(?:[a-z]{2,}|[α-ω]|[a-z]|\d+[A-Z])['’]?[-–\s]+"
    r"|\s*[-–_]\s*(?:[a-z]{2,}|[α-ω])\s*$|^[a-z]{2,}_"
    r"|\s+[a-z][a-z ]+$|\s+\([^()]*[a-z]{3,}[^()]*\)$"
)
_QUOTES = "\"'`\u00b4\u00ab\u00bb\u2018\u2019\u201c\u201d\u201e"
_HABITS = (
    _Habit(re.compile(r"^[+-]?[\d.,]+([eE][+-]?\d+)?\s*%?$"), "a number"),
    _Habit(
        re.compile(rf"^[{_QUOTES}]|[{_QUOTES}]$"),
        "quotes around the formula; leave them out",
        lambda text: text.strip(_QUOTES + " "),
    ),
    _Habit(
        re.compile(r"\.\d+\(\d+\)"),
        "the uncertainty of an amount; leave it out",
        lambda text: re.sub(r"(?<=\d)\(\d+\)", "", text),
    ),
    _Habit(
        re.compile(r"[\w)\]]\(\d+\.?\d*\)"),
        "amounts in brackets; write them without",
        lambda text: re.sub(r"(?<=[A-Za-z)\]])\((\d+\.?\d*)\)", r"\1", text),
    ),
    _Habit(re.compile(r"\d,\d"), "decimal commas; write points", _with_points),
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
        "a number before the formula; write numbers after the symbols",
        _after_symbols,
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
        _typed_anew,
    ),
    _Habit(
        re.compile(r"(?:Va|Vac)(?![a-z])|□"),
        "a vacancy, which is no element; leave it out",
    ),
    _Habit(
        re.compile(r"(?:Ph|Et|Bu|Cp|Bz)(?![a-z])"),
        "a group of atoms by its abbreviation; write its atoms, like C6H5 for Ph",
    ),
    _Habit(
        re.compile(r"(?:Ln|RE|Re?E|Me|[XMARQEJLZG])(?![a-z])"),
        "a letter that stands for some element",
    ),
)


def hint(formula: str, reads: Callable[[str], bool]) -> str:
    """What is wrong with an unreadable formula, in words; "" if that is unknown.

    Args:
        reads: whether a formula is valid; a suggestion has to be.
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
