"""The element tables to compare: files, published ones by name, and controls.

Legend: F columns of a table of 118 rows H…Og.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np

from analysis.elements import MAX_Z
from orchestrator.data.element_tables import read_table
from orchestrator.grid.handcrafted import usual_table
from orchestrator.interface.errors import UsageError
from orchestrator.runs import layout
from orchestrator.runs.finished_run import FinishedRun
from trainables.elements import handcrafted

ONE_HOT = "one-hot"
DESCRIPTOR = "descriptor"
FOLD = "{fold}"


@dataclass(frozen=True, kw_only=True)
class Table:
    """A table to compare.

    Attributes:
        name: in results.
        values: [118, F], as they are, or scaled to a mean square of 1 about the columns' means.
        seen: [118] bool, elements that the table itself has; the rest were filled in.
        path: file that it was read from; None for others.
        run: directory of the grid that it was distilled from, if known.
        card: what its sidecar says of it; empty if it has none.
        control: whether it is a control.
        by_fold: tables that replace it for some folds.
        by_seed: of a random control, the table of each seed.
    """

    name: str
    values: np.ndarray
    seen: np.ndarray
    path: Path | None = None
    run: Path | None = None
    card: Mapping[str, Any] = field(default_factory=dict)
    control: bool = False
    by_fold: Mapping[int, Table] = field(default_factory=dict)
    by_seed: Mapping[int, Table] = field(default_factory=dict)

    def of(self, fold: int, seed: int | None = None) -> Table:
        """The table to use when a fold is tested with a seed."""
        drawn = None if seed is None else self.by_seed.get(seed)
        return drawn or self.by_fold.get(fold, self)

    @property
    def distilled(self) -> bool:
        """Whether a grid distilled it."""
        return "strategy" in self.card

    @property
    def digest(self) -> str:
        """SHA-256 (hex) of the numbers; of one's, if folds or seeds have their own."""
        return hashlib.sha256(np.ascontiguousarray(self.values).tobytes()).hexdigest()

    @property
    def digests(self) -> str:
        """SHA-256 (hex) of the numbers for all folds, or for all seeds."""
        own = self.by_fold or self.by_seed
        if not self.by_fold and len(self.by_seed) < 2:
            return self.digest
        each = [f"{number} {table.digest}" for number, table in sorted(own.items())]
        return hashlib.sha256("\n".join(each).encode()).hexdigest()


