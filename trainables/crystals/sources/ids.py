"""Ids of crystals, by one rule in files of every format.

A crystal is called by the first of `ID_COLUMNS` that is not empty in its row, else by its row, from
1. A name is no id: it may be that of many crystals.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from trainables.crystals.crystal import Entry, one_line
from trainables.crystals.sources.base import is_text
from trainables.crystals.sources.columns import find_column

ID_COLUMNS = ("material_id", "id", "mbid", "jid", "entry_id")
LONGEST_ID = 200  # characters; an array of ids gives each the space of the longest
_EXACT = 2.0**53  # beyond, floating-point numbers are no counts


def id_columns(path: Path, columns: Sequence[str]) -> list[str]:
    """The columns of a table that may have ids, as they are spelled, the first first.

    Raises:
        SourceError: two columns match one name.
    """
    found = (find_column(path, columns, [name]) for name in ID_COLUMNS)
    return [column for column in found if column is not None]


def id_of(fields: Mapping[str, object], row: int) -> str:
    """The id of a record that has `ID_COLUMNS` as keys."""
    return first_id(map(fields.get, ID_COLUMNS), str(row + 1))


def first_id(values: Iterable[object], otherwise: str) -> str:
    """The first id among some values."""
    return next(filter(None, map(id_text, values)), otherwise)


def id_text(value: object) -> str:
    """The id that a value is; "" for none: an empty text, a boolean, a list, what is missing.

    Whole numbers have no point, as a column of integers with one missing is read as one of floats.
    """
    if isinstance(value, float):
        if not math.isfinite(value):
            return ""
        return str(int(value)) if value.is_integer() and abs(value) < _EXACT else str(value)
    none = value is None or isinstance(value, bool | list | dict)
    return "" if none else str(value).strip()


def with_sound_ids(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries; one with an unusable id becomes bad, and is named by its row."""
    for entry in entries:
        reason = why_no_id(entry.id)
        if reason:
            name = f"row {entry.row + 1}"
            yield dataclasses.replace(entry, id=name, format="bad", text=reason, target="")
        else:
            yield entry


def why_no_id(text: str) -> str:
    """Why a text cannot be used as an id, in one line; "" if it can."""
    if len(text) > LONGEST_ID:
        return f"id too long: {len(text)} characters of at most {LONGEST_ID}"
    return "" if is_text(text) else f"id is no text: {one_line(ascii(text), 60)}"
