"""Folds given by the user: `--groups` keeps groups together, `--split` assigns row by row."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from orchestrator.data.table_columns import column_of, columns_of
from orchestrator.interface.errors import UsageError
from trainables.crystals.crystal import one_line
from trainables.crystals.folds import (
    PARTS,
    VALIDATE,
    FoldError,
    GivenFolds,
    folds_of_groups,
    folds_of_hashes,
    folds_of_parts,
    folds_of_rows,
)
from trainables.crystals.registry import FOLDS, LEADERBOARD, PREFIX
from trainables.crystals.sources.base import (
    PER_SITE,
    Source,
    SourceError,
    as_spelled,
    csv_rows,
    no_column,
    open_text,
    readable,
    without_ending,
)
from trainables.crystals.sources.ids import ID_COLUMNS
from trainables.crystals.sources.table import sniff_delimiter

FORMULA = "formula"  # as a group: all crystals with the same composition
HASHED = "formula-hash"  # the same, and the formula alone decides which fold tests it
SHOWN = 3  # ids quoted in a message


@dataclass(frozen=True, kw_only=True)
class Division:
    """The content of `--groups` or `--split`.

    Attributes:
        flag: the flag with its value, for messages.
        digest: of the content; for a column only its name, as the data has a digest of its own.
        column: the data set's column that has the groups.
        groups: id -> group, from a file.
        tested: id -> the fold that tests it, from a file.
        parts: id -> fold -> part, from a file.
    """

    flag: str
    digest: str
    column: str | None = None
    groups: Mapping[str, str] | None = None
    tested: Mapping[str, int] | None = None
    parts: Mapping[str, Mapping[int, int]] | None = None

    @property
    def validates(self) -> bool:
        """Whether it has validation rows of its own."""
        return any(VALIDATE in one.values() for one in (self.parts or {}).values())

    def of(
        self,
        name: str,
        ids: np.ndarray,
        rows: np.ndarray,
        path: Path | None,
        formulas: Callable[[], np.ndarray],
    ) -> GivenFolds:
        """The folds of one data set.

        Args:
            ids, rows: [B] of its good rows, and their positions in the file.
            path: of the file; None if there is none.
            formulas: returns their reduced formulas [B].

        Raises:
            UsageError: a row has no group or fold, or the rows cannot be divided in this way.
        """
        try:
            if self.groups is not None:
                return folds_of_groups(self._each(self.groups, ids, name, "group"))
            if self.tested is not None:
                return folds_of_rows(self._each(self.tested, ids, name, "fold"))
            if self.parts is not None:
                return folds_of_parts(self._each(self.parts, ids, name, "part"))
            if self.column == FORMULA:
                return folds_of_groups(formulas())
            if self.column == HASHED:
                return folds_of_hashes(formulas())
            return folds_of_groups(self._cells(name, ids, rows, path))
        except (FoldError, SourceError) as error:
            raise UsageError(f"{self.flag}: {name}: {error}") from None

    def demand_column(self, name: str, path: Path | None) -> None:
        """Raises UsageError if a data set lacks the column that should have the groups."""
        if self.column in (None, FORMULA, HASHED):
            return
        assert self.column is not None
        try:
            columns = [] if path is None else columns_of(path)
        except SourceError as error:
            raise UsageError(f"{self.flag}: {name}: {error}") from None
        if as_spelled(self.column, columns) is None:
            raise UsageError(
                f"{self.flag}: no such file, and {name} has"
                f" {no_column(self.column, [*columns, FORMULA, HASHED])}; give a CSV of"
                " id,group, a column of the data set, `formula` or `formula-hash`"
            )

    def _each(self, known: Mapping[str, Any], ids: np.ndarray, name: str, what: str) -> list[Any]:
        missing = [str(one) for one in ids if str(one) not in known]
        if missing:
            shown = ", ".join(one_line(one, 40) for one in missing[:SHOWN])
            more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
            raise UsageError(
                f"{self.flag}: no {what} for {shown}{more} of {name}; give each id a line"
            )
        return [known[str(one)] for one in ids]

    def _cells(self, name: str, ids: np.ndarray, rows: np.ndarray, path: Path | None) -> list[str]:
        """The column's cells for the given rows."""
        self.demand_column(name, path)
        assert self.column is not None and path is not None  # as `demand_column` has checked
        cells = column_of(path, self.column)
        named = [cells[row].strip() if row < len(cells) else "" for row in rows]
        for one, group in zip(ids, named, strict=True):
            if not group:
                shown = one_line(str(one), 40)
                raise UsageError(f"{self.flag}: {name}: the cell of {shown} is empty; fill it")
        return named


def demand_own_folds(division: Division | None, names: Iterable[str]) -> None:
    """Raises UsageError for a MatBench task, whose scores are defined on its official folds."""
    for name in names:
        if division is not None and name.removeprefix(PREFIX) in LEADERBOARD:
            raise UsageError(
                f"{division.flag}: {name} is a MatBench task, whose scores are comparable on its"
                " official folds alone; to divide these rows otherwise, give the file another name"
                " (NAME=PATH)"
            )


def demand_columns(division: Division | None, sources: Mapping[str, Source]) -> None:
    """Raises UsageError if a data set lacks the column named by `--groups`."""
    for name, source in sources.items():
        if division is not None:
            division.demand_column(name, getattr(source, "path", None))


