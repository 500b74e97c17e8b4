"""The interface of sources of crystals, and what they share: digests, opening, target choice."""

from __future__ import annotations

import csv
import difflib
import gzip
import hashlib
import re
import zlib
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol, runtime_checkable

from trainables.crystals.crystal import Entry, one_line
from trainables.crystals.sources import gunzip
from trainables.crystals.sources.bounded import LARGEST_ROW, BoundedLines, MeasuredRows
from trainables.crystals.sources.cells import Cells
from trainables.crystals.targets import FRAMES, TENSORS
from trainables.printable import printable

ANY_COLUMN = "*"
PER_SITE = "@site"  # after the name of a column whose lists have a number an atom
TENSOR = "@"  # before a tensor's kind, after the name of a column whose lists are such tensors
LARGEST_WHOLE = 256 << 20  # bytes of a table of ids or formulas; some millions of rows
_ENDING = re.compile(rf"({PER_SITE}|{TENSOR}({'|'.join(TENSORS)})(@({'|'.join(FRAMES)}))?)\Z")
_GZIP_MAGIC = b"\x1f\x8b"


class SourceError(ValueError):
    """A source as a whole cannot be read; one line that names the file and the remedy.

    It may contain names from the file, so it is made safe to print.
    """

    def __init__(self, text: str) -> None:
        super().__init__(printable(text))


@runtime_checkable
class EntrySource(Protocol):
    """Crystals in a fixed order."""

    @property
    def name(self) -> str:
        """Short name of the data set, used for directories and tables."""

    def digest(self) -> str:
        """SHA-256 (hex) of the input's bytes and the target's name."""

    def count(self) -> int | None:
        """Number of entries; None if it is known only after reading all of them."""

    def entries(self) -> Iterator[Entry]:
        """Yields all entries in file order.

        Raises:
            SourceError: the file turns out to be broken midway.
        """


@runtime_checkable
class Source(EntrySource, Protocol):
    """Crystals with one target each, in a fixed order that determines the official folds."""

    @property
    def target_name(self) -> str:
        """Name of the target column."""

    @property
    def unit(self) -> str | None:
        """Unit of the target; None if the source does not state it."""

    @property
    def cells(self) -> Cells:
        """The form of the target's cells, which decides the kind of target."""


def file_digest(path: Path, target_name: str) -> str:
    """SHA-256 (hex) of a file's bytes followed by a zero byte and the target's name."""
    digest = hashlib.sha256()
    with readable(path), path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    digest.update(b"\0" + target_name.encode())
    return digest.hexdigest()


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turns every failure while reading a text file into a SourceError."""
    try:
        yield
    except SourceError:
        raise
    except (gzip.BadGzipFile, EOFError) as error:
        raise SourceError(
            f"{path}: the gzip file is broken or cut short ({error}); fetch it again"
        ) from None
    except UnicodeDecodeError as error:
        raise SourceError(
            f"{path}: not UTF-8 (byte {error.start}: {error.reason}); save it as UTF-8"
        ) from None
    except gunzip.TooMuchText as error:
        raise SourceError(f"{path}: {error.strerror}") from None
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror or error})") from None
    except zlib.error as error:
        raise SourceError(f"{path}: the gzip file is broken ({error}); fetch it again") from None


def open_text(path: Path, newline: str | None = "", *, whole: bool = False) -> IO[str]:
    """Opens a plain or gzipped UTF-8 file (detected by content) as text; a BOM is skipped.

    Args:
        whole: the text will be held in memory, so it may not be larger than `LARGEST_WHOLE`.

    Raises:
        SourceError: in one line; also while reading within `readable`, if a gzip file turns out to
            be a bomb.
    """
    with readable(path):
        if not path.is_file():
            raise SourceError(f"{path}: no such file; check the path")
        with path.open("rb") as file:
            magic = file.read(2)
        if not magic:
            raise SourceError(f"{path}: the file is empty; fetch or write it again")
        if magic == _GZIP_MAGIC:
            packed = gunzip.opened(path, LARGEST_WHOLE if whole else gunzip.LARGEST_STREAM)
            return BoundedLines(packed, encoding="utf-8-sig", newline=newline)
        if whole and path.stat().st_size > LARGEST_WHOLE:
            raise SourceError(f"{path}: {gunzip.too_large(LARGEST_WHOLE)}")
        plain = path.open("rb")
        return BoundedLines(plain, encoding="utf-8-sig", newline=newline)


def csv_rows(
    lines: Iterable[str], path: Path, delimiter: str, *, strict: bool = False
) -> Iterator[tuple[int, list[str]]]:
    """Number of the last line, and cells, of each row of a CSV.

    Raises:
        SourceError: quotes are wrong, or a row is larger than any crystal needs, as with an
            unclosed quote; reading stops before the row is held in memory.
    """
    csv.field_size_limit(max(csv.field_size_limit(), LARGEST_ROW))
    measured = MeasuredRows(lines, delimiter)
    reader = csv.reader(measured, delimiter=delimiter, strict=strict)
    try:
        for cells in reader:
            measured.begin_row(reader.line_num + 1)
            yield reader.line_num, cells
    except csv.Error as error:
        raise SourceError(
            f"{path}: line {reader.line_num} is not CSV ({error}); mend the quotes"
        ) from None
    except gunzip.TooMuchText as error:
        raise SourceError(f"{path}: {error.strerror}") from None


def is_text(name: str) -> bool:
    """Whether UTF-8 can encode it: JSON and file names may contain surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def stem(path: Path) -> str:
    """File name without `.gz` and without its own suffix."""
    name = path.name.removesuffix(".gz")
    return name.rsplit(".", 1)[0] if "." in name[1:] else name


