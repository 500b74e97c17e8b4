"""What sources share whose rows bring fields of their own, which together are the columns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path

from trainables.crystals.crystal import BadCrystal, Entry
from trainables.crystals.sources.base import (
    ANY_COLUMN,
    SourceError,
    choose_target,
    columns_of,
    file_digest,
    stem,
)
from trainables.crystals.sources.cells import NUMBERS, Cells
from trainables.crystals.sources.columns import SAMPLE, find_target, form_of
from trainables.crystals.sources.ids import ID_COLUMNS, id_of
from trainables.crystals.targets import is_numeric

MOST_COLUMNS = 10_000


@dataclass(frozen=True, slots=True)
class Record:
    """A structure and what its file says beside it.

    Attributes:
        fields: cells of a table by name; "" for what is missing.
        structure: returns the JSON of pymatgen's Structure, or raises BadCrystal.
    """

    fields: Mapping[str, str]
    structure: Callable[[], str]


def bad_record(reason: str) -> Record:
    """A record that cannot be read."""

    def structure() -> str:
        raise BadCrystal(reason)

    return Record({}, structure)


class RecordSource(ABC):
    """Streams records; one is held at a time. The id is that of `id_of`.

    Raises:
        SourceError: the file is missing, broken or different.
    """

    unit: str | None = None
    empty = "there is no crystal in it"

    def __init__(self, path: Path, target: str | None = None, name: str | None = None) -> None:
        self.path = path
        self.name = name or stem(path)
        sample = [record.fields for record in islice(self.records(), SAMPLE)]
        if not sample:
            raise SourceError(f"{path}: {self.empty}")
        columns = list(dict.fromkeys(key for fields in sample for key in fields))
        if len(columns) > MOST_COLUMNS:
            raise SourceError(
                f"{path}: {len(columns)} different names of values beside its first structures, of"
                f" at most {MOST_COLUMNS}; write those that are needed"
            )
        self._wanted = target != ANY_COLUMN
        if not self._wanted:
            self.target_name = choose_target(path, columns, columns, target) if columns else ""
            self.cells = NUMBERS
            return
        rows = [[fields.get(key, "") for key in columns] for fields in sample]
        ids = [key for key in columns if key in ID_COLUMNS]
        self.target_name = find_target(path, columns, rows, target, other=ids)
        self._targets, _ = columns_of(self.target_name, columns)
        self.cells = self._form()

    @abstractmethod
    def records(self) -> Iterator[Record]:
        """Yields all records in file order; one that cannot be read is a `bad_record`.

        Raises:
            SourceError: the file is damaged, so that no more can be read.
        """

    def digest(self) -> str:
        """SHA-256 (hex) of the file's bytes and the target's name."""
        return file_digest(self.path, self.target_name)

    def count(self) -> int | None:
        """Not known before all is read."""
        return None

    def entries(self) -> Iterator[Entry]:
        """Yields one entry per record.

        Raises:
            SourceError: the file is damaged.
        """
        for row, record in enumerate(self.records()):
            yield self._entry(row, record)

    def _entry(self, row: int, record: Record) -> Entry:
        origin = f"{self.path.name}:{row + 1}"
        fields = record.fields
        name = id_of(fields, row)
        targets = [fields.get(key, "") for key in self._targets] if self._wanted else None
        try:
            text = record.structure()
        except BadCrystal as bad:
            return Entry(row, name, "bad", str(bad), "" if self._wanted else None, origin)
        return self.cells.entry(row, name, "json", text, targets, origin)

    def _form(self) -> Cells:
        """By the first records, up to one in which a single target is there; it tells all."""
        sample: list[list[str]] = []
        for cells in islice(self._targets_of_all(), SAMPLE):
            sample.append(cells)
            if all(is_numeric([cell]) for cell in cells) or len(cells) > 1:
                break
        shown = [[cells[at] for cells in sample] for at in range(len(self._targets))]
        every = partial(map, itemgetter(0), self._targets_of_all())
        return form_of(self.path, self.target_name, self._targets, shown, every)

    def _targets_of_all(self) -> Iterator[list[str]]:
        for record in self.records():
            yield [record.fields.get(key, "") for key in self._targets]
