"""Measures the trained models of a run on actors that read their vectors: geometry, clusterings.

A row group of `embeddings.parquet` holds some dozens of models; an actor reads one and measures all
its models at once.

Shape letters: M models, n elements, d dimensions.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from sklearn.metrics import adjusted_rand_score

from analysis.classes import classes_of
from analysis.clustering import best_clustering, cluster
from analysis.consensus.agreement import Reference
from analysis.elements import SYMBOLS
from analysis.geometry import INDICATORS, angles, shape
from analysis.mapping import Map
from orchestrator.element_groups.files import MIXED, Measured
from orchestrator.runs.finished_files import reading
from orchestrator.runs.finished_run import JOB

HANDCRAFTED, LEARNED = "h", "l"


@dataclass(frozen=True)
class _Table:
    """Vectors [n, d] of one channel of one model."""

    key: str
    channel: str
    numbers: np.ndarray
    vectors: np.ndarray


def measure(embeddings: Path, keys: Sequence[str], seed: int, map: Map = map) -> Measured:
    """Measures the models `keys`, in the order of the file.

    Raises:
        UsageError: the file is damaged.
    """
    with reading(embeddings, JOB):
        groups = range(pq.ParquetFile(embeddings).num_row_groups)
    found = Measured()
    for part in map(partial(_measure_group, embeddings, frozenset(keys), seed), groups):
        found.take(part)
    return found


def _measure_group(embeddings: Path, keys: frozenset[str], seed: int, group: int) -> Measured:
    found = Measured()
    tables = []
    for table in _read(embeddings, group):
        if table.key not in keys:
            continue
        bad = ~np.isfinite(table.vectors).all(axis=1)
        if bad.any():
            symbol = SYMBOLS[table.numbers[bad][0]]
            found.left_out.append(f"model {table.key}, {table.channel}: {symbol} is not finite")
        elif len(table.numbers) < 3:
            count = len(table.numbers)
            found.left_out.append(f"model {table.key}, {table.channel}: {count} elements")
        else:
            tables.append(table)
    found.rows = _geometry(tables, seed)
    for table in tables:
        if table.channel == MIXED:
            _cluster(table, seed, found)
    return found


def _read(embeddings: Path, group: int) -> Iterator[_Table]:
    with reading(embeddings, JOB):
        rows = pq.ParquetFile(embeddings).read_row_group(group).to_pylist()
    for row in rows:
        vectors = np.array(row["values"], dtype=np.float64).reshape(-1, row["dim"])
        numbers = np.array(row["numbers"], dtype=np.int64)
        yield _Table(row["key"], row["channel"], numbers, vectors)


def _geometry(tables: Sequence[_Table], seed: int) -> list[dict[str, Any]]:
    """One row for each channel with vectors of nodes or elements; angles if there are h and l."""
    alike: dict[tuple[int, int], list[_Table]] = defaultdict(list)
    for table in tables:
        if table.channel not in (HANDCRAFTED, LEARNED):
            alike[table.vectors.shape].append(table)
    turned = _angles(tables)
    rows = []
    for (elements, dim), group in alike.items():
        shapes = shape(np.stack([table.vectors for table in group]))
        for table, values in zip(group, shapes, strict=True):
            ari, silhouette = beside_classes(table.numbers, table.vectors, seed)
            mean, variance = turned.get(table.key, (np.nan, np.nan))
            mixed = table.channel == MIXED
            rows.append(
                {"key": table.key, "channel": table.channel, "elements": elements, "dim": dim}
                | dict(zip(INDICATORS, values.tolist(), strict=True))
                | {"ari": ari, "silhouette": silhouette}
                | {"angle_mean": mean if mixed else np.nan}
                | {"angle_variance": variance if mixed else np.nan}
            )
    return sorted(rows, key=lambda row: (row["key"], row["channel"]))


def _angles(tables: Sequence[_Table]) -> dict[str, tuple[float, float]]:
    """Mean and variance over the elements of the angle between h and l, by model."""
    pairs: dict[str, dict[str, np.ndarray]] = defaultdict(dict)
    for table in tables:
        pairs[table.key][table.channel] = table.vectors
    found = {}
    for key, channels in pairs.items():
        if HANDCRAFTED in channels and LEARNED in channels:
            turned = angles(channels[HANDCRAFTED], channels[LEARNED])
            found[key] = float(np.nanmean(turned)), float(np.nanvar(turned))
    return found


def beside_classes(numbers: np.ndarray, vectors: np.ndarray, seed: int) -> tuple[float, float]:
    """ARI with the element classes, and silhouette, of as many K-means clusters; NaN if none."""
    classes = classes_of(numbers)
    try:
        found = cluster(vectors, len(np.unique(classes)), seed)
    except ValueError:
        return np.nan, np.nan
    return float(adjusted_rand_score(classes, found.labels)), found.silhouette


def _cluster(table: _Table, seed: int, found: Measured) -> None:
    try:
        best = best_clustering(table.vectors, seed=seed)
    except ValueError as error:
        found.left_out.append(f"model {table.key}: {error}")
        return
    found.references[table.key] = Reference(table.numbers, best.labels)
    found.clusters[table.key] = best.k, best.silhouette
