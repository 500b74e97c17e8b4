"""Element distances of many models, summed on Ray actors."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import ray
from ray.util import ActorPool

from analysis import cosine
from analysis.selection import strategies

# Losing a machine is no fault of a sum: it is begun again elsewhere this often.
LOST_ACTORS = 3


class Summer:
    """Applies a function to one item after another; an actor keeps what the function needs."""

    def apply(self, function: Callable[[Any], Any], item: Any) -> Any:
        sys.audit("elemgrid.sum")
        return function(item)


def actor_map(actors: int) -> Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]]:
    """A `map` that runs on up to so many actors and yields in the order of the items.

    The actors are started when they are first needed, no more than there are items, and are used
    again by the next call.
    """
    # They claim no CPU: a pool waits for each of its actors, and one might find no room.
    summer = ray.remote(
        num_cpus=0,
        scheduling_strategy="SPREAD",
        max_restarts=LOST_ACTORS,
        max_task_retries=LOST_ACTORS,
    )(Summer)
    started: list[Any] = []

    def run(function: Callable[[Any], Any], items: Iterable[Any]) -> Iterator[Any]:
        listed = list(items)
        wanted = min(actors, len(listed))
        started.extend(summer.remote() for _ in range(wanted - len(started)))
        shared = ray.put(function)
        pool = ActorPool(started)
        yield from pool.map(lambda actor, item: actor.apply.remote(shared, item), listed)

    return run


def mixed_vectors(
    embeddings: Path, keys: Sequence[str]
) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """(atomic numbers [Z], mixed element vectors [Z, D]) of the given models."""
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
    run: Path, ledger: pd.DataFrame, on: str, actors: int
) -> tuple[dict[str, cosine.DistanceSums], dict[str, list[str]]]:
    """Distances of the models behind each table, and the keys of these models.

    The models are added in the order of their keys, in chunks of fixed size: the sum has the same
    bits whatever the number of actors. A table without models is left out.
    """
    chosen = {name: keys for name, keys in strategies(ledger, on).items() if keys}
    vectors = mixed_vectors(
        run / "embeddings.parquet", sorted(set().union(*map(set, chosen.values())))
    )
    on_actors = actor_map(actors)
    sums = {}
    for name, keys in chosen.items():
        read = _Lookup({key: vectors[key] for key in keys})
        sums[name] = cosine.aggregate(read, keys, map=on_actors)
    return sums, chosen


class _Lookup:
    """Reads models from memory; travels to the actors through the object store."""

    def __init__(self, vectors: dict[str, tuple[np.ndarray, np.ndarray]]) -> None:
        self._vectors = vectors

    def __call__(self, keys: Sequence[str]) -> list[tuple[np.ndarray, np.ndarray]]:
        return [self._vectors[key] for key in keys]
