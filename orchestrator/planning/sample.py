"""Samples crystals that represent a data set, and estimates the size of the whole.

A *row* is a node or an edge of a quotient graph: the unit of message passing, with which the cost
of an epoch grows.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from trainables.crystals.quarantine import Quarantine
from trainables.crystals.registry import Task
from trainables.crystals.sources import Source, SourceError
from trainables.crystals.sources.ids import with_sound_ids
from trainables.models.backbones import BACKBONES, representations
from trainables.representations import shards
from trainables.representations.columns import TARGET, Column, Columns
from trainables.representations.dataset import Dataset
from trainables.representations.featurise import featurise
from trainables.targets.base import NUMBER, Target
from trainables.targets.kinds import kind_of

SAMPLE = 400  # crystals
SCANNED = 20_000  # rows of a source that the sample is spread over; the rest is not read

# Rows per crystal by kind of graph, for all 1 265 crystals of phonons, and for the 3 787
# perovskites of Castelli et al. 2012 (doi:10.1039/c2ee22341d), on which MatBench's task of that
# name is based.
KNOWN_ROWS = {
    "phonons": {"nn12-r8": 21.9, "all-r4": 23.3},
    "perovskites": {"nn12-r8": 26.6, "all-r4": 31.8},
}
TYPICAL = "phonons"  # stands in for an unknown data set


@dataclass(frozen=True)
class Size:
    """The size of a data set for one backbone.

    Attributes:
        crystals: good ones, as estimated from a sample.
        rows: nodes and edges per crystal.
        as_in: the data set from which `rows` is taken, if another one.
    """

    crystals: int
    rows: float
    as_in: str | None = None


@dataclass(frozen=True)
class Sample:
    """Crystals of one data set in the form that one backbone takes.

    Attributes:
        dataset: the sample, as a data set.
        size: of the whole.
        quarantine: the entries of the source that were read, and the bad ones among them.
        seconds: for reading and featurising the whole on one core; 0 if that is done already.
    """

    dataset: Dataset[Columns]
    size: Size
    quarantine: Quarantine
    seconds: float

    @property
    def read(self) -> int:
        """Number of entries that were read."""
        return self.quarantine.seen

    @property
    def bad(self) -> int:
        """Number of bad ones among them."""
        return self.quarantine.bad


def draw(
    source: Source,
    backbones: Sequence[str],
    max_atoms: int,
    target: Target = NUMBER,
    max_bad: float | None = None,
) -> dict[str, Sample]:
    """By backbone, samples entries from the whole first part of a source.

    Args:
        max_bad: the limit of the samples' quarantine.

    Raises:
        SourceError: the source cannot be read to the end, or all entries are bad.
    """
    start = time.perf_counter()
    count = source.count()
    stride = max(1, min(count or 0, SCANNED) // SAMPLE)
    entries = list(islice(with_sound_ids(source.entries()), 0, stride * SAMPLE, stride))
    reading = time.perf_counter() - start
    result = featurise(entries, representations(backbones), max_atoms, target)
    featurising = time.perf_counter() - start - reading
    quarantine, good = Quarantine(max_bad, count), []
    for entry, why in zip(entries, result.reasons, strict=True):
        quarantine.seen += 1
        if why:
            quarantine.add(entry.origin, entry.id, why, entry.row + 1)
        else:
            good.append(entry)
    if entries and not good:
        raise SourceError(
            f"{source.name}: all {len(entries)} crystals that were looked at are bad, the first"
            f" ({entries[0].origin}) for {result.reasons[0]}"
        )
    per_site = kind_of(target).per_site
    total = count or len(entries)
    seconds = (reading / stride + featurising) * total / max(1, len(entries))
    samples = {}
    for backbone in backbones:
        graphs = result.graphs[BACKBONES[backbone].representation.name]
        ids = [entry.id for entry in good]
        crystals = round(total * len(good) / max(1, len(entries)))
        samples[backbone] = Sample(
            dataset=Dataset(
                graphs,
                result.target,
                np.array(ids, np.str_),
                np.arange(len(good)),
                len(good),
                target_ptr=graphs.node_ptr if per_site else None,
            ),
            size=Size(crystals, _rows(graphs)),
            quarantine=quarantine,
            seconds=seconds,
        )
    return samples


def featurised(folder: Path, kind: type[Columns], known: Column = TARGET) -> Sample:
    """Samples a data set that has been featurised before: its size is known.

    Raises:
        ShardError: shards are missing or damaged.
    """
    files = shards.listing(folder, kind)
    crystals = sum(file.crystals for file in files)
    found = sum(file.nodes + file.edges for file in files)
    table = shards.schema(kind).empty_table()
    for file in files:
        try:
            table = pa.concat_tables([table, pq.read_table(file.path)])
        except (OSError, pa.ArrowInvalid):
            raise shards.DamagedError(f"{file.path}: damaged", folder) from None
        if len(table) >= SAMPLE:
            break
    table = table.slice(0, SAMPLE)
    size = Size(crystals, found / max(1, crystals))
    quarantine = Quarantine()
    quarantine.seen = crystals
    return Sample(shards.from_table(table, kind, len(table), known), size, quarantine, 0.0)


def absent(task: Task, backbone: str, present: Mapping[tuple[str, str], Sample]) -> Size:
    """The assumed size of a data set that is not on this machine."""
    like = task.name if task.name in KNOWN_ROWS else TYPICAL
    if (like, backbone) in present:
        return Size(task.n, present[like, backbone].size.rows, like)
    rows = KNOWN_ROWS[like]
    kind = BACKBONES[backbone].representation.name  # the largest number for a kind never counted
    return Size(task.n, rows.get(kind, max(rows.values())), like)


def first(dataset: Dataset[Columns], crystals: int) -> Dataset[Columns]:
    """The first crystals of a data set, as a data set of their own."""
    kept, ptr = min(crystals, len(dataset)), dataset.target_ptr
    return replace(
        dataset,
        graphs=dataset.graphs.take(np.arange(kept)),
        target=dataset.target[: kept if ptr is None else ptr[kept]],
        target_ptr=None if ptr is None else ptr[: kept + 1],
        ids=dataset.ids[:kept],
        rows=np.arange(kept),
        total=kept,
    )


def rows(graphs: Columns) -> int:
    """Number of nodes and edges."""
    return graphs.nodes + graphs.edges


def _rows(graphs: Columns) -> float:
    return rows(graphs) / max(1, len(graphs))
