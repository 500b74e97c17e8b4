"""Streams batches from shards, for a data set that does not fit into memory.

The random order of an epoch is known in advance, so nothing is shuffled: the order is cut into
windows, and for each window a task reads the shards, keeps the crystals of the window and yields
them in order. A few windows are in memory, whatever the size of the data set, and on Ray a task of
Ray Data prepares the next one while the training works on the last.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pyarrow as pa

from orchestrator.nodes.place import here
from trainables.representations import shards
from trainables.representations.columns import TARGET, Column, Columns
from trainables.representations.dataset import Dataset
from trainables.representations.shards import Shard

# A window's share of what a worker may hold: one is being assembled while another waits in the
# object store. As numbers are wider in a training than here, a data set of x times the memory is
# read about x times per epoch.
WINDOW_SHARE = 1 / 4
BLOCK_BYTES = 8 * 2**20  # yielded at a time; a window is no smaller
POSITION = "position"
NOTHING = pa.table({POSITION: pa.array([], pa.int64())})


def open_streamed(
    folder: Path, kind: type[Columns], budget: float, known: Column = TARGET
) -> Dataset:
    """Opens the data set in a folder of shards, leaving its graphs on disk.

    Args:
        kind: class of the graphs.
        budget: bytes of it that a worker may hold.
        known: declaration of the target.

    Raises:
        ShardError: the manifest or a shard is missing or damaged, or has another format.
    """
    window = max(int(budget * WINDOW_SHARE), BLOCK_BYTES)
    stream = ShardStream(tuple(shards.listing(folder, kind)), window)
    return shards.load_without_graphs(folder, stream, known)


@dataclass(frozen=True)
class ShardStream:
    """A `GraphStore` backed by shards; `window` is in bytes."""

    shards: tuple[Shard, ...]
    window: int

    @property
    def edges(self) -> int:
        """Number of edges of all crystals; a crystal without edges counts as one."""
        return sum(shard.edges for shard in self.shards)

    def in_order(self, parts: Sequence[np.ndarray]) -> Iterator[Columns]:
        """Yields the graphs of each part, in its order; parts hold positions in the shards."""
        return recut(self._tables(np.concatenate(parts)), parts, self.shards[0].kind)

    def windows(self, order: np.ndarray) -> list[np.ndarray]:
        """Cuts `order` into pieces of about `window` bytes, by a shard's mean size of a crystal."""
        each = [shard.nbytes / max(1, shard.crystals) for shard in self.shards]
        nbytes = np.repeat(each, [shard.crystals for shard in self.shards])[order]
        number = (np.cumsum(nbytes) - nbytes) // self.window
        return np.split(order, np.flatnonzero(np.diff(number)) + 1)

    def _tables(self, order: np.ndarray) -> Iterator[pa.Table]:
        windows = self.windows(order)
        parts = [partial(_read, self.shards, window) for window in windows]
        return here().read_ahead(parts, BLOCK_BYTES, self.window)


def _read(files: Sequence[Shard], window: np.ndarray) -> Iterator[pa.Table]:
    """Reads the crystals of a window, in its order, in pieces of about `BLOCK_BYTES`."""
    found = list(_find(files, window))
    pieces = -(-sum(table.nbytes for _, table in found) // BLOCK_BYTES)
    cuts = np.linspace(0, len(window), pieces + 1).astype(int)
    for start, stop in pairwise(cuts):
        places, tables = [], []
        for all_places, table in found:
            low, high = np.searchsorted(all_places, (start, stop))
            places.append(all_places[low:high])
            tables.append(table.slice(low, high - low))
        order = np.argsort(np.concatenate(places))
        piece = pa.concat_tables(tables).combine_chunks().take(order)
        yield piece.append_column(POSITION, pa.array(window[start:stop]))


def _find(files: Sequence[Shard], window: np.ndarray) -> Iterator[tuple[np.ndarray, pa.Table]]:
    """Yields positions in the window, ascending, with their crystals, shard by shard."""
    end = 0
    for file in files:
        start, end = end, end + file.crystals
        places = np.flatnonzero((start <= window) & (window < end))
        if len(places):
            yield places, shards.read_graphs(file, window[places] - start)
            # Arrow would keep the freed memory, one shard's each time
            pa.default_memory_pool().release_unused()


def recut(
    tables: Iterable[pa.Table], parts: Sequence[np.ndarray], kind: type[Columns]
) -> Iterator[Columns]:
    """Cuts tables, which hold the parts' crystals one after another, into the parts' graphs.

    Raises:
        RuntimeError: the crystals are others, or too few.
    """
    coming = iter(tables)
    rest = next(coming, NOTHING)
    for part in parts:
        while len(rest) < len(part) and (more := next(coming, None)) is not None:
            rest = pa.concat_tables([rest, more])
        table, rest = rest.slice(0, len(part)), rest.slice(len(part))
        if not np.array_equal(table[POSITION].to_numpy(), part):
            # Graphs would be trained on the targets of other crystals.
            raise RuntimeError("the crystals of a batch came in another order, or not all")
        yield shards.graphs_of(table, kind)