def read_groups(given: str) -> Division:
    """Parses `--groups`: a CSV of id,group if there is such a file, else a column.

    Raises:
        UsageError: in one line that names file and line.
    """
    flag = f"--groups {given}"
    if not _is_file(given):
        return Division(flag=flag, digest=f"column {given}", column=given)
    known: dict[str, str] = {}
    for line, (name, group) in _lines(flag, Path(given), ("group",)):
        if not group:
            raise UsageError(f"{flag}, line {line}: {one_line(name, 40)} has an empty group")
        if known.setdefault(name, group) != group:
            raise UsageError(f"{flag}, line {line}: {one_line(name, 40)} is in two groups")
    return Division(flag=flag, digest=_digest(known), groups=known)


def read_split(path: Path) -> Division:
    """Reads `--split`: a CSV of id,fold (the fold that tests the row), or of id,fold,part.

    Raises:
        UsageError: in one line that names file and line.
    """
    flag = f"--split {path}"
    tested: dict[str, int] = {}
    parts: dict[str, dict[int, int]] = {}
    for line, (name, fold, *part) in _lines(flag, path, ("fold", "part")):
        shown = one_line(name, 40)
        if fold not in map(str, range(FOLDS)):
            raise UsageError(f"{flag}, line {line}: fold {fold[:20]!r} is none of 0 to {FOLDS - 1}")
        if not part:
            if tested.setdefault(name, int(fold)) != int(fold):
                raise UsageError(f"{flag}, line {line}: {shown} is tested in two folds")
            continue
        if part[0].lower() not in PARTS:
            known = ", ".join(PARTS)
            raise UsageError(f"{flag}, line {line}: part {part[0][:20]!r} is none of {known}")
        found = PARTS[part[0].lower()]
        if parts.setdefault(name, {}).setdefault(int(fold), found) != found:
            raise UsageError(f"{flag}, line {line}: {shown} is in two parts of fold {fold}")
    if parts:
        return Division(flag=flag, digest=_digest(parts), parts=parts)
    return Division(flag=flag, digest=_digest(tested), tested=tested)


def _is_file(text: str) -> bool:
    try:
        return Path(text).is_file()
    except (OSError, ValueError):  # for example, too long for a file name
        return False


def _digest(known: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(known, sort_keys=True).encode()).hexdigest()[:16]


def _lines(flag: str, path: Path, names: Sequence[str]) -> list[tuple[int, list[str]]]:
    """Line number, id and further cells of each line of a CSV, without its header, if any."""
    try:
        with readable(path), open_text(path, whole=True) as file:
            text = file.read()
        delimiter = sniff_delimiter(text.split("\n", 1)[0])
        found = [
            (line, [cell.strip() for cell in cells])
            for line, cells in csv_rows(text.splitlines(), path, delimiter)
            if any(cell.strip() for cell in cells)
        ]
    except SourceError as error:
        raise UsageError(f"{flag.split(' ')[0]} {error}") from None
    header = [cell.lower() for cell in found[0][1]] if found else []
    places = [*range(min(len(header), 1 + len(names)))]
    if (header and header[0] in ID_COLUMNS) or set(names) & set(header):
        own = next((header.index(name) for name in ID_COLUMNS if name in header), 0)
        places = [own, *(header.index(name) for name in names if name in header)]
        found = found[1:]
    wanted = ",".join(("id", *names[:1]))
    if len(places) < 2 or not found:
        raise UsageError(f"{flag}: no lines of {wanted}; write one a row")
    for line, cells in found:
        if len(cells) != len(header):
            raise UsageError(f"{flag}, line {line}: {len(cells)} cells, but {len(header)} columns")
    return [(line, [cells[place] for place in places]) for line, cells in found]


def add_division(group: argparse._ArgumentGroup) -> None:
    """Adds the two flags that `division_of` takes."""
    group.add_argument(
        "--groups",
        metavar="COLUMN|FILE",
        help="rows of one group never lie in two parts of a fold: five folds of whole groups, of"
        " about one size, and validation parts of whole groups; a column of the data set,"
        " `formula` (one composition is one group), `formula-hash` (the same, in the fold that"
        " its SHA-256 says, as for tensors unless given), or a CSV of id,group",
    )
    group.add_argument(
        "--split",
        type=Path,
        metavar="FILE",
        help="folds of your own: a CSV of id,fold (0 to 4, the fold that tests it), or of"
        " id,fold,part (train, validation or test), a line for each fold that uses it",
    )


def fields_of(division: Division | None) -> dict[str, str]:
    """The entries of a division in the configuration, by flag."""
    if division is None:
        return {}
    return {division.flag.split(" ", 1)[0].removeprefix("--"): division.digest}


def of_tensors(tasks: Iterable[str]) -> Division | None:
    """The division of data sets of tensors, if none is given: by the hash of the formula.

    Raises:
        UsageError: other data sets are among them, which have official folds.
    """
    given = list(tasks)
    tensors = [spec for spec in given if without_ending(spec)[1] not in ("", PER_SITE)]
    if tensors and len(tensors) < len(given):
        other = next(spec for spec in given if spec not in tensors)
        raise UsageError(
            f"--tasks: {tensors[0]} has folds by formula, and {other} has others; run them apart,"
            f" or give --groups {HASHED} for both"
        )
    return read_groups(HASHED) if tensors else None


def division_of(groups: str | None, split: Path | None) -> Division | None:
    """The division given by the two flags; raises UsageError, also if both are given."""
    if groups is not None and split is not None:
        raise UsageError("--split: says all by itself; leave --groups out")
    if split is not None:
        return read_split(split)
    return None if groups is None else read_groups(groups)
