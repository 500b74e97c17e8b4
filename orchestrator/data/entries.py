"""Processes blocks of raw crystals in the order of the source; many of them on all cores."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass, fields
from functools import partial
from typing import Any, Protocol

import pyarrow as pa

from orchestrator.interface.errors import UsageError
from orchestrator.nodes.hardware import FOR_WORKERS
from orchestrator.nodes.place import here
from trainables.crystals.crystal import Entry
from trainables.crystals.quarantine import Quarantine, TooManyBad, with_own_ids
from trainables.crystals.sources import SourceError
from trainables.crystals.sources.base import EntrySource
from trainables.crystals.sources.ids import with_sound_ids

# A block is work for a worker, which costs as much as featurising a hundred small crystals.
ROWS_PER_BLOCK = 1024
LARGEST_BLOCK = 4 << 20  # characters; a crystal of that size is a block by itself
COPIES = 3  # of all tables that the driver has while it joins them, as measured
LARGEST_TABLE = 256 << 20  # bytes that are made of a block, if all its crystals are the largest
# Bytes of crystals that a driver on the machine of its workers processes itself: that takes less
# time than importing the modules in each worker.
FEW = 4 << 20
FATAL = "fatal"  # format of the one entry that tells the driver why a source could not be read on

TABLE = "table"  # name of the one result of `read_tables`

# For each entry the reason why it is bad, or ""; and the results for the good ones, by name. An
# OSError ends the job like one of the driver's.
Work = Callable[[list[Entry]], tuple[list[str], dict[str, bytes]]]


@dataclass(frozen=True)
class Block:
    """The results of a processed block, by name."""

    made: dict[str, bytes]


class EntryBlocks:
    """Yields blocks in the order of the source, as file order decides the folds.

    Iterating raises UsageError when the source cannot be read, or when too many crystals are bad,
    and OSError when the work raises one.

    Args:
        rows: of a block at most; None for the usual number.

    Attributes:
        quarantine: the bad crystals so far.
    """

    def __init__(
        self, source: EntrySource, work: Work, max_bad: float | None, rows: int | None = None
    ) -> None:
        self._source, self._work, self._rows = source, work, rows or ROWS_PER_BLOCK
        self.quarantine = Quarantine(max_bad, source.count())

    def __iter__(self) -> Iterator[Block]:
        try:
            with closing(_worked(self._source, self._work, self._rows)) as worked:
                for row in worked:
                    failed, fatal = json.loads(row.pop("failed")), row.pop("fatal")
                    if failed:
                        raise OSError(*failed)
                    self._note(**json.loads(row.pop("listing")))
                    yield Block(row)
                    if fatal:
                        raise UsageError(fatal)
                    self.quarantine.raise_if_over_limit()
            self.quarantine.raise_if_over_limit(final=True)
        except TooManyBad as error:
            raise UsageError(f"{self._source.name}: {error}") from None

    def _note(self, seen: int, bad: list[dict[str, Any]]) -> None:
        self.quarantine.seen += seen
        for crystal in bad:
            self.quarantine.add(**crystal)


class Made(Protocol):
    """What is made of some entries: for each the reason why it is bad, or ""; and a table."""

    @property
    def reasons(self) -> list[str]: ...

    @property
    def content(self) -> bytes: ...


def read_tables(
    source: EntrySource,
    make: Callable[[list[Entry]], Made],
    max_bad: float | None,
    *,
    largest: int,
    workers: int,
) -> tuple[list[bytes], Quarantine]:
    """The tables of all blocks of a source, in order, and its bad crystals.

    Args:
        largest: bytes of what is made of the largest crystal.
        workers: that hold all tables at a time.

    Raises:
        UsageError: the source cannot be read, too many crystals are bad, or their tables take more
            than leaves memory for the copies of the driver and one of each worker.
    """
    rows = min(ROWS_PER_BLOCK, max(1, LARGEST_TABLE // largest))
    blocks = EntryBlocks(source, partial(_one_table, make), max_bad, rows)
    most = FOR_WORKERS * here().memory_here() / (COPIES + workers)
    tables, held = [], 0
    for block in blocks:
        tables.append(block.made[TABLE])
        held += len(tables[-1])
        if held > most:
            raise UsageError(
                f"{source.name}: its first {blocks.quarantine.seen} crystals already take more than"
                f" the {most / 2**30:.3g} GiB that fit into the memory here; lower --points,"
                " --max-atoms or --workers, or give fewer crystals"
            )
    return tables, blocks.quarantine


def _one_table(
    make: Callable[[list[Entry]], Made], entries: list[Entry]
) -> tuple[list[str], dict[str, bytes]]:
    made = make(entries)
    return made.reasons, {TABLE: made.content}


def _worked(source: EntrySource, work: Work, rows: int) -> Generator[dict[str, Any], None, None]:
    """Yields one row per block of entries: listing, fatal, failed, and the results."""
    few = _few(source, rows)
    if few is None:
        # Files given by path are on this machine, so they are read here.
        blocks = _blocks(source, rows)
        yield from here().in_order(partial(_work_on_block, work), blocks)
    else:
        for block in few:
            yield _work_on_block(work, block)


def _few(source: EntrySource, rows: int) -> list[pa.Table] | None:
    """The blocks of a small source; None for a larger one, and on a cluster."""
    if not here().is_beside_workers():
        return None
    blocks, held = [], 0
    for block in _blocks(source, rows):
        blocks.append(block)
        held += block.nbytes
        if held > FEW:
            return None
    return blocks


def _blocks(source: EntrySource, rows_per_block: int) -> Iterator[pa.Table]:
    """Tables of one row that holds several entries."""
    entries = with_own_ids(with_sound_ids(source.entries()))
    while True:
        block: list[Entry] = []
        held, ended = 0, False
        try:
            while len(block) < rows_per_block and held < LARGEST_BLOCK:
                entry = next(entries)
                block.append(entry)
                held += len(entry.text) + len(entry.target or "")
        except StopIteration:
            ended = True
        except SourceError as error:
            block.append(Entry(-1, "", FATAL, str(error), "", ""))
            ended = True
        if block:
            names = [field.name for field in fields(Entry)]
            yield pa.table({name: [[getattr(entry, name) for entry in block]] for name in names})
        if ended:
            return


def _work_on_block(work: Work, table: pa.Table) -> dict[str, Any]:
    """Processes a block of entries; the result is one row."""
    (columns,) = table.to_pylist()
    entries = [Entry(*cells) for cells in zip(*columns.values(), strict=True)]
    fatal = [entry.text for entry in entries if entry.format == FATAL]
    entries = [entry for entry in entries if entry.format != FATAL]
    failed: list[Any] = []
    try:
        reasons, made = work(entries)
    except OSError as error:  # Ray would wrap it, and take it for a fault of its own
        failed = [error.errno, error.strerror, str(error.filename)]
        reasons, made = [""] * len(entries), {}
    bad = [
        {"origin": entry.origin, "id": entry.id, "reason": why, "row": entry.row + 1}
        for entry, why in zip(entries, reasons, strict=True)
        if why
    ]
    return {
        "listing": json.dumps({"seen": len(entries), "bad": bad}),
        "fatal": "; ".join(fatal),
        "failed": json.dumps(failed),
        **made,
    }