def load_tables(
    specs: Sequence[str],
    seeds: Sequence[int],
    *,
    controls: bool,
    folds: Sequence[int] = (0,),
    rescaled: bool = True,
) -> list[Table]:
    """Loads the tables in the order given, followed by their controls.

    `{fold}` in a file's path stands for the number of the tested fold.

    Controls are one-hot vectors, random vectors with as many columns as each of the tables, and
    the first table with its rows permuted among the elements; beside tables that a grid distilled
    also the handcrafted descriptor that its models start from, and untrained projections of it,
    as wide as each of them. What is random is drawn anew for each seed, so that its luck is part of
    the deviation between seeds.

    Args:
        seeds: of the models, and of the controls.
        rescaled: whether tables are scaled to unit size, or taken as they are.

    Raises:
        UsageError: a table is neither a file nor a published one, is malformed, or is given twice.
    """
    found = [_load_by_fold(spec, folds) if FOLD in spec else _load(spec) for spec in specs]
    found = [_checked(table, rescaled) for table in found]
    if controls:
        found += _controls(found, seeds, rescaled)
    names = [table.name for table in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--tables: two are called {name}; give one another name (NAME=FILE)")
    return found


def _checked(table: Table, rescaled: bool) -> Table:
    """The table with the values to train with, including those of each fold."""
    values = scaled(table.name, table.values, table.seen)
    by_fold = {fold: _checked(own, rescaled) for fold, own in table.by_fold.items()}
    return replace(table, values=values if rescaled else table.values, by_fold=by_fold)


def _load_by_fold(spec: str, folds: Sequence[int]) -> Table:
    by_fold = {fold: _load(spec.replace(FOLD, str(fold))) for fold in folds}
    first = by_fold[folds[0]]
    path = spec.rpartition("=")[2] if "=" in spec else spec
    name = spec.rpartition("=")[0] or Path(path).stem.replace(FOLD, "")
    if len({table.values.shape for table in by_fold.values()}) > 1:
        raise UsageError(f"--tables {spec}: the folds' tables have different numbers of columns")
    own = {fold: replace(table, name=name) for fold, table in by_fold.items()}
    return replace(first, name=name, by_fold=own)


def _load(spec: str) -> Table:
    read = read_table(spec, "--tables")
    return Table(
        name=read.name,
        values=read.vectors,
        seen=read.seen,
        path=read.path,
        run=read.path and _run_of(read.path),
        card=read.card,
    )


def scaled(name: str, values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Scales the whole table by one factor: its geometry stays, its unit does not matter."""
    own = values[seen] - values[seen].mean(axis=0)
    size = float(np.sqrt((own**2).mean()))
    if not size > 0:
        raise UsageError(f"--tables {name}: all elements have the same vector")
    return np.asarray(values / size)


def _run_of(path: Path) -> Path | None:
    """The run directory in whose `tables/` a file lies."""
    run = path.resolve().parent.parent
    return run if (run / layout.MANIFEST).is_file() and (run / layout.SHARDS).is_dir() else None


def _controls(tables: Sequence[Table], seeds: Sequence[int], rescaled: bool) -> list[Table]:
    every = np.ones(MAX_Z, dtype=bool)
    fixed = [Table(name=ONE_HOT, values=np.eye(MAX_Z), seen=every, control=True)]
    fixed += _descriptors(tables).values()
    drawn = {
        seed: [_checked(table, rescaled) for table in _drawn(tables, seed)]
        for seed in sorted(seeds)
    }
    first, *_ = drawn.values()
    return [
        *(_checked(table, rescaled) for table in fixed),
        *(
            replace(table, by_seed={seed: each[place] for seed, each in drawn.items()})
            for place, table in enumerate(first)
        ),
    ]


def _drawn(tables: Sequence[Table], seed: int) -> list[Table]:
    """The random controls of one seed."""
    first = tables[0]
    random = np.random.default_rng([seed, 1])
    every = np.ones(MAX_Z, dtype=bool)
    widths = list(dict.fromkeys(int(table.values.shape[1]) for table in tables))
    drawn = {widths[0]: random.normal(size=(MAX_Z, widths[0]))}
    for columns in widths[1:]:
        own = np.random.default_rng([seed, 1, columns])  # independent of the other tables
        drawn[columns] = own.normal(size=(MAX_Z, columns))
    seen = np.flatnonzero(first.seen)
    shuffled = first.values.copy()
    shuffled[seen] = first.values[seen[random.permutation(len(seen))]]
    return [
        *(
            Table(name=f"random-{columns}", values=values, seen=every, control=True)
            for columns, values in drawn.items()
        ),
        Table(name=f"{first.name} permuted", values=shuffled, seen=first.seen, control=True),
        *_untrained(tables, seed),
    ]


def _descriptors(tables: Sequence[Table]) -> dict[str, Table]:
    """By name, the handcrafted columns [118, C] that the models behind distilled tables start from.

    Those of a table whose run is not known are taken for CGCNN's.
    """
    runs = dict.fromkeys(table.run for table in tables if table.distilled)
    found: dict[str, Table] = {}
    for name, columns in map(_columns_of, runs):
        values = columns[1:].astype(np.float64)
        told = DESCRIPTOR + ("" if name == handcrafted.CGCNN92 else f" {name}")
        seen = np.asarray(values.any(axis=1))
        found[name] = Table(name=told, values=values, seen=seen, control=True)
    return found


@cache
def _columns_of(run: Path | None) -> tuple[str, np.ndarray]:
    if run is None:
        return handcrafted.CGCNN92, handcrafted.table_of(handcrafted.CGCNN92)
    return usual_table(FinishedRun(run))


def _untrained(tables: Sequence[Table], seed: int) -> Iterator[Table]:
    """Projections [118, F] of these columns, as wide as the distilled tables.

    Models start from such ones, and a bias that all elements share.
    """
    widths = dict.fromkeys(table.values.shape[1] for table in tables if table.distilled)
    for given, columns in product(_descriptors(tables).values(), widths):
        random = np.random.default_rng([seed, 2, columns])
        values = given.values @ random.uniform(-1, 1, size=(given.values.shape[1], columns))
        name = given.name.replace(DESCRIPTOR, f"untrained-{columns}")
        yield replace(given, name=name, values=values)
