"""Some crystals that stand for a data set, and how large the whole is.

A *row* is a node or an edge of a quotient graph: what message passing computes on, and what an
epoch's cost grows with.
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

from trainables.crystals.registry import Task
from trainables.crystals.sources import Source, SourceError
from trainables.crystals.sources.base import with_sound_ids
from trainables.models.backbones import BACKBONES, graph_kinds
from trainables.representations import shards
from trainables.representations.dataset import Dataset
from trainables.representations.featurise import featurise
from trainables.representations.graph import Graphs

SAMPLE = 400  # crystals
SCANNED = 20_000  # rows of a source that they are spread over: the rest of a large file is not read

# Rows a crystal by kind of graph, of all 1 265 crystals of phonons, and of the 3 787 perovskites of
# Castelli et al. 2012 (doi:10.1039/c2ee22341d) that MatBench's task of that name consists of too.
KNOWN_ROWS = {
    "phonons": {"nn12-r8": 21.9, "all-r4": 23.3},
    "perovskites": {"nn12-r8": 26.6, "all-r4": 31.8},
}
TYPICAL = "phonons"  # stands for a data set of which nothing is known


@dataclass(frozen=True)
class Size:
    """How large a data set is to one backbone.

    Attributes:
        crystals: good ones, as far as a sample tells.
        rows: nodes and edges a crystal.
        as_in: the data set that `rows` is taken from, if not this one.
    """

    crystals: int
    rows: float
    as_in: str | None = None


@dataclass(frozen=True)
class Sample:
    """Crystals of one data set as one backbone sees them.

    Attributes:
        dataset: the sample, a data set of its own.
        size: of the whole.
        read, bad: entries of the source that were looked at, and how many of them are bad.
        seconds: that reading and featurising the whole takes on one core; 0 where it is done.
    """

    dataset: Dataset[Graphs]
    size: Size
    read: int
    bad: int
    seconds: float


def draw(source: Source, backbones: Sequence[str], max_atoms: int) -> dict[str, Sample]:
    """By backbone, entries from all over the first part of a source.

    Raises:
        SourceError: the source breaks off, or all of them are bad.
    """
    start = time.perf_counter()
    count = source.count()
    stride = max(1, min(count or 0, SCANNED) // SAMPLE)
    entries = list(islice(with_sound_ids(source.entries()), 0, stride * SAMPLE, stride))
    reading = time.perf_counter() - start
    result = featurise(entries, graph_kinds(backbones), max_atoms)
    featurising = time.perf_counter() - start - reading
    good = [entry for entry, why in zip(entries, result.reasons, strict=True) if not why]
    if entries and not good:
        raise SourceError(
            f"{source.name}: all {len(entries)} crystals that were looked at are bad, the first"
            f" ({entries[0].origin}) for {result.reasons[0]}"
        )
    total = count or len(entries)
    seconds = (reading / stride + featurising) * total / max(1, len(entries))
    samples = {}
    for backbone in backbones:
        graphs = result.graphs[BACKBONES[backbone].graph_kind.name]
        ids = [entry.id for entry in good]
        table = shards.to_table(ids, range(len(good)), result.target, graphs)
        crystals = round(total * len(good) / max(1, len(entries)))
        samples[backbone] = Sample(
            dataset=shards.from_table(table, len(good)),
            size=Size(crystals, _rows(graphs)),
            read=len(entries),
            bad=len(entries) - len(good),
            seconds=seconds,
        )
    return samples


def featurised(folder: Path) -> Sample:
    """A data set that was featurised before: its size is known, and some crystals are read.

    Raises:
        ShardError: shards are missing or damaged.
    """
    files = shards.listing(folder)
    crystals = sum(file.crystals for file in files)
    found = sum(file.nodes + file.edges for file in files)
    try:
        table = pq.read_table(files[0].path).slice(0, SAMPLE)
    except (OSError, pa.ArrowInvalid):
        raise shards.DamagedError(f"{files[0].path}: damaged", folder) from None
    size = Size(crystals, found / max(1, crystals))
    return Sample(shards.from_table(table, len(table)), size, crystals, 0, 0.0)


def absent(task: Task, backbone: str, present: Mapping[tuple[str, str], Sample]) -> Size:
    """What is assumed of a data set that is not on this machine."""
    like = task.name if task.name in KNOWN_ROWS else TYPICAL
    if (like, backbone) in present:
        return Size(task.n, present[like, backbone].size.rows, like)
    rows = KNOWN_ROWS[like]
    kind = BACKBONES[backbone].graph_kind.name  # of one that was never counted: the most
    return Size(task.n, rows.get(kind, max(rows.values())), like)


def first(dataset: Dataset[Graphs], crystals: int) -> Dataset[Graphs]:
    """The first crystals of a data set, as a data set of their own."""
    kept = min(crystals, len(dataset))
    graphs = dataset.graphs
    nodes, edges = graphs.node_ptr[kept], graphs.edge_ptr[kept]
    cut: dict[str, np.ndarray] = {
        "node_ptr": graphs.node_ptr[: kept + 1],
        "edge_ptr": graphs.edge_ptr[: kept + 1],
    }
    cut |= {name: getattr(graphs, name)[:nodes] for name in shards.NODE_COLUMNS}
    cut |= {name: getattr(graphs, name)[:edges] for name in shards.EDGE_COLUMNS}
    return replace(
        dataset,
        graphs=Graphs(**cut),
        target=dataset.target[:kept],
        ids=dataset.ids[:kept],
        rows=np.arange(kept),
        total=kept,
    )


def rows(graphs: Graphs) -> int:
    """Nodes and edges."""
    return len(graphs.z) + len(graphs.dst)


def _rows(graphs: Graphs) -> float:
    return rows(graphs) / max(1, len(graphs))
