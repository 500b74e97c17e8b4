"""The table of predictions: CSV or Parquet, complete or absent, and continued after a break.

Until the table is complete, the rows of each block are in a file of their own in a hidden folder
beside it, under a name with the digest of what they were made from.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import math
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.interface.errors import UsageError
from orchestrator.interface.spreadsheet import spreadsheet_safe
from orchestrator.predict.predictor import Predicted
from orchestrator.predict.slab_table import COLUMNS as OF_SLABS
from orchestrator.predict.slab_table import NEAREST, PredictedSlabs
from orchestrator.predict.tensors import PredictedTensors
from orchestrator.runs import durable
from trainables import checksum
from trainables.crystals.crystal import Entry

NUMBERS = ("prediction", "std", "lower", "upper")
NOTHING = "there is no structure in what was given; nothing is written"
COLUMNS = ("id", *NUMBERS, "outside", "reason")
TEXTS = ("id", NEAREST, "outside", "reason")

PART = re.compile(r"\d{8}-[0-9a-f]{24}\.json")
Block = tuple[int, list[Entry]]  # numbered
Table = dict[str, list[Any]]  # by column; None where there is no number


def table_of(predicted: Predicted | PredictedTensors | PredictedSlabs, *, members: bool) -> Table:
    """The rows of a block.

    Raises:
        UsageError: members are asked for, and each has a tensor, or several numbers.
    """
    if isinstance(predicted, PredictedSlabs):
        return _of_slabs(predicted, members=members)
    if isinstance(predicted, PredictedTensors):
        return _of_tensors(predicted, members=members)
    found: Table = {"id": list(predicted.ids)}
    found |= {name: _numbers(getattr(predicted, name)) for name in NUMBERS}
    found |= {"outside": list(predicted.outside), "reason": list(predicted.reasons)}
    if members:
        found |= {key: _numbers(own) for key, own in sorted(predicted.members.items())}
    return found


def _of_tensors(predicted: PredictedTensors, *, members: bool) -> Table:
    if members:
        raise UsageError("--members: a column for each model is for numbers; leave it out")
    found: Table = {"id": list(predicted.ids)}
    found |= {name: _numbers(values) for name, values in predicted.entries.items()}
    found["spread"] = _numbers(predicted.spread)
    if predicted.stable is not None:
        found["stable"] = _numbers(predicted.stable)
    return found | {"outside": list(predicted.outside), "reason": list(predicted.reasons)}


def _of_slabs(predicted: PredictedSlabs, *, members: bool) -> Table:
    if members:
        raise UsageError("--members: a run of contrast has none in the table; leave it out")
    found: Table = {name: _numbers(values) for name, values in predicted.numbers.items()}
    found |= {"id": list(predicted.ids), NEAREST: list(predicted.nearest)}
    found |= {"outside": list(predicted.outside), "reason": list(predicted.reasons)}
    return {name: found[name] for name in OF_SLABS if name in found}


def _numbers(values: Iterable[float]) -> list[float | None]:
    return [float(value) if math.isfinite(value) else None for value in values]


class Parts:
    """The blocks of a table that are done.

    Args:
        out: the table.
        made_from: digest of the predictor and of the columns.
    """

    def __init__(self, out: Path, made_from: str) -> None:
        self.folder = out.with_name(f".{out.name}.parts")
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
        """Removes all such files, also of other models, and the folder if nothing else is in it."""
        for path in self.folder.glob("*.json"):
            if PART.fullmatch(path.name):
                path.unlink(missing_ok=True)
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _path(self, block: Block) -> Path:
        number, entries = block
        digest = hashlib.sha256(self._made_from.encode())
        for entry in entries:
            for text in (entry.id, entry.format, entry.text):
                digest.update(len(text).to_bytes(8, "little") + text.encode(errors="replace"))
        return self.folder / f"{number:08d}-{digest.hexdigest()[:24]}.json"


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
