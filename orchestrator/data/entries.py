"""Processes blocks of raw crystals in the order of the source; many of them by Ray Data."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

import pyarrow as pa
import ray
from ray.data import Datasource, ExecutionResources, ReadTask
from ray.data.block import BlockMetadata

from orchestrator.interface.errors import UsageError
from orchestrator.nodes.ray_internals import began_session
from trainables.crystals.crystal import Entry
from trainables.crystals.quarantine import Quarantine, TooManyBad, with_own_ids
from trainables.crystals.sources import Source, SourceError
from trainables.crystals.sources.base import with_sound_ids

# A block is a task of Ray Data, which costs as much as featurising a hundred small crystals.
ROWS_PER_BLOCK = 1024
LARGEST_BLOCK = 4 << 20  # characters; a crystal of that size is a block by itself
BYTES_UNDER_WAY = 32 * 2**20  # per core, in the object store: a few blocks of large crystals
# Bytes of crystals that a driver on the machine of its workers processes itself: that takes less
# time than starting Ray Data's actors and tasks.
FEW = 4 << 20
FATAL = "fatal"  # format of the one entry that tells the driver why a source could not be read on

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

    Attributes:
        quarantine: the bad crystals so far.
    """

    def __init__(self, source: Source, work: Work, max_bad: float | None) -> None:
        self._source, self._work = source, work
        self.quarantine = Quarantine(max_bad, source.count())

    def __iter__(self) -> Iterator[Block]:
        try:
            for row in _worked(self._source, self._work):
                failed, fatal = json.loads(row.pop("failed")), row.pop("fatal")
                if failed:
                    raise OSError(*failed)
                self._note(json.loads(row.pop("listing")))
                yield Block(row)
                if fatal:
                    raise UsageError(fatal)
                self.quarantine.raise_if_over_limit()
            self.quarantine.raise_if_over_limit(final=True)
        except TooManyBad as error:
            raise UsageError(f"{self._source.name}: {error}") from None

    def _note(self, listing: list[dict[str, Any]]) -> None:
        self.quarantine.seen += len(listing)
        for row in listing:
            if row["reason"]:
                self.quarantine.add(row["origin"], row["id"], row["reason"], row["row"] + 1)


def _worked(source: Source, work: Work) -> Iterator[dict[str, Any]]:
    """Yields one row per block of entries: listing, fatal, failed, and the results."""
    few = _few(source)
    if few is None:
        yield from _on_all_cores(source, work).iter_rows()
    else:
        for block in few:
            yield {name: cell for name, (cell,) in _work_on_block(block, work).items()}


def _few(source: Source) -> list[pa.Table] | None:
    """The blocks of a small source; None for a larger one, and on a cluster."""
    if not began_session():
        return None
    blocks, held = [], 0
    for block in _blocks(source, ROWS_PER_BLOCK):
        blocks.append(block)
        held += block.nbytes
        if held > FEW:
            return None
    return blocks


def _on_all_cores(source: Source, work: Work) -> ray.data.Dataset:
    """Processes the blocks with Ray Data."""
    # Files given by path are on the driver's machine, so they are read there. The reading task
    # requests no CPU, or Ray Data would fuse it with the work, and all would run in this task.
    here = {f"node:{ray.util.get_node_ip_address()}": 1e-3}
    blocks = ray.data.read_datasource(
        EntryDatasource(source, ROWS_PER_BLOCK),
        override_num_blocks=1,
        num_cpus=0,
        resources=here,
    ).map_batches(
        _work_on_block,
        fn_kwargs={"work": work},
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=1,
    )
    context = blocks.context
    context.enable_progress_bars = context.print_on_execution_start = False
    # By default Ray Data joins rows into blocks of 128 MiB, which most data sets fit into: one
    # task would do all the work. With a limit of one byte, each row stays a block.
    context.target_max_block_size = 1
    context.execution_options.preserve_order = True
    # Otherwise reading, which is faster, would run ahead until the object store is full of text.
    context.execution_options.resource_limits = ExecutionResources(
        object_store_memory=BYTES_UNDER_WAY * ray.cluster_resources().get("CPU", 1)
    )
    return blocks


class EntryDatasource(Datasource):
    """The rows of a source, read by one task: a compressed file cannot be read from the middle."""

    def __init__(self, source: Source, rows_per_block: int) -> None:
        super().__init__()
        self._source, self._rows_per_block = source, rows_per_block

    def get_name(self) -> str:
        return "Structures"

    def estimate_inmemory_data_size(self) -> int | None:
        return None

    def get_read_tasks(
        self, parallelism: int, per_task_row_limit: int | None = None, data_context: Any = None
    ) -> list[ReadTask]:
        source, rows_per_block = self._source, self._rows_per_block
        unknown = BlockMetadata(num_rows=None, size_bytes=None, input_files=None, exec_stats=None)
        return [ReadTask(lambda: _blocks(source, rows_per_block), unknown)]


def _blocks(source: Source, rows_per_block: int) -> Iterator[pa.Table]:
    """Tables of one row that holds several entries: Ray Data joins rows, but never splits one."""
    entries = with_own_ids(with_sound_ids(source.entries()))
    while True:
        block: list[Entry] = []
        held, ended = 0, False
        try:
            while len(block) < rows_per_block and held < LARGEST_BLOCK:
                entry = next(entries)
                block.append(entry)
                held += len(entry.text)
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


def _work_on_block(table: pa.Table, work: Work) -> dict[str, list[Any]]:
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
    listing = [
        {"row": entry.row, "id": entry.id, "origin": entry.origin, "reason": why}
        for entry, why in zip(entries, reasons, strict=True)
    ]
    return {
        "listing": [json.dumps(listing)],
        "fatal": ["; ".join(fatal)],
        "failed": [json.dumps(failed)],
        **{name: [content] for name, content in made.items()},
    }
