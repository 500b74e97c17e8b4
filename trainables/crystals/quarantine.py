"""The list of unusable crystals, and the limit on their number."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from trainables.crystals.crystal import Entry
from trainables.printable import printable

SHARE = 0.01  # of bad crystals that a job accepts by default
FEW = 3  # bad crystals that it then accepts in a small set, but never more than half of all
_PLACE = re.compile(r"(.+):(\d+)")


class TooManyBad(ValueError):
    """More crystals are bad than the limit allows; `str(error)` is one line."""


def most_bad(limit: float | None, total: int) -> float:
    """How many of `total` crystals may be bad: a fraction, else 1 % or a few, but at most half."""
    if limit is not None:
        return limit * total
    return min(max(SHARE * total, FEW), total / 2)


def limit_in_words(limit: float | None, what: str = "rows") -> str:
    """Describes the rule of `most_bad`; `what` is counted."""
    return f"{100 * SHARE:g} % or {FEW} {what}" if limit is None else f"{100 * limit:g} %"


class Ids:
    """The ids of a source's rows, in its order."""

    def __init__(self) -> None:
        # Hash of an id -> row: the ids themselves would take most of a large job's memory. With a
        # million ids, a collision of 64-bit hashes occurs in one of forty million runs.
        self._first: dict[int, int] = {}

    def refused(self, entry: Entry) -> str:
        """Why a row is bad for its id, which is empty or repeated; "" if it is not."""
        if not entry.id.strip():
            return "missing id: the cell is empty"
        row = self._first.setdefault(hash(entry.id), entry.row)
        return "" if row == entry.row else f"duplicate id: first seen in row {row + 1}"


def with_own_ids(entries: Iterable[Entry]) -> Iterator[Entry]:
    """The entries; one whose id is empty or repeated becomes bad."""
    ids = Ids()
    for entry in entries:
        reason = ids.refused(entry)
        yield replace(entry, format="bad", text=reason) if reason else entry


def in_words(row: Mapping[str, object]) -> str:
    """A row of the list as `mine.csv row 3 (id): reason`."""
    place = row["file"] if row["row"] is None else f"{row['file']} row {row['row']}"
    return f"{place} ({row['id']}): {row['reason']}"


class Quarantine:
    """Counts the rows of one source, rejects repeated ids and collects bad rows.

    Args:
        limit: largest accepted fraction of bad rows; the rule of `most_bad` unless given.
        expected: rows of the source if known, which lets a hopeless job stop before the end.
    """

    def __init__(self, limit: float | None = None, expected: int | None = None) -> None:
        self.limit = limit
        self.expected = expected
        self.seen = 0
        self._ids = Ids()
        self._rows: list[dict[str, object]] = []
        self._bad_origins: set[tuple[str, str]] = set()

    @property
    def bad(self) -> int:
        """Number of quarantined rows."""
        return len(self._rows)

    def admit(self, entry: Entry) -> bool:
        """Counts a row; False, and the row is quarantined, if its id is empty or repeated."""
        self.seen += 1
        reason = self._ids.refused(entry)
        if reason:
            self.add(entry.origin, entry.id, reason, entry.row + 1)
        return not reason

    def add(self, origin: str, id: str, reason: str, row: int | None = None) -> None:
        """Adds one crystal to the list; one that is already there keeps its first reason.

        Args:
            row: its row, from 1; None for the number at the end of the origin.
        """
        if (origin, id) in self._bad_origins:
            return
        self._bad_origins.add((origin, id))
        match = _PLACE.fullmatch(origin)
        file, number = (match[1], int(match[2])) if match else (origin, None)
        told = printable(" ".join(reason.split()))
        self._rows.append(
            {
                "file": printable(file),
                "row": number if row is None else row,
                "id": printable(id),
                "reason": told,
            }
        )

    def rows(self) -> list[dict[str, object]]:
        """The list, in the order of insertion: file, row, id, reason of each bad crystal."""
        return [dict(row) for row in self._rows]

    def reasons(self) -> list[tuple[str, int]]:
        """Kinds of reasons (the words before the colon) with their counts, most frequent first."""
        kinds = Counter(str(row["reason"]).partition(":")[0] for row in self._rows)
        return sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))

    def raise_if_over_limit(self, final: bool = False) -> None:
        """Stops the job when the share of bad rows is above the limit.

        Args:
            final: whether all rows were seen. Before that, it stops only if the remaining rows
                cannot bring the share below the limit, so that the verdict does not depend on the
                order of the file.

        Raises:
            TooManyBad: too many are bad, or there is no row at all.
        """
        if final and self.seen == 0:
            raise TooManyBad("no crystals: the source holds not a single row")
        total = self.seen if final else max(self.seen, self.expected or 0)
        if self.bad <= most_bad(self.limit, total) or not (final or self.expected):
            return
        kinds = ", ".join(f"{count} × {kind}" for kind, count in self.reasons()[:4])
        kinds += ", and others" if len(self.reasons()) > 4 else ""
        percent = 100 * self.bad / total
        share = f"{percent:.0f} %" if percent >= 10 else f"{percent:.2g} %"
        raise TooManyBad(
            f"{self.bad} of {total} crystals are bad ({share}), the limit is"
            f" {limit_in_words(self.limit, 'crystals')}: {kinds};"
            f" first {in_words(self._rows[0])}; mend the input"
            " or raise the limit by --max-bad"
        )
