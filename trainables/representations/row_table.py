"""Rows of a source as graphs, with what is read of their targets: what a process hands on."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Generic, TypeVar

import numpy as np
import pyarrow as pa

from trainables.crystals.crystal import BadCrystal, Crystal, Entry
from trainables.crystals.parsing import parse
from trainables.representations.columns import Column, Columns
from trainables.representations.featurise import featurise
from trainables.representations.graph import CrystalGraph
from trainables.representations.schema import to_table

T = TypeVar("T")


@dataclass(frozen=True)
class RowTable:
    """Crystals of some rows of a source, as a table that other processes can read.

    Attributes:
        reasons: per row, "" or why it is bad.
        content: an Arrow stream of the good rows.
    """

    reasons: list[str]
    content: bytes


@dataclass(frozen=True)
class Rows(Generic[T]):
    """Rows whose crystals and targets are good.

    Attributes:
        reasons: of all rows.
        entries, crystals, graphs: the good ones, in order.
        values: what their targets say.
    """

    reasons: list[str]
    entries: list[Entry]
    crystals: list[Crystal]
    graphs: Columns
    values: list[T]

    def table(self, target: np.ndarray, known: Column, more: Mapping[str, pa.Array]) -> RowTable:
        """They as a table.

        Args:
            target: as `known` declares it.
            more: columns of crystals by name.
        """
        table = to_table(
            [entry.id for entry in self.entries],
            [entry.row for entry in self.entries],
            target,
            self.graphs,
            known,
        )
        for name, values in more.items():
            table = table.append_column(name, values)
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, table.schema) as writer:
            writer.write_table(table)
        return RowTable(self.reasons, sink.getvalue())


def read_rows(
    entries: Sequence[Entry],
    kind: CrystalGraph,
    max_atoms: int,
    read: Callable[[str, Crystal], T],
    *,
    slabs: bool = False,
) -> Rows[T]:
    """Parses and checks crystals, makes their graphs, and reads their targets.

    Args:
        read: what the text of a target says of its crystal; raises BadCrystal.
        slabs: whether they are slabs, as of `parse`.
    """
    # the targets of `featurise` are numbers and lists as text
    alone = [replace(entry, target=None) for entry in entries]
    made = featurise(alone, [kind], max_atoms, slabs=slabs)
    reasons = list(made.reasons)
    good = [place for place, reason in enumerate(reasons) if not reason]
    kept: list[int] = []
    crystals: list[Crystal] = []
    values: list[T] = []
    for index, place in enumerate(good):
        crystal = parse(entries[place], slab=slabs)
        try:
            values.append(read(entries[place].target or "", crystal))
        except BadCrystal as bad:
            reasons[place] = str(bad)
            continue
        kept.append(index)
        crystals.append(crystal)
    graphs = made.graphs[kind.name].take(np.array(kept, np.int64))
    return Rows(reasons, [entries[good[index]] for index in kept], crystals, graphs, values)
