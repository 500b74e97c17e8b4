"""Parses the cells of a target: a number, a missing value or a word; detects decimal commas.

A cell is JSON text or a cell of a table, as `Entry.target` holds it.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Literal, get_args

from trainables.crystals.crystal import BadCrystal, one_line

# What a target can be; `trainables.targets.kinds` says how each is learned.
TensorName = Literal["dielectric", "elastic", "piezo"]
KindName = Literal[
    "scalar", "binary", "spectrum", "properties", "site", "dielectric", "elastic", "piezo"
]
TENSORS: tuple[TensorName, ...] = get_args(TensorName)
# In which orientation the tensors of a file are, beside that of its structures; see
# `trainables/representations/tensor_frames.py`.
GIVEN = "given"
FRAMES = (GIVEN, "standard", "conventional", "primitive")
# What people, spreadsheets and programs write for a missing value.
MISSING = frozenset(
    ("", "-", "--", "---", "\u2013", "\u2014", "?", ".", "*", "na", "n/a", "n.a.", "#n/a", "#na")
) | {"<na>", "nan", "+nan", "-nan", "null", "none", "nil", "missing", "unknown"}
# Training is in single precision, whose largest number is 3.4e38, and variances are sums of
# squares, for which double precision ends at 1e308: within 1e30 neither overflows. No property in a
# usual unit comes near it, including carriers per m³ with their 1e28.
LARGEST = 1e30
# In a numeric column at least this share of the filled cells are numbers; the others are typing
# errors: each costs its own crystal, and --max-bad limits them.
NUMERIC_SHARE = 0.9

_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_WITH_COMMA = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?")
_GROUPS = re.compile(r"[+-]?\d{1,3}([,.'\u2019 \u00a0\u202f]\d{3})+([.,]\d*)?")
# 1,500 may be one and a half or fifteen hundred; 0,500 and 12,50 can only be decimal.
_EITHER_WAY = re.compile(r"[+-]?[1-9]\d{0,2}[.,]\d{3}")
# Where commas may be decimal, points may be separators; a doubt needs this many, and no other form.
LEAST_EITHER_WAY = 3
_GERMAN = {";": "semicolons", "\t": "tabs"}


def is_missing(cell: str) -> bool:
    """Whether a cell stands for a missing value."""
    return cell.strip().lower() in MISSING


def read_target(text: str | None) -> float:
    """Parses the target as a finite float; booleans are 1 and 0, None (not requested) is NaN.

    Raises:
        BadCrystal: it is missing, no finite number, or beyond ±`LARGEST`.
    """
    if text is None:
        return math.nan
    text = text.strip()
    lower = text.lower()
    if lower in MISSING:
        raise BadCrystal(f"missing target: the cell {f'says {text!r}' if text else 'is empty'}")
    if lower in ("true", "false"):
        return float(lower == "true")
    if lower.lstrip("+-") in ("inf", "infinity"):
        raise BadCrystal(f"target is not finite: {text[:30]}")
    if not _NUMBER.fullmatch(text):
        raise BadCrystal(f"target is not a number: {text[:30]!r}")
    value = float(text)
    if not math.isfinite(value):
        raise BadCrystal(f"target is not finite: {text[:30]}")
    if abs(value) > LARGEST:
        raise BadCrystal(
            f"target too large: {text[:30]} is beyond {LARGEST:g}, where sums of squares overflow;"
            " give it in another unit"
        )
    return value


def read_numbers(text: str) -> list[float]:
    """Parses a list of numbers, as `[0.5, null, 2]`; a missing one is NaN.

    Raises:
        BadCrystal: it is no list, or an entry is neither a number as of `read_target` nor missing.
    """
    if is_missing(text):
        raise BadCrystal(f"missing target: the cell {f'says {text!r}' if text else 'is empty'}")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, list):
        raise BadCrystal(f"target is no list of numbers: {one_line(text, 30)!r}")
    return [_entry_of_list(value, place) for place, value in enumerate(found, 1)]


def _entry_of_list(value: object, place: int) -> float:
    if type(value) is float and math.isfinite(value) and abs(value) <= LARGEST:
        return value  # nearly all of them
    if isinstance(value, bool):  # read_target would take it for a class
        raise BadCrystal(f"target is not a number: number {place} of the list is {value}")
    text = "" if value is None else str(value)
    try:
        return math.nan if is_missing(text) else read_target(text)
    except BadCrystal as bad:
        kind, _, detail = str(bad).partition(": ")
        raise BadCrystal(f"{kind}: number {place} of the list, {detail}") from None


def read_tensor(text: str) -> tuple[list[float], tuple[int, ...] | None]:
    """The entries of a tensor, row by row, and the shape in which they are nested.

    The shape of a flat list is its length alone. It is None, without entries, if lists beside each
    other differ in length, or a number stands beside a list.

    Raises:
        BadCrystal: it is no list, or an entry is no number; a missing one is NaN.
    """
    rows = text.strip()
    if is_missing(rows):
        raise BadCrystal(f"missing target: the cell {f'says {text!r}' if rows else 'is empty'}")
    try:
        level = [json.loads(rows)]
    except (ValueError, RecursionError):
        level = [None]
    if not isinstance(level[0], list):
        raise BadCrystal(f"target is no list of numbers: {one_line(text, 30)!r}")
    shape: list[int] = []
    while any(isinstance(one, list) for one in level):
        lengths = {len(one) if isinstance(one, list) else None for one in level}
        if len(lengths) > 1:
            return [], None
        shape.append(len(level[0]))
        level = [entry for one in level for entry in one]
    return [_entry_of_list(value, place) for place, value in enumerate(level, 1)], tuple(shape)


def frame_of(target: str) -> str:
    """The frame that a target's name ends with, as `piezo@piezo@conventional`; else `GIVEN`."""
    *_, last = target.split("@")
    return last if last in FRAMES else GIVEN


