"""The table of predictions: CSV or Parquet, complete or absent, and continued after a break.

Until the table is complete, the rows of each block are in a file of their own in a hidden folder
beside it, under a name with the digest of what they were made from.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

from orchestrator.interface.errors import UsageError
from orchestrator.interface.spreadsheet import spreadsheet_safe
from orchestrator.predict.table import TEXTS, Table
from orchestrator.runs import durable
from trainables import checksum
from trainables.crystals.crystal import Entry

NOTHING = "there is no structure in what was given; nothing is written"
PART = re.compile(r"\d{8}-[0-9a-f]{24}\.json")
Block = tuple[int, list[Entry]]  # numbered


class Parts:
    """The blocks of a table that are done.

    Args:
        out: the table.
        made_from: digest of the predictor and of the columns.
    """

    def __init__(self, out: Path, made_from: str) -> None:
        self.folder = out.with_name(f".{out.name}.parts")
        self._out = out
        self._made_from = made_from

    def read(self, block: Block) -> Table | None:
        """The rows of a block; None if they are not there, or damaged."""
        try:
            content = json.loads(self._path(block).read_bytes())
        except (FileNotFoundError, ValueError, RecursionError):
            return None
        if not isinstance(content, dict) or not checksum.matches(content):
            return None
        rows: Table = content["rows"]
        return rows

    def keep(self, block: Block, rows: Table) -> None:
        """Stores the rows of a block, unless they are there."""
        path = self._path(block)
        if self.read(block) is None:
            durable.write_bytes(path, json.dumps(checksum.add({"rows": rows})).encode())

    def remove(self) -> None:
        """Removes all such files, also of other models, and the folder if nothing else is in it.

        With them go incomplete files, of the table too, that killed commands have left.
        """
        for path in self.folder.glob("*.json"):
            if PART.fullmatch(path.name):
                path.unlink(missing_ok=True)
        _remove_drafts(self.folder, PART.fullmatch)
        _remove_drafts(self._out.parent, self._out.name.__eq__)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _path(self, block: Block) -> Path:
        number, entries = block
        digest = hashlib.sha256(self._made_from.encode())
        for entry in entries:
            for text in (entry.id, entry.format, entry.text):
                digest.update(len(text).to_bytes(8, "little") + text.encode(errors="replace"))
        return self.folder / f"{number:08d}-{digest.hexdigest()[:24]}.json"


def _remove_drafts(folder: Path, is_ours: Callable[[str], object]) -> None:
    """Removes drafts that are this user's regular files."""
    for path in durable.drafts(folder, is_ours):
        with suppress(FileNotFoundError):
            found = path.lstat()
            if stat.S_ISREG(found.st_mode) and found.st_uid == os.geteuid():
                path.unlink()


def demand_free(out: Path, *, overwrite: bool) -> None:
    """Raises UsageError if the table cannot be written there."""
    if out.is_dir():
        raise UsageError(f"--out {out}: is a folder; name a file")
    if out.exists() and not overwrite:
        raise UsageError(f"--out {out}: is there already; name another file, or add --overwrite")
    if not out.parent.is_dir():
        raise UsageError(f"--out {out}: no folder {out.parent}; make it first")


def write(out: Path, tables: Iterator[Table]) -> int:
    """Writes the table; returns the number of rows.

    Raises:
        UsageError: there are none; nothing is written.
    """
    with durable.replacing(out) as file:
        rows = (_write_parquet if out.suffix.lower() == ".parquet" else write_csv)(file, tables)
        if not rows:
            raise UsageError(NOTHING)
        return rows


def print_csv(tables: Iterator[Table]) -> int:
    """Prints the table; returns the number of rows."""
    return write_csv(_Printed(), tables)


class _Printed:
    """Stdout as a file of bytes."""

    def write(self, data: bytes) -> int:
        return sys.stdout.write(data.decode())


def write_csv(file: BinaryIO | _Printed, tables: Iterator[Table]) -> int:
    """Writes CSV with nine significant digits; returns the number of rows."""
    rows, header = 0, True
    for table in tables:
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        if header:
            writer.writerow(table)
            header = False
        writer.writerows(zip(*(map(_cell, column) for column in table.values()), strict=True))
        file.write(text.getvalue().encode())
        rows += len(table["id"])
    return rows


def _cell(value: str | float | None) -> object:
    if value is None:
        return ""
    return f"{value:.9g}" if isinstance(value, float) else spreadsheet_safe(value)


def _write_parquet(file: BinaryIO, tables: Iterator[Table]) -> int:
    import pyarrow as pa  # CSV needs none
    import pyarrow.parquet as pq

    rows, writer = 0, None
    for table in tables:
        types = dict.fromkeys(TEXTS, pa.string())
        schema = pa.schema([(name, types.get(name, pa.float64())) for name in table])
        if writer is None:
            writer = pq.ParquetWriter(file, schema, compression="zstd")
        writer.write_table(pa.table(table, schema=schema))
        rows += len(table["id"])
    if writer is not None:
        writer.close()
    return rows