def choose_target(
    path: Path,
    columns: Sequence[str],
    numeric: Sequence[str],
    wanted: str | None,
    given: str | None = None,
) -> str:
    """The target column: the wanted one, else `target`, else the only numeric one left.

    Args:
        numeric: the columns that could be a target.
        wanted: `ANY_COLUMN` accepts any, for readers that only need crystals.
        given: what precedes the colon on the command line; the path unless given.

    Raises:
        SourceError: no column, or several, would fit; the choice is named.
    """
    if wanted == ANY_COLUMN:
        return next(iter([*numeric, *columns]), "")
    if wanted is not None:
        return _as_asked(path, wanted, columns)
    named = wanted or next((name for name in columns if name.lower() == "target"), None)
    if named is None and not numeric:
        raise SourceError(f"{path}: no numeric column for a target; it has {listed(columns)}")
    if named is None and len(set(numeric)) > 1:
        raise SourceError(
            f"{path}: which column is the target? name it as {given or path}:COLUMN, "
            f"one of {listed(numeric)}"
        )
    chosen = named or numeric[0]
    _demand_once(path, chosen, columns)
    return chosen


def _as_asked(path: Path, wanted: str, columns: Sequence[str]) -> str:
    """A target's name with its columns as they are spelled."""
    names, ending = columns_of(wanted, columns)
    spelled = []
    for name in names:
        found = as_spelled(name, columns)
        if found is None:
            raise SourceError(f"{path}: {no_column(name, columns)}")
        _demand_once(path, found, columns)
        spelled.append(found)
    if len(spelled) > 1 and ending:
        raise SourceError(f"{path}: {wanted}: {ending} is for one column; leave the others out")
    if repeated := sorted({name for name in spelled if spelled.count(name) > 1}):
        raise SourceError(f"{path}: {wanted}: names {one_line(repeated[0], 60)!r} twice")
    return ",".join(spelled) + ending


def _demand_once(path: Path, name: str, columns: Sequence[str]) -> None:
    if columns.count(name) > 1:
        raise SourceError(f"{path}: column {one_line(name, 60)!r} is there twice; rename one")


def columns_of(target: str, columns: Sequence[str]) -> tuple[list[str], str]:
    """The columns of a target (`gap`, `gap,energy`, `spin@site`), and what follows their names.

    A column that has the whole name is meant alone.
    """
    plain, ending = without_ending(target)
    for name, rest in ((target, ""), (plain, ending)):
        if as_spelled(name, columns) is not None:
            return [name], rest
    return [name.strip() for name in plain.split(",")], ending


def without_ending(target: str) -> tuple[str, str]:
    """A target's name without `@site`, `@piezo` or `@piezo@conventional`, and that ending."""
    found = _ENDING.search(target)
    return (target, "") if found is None else (target[: found.start()], found.group())


def as_spelled(name: str, columns: Sequence[str]) -> str | None:
    """The column of that name, else the only one that differs in case; else None."""
    if name in columns:
        return name
    found = {column for column in columns if column.strip().lower() == name.strip().lower()}
    return found.pop() if len(found) == 1 else None


def no_column(name: str, columns: Sequence[str]) -> str:
    """Says that a table has no such column, and which one may be meant."""
    alike = {column.lower(): column for column in columns}
    column, at, rest = name.partition("@")
    if at and as_spelled(column, columns) is not None:
        endings = (PER_SITE, *(TENSOR + one for one in TENSORS))
        meant = difflib.get_close_matches(at + rest.lower(), endings, n=1)
        hint = f" (did you mean {meant[0]}?)" if meant else ""
        return (
            f"no column {one_line(name, 60)!r}, and {one_line(at + rest, 40)!r}{hint} is none of"
            f" {' '.join(endings)}, a tensor's with"
            f" {' '.join('@' + one for one in FRAMES)} behind it or nothing"
        )
    close = difflib.get_close_matches(name.lower(), alike, n=1)
    hint = f" (did you mean {one_line(alike[close[0]], 60)!r}?)" if close else ""
    return f"no column {one_line(name, 60)!r}{hint}; it has {listed(columns)}"


def listed(columns: Sequence[str]) -> str:
    """The first names of a table's columns, for a message."""
    shown = [one_line(name, 40) for name in columns if name][:20]
    return ", ".join(shown) + (", …" if len(columns) > 20 else "") if shown else "no columns"