def is_list(cell: str) -> bool:
    """Whether a cell holds a list, as JSON writes it."""
    return cell.lstrip().startswith("[")


def is_numeric(cells: Iterable[str]) -> bool:
    """Whether a column holds numbers or booleans, judged by most of its filled cells."""
    filled = [cell for cell in (c.strip() for c in cells) if cell.lower() not in MISSING]
    numbers = sum(map(_looks_like_number, filled))
    return numbers > 0 and numbers >= NUMERIC_SHARE * len(filled)


def words(cells: Iterable[str]) -> list[str]:
    """The distinct cells of a column without numbers, sorted; else nothing."""
    filled = {cell for cell in (c.strip() for c in cells) if cell.lower() not in MISSING}
    return [] if any(map(_looks_like_number, filled)) else sorted(filled)


def _looks_like_number(cell: str) -> bool:
    return (
        cell.lower() in ("true", "false")
        or cell.lower().lstrip("+-") in ("inf", "infinity")
        or any(form.fullmatch(cell) for form in (_NUMBER, _WITH_COMMA, _GROUPS))
    )


def has_decimal_commas(cells: Iterable[str], delimiter: str = "") -> bool:
    """Whether a column writes 1,5 for one and a half.

    Args:
        delimiter: of the table's cells, as a delimiting comma is not decimal; "" for none.

    Raises:
        ValueError: in words, that a cell can be read in two ways, or has separators of thousands.
    """
    filled = [cell for cell in (c.strip() for c in cells) if cell.lower() not in MISSING]
    few = (1 - NUMERIC_SHARE) * len(filled)  # typing errors, each of which costs its own crystal
    with_point = [cell for cell in filled if "." in cell and _NUMBER.fullmatch(cell)]
    with_comma = [cell for cell in filled if _WITH_COMMA.fullmatch(cell)]
    grouped = [
        cell
        for cell in filled
        if _GROUPS.fullmatch(cell) and not (_NUMBER.fullmatch(cell) or _WITH_COMMA.fullmatch(cell))
    ]
    if len(grouped) > few:
        raise ValueError(f"{grouped[0]!r} has separators of thousands; write it as 1234.5 is")
    if (
        delimiter in _GERMAN
        and not with_comma
        and len(with_point) >= LEAST_EITHER_WAY
        and all(map(_EITHER_WAY.fullmatch, with_point))
    ):
        first = with_point[0]
        raise ValueError(
            f"{first!r} may be {float(first):g} or {first.replace('.', '')}, as a table may be"
            f" German whose cells are parted by {_GERMAN[delimiter]}; write it as 1.50 or 1500, or"
            " part them by commas"
        )
    if not with_comma or (with_point and len(with_comma) <= few):
        return False
    first = with_comma[0]
    if len(with_point) > few:
        raise ValueError(
            f"{first!r} stands beside {with_point[0]!r}; write all numbers with a point, and"
            " without separators of thousands"
        )
    if delimiter == "," or all(_EITHER_WAY.fullmatch(cell) for cell in with_comma):
        raise ValueError(
            f"{first!r} may be {first.replace(',', '.')} or {first.replace(',', '')}; write numbers"
            " with a point, and without separators of thousands"
        )
    return True


def with_point(cell: str) -> str:
    """Rewrites a cell of a column with decimal commas for `read_target`.

    Raises:
        BadCrystal: the cell has a point, so that its meaning is unclear.
    """
    text = cell.strip()
    if "." in text and (_NUMBER.fullmatch(text) or _GROUPS.fullmatch(text)):
        raise BadCrystal(f"target with a point among decimal commas: {text[:30]!r}")
    return text.replace(",", ".") if _WITH_COMMA.fullmatch(text) else text
