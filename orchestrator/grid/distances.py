"""Sums the element distances of many models."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq

from analysis import cosine
from analysis.mapping import Map
from analysis.selection import strategies
from orchestrator.runs.finished_files import reading
from orchestrator.runs.finished_run import JOB


def mixed_vectors(
    embeddings: Path, keys: Sequence[str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(atomic numbers [Z], mixed element vectors [Z, D]) of the given models.

    Raises:
        UsageError: the file is damaged.
    """
    with reading(embeddings, JOB):
        table = pq.read_table(
            embeddings,
            columns=["key", "dim", "numbers", "values"],
            filters=[("channel", "=", "mixed"), ("key", "in", list(keys))],
        )
    found = {}
    for row in table.to_pylist():
        values = np.array(row["values"], dtype=np.float64).reshape(-1, row["dim"])
        found[row["key"]] = (np.array(row["numbers"], dtype=np.int64), values)
    return found


def sum_distances(
    embeddings: Path, ledger: pd.DataFrame, on: str, map: Map
) -> tuple[dict[str, cosine.DistanceSums], dict[str, list[str]]]:
    """Sums the distances of the models behind each table; also returns these models' keys.

    Models are added in the order of their keys, in chunks of fixed size, so the sum has the same
    bits however `map` distributes them. A table without models is left out.

    Args:
        embeddings: path from `FinishedRun`, which has verified the file.
        on: column of the ledger by which the models are selected.
    """
    chosen = {name: keys for name, keys in strategies(ledger, on).items() if keys}
    vectors = mixed_vectors(embeddings, sorted(set().union(*map(set, chosen.values()))))
    sums = {}
    for name, keys in chosen.items():
        read = _Lookup({key: vectors[key] for key in keys})
        sums[name] = cosine.aggregate(read, keys, map=map)
    return sums, chosen


class _Lookup:
    """Looks models up in memory; sent to the workers once."""

    def __init__(self, vectors: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
        self._vectors = vectors

    def __call__(self, keys: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        return [self._vectors[key] for key in keys]
